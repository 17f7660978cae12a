"""UpdateROUGE (Iv et al. 2022, arXiv:2112.08634): ROUGE of what an update adds, and of nothing that it copies."""

from __future__ import annotations

from collections.abc import Sequence

from memedit.errors import MissingExtra
from memedit.gate.focus import sentences

KINDS = ("rouge1", "rouge2", "rougeLsum")


def additions(text: str, source: str) -> list[str]:
    """The sentences of a text that do not stand in the source."""
    plain = " ".join(source.split())
    return [one for one in sentences(text) if one not in plain]


def update_rouge(predicted: str, target: str, source: str, kinds: Sequence[str] = KINDS) -> dict[str, float]:
    """F1 of predicted and wanted additions, by kind of ROUGE, in [0, 1]; 1 where neither adds anything.

    Args:
        predicted: The updated text.
        target: As it should be.
        source: As it was.
        kinds: As the package rouge-score names them.

    Raises:
        MissingExtra: rouge-score is not installed.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]
    except ImportError as missing:
        raise MissingExtra("eval", package="rouge-score") from missing
    said, wanted = additions(predicted, source), additions(target, source)
    if not said and not wanted:
        return dict.fromkeys(kinds, 1.0)
    found = RougeScorer(list(kinds)).score("\n".join(wanted), "\n".join(said))
    return {kind: float(found[kind].fmeasure) for kind in kinds}
