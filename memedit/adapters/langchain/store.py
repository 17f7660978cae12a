"""EditStore: the edit memory as one branch of LangGraph's store, for agents whose tools speak to that.

A store keeps any dictionary under any key; the memory keeps statements. So in the memory's branch an item is an edit,
`{"statement": …}` under the edit's id, and whatever is kept elsewhere is kept by another store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from langgraph.store import base

from memedit.adapters._whose import tellable, tellable_hits
from memedit.edits import AnyEdit, as_edit
from memedit.errors import RequestRejected
from memedit.gate import as_gate
from memedit.memory import EditMemory


class EditStore(base.BaseStore):
    """A store in which `(*path, NAMESPACE)` holds the edits of a memory's namespace.

    There `put` of `{"statement": …}` adds an edit whose id is the key, `delete` retracts it, `get` gives it while it is
    in force, and `search` gives the edits in scope of a query, with their probabilities; without a query, all of them.
    What an Erasure keeps is never given. A statement that is known stays under its first key.

    Args:
        memory: An EditMemory, or the folder of one.
        path: Where in the store the edits lie.
        rest: Keeps everything else; without it, that is refused.
        gate: Decides which edits are in scope: whatever `as_gate` takes.
        author: Recorded with each change.
        proposes: Whether what is put waits until a person accepts it (`memedit review`); `delete` then takes back only
            what its author put and still waits.

    Raises:
        RequestRejected: What is asked there is not what the memory can do.
        EditRejected: A statement is none, or its key is another edit's.
    """

    def __init__(
        self, memory: Any, *, path: tuple[str, ...] = ("edits",), rest: base.BaseStore | None = None, gate: Any = None,
        author: str | None = "agent", proposes: bool = False,
    ) -> None:  # fmt: skip
        self.memory = memory if isinstance(memory, EditMemory) else EditMemory(memory)
        self.path, self.rest, self.gate, self.author = path, rest, as_gate(gate), author
        self.proposes = proposes

    def batch(self, ops: Iterable[base.Op]) -> list[base.Result]:
        given = ((op, self.rest.batch(theirs) if self.rest and theirs else []) for op, theirs in self._split(ops))
        return [self._done(op, one) for op, one in given]

    async def abatch(self, ops: Iterable[base.Op]) -> list[base.Result]:
        split = list(self._split(ops))
        given = [await self.rest.abatch(theirs) if self.rest and theirs else [] for _, theirs in split]
        return [await asyncio.to_thread(self._done, op, one) for (op, _), one in zip(split, given, strict=True)]

    def _split(self, ops: Iterable[base.Op]) -> Iterable[tuple[base.Op, list[base.Op]]]:
        """Each operation, and what of it the other store does."""
        for op in ops:
            if isinstance(op, base.ListNamespacesOp):
                yield op, [op._replace(limit=op.offset + op.limit, offset=0)]
            else:
                yield op, [] if _where(op)[: len(self.path)] == self.path else [op]

    def _done(self, op: base.Op, theirs: list[Any]) -> Any:
        if isinstance(op, base.ListNamespacesOp):
            ours = [(*self.path, name) for name in self.memory.namespaces()]
            fitting = {one[: op.max_depth] for one in ours if all(_fits(one, how) for how in op.match_conditions or ())}
            return sorted(fitting.union(*theirs))[op.offset : op.offset + op.limit]
        if theirs:
            return theirs[0]
        where = _where(op)
        if where[:-1] != self.path:
            do = f"ask for {(*self.path, 'NAMESPACE')}, or give rest=STORE"
            raise RequestRejected(f"{where} is not where the edits lie.", do=do)
        if isinstance(op, base.PutOp):
            return self._put(op, where[-1])
        if isinstance(op, base.SearchOp):
            return self._found(op, where)
        return next((base.Item(**_item(edit, where)) for edit in self._told(where[-1]) if edit.id == op.key), None)

    def _put(self, op: base.PutOp, namespace: str) -> None:
        said: dict[str, Any] = {"namespace": namespace, "author": self.author, "reason": "by way of the store"}
        if op.value is None:
            if self.proposes:
                own = {one.id for one in self.memory.proposed(namespace=namespace) if one.author == self.author}
                if op.key in own:
                    self.memory.reject(op.key, **said)
            elif any(edit.id == op.key for edit in self._told(namespace)):
                self.memory.retract(op.key, **said)
            return
        if set(op.value) != {"statement"} or op.index is not None:
            raise RequestRejected(
                "An edit is put as {'statement': …} alone, without `index`.", do="put other things elsewhere"
            )
        put = self.memory.propose if self.proposes else self.memory.add
        put(as_edit({"id": op.key, **op.value}), **said)

    def _found(self, op: base.SearchOp, where: tuple[str, ...]) -> list[base.SearchItem]:
        if op.filter:
            raise RequestRejected("Edits have no fields to filter by.", do="search with a query, or for all of them")
        if op.query:
            passed = tellable_hits(op.query, self.memory, self.gate, where[-1]).passed
            found = [base.SearchItem(**_item(one.edit, where), score=one.probability) for one in passed]
        else:
            found = [base.SearchItem(**_item(edit, where)) for edit in self._told(where[-1])]
        return found[op.offset : op.offset + op.limit]

    def _told(self, namespace: str) -> list[AnyEdit]:
        return tellable(self.memory.edits(namespace=namespace), self.memory, namespace)


def _where(op: Any) -> tuple[str, ...]:
    return tuple(op.namespace_prefix if isinstance(op, base.SearchOp) else op.namespace)


def _item(edit: AnyEdit, where: tuple[str, ...]) -> dict[str, Any]:
    day = edit.created_at
    return {"namespace": where, "key": edit.id, "value": {"statement": edit.text}, "created_at": day, "updated_at": day}


def _fits(namespace: tuple[str, ...], how: base.MatchCondition) -> bool:
    size = len(how.path)
    part = namespace[:size] if how.match_type == "prefix" else namespace[-size:]
    return len(part) == size and all(want in ("*", have) for want, have in zip(how.path, part, strict=True))
