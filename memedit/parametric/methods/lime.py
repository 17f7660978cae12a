"""LiME (Xu et al. 2023, arXiv:2205.12677): masks by language before MEND's network, for edits in several languages.

For each language and matrix, each part of what the network reads has a gate that is learnt to be open or shut
(`parametric/masks.py`). Open gates cost something: their expected share, L0. Not reproduced: mLAMA's parallel sentences
and mBERT are not at hand. What an edit in one language does in another is measured by `systems/crosslingual.py`.
"""

from __future__ import annotations

from memedit.parametric.meta import Meta, Weighing
from memedit.parametric.methods.mend import Mend, MendEditor

LIME = Meta(
    "lime", "Xu et al. 2023", Mend(languages=("en", "de", "fr", "es", "zh")),
    lambda shapes, _, how: MendEditor(shapes, how), Weighing(0.1, 1.0),
)  # fmt: skip
