"""`EditMemory.aio`: its verbs, awaitable."""

from __future__ import annotations

from memedit.aio import AsyncView, Awaited, Iterated
from memedit.memory.memory import EditMemory


class AsyncMemory(AsyncView):
    """Every verb of an EditMemory; `add_many` for `async for`."""

    add = Awaited(EditMemory.add)
    add_many = Iterated(EditMemory.add_many)
    apply = Awaited(EditMemory.apply)
    retract = Awaited(EditMemory.retract)
    record = Awaited(EditMemory.record)
    propose = Awaited(EditMemory.propose)
    proposed = Awaited(EditMemory.proposed)
    accept = Awaited(EditMemory.accept)
    reject = Awaited(EditMemory.reject)
    undo = Awaited(EditMemory.undo)
    revert = Awaited(EditMemory.revert)
    get = Awaited(EditMemory.get)
    recorded = Awaited(EditMemory.recorded)
    edits = Awaited(EditMemory.edits)
    search = Awaited(EditMemory.search)
    recall = Awaited(EditMemory.recall)
    of_kind = Awaited(EditMemory.of_kind)
    prepare = Awaited(EditMemory.prepare)
    history = Awaited(EditMemory.history)
    revision = Awaited(EditMemory.revision)
    namespaces = Awaited(EditMemory.namespaces)
    as_of = Awaited(EditMemory.as_of)
    export = Awaited(EditMemory.export)
    import_ = Awaited(EditMemory.import_)
    backup = Awaited(EditMemory.backup)
    restore = Awaited(EditMemory.restore)
    purge = Awaited(EditMemory.purge)
    rebuild_index = Awaited(EditMemory.rebuild_index)
    check = Awaited(EditMemory.check)
