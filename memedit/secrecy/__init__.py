"""Whether a text says what is erased: which secrets are kept where, and in which spellings."""

from memedit.secrecy.keeping import BEGUN, kept_asked, kept_unasked, reveals, tells

__all__ = ["BEGUN", "kept_asked", "kept_unasked", "reveals", "tells"]
