"""A namespace as it is loaded for searching."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from memedit.embedders.port import Vectors
from memedit.index import Index, MentionIndex
from memedit.memory.rows import NOWHERE, Head, Row


@dataclass
class View:
    """What one namespace holds in force after event `head.seq`."""

    namespace: str
    lock: threading.RLock = field(default_factory=threading.RLock)
    dropped: bool = False
    head: Head = NOWHERE
    rows: dict[str, Row] = field(default_factory=dict)
    indexes: dict[str, Index] = field(default_factory=dict)
    languages: dict[str, Index] = field(default_factory=dict)
    """By the encoder of many languages; they live as long as the view, made of the vectors in the ledger."""
    replaced: dict[str, list[str]] = field(default_factory=dict)
    """Of edits that took others' place, by id, the ids of those others, oldest first."""
    mentions: MentionIndex = field(default_factory=MentionIndex)
    relations: dict[str, Vectors] = field(default_factory=dict)
    """The vectors of the Facts' relation texts, by text hash: few, since many Facts share one."""
    standing: tuple[int, tuple[str, ...]] = (-1, ())
    """The ids of statements that look like standing instructions, and the event after which they were looked for."""
    counts: Counter[str] = field(default_factory=Counter)
    """Edits in force by kind, and `slotless`: the Facts among them that lack subject or relation."""

    def clear(self) -> None:
        self.close()
        self.head = NOWHERE
        for held in (self.rows, self.indexes, self.languages, self.replaced, self.counts, self.relations):
            held.clear()
        self.mentions = MentionIndex()

    def close(self) -> None:
        for index in self.indexes.values():
            index.close()

    def put(self, row: Row) -> None:
        self.remove(row.id)
        self.rows[row.id] = row
        self.counts[row.kind] += 1
        self.counts["slotless"] += row.slotless
        self.mentions.put(row.id, row.names)

    def before(self, edit_id: str) -> Iterator[str]:
        """The ids of what an edit took the place of, and of what that had, latest first; without what is in force."""
        waiting, met = list(self.replaced.get(edit_id, ())), {edit_id}
        while waiting:
            earlier = waiting.pop()
            if earlier not in met:
                met.add(earlier)
                waiting += self.replaced.get(earlier, ())
                if earlier not in self.rows:
                    yield earlier

    def forget(self, gone: Collection[str]) -> None:
        """Keep no more of what took whose place than is left when these are purged."""
        left = {one: others for one, others in self.replaced.items() if one not in gone}
        self.replaced = {one: [other for other in others if other not in gone] for one, others in left.items()}

    def remove(self, edit_id: str) -> None:
        row = self.rows.pop(edit_id, None)
        if row is not None:
            self.counts[row.kind] -= 1
            self.counts["slotless"] -= row.slotless
            self.mentions.remove(edit_id, row.names)
