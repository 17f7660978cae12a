"""EditRetriever: the edits in scope of a question as LangChain's documents."""

from __future__ import annotations

from itertools import islice
from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field

from memedit.adapters._whose import named, tellable_hits
from memedit.errors import RequestRejected
from memedit.gate import Gate, Verdict, as_gate
from memedit.memory import EditMemory


class EditRetriever(BaseRetriever):
    """The edits in scope of a query, most probable first: for chains that show them to the model themselves.

    A document holds the edit's text; its metadata hold kind, probability, role and namespace, and source, author and
    day where they are known. What an Erasure keeps is never among them.

    Args:
        memory: An EditMemory, or the folder of one.
        namespace: Whose edits: a name, or a function that gives it.
        k: How many documents at most, 0 or more; also for one call. None for all.
        gate: Decides which edits are in scope: whatever `as_gate` takes; the default one when left out.
    """

    model_config = ConfigDict(extra="forbid")  # `namespce=` would ask for the default namespace's edits

    memory: EditMemory = Field(exclude=True, repr=False)
    namespace: Any = "default"
    k: int | None = Field(None, ge=0)
    gate: Gate = Field(exclude=True, repr=False)

    def __init__(self, memory: Any, *, gate: Any = None, **fields: Any) -> None:
        memory = memory if isinstance(memory, EditMemory) else EditMemory(memory)
        super().__init__(memory=memory, gate=as_gate(gate), **fields)

    def _get_relevant_documents(self, query: str, *, run_manager: Any = None, k: int | None = None) -> list[Document]:
        if not isinstance(query, str):
            raise RequestRejected(
                f"A {type(query).__name__} cannot be looked up.",
                do="give a text; in a chain, such as itemgetter('query')",
            )
        most = self.k if k is None else k
        if most is not None and (not isinstance(most, int) or most < 0):
            raise RequestRejected(f"k is {most!r}.", do="give a whole number, 0 or more, or None for all")
        namespace = named(self.namespace)
        hits = tellable_hits(query, self.memory, self.gate, namespace)
        documents = (_document(one, namespace) for one in hits.passed)
        return list(islice(documents, most))


def _document(verdict: Verdict, namespace: str) -> Document:
    edit = verdict.edit
    made = {name: getattr(edit, name) for name in ("source", "author", "reason")}
    metadata = {
        "kind": edit.kind,
        "probability": round(verdict.probability, 4),
        "role": verdict.role,
        "namespace": namespace,
        "created_at": edit.created_at.isoformat(),
        **{name: told for name, told in made.items() if told is not None},
    }
    return Document(edit.text, id=edit.id, metadata=metadata)
