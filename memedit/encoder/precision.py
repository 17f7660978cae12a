"""In which precision torch runs an encoder on this processor."""

from __future__ import annotations

import time
from functools import cache

import torch


@cache
def bfloat16_pays() -> bool:
    """Whether this processor multiplies faster in bfloat16: one that only emulates it takes a tenfold time, or more."""
    taken = []
    for dtype in (torch.float32, torch.bfloat16):
        one = torch.ones(256, 256, dtype=dtype)
        one @ one  # whatever is made ready once
        start = time.perf_counter()
        for _ in range(3):
            one @ one
        taken.append(time.perf_counter() - start)
    return taken[1] < taken[0]
