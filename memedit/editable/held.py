"""What every verb of an EditableLLM stands on: a model, a memory, and whose edits are meant."""

from __future__ import annotations

from memedit.errors import AlreadyClosed
from memedit.llms import LLM
from memedit.memory import EditMemory
from memedit.memory.checks import checked_namespace


class Held:
    """A model and a memory that are held until they are closed."""

    llm: LLM
    memory: EditMemory
    namespace: str
    _closed: bool

    def _must_be_open(self) -> None:
        if self._closed:
            raise AlreadyClosed(f"The EditableLLM of `{self.llm.name}` was closed.", do="make another one")

    def _in(self, namespace: str | None) -> str:
        """Whose edits a verb is about; every verb that looks into the memory comes by here."""
        self._must_be_open()
        return self.namespace if namespace is None else checked_namespace(namespace)
