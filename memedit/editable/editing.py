"""The verbs of an EditableLLM that change its memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from memedit.answers import Answer
from memedit.editable.baking import Bakes
from memedit.editable.documents import Proposal, propose
from memedit.editable.feedback import as_feedback
from memedit.edits import EditLike, as_edit
from memedit.errors import EditRejected
from memedit.memory import Change, Receipt
from memedit.multihop.graph import with_derived


class Edits(Bakes):
    """What is put in force, objected to, and taken back."""

    def edit(
        self, /, edit: EditLike, *, namespace: str | None = None, derive: bool = False, propose: bool = False,
        **how: Any,
    ) -> Receipt:  # fmt: skip
        """Put an edit in force: a statement, a Fact, Feedback, a Patch, …. See `EditMemory.add`.

        Args:
            derive: Whether what follows from it by the rules of `memedit.multihop.graph` is put in force too, in
                the same change.
            propose: Whether it waits until somebody accepts it, and does nothing until then (`EditMemory.propose`).
            how: As for `EditMemory.add` (author, reason, replaces, …); `replaces` with neither of the two.

        Raises:
            EditRejected: It is not a valid edit, or what it replaces was named of one that is derived from or waits.
        """
        where = self._in(namespace)
        if (derive or propose) and "replaces" in how:
            raise EditRejected(
                "`replaces` goes with one edit, which is put in force.",
                do="leave `derive` and `propose` out, or retract what it replaces when it is accepted",
            )
        if propose:
            given = with_derived(as_edit(edit), self.memory.edits(namespace=where)) if derive else [edit]
            return self.memory.propose(given, namespace=where, **how)[0]
        if not derive:
            return self.memory.add(edit, namespace=where, **how)
        edits = with_derived(as_edit(edit), self.memory.edits(namespace=where))
        return next(iter(list(self.memory.add_many(edits, namespace=where, **how))))

    def propose(self, text: str, *, source: str | None = None) -> Proposal:
        """The Facts that a document tells, for a person to accept; nothing is put in force. See `documents.propose`.

        Where that is another person, or later: `memory.propose(llm.propose(text).facts)`, and `memory.accept`.
        """
        self._must_be_open()
        return propose(text, self.llm, source=source)

    def feedback(self, /, about: Any, text: str, *, namespace: str | None = None, **how: Any) -> Receipt:
        """Object to an answer: “when I ask …, I want …” is kept, and comes with the next request like it (MemPrompt).

        Args:
            about: The Answer that missed what was meant, or what was asked (as for `invoke`). With None the text has to
                say it: “when I ask *situation*, I want *clarification*”.
            text: What is meant.
            namespace: Where it is kept; the answer's own, or else the object's, when left out.
            how: As for `edit` (author, reason, propose, …).

        Raises:
            RequestRejected: Nothing says of which requests it is meant.
            EditRejected: The text is empty, too long or deceptive.
        """
        if namespace is None and isinstance(about, Answer):
            namespace = about.trace.namespace
        return self.edit(as_feedback(about, text), namespace=namespace, **how)

    def edit_many(self, /, edits: Iterable[EditLike], *, namespace: str | None = None, **how: Any) -> list[Receipt]:
        """Put many edits in force as one change set. See `EditMemory.add_many`, which also reports as it goes."""
        return list(self.memory.add_many(edits, namespace=self._in(namespace), **how))

    def retract(self, /, ids: str | Sequence[str], *, namespace: str | None = None, **who: Any) -> Change:
        """Take edits out of force, and out of the weights where they were baked. See `EditMemory.retract`."""
        change = self.memory.retract(ids, namespace=self._in(namespace), **who)
        self._in_step(change.namespace)
        return change

    def undo(self, /, *, namespace: str | None = None, **who: Any) -> Change:
        """Take back the namespace's last change set. See `EditMemory.undo`."""
        change = self.memory.undo(namespace=self._in(namespace), **who)
        self._in_step(change.namespace)
        return change

    def history(self, edit_id: str | None = None, *, namespace: str | None = None) -> list[Change]:
        """The namespace's change sets, oldest first."""
        return self.memory.history(edit_id, namespace=self._in(namespace))
