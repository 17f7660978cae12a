"""The verbs of an EditMemory that write its edits to a file, and take those of a file in."""

from __future__ import annotations

from pathlib import Path

from memedit.errors import EditRejected, FileRejected
from memedit.memory.adding import settled
from memedit.memory.care import DEFAULT
from memedit.memory.conflicts import OnConflict, Receipt, check_on_conflict
from memedit.memory.files import read_entries, write_edits
from memedit.memory.proposals import Proposals
from memedit.memory.reading import Reads
from memedit.text import storable


class Exchanges(Proposals, Reads):
    """What goes out into files, and comes in from them."""

    def export(self, path: str | Path, *, namespace: str = DEFAULT, secrets: bool = False) -> int:
        """Write the edits in force, and those that wait, to a file: `.jsonl`, or `.yaml` for people and git.

        Gives how many. Those that wait for approval are marked, and wait again where the file is imported.

        secrets: Also Erasures, with what they keep; without, they are left out.
        """
        edits, waiting = (
            [edit for edit in found if secrets or not edit.SECRET]
            for found in (self.edits(namespace=namespace), self.proposed(namespace=namespace))
        )
        write_edits(Path(path), edits, waiting)
        return len(edits) + len(waiting)

    def import_(
        self, path: str | Path, *, namespace: str = DEFAULT, on_conflict: OnConflict = "supersede",
        author: str | None = None, reason: str | None = None,
    ) -> list[Receipt]:  # fmt: skip
        """Add the edits of a file (`.jsonl`, `.yaml`, `.csv`) as one change set, whatever namespace they came from.

        What it marks as waiting for approval is proposed, as a further change set.

        Raises:
            FileRejected: The file, or an entry of it, cannot be read; nothing was imported.
        """
        check_on_conflict(on_conflict)
        found = read_entries(Path(path))
        change = self._change("import", namespace, author, reason or storable(f"import of {Path(path).name}"))
        own = found.within(change.namespace)
        waiting = [edit.with_(namespace=change.namespace) for edit in found.proposed]
        try:
            adding = self._adding(change, on_conflict)
            receipts = list(adding.run(settled(own, change.namespace, {}), max(len(own), 1)))
            if waiting:
                by, why = change.author, change.reason
                receipts += self.propose(waiting, namespace=change.namespace, author=by, reason=why)
            return receipts
        except EditRejected as error:
            raise FileRejected(f"{path}: {error.what}", do=error.do) from error
