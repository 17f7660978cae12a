"""A namespace as it is loaded for searching."""

from __future__ import annotations

import threading
from collections import Counter
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
    replaced: dict[str, str] = field(default_factory=dict)
    """Of edits that took another's place, by id, the id of that other."""
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

    def remove(self, edit_id: str) -> None:
        row = self.rows.pop(edit_id, None)
        if row is not None:
            self.counts[row.kind] -= 1
            self.counts["slotless"] -= row.slotless
            self.mentions.remove(edit_id, row.names)
