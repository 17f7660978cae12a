"""Language patches (Murty et al. 2022, arXiv:2211.03318): if a condition holds of a text, then its consequence.

Texts are made of templates with invented words, whose meaning nothing but a patch tells; the paper's two figures
are the accuracy where patches are meant to help, and where they are not (its section 5). The method is
`methods/patches.py`.
"""

from __future__ import annotations

from memedit.embedders import as_embedder
from memedit.eval.patches import score_labels, slices
from memedit.gate import patch_scorer
from memedit.gate.learning.patch_data import Told
from memedit.gate.learning.patch_templates import told
from memedit.systems.ground import Ground
from memedit.systems.registry import Finding

UNSEEN = 4_711  # a seed of the templates that nothing was trained with


def check(ground: Ground, texts: int = 200, limit: int = 40) -> Finding:
    """Accuracy of the model's labels without and with patches, on texts that are patched and on others.

    Args:
        ground: With the model.
        texts: That are made.
        limit: Of each of the two slices, at most.
    """
    data = slices([Told(*one) for one in told(texts, UNSEEN)], limit=limit)
    found = score_labels(data, ground.llm, patch_scorer.shipped(), as_embedder("minilm"))
    inside, outside = found["patched slice"], found["elsewhere"]
    figure = (
        f"labels of {inside.alone.of} texts that a patch is for {inside.alone.value:.0%} → {inside.patched.value:.0%}, "
        f"of {outside.alone.of} others {outside.alone.value:.0%} → {outside.patched.value:.0%}"
    )
    more = {name: one.to_dict() for name, one in found.items()}
    return Finding(figure, inside.gain >= 10 and outside.gain >= -1, more)
