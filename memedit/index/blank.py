"""Memory handed out blank, for a library that writes to disk what it has not filled.

hnswlib, by which Chroma searches, writes its whole block to a file, used or not. What `malloc` hands it may be what
this process has freed: a vector, or a text, that was purged. glibc overwrites what it hands out as long as it is asked
to (`M_PERTURB`, mallopt(3)); no other C library can be asked.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

M_PERTURB = -6
BLANK = 0xFF  # of what is handed out, each byte is the complement: 0
_lock = threading.Lock()
_within = 0


@contextmanager
def blank_memory() -> Iterator[None]:
    """While inside, in any thread, what glibc's `malloc` hands out holds nothing of what was freed."""
    _entered(1)
    try:
        yield
    finally:
        _entered(-1)


def _entered(more: int) -> None:
    global _within
    with _lock:
        before, _within = _within, _within + more
        if bool(before) != bool(_within) and (mallopt := _mallopt()) is not None:
            mallopt(M_PERTURB, BLANK if _within else 0)


@cache
def _mallopt() -> Any:
    """glibc's, or None."""
    return getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
