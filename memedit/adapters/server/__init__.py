"""The HTTP proxy: an OpenAI-compatible endpoint in front of another, or of a local model, with the memory applied.

    caller ── key → namespace ── body, limited ── wire.EditTransport ──▶ upstream's response, relayed as it comes

What is not a model call is passed on as it is. Edits are managed under `/memedit/`, by keys that may.
"""

from memedit.adapters.server.app import application
from memedit.adapters.server.keys import Key, Keys, read_keys

__all__ = ["Key", "Keys", "application", "read_keys"]
