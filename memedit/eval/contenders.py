"""What a run compares: the registered methods, and the baselines that every claim has to beat.

A baseline differs from memedit only in what it recalls; it shows edits to the model as `in_context` does, and the
growing prompt as `memprompt` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from memedit.editable import EditableLLM
from memedit.errors import MissingExtra, UnknownMethod
from memedit.eval.in_weights import InWeights, Look, writes_weights
from memedit.gate import Hits, Verdict
from memedit.gate.feedback import FeedbackGate
from memedit.llms import LLM
from memedit.memory import EditMemory
from memedit.methods.base import Recall
from memedit.methods.mello import mello
from memedit.methods.memprompt import memprompt
from memedit.plumbing.plugins import plugins

UNEDITED, ORACLE = "unedited", "in_context_oracle"
WORD = r"(?u)\b\w+\b"


class Unedited(EditableLLM):
    """The model alone."""

    def recall(self, namespace: str, asked: Sequence[Recall]) -> list[Hits]:
        return [Hits(one.query) for one in asked]


class Dense(EditableLLM):
    """The nearest edits by their vectors, always, without a gate."""

    most: int | None = None

    def recall(self, namespace: str, asked: Sequence[Recall]) -> list[Hits]:
        self.memory.prepare([one.query for one in asked], namespace=namespace)
        found = [self.memory.recall(one.query, namespace=namespace, kinds=one.kinds) for one in asked]
        return [
            Hits(
                recalled.query,
                tuple(Verdict(one.edit, one.similarity, passed=True) for one in recalled.candidates[: self.most]),
                recalled.revision,
                recalled.index,
            )
            for recalled in found
        ]


class Oracle(Dense):
    """The case's own edits are always handed over, nearest first: what EasyEdit's IKE measures.

    It is given namespaces that hold one case each.
    """


class DenseTop1(Dense):
    """The nearest edit, always."""

    most = 1


class Bm25(EditableLLM):
    """The best edit by BM25 (Robertson et al. 1994, through bm25s), always, without a gate."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._retrievers: dict[str, tuple[int, Any]] = {}

    def recall(self, namespace: str, asked: Sequence[Recall]) -> list[Hits]:
        try:
            import bm25s
        except ModuleNotFoundError as missing:
            raise MissingExtra("eval", package="bm25s") from missing
        revision = self.memory.revision(namespace=namespace)
        if self._retrievers.get(namespace, (None,))[0] != revision:
            self._retrievers[namespace] = revision, self._indexed(namespace, bm25s)
        retriever = self._retrievers[namespace][1]
        if retriever is None:
            return [Hits(one.query) for one in asked]
        queries = [one.query for one in asked]
        tokens = bm25s.tokenize(queries, token_pattern=WORD, show_progress=False)
        edits, scores = retriever.retrieve(tokens, k=1, show_progress=False)
        return [
            Hits(query, (Verdict(edit, float(score), passed=True),), revision, "bm25")
            for query, edit, score in zip(queries, edits[:, 0], scores[:, 0], strict=True)
        ]

    def _indexed(self, namespace: str, bm25s: Any) -> Any:
        """The edits of a namespace, to be searched; None where none has a word."""
        edits = self.memory.edits(namespace=namespace)
        tokens = bm25s.tokenize([edit.text for edit in edits], token_pattern=WORD, show_progress=False)
        if not tokens.vocab:
            return None
        retriever = bm25s.BM25(corpus=edits)
        retriever.index(tokens, show_progress=False)
        return retriever


class GrowingPrompt(EditableLLM):
    """All edits of the namespace, the newest that a prompt has room for, without look-up (MemPrompt's growing prompt).

    They are shown as `memprompt` shows clarifications.

    Args:
        room: Characters of edits; the publication's prompt has room for 2,048 tokens, of which the task's own part is
            taken off.
    """

    def __init__(self, *args: Any, room: int = 6_000, **options: Any) -> None:
        super().__init__(*args, **{"method": memprompt(max_clarifications=None), **options})
        self.room = room

    def recall(self, namespace: str, asked: Sequence[Recall]) -> list[Hits]:
        edits = sorted(self.memory.edits(namespace=namespace), key=lambda edit: edit.created_at, reverse=True)
        lengths = accumulate(len(edit.text) for edit in edits)
        newest = [edit for edit, length in zip(edits, lengths, strict=True) if length <= self.room]
        verdicts = tuple(Verdict(edit, 1.0, passed=True) for edit in reversed(newest))
        revision = self.memory.revision(namespace=namespace)
        return [Hits(one.query, verdicts, revision, "all") for one in asked]


class MemPromptAsPublished(EditableLLM):
    """`memprompt` with the publication's own look-up in place of the gate: edit distance."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"method": memprompt(), "gate": FeedbackGate(), **options})


class MelloAsPublished(DenseTop1):
    """`mello` with the publication's own retrieval in place of the gate: the nearest edit, always."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "method": mello()})


BASELINES: dict[str, type[EditableLLM]] = {
    UNEDITED: Unedited,
    ORACLE: Oracle,
    "bm25": Bm25,
    "dense_top1": DenseTop1,
    "growing_prompt": GrowingPrompt,
    "mello_dense_top1": MelloAsPublished,
    "memprompt_edit_distance": MemPromptAsPublished,
}


def known_contenders() -> list[str]:
    """The names `--method` takes, besides those of `memedit bake`."""
    return [*sorted(plugins("methods")), *BASELINES]


def contender(
    name: str, *, turn: int | None = None, log: Callable[[Look], None] = lambda look: None
) -> Callable[[LLM, EditMemory], EditableLLM]:
    """How to put a method or baseline in front of a model, or edits into its weights.

    Args:
        name: The method's.
        turn: Of what writes weights: edits that are written together.
        log: Is told what becomes of the weights.

    Raises:
        UnknownMethod: There is none of this name.
    """
    if name in BASELINES:
        return lambda llm, memory: BASELINES[name](llm, memory, method="in_context")
    if name in known_contenders():
        return lambda llm, memory: EditableLLM(llm, memory, method=name)
    if writes_weights(name):
        return lambda llm, memory: InWeights(llm, memory, name, turn=turn, log=log)
    raise UnknownMethod(
        f"No method or baseline `{name:.60}`.",
        do=f"use one of {', '.join(known_contenders())}, or one that `memedit bake` takes",
    )
