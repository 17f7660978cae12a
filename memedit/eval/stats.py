"""Shares with their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many.

    Args:
        good: How many.
        of: Of how many.
    """

    good: int
    of: int

    @property
    def value(self) -> float:
        """The share, in [0, 1]; NaN of nothing."""
        return self.good / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of Wilson (1927)."""
        if not self.of:
            return (math.nan, math.nan)
        z = 1.959964
        middle = (self.value + z * z / (2 * self.of)) / (1 + z * z / self.of)
        half = z * math.sqrt(self.value * (1 - self.value) / self.of + z * z / (4 * self.of**2)) / (1 + z * z / self.of)
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.value:.1f} % ({self.good}/{self.of}, 95 % interval {100 * low:.1f}–{100 * high:.1f})"
