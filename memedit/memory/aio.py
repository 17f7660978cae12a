"""`EditMemory.aio`: its verbs, awaitable."""

from __future__ import annotations

from memedit.memory.care import Care
from memedit.memory.exchange import Exchanges
from memedit.memory.proposals import Proposals
from memedit.memory.reading import Reads
from memedit.memory.writing import Writes
from memedit.plumbing.aio import AsyncView, Awaited, Iterated


class AsyncMemory(AsyncView):
    """Every verb of an EditMemory; `add_many` for `async for`."""

    add = Awaited(Writes.add)
    add_many = Iterated(Writes.add_many)
    apply = Awaited(Writes.apply)
    retract = Awaited(Writes.retract)
    record = Awaited(Writes.record)
    propose = Awaited(Proposals.propose)
    proposed = Awaited(Proposals.proposed)
    foresee = Awaited(Proposals.foresee)
    accept = Awaited(Proposals.accept)
    reject = Awaited(Proposals.reject)
    undo = Awaited(Writes.undo)
    revert = Awaited(Writes.revert)
    get = Awaited(Reads.get)
    recorded = Awaited(Reads.recorded)
    edits = Awaited(Reads.edits)
    search = Awaited(Reads.search)
    recall = Awaited(Reads.recall)
    of_kind = Awaited(Reads.of_kind)
    prepare = Awaited(Reads.prepare)
    history = Awaited(Reads.history)
    revision = Awaited(Reads.revision)
    undoable = Awaited(Reads.undoable)
    namespaces = Awaited(Care.namespaces)
    as_of = Awaited(Reads.as_of)
    export = Awaited(Exchanges.export)
    import_ = Awaited(Exchanges.import_)
    backup = Awaited(Care.backup)
    restore = Awaited(Care.restore)
    purge = Awaited(Care.purge)
    rebuild_index = Awaited(Care.rebuild_index)
    check = Awaited(Care.check)
