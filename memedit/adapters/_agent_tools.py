"""What an agent does with an edit memory, whichever protocol offers it: recall, correct, retract, undo and explain.

The docstrings are what a model reads of the tools. What an Erasure keeps is never told, and no tool takes an Erasure
back.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Annotated, Any

from pydantic import Field

from memedit.adapters._told import Changed, Found, Judged, Kept, Told
from memedit.adapters._whose import Namespace, erasures_of, named, tellable, tellable_hits
from memedit.errors import NothingToUndo, UnknownEdit
from memedit.gate import Hits, Verdict, as_gate
from memedit.memory import Change, EditMemory
from memedit.secrecy import kept_asked, reveals
from memedit.text import as_data

MOST = 10  # edits that a look-up gives

Message = Annotated[str, Field(description="The user's message, as it was written; or what to look up.")]
Statement = Annotated[
    str,
    Field(description="One plain sentence that can be understood by itself, such as “The CEO of Acme is Carol Diaz.”"),
]
EditId = Annotated[str, Field(description="Of the correction, as `recall` or `explain` gives it.")]


class MemoryTools:
    """The tools over one memory; whose edits, by whom and by which gate is never the model's choice.

    Args:
        memory: Where the corrections are kept.
        namespace: Whose they are: a name, or a function that gives it.
        gate: As `as_gate` takes it.
        author: Recorded with each change, with the tool's name as its reason.
    """

    def __init__(
        self, memory: EditMemory, *, namespace: Namespace = "default", gate: Any = None, author: str | None = "agent"
    ) -> None:
        self.memory = memory
        self.namespace = namespace
        self.gate = as_gate(gate)
        self.author = author

    def recall(self, message: Message) -> Found:
        """Look up which corrections bear on a message: id, text and probability of each, and which are in doubt.

        Corrections hold over what you learned. One that is in doubt may not apply: heed it only where it fits.
        """
        hits = self._look_up(message)
        bearing = (one for one in hits.verdicts if one.passed or one.doubtful)
        return Found(tuple(Judged.of(one) for one in islice(bearing, MOST)), hits.revision)

    def explain(self, message: Message) -> Found:
        """Show which corrections were considered for a message, also those out of scope, with the reasons for each."""
        hits = self._look_up(message)
        return Found(tuple(Judged.of(one, _reasons(one, hits)) for one in hits.verdicts[:MOST]), hits.revision)

    def correct(self, statement: Statement) -> Kept:
        """Keep a correction, so that it holds in this and all later conversations.

        Only when the user has said that something is otherwise, or has agreed that it be kept. Gives its id, what it
        replaces, and what it may contradict.
        """
        where = named(self.namespace)
        receipt = self.memory.add(statement, namespace=where, author=self.author, reason="kept by the tool `correct`")
        return Kept(
            receipt.id,
            receipt.status,
            receipt.revision,
            self._recorded(receipt.superseded, where),
            self._recorded(receipt.possible_conflicts, where),
        )

    def retract(self, edit_id: EditId) -> Changed:
        """Take a correction back, by its id. Only when the user wants it."""
        where = named(self.namespace)
        try:
            edits = tellable([self.memory.get(edit_id, namespace=where)], self.memory, where)
        except UnknownEdit:
            edits = []
        if not edits:
            raise UnknownEdit(
                f"No correction has the id `{as_data(edit_id):.40}`.", do="look its id up with `recall` or `explain`"
            )
        return self._changed(
            self.memory.retract(
                edits[0].id, namespace=where, author=self.author, reason="taken back by the tool `retract`"
            )
        )

    def undo(self) -> Changed:
        """Take back the last change of what is kept, whoever made it; once more, the one before it.

        Only when the user wants it.
        """
        where = named(self.namespace)
        erased = {one.id for one in erasures_of(self.memory, where)}
        if erased and erased & set(_last(self.memory.history(namespace=where))):
            raise NothingToUndo(
                "The last change is of something that is erased, and no tool takes that back.",
                do="a person can, with `memedit undo`",
            )
        try:
            change = self.memory.undo(namespace=where, author=self.author, reason="taken back by the tool `undo`")
        except NothingToUndo:
            raise NothingToUndo(
                "There is nothing to undo: no change of what is kept is left to take back.",
                do="tell the user so; a single correction is taken back with `retract`",
            ) from None
        return self._changed(change)

    def kept(self) -> tuple[Told, ...]:
        """All corrections that are in force, oldest first."""
        where = named(self.namespace)
        return tuple(map(Told.of, tellable(self.memory.edits(namespace=where), self.memory, where)))

    def _look_up(self, message: str) -> Hits:
        return tellable_hits(message, self.memory, self.gate, named(self.namespace))

    def _recorded(self, ids: Iterable[str], where: str) -> tuple[Told, ...]:
        known = self.memory.recorded(ids, namespace=where)
        return tuple(map(Told.of, tellable(known.values(), self.memory, where)))

    def _changed(self, change: Change) -> Changed:
        where = change.namespace
        return Changed(change.revision, self._recorded(change.went, where), self._recorded(change.came, where))


def _last(changes: list[Change]) -> tuple[str, ...]:
    """Ids of the edits that were put in force by the change that `undo` takes back."""
    undone = {one.target for one in changes if one.kind == "undo"}
    left = [one for one in changes if one.kind != "undo" and one.revision not in undone]
    return left[-1].came if left else ()


def _reasons(verdict: Verdict, hits: Hits) -> tuple[str, ...]:
    """Why, but for what tells something that is erased."""
    erased = [kept_asked(one) for one in hits.erasures]
    return tuple(why for why in verdict.reasons if not any(reveals(why, kept) for kept in erased))
