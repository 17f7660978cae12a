"""Masks by language, hard concrete (Louizos et al. 2018, arXiv:1712.01312), as LiME has them before MEND's network.

Each part of what the network reads has a gate that is learnt to be open or shut, times a scale that starts at one. In
training gates are drawn, afterwards they are what is likeliest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

LOW, HIGH, HEAT = -0.1, 1.1, 2 / 3
"""The stretch of a gate, and its temperature."""
OPEN = 0.5
"""Share of gates that would be shut at first, before they are stretched."""
FAR = math.log(100)


class Masks(torch.nn.Module):
    """The gates of one matrix.

    Args:
        languages: Their two letters; any other language has open gates.
        width: Of what is masked.
    """

    def __init__(self, languages: Sequence[str], width: int) -> None:
        super().__init__()
        self.languages = tuple(languages)
        self.alphas = torch.nn.Parameter(torch.full((len(self.languages), width), math.log((1 - OPEN) / OPEN)))
        self.scales = torch.nn.Parameter(torch.zeros(len(self.languages), width))

    def forward(self, language: str) -> torch.Tensor:
        """What the rows of an edit in a language are multiplied with, (width,)."""
        if language not in self.languages:
            return torch.ones_like(self.scales[0])
        place = self.languages.index(language)
        alphas = self.alphas[place].clamp(-FAR, FAR)
        noise = torch.zeros_like(alphas)
        if self.training:
            drawn = torch.rand_like(alphas).clamp(1e-6, 1 - 1e-6)
            noise = drawn.log() - (1 - drawn).log()
        gate = ((noise + alphas) / (HEAT if self.training else 1.0)).sigmoid() * (HIGH - LOW) + LOW
        return gate.clamp(0, 1) * (1 + self.scales[place])

    def open_share(self) -> torch.Tensor:
        """The expected share of gates that are not shut, ()."""
        return (self.alphas.clamp(-FAR, FAR) - HEAT * math.log(-LOW / HIGH)).sigmoid().mean()
