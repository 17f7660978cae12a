"""Opening an EditableLLM from the plain arguments that another harness passes on from its command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memedit.editable import EditableLLM
from memedit.errors import LedgerError, LedgerMissing
from memedit.llms import as_llm
from memedit.memory import EditMemory
from memedit.memory.storage import storage_of


def open_editable(
    model: Any, memory: str | Path | None = None, *, namespace: str = "default", method: str = "auto",
    embedder: Any = None, **options: Any,
) -> EditableLLM:  # fmt: skip
    """A model with the memory in a folder in front of it.

    Args:
        model: Whatever `as_llm` takes.
        memory: The folder, or the address of a database; None for an empty memory, that is, for the model alone.
        namespace: Whose edits.
        method: As `EditableLLM` takes it.
        embedder: As `EditMemory` takes it.
        options: Of the model's loader.

    Raises:
        LedgerError: The memory holds nothing in this namespace.
    """
    namespace = str(namespace)
    if memory is not None and not (there := storage_of(memory)).exists():
        raise LedgerMissing(
            f"There is no memory in {there.shown}.", do="check memory=; leave it out to take the model alone"
        )
    edits = EditMemory(memory, embedder=embedder)
    if memory is not None and not edits.revision(namespace=namespace):
        raise LedgerError(
            f"The memory in {edits.place} holds nothing in the namespace `{namespace}`.",
            do="check memory= and namespace=; leave memory= out to take the model alone",
        )
    return EditableLLM(as_llm(model, **options), edits, namespace=namespace, method=method)
