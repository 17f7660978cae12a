"""SLAG (Hase et al. 2021, arXiv:2111.13654): KE's network, which looks at what it changed and changes it again.

The edit is applied five times in a row, the gradient being taken anew each time, and is taught to carry paraphrases and
what follows (both texts in scope here), and to leave others alone, by fixed weights instead of KE's margin. The belief
graph, and the tests of beliefs, are for any edit: `systems/beliefs.py`.
"""

from __future__ import annotations

from memedit.parametric.meta import Meta, Weighing
from memedit.parametric.methods.ke import Ke, KeEditor

SLAG = Meta("slag", "Hase et al. 2021", Ke(repeats=5), KeEditor, Weighing(0.5, 0.5))
