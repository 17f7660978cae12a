"""Edits written into the weights of a local model, proved, and taken out again. Needs the extra `local`."""

from memedit.errors import MissingExtra

try:
    import torch  # noqa: F401 - whether it is there
except ModuleNotFoundError as missing:
    raise MissingExtra("local", package=missing.name or "torch") from missing
