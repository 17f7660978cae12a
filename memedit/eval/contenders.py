"""What a run compares: the registered methods, and four baselines that every claim has to beat.

A baseline differs from memedit only in what it recalls; how an edit is shown to the model is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from memedit.editable import EditableLLM
from memedit.errors import MissingExtra, UnknownMethod
from memedit.gate import Hits, Verdict
from memedit.llms import LLM
from memedit.memory import EditMemory
from memedit.plugins import plugins

UNEDITED, ORACLE = "unedited", "in_context_oracle"


class Unedited(EditableLLM):
    """The model alone."""

    def recall(self, namespace: str, queries: Sequence[str]) -> list[Hits]:
        return [Hits(query) for query in queries]


class Oracle(EditableLLM):
    """The case's own edits are always handed over, without a gate: what EasyEdit's IKE measures.

    It is given namespaces that hold one case each.
    """

    def recall(self, namespace: str, queries: Sequence[str]) -> list[Hits]:
        verdicts = tuple(Verdict(edit, 1.0, passed=True) for edit in self.memory.edits(namespace=namespace))
        return [Hits(query, verdicts, index="oracle") for query in queries]


class DenseTop1(EditableLLM):
    """The nearest edit by its vector, always, without a gate."""

    def recall(self, namespace: str, queries: Sequence[str]) -> list[Hits]:
        self.memory.prepare(queries, namespace=namespace)
        found = [self.memory.recall(query, namespace=namespace) for query in queries]
        return [
            Hits(
                recalled.query,
                tuple(Verdict(one.edit, one.similarity, passed=True) for one in recalled.candidates[:1]),
                recalled.revision,
                recalled.index,
            )
            for recalled in found
        ]


class Bm25(EditableLLM):
    """The best edit by BM25 (Robertson et al. 1994, through bm25s), always, without a gate."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._retrievers: dict[tuple[str, int], Any] = {}

    def recall(self, namespace: str, queries: Sequence[str]) -> list[Hits]:
        try:
            import bm25s
        except ModuleNotFoundError as missing:
            raise MissingExtra("eval", package="bm25s") from missing
        revision = self.memory.revision(namespace=namespace)
        if (namespace, revision) not in self._retrievers:
            edits = self.memory.edits(namespace=namespace)
            retriever = bm25s.BM25(corpus=edits)
            if edits:
                retriever.index(bm25s.tokenize([edit.text for edit in edits], show_progress=False), show_progress=False)
            self._retrievers[namespace, revision] = retriever
        retriever = self._retrievers[namespace, revision]
        if not retriever.corpus:
            return [Hits(query) for query in queries]
        tokens = bm25s.tokenize(list(queries), show_progress=False)
        edits, scores = retriever.retrieve(tokens, k=1, show_progress=False)
        return [
            Hits(query, (Verdict(edit, float(score), passed=True),), revision, "bm25")
            for query, edit, score in zip(queries, edits[:, 0], scores[:, 0], strict=True)
        ]


BASELINES: dict[str, type[EditableLLM]] = {UNEDITED: Unedited, ORACLE: Oracle, "bm25": Bm25, "dense_top1": DenseTop1}


def known_contenders() -> list[str]:
    """The names `--method` takes."""
    return ["auto", *sorted(plugins("methods")), *BASELINES]


def contender(name: str) -> Callable[[LLM, EditMemory], EditableLLM]:
    """How to put a method or baseline in front of a model.

    Raises:
        UnknownMethod: There is none of this name.
    """
    if name in BASELINES:
        return BASELINES[name]
    if name not in known_contenders():
        raise UnknownMethod(f"No method or baseline `{name:.60}`.", do=f"use one of {', '.join(known_contenders())}")
    return lambda llm, memory: EditableLLM(llm, memory, method=name)
