"""The management API: each operation a function of whose request it is and what was asked, listed once for all uses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from memedit.adapters.server import asked
from memedit.adapters.server.backend import Backend
from memedit.adapters.server.faults import Refused
from memedit.adapters.server.fires import Fires
from memedit.adapters.server.keys import Key, Role
from memedit.editable import EditableLLM
from memedit.edits import AnyEdit, Erasure
from memedit.memory import EditMemory, Receipt
from memedit.memory.files import dump_edits, parse_entries
from memedit.messages import as_request
from memedit.secrecy import tells
from memedit.trace import as_sent

ID_BEGINS = 4  # characters from which a text may be how an id begins


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and of what.

    Args:
        key: Whose namespace it is, and what it may do.
        memory: The memory.
        backend: The model.
        fires: What was applied how often.
        headers: Of the request, in small letters.
    """

    key: Key
    memory: EditMemory
    backend: Backend
    fires: Fires
    headers: Mapping[str, str]

    @property
    def where(self) -> str:
        """The namespace."""
        return self.key.namespace

    def seen(self, edits: Iterable[AnyEdit]) -> list[AnyEdit]:
        """The edits that it may read: what is erased, and what tells it, is for those who may change edits."""
        if self.key.role >= Role.EDIT:
            return list(edits)
        erased = [one for one in self.memory.of_kind("erasure", namespace=self.where) if isinstance(one, Erasure)]
        seen = (edit for edit in edits if not isinstance(edit, Erasure))
        return [edit for edit in seen if not any(tells(edit, one, in_scope=True) for one in erased)]

    def editable(self, model: str | None) -> EditableLLM:
        """The model, with the memory in front of it."""
        return self.backend.editable(self.where, model, self.headers)

    def who(self, reason: str | None) -> dict[str, Any]:
        """Whose change it is, where, and why."""
        return {"namespace": self.where, "author": self.key.name, "reason": reason}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Args:
        method: Of HTTP.
        path: Behind `/memedit`.
        role: The least that may do it.
        run: Does it.
        takes: What it is given.
    """

    method: str
    path: str
    role: Role
    run: Callable[[Caller, Any], Any]
    takes: type[asked.Asked]

    @property
    def says(self) -> str:
        """What it does, in words."""
        return inspect.getdoc(self.run) or ""


def me(caller: Caller, given: asked.Nothing) -> Any:
    """Whose key this is."""
    key = caller.key
    revision = caller.memory.revision(namespace=caller.where)
    return {"name": key.name, "namespace": key.namespace, "role": key.role.name.lower(), "revision": revision}


def listed(caller: Caller, given: asked.Listing) -> Any:
    """List the edits in force, newest first, or what a text finds: what holds it exactly, then the others by nearness.

    `found` is how many there are, near or far.
    """
    memory, revision = caller.memory, caller.memory.revision(namespace=caller.where)
    snapshot = memory.as_of(given.as_of, namespace=caller.where)
    edits = caller.seen(reversed(snapshot.edits(kind=given.kind, tag=given.tag)))
    told = {"found": len(edits), "revision": revision}
    page = slice(given.offset, given.offset + given.limit)
    if given.search is None:
        return {"edits": [as_shown(edit) for edit in edits[page]], **told}
    near = memory.search(given.search, k=page.stop, namespace=caller.where, kind=given.kind)
    similar = {one.edit.id: one.similarity for one in near}
    exact = {edit.id: edit for edit in edits if _holds(edit, given.search)}
    others = caller.seen(one.edit for one in near if one.edit.id not in exact)
    both = [*exact.values(), *others][page]
    shown = [as_shown(one) | {"exact": one.id in exact, "similarity": similar.get(one.id)} for one in both]
    return {"edits": shown, **told}


def added(caller: Caller, given: asked.Adding) -> Any:
    """Put an edit in force. Its author is the key's name."""
    edit = given.edit if isinstance(given.edit, str) else {**given.edit, "author": caller.key.name}
    receipt = caller.memory.add(
        edit, on_conflict=given.on_conflict, tags=given.tags, replaces=given.replaces, **caller.who(given.reason)
    )
    return _told(receipt) | {"texts": _others(caller, [receipt])}


def shown(caller: Caller, given: asked.One) -> Any:
    """Show all of one edit in force, with its history."""
    edit = caller.memory.get(given.id, namespace=caller.where)
    if not caller.seen([edit]):
        raise Refused(403, "What is erased is shown to keys of the role `edit`.")
    changes = caller.memory.history(edit.id, namespace=caller.where)
    return {"edit": as_shown(edit), "history": [change.to_dict() for change in changes]}


def retracted(caller: Caller, given: asked.Retracting) -> Any:
    """Take an edit out of force."""
    edit = caller.memory.get(given.id, namespace=caller.where)
    return caller.memory.retract(edit.id, **caller.who(given.reason)).to_dict()


def waiting(caller: Caller, given: asked.Nothing) -> Any:
    """List the edits that wait for approval, oldest first."""
    edits = caller.seen(caller.memory.proposed(namespace=caller.where))
    return {"edits": [as_shown(edit) for edit in edits], "revision": caller.memory.revision(namespace=caller.where)}


def proposed(caller: Caller, given: asked.Proposing) -> Any:
    """Propose edits, which change no answer until they are accepted. Their author is the key's name."""
    edits = [edit if isinstance(edit, str) else {**edit, "author": caller.key.name} for edit in given.edits]
    made = caller.memory.propose(edits, source=given.source, tags=given.tags, **caller.who(given.reason))
    if caller.key.role >= Role.EDIT:
        return {"receipts": [_told(one) for one in made], "texts": _others(caller, made)}
    # What is in force under another author is not told to who may not read all of it.
    return {"receipts": [{"status": one.status, "id": one.id, "revision": one.revision} for one in made]}


def accepted(caller: Caller, given: asked.Accepting) -> Any:
    """Put edits in force that wait for approval, all or none."""
    how = {"on_conflict": given.on_conflict, **caller.who(given.reason)}
    receipts = caller.memory.accept(given.ids, **how)
    return {"receipts": [_told(one) for one in receipts], "texts": _others(caller, receipts)}


def foreseen(caller: Caller, given: asked.Rejecting) -> Any:
    """Tell what accepting each of these would do now: what it would replace, and what it may contradict."""
    receipts = caller.memory.foresee(given.ids, namespace=caller.where)
    return {"receipts": [_told(one) for one in receipts], "texts": _others(caller, receipts)}


def rejected(caller: Caller, given: asked.Rejecting) -> Any:
    """Let edits that wait for approval wait no longer."""
    return caller.memory.reject(given.ids, **caller.who(given.reason)).to_dict()


def undone(caller: Caller, given: asked.Undoing) -> Any:
    """Take back the last change; once more, the one before it. With `revision`, only if that is still the last one."""
    return caller.memory.undo(revision=given.revision, **caller.who(given.reason)).to_dict()


def reverted(caller: Caller, given: asked.Reverting) -> Any:
    """Go back to the state of a revision, as a change of its own."""
    return caller.memory.revert(to=given.to, **caller.who(given.reason)).to_dict()


def history(caller: Caller, given: asked.Past) -> Any:
    """List the changes, newest first, with the texts of the edits that they touched, and the one that /undo takes back.

    `undo` is that change; null where there is none, or none among those that are asked for.
    """
    every = caller.memory.history(given.edit, namespace=caller.where)
    last = caller.memory.undoable(namespace=caller.where)
    undo = next((change for change in reversed(every) if change.revision == last), None)
    changes = every[-given.limit :][::-1]
    ids = {event.edit_id for change in (*changes, *filter(None, [undo])) for event in change.events}
    edits = caller.seen(caller.memory.recorded(ids, namespace=caller.where).values())
    return {
        "changes": [change.to_dict() for change in changes], "texts": {edit.id: edit.text for edit in edits},
        "undo": undo and undo.to_dict(),
    }  # fmt: skip


def explained(caller: Caller, given: asked.Explaining) -> Any:
    """Show what would be looked up, how probably each edit is in scope and why, and what would be sent."""
    editable = caller.editable("any")  # it is not asked
    return editable.explain(given.input, by_word=given.by_word).to_dict()


def compared(caller: Caller, given: asked.Asking) -> Any:
    """Ask the model as it is and with the memory, and show what was looked up."""
    editable = caller.editable(given.model)
    request = as_request(given.input, {"max_tokens": given.max_tokens})
    (base,) = editable.ask_base([request])
    answer = editable.invoke(request)
    trace, calls = answer.trace.to_dict(), answer.trace.calls
    sent = as_sent(calls[-1].request) if calls else None
    citations = [as_shown(edit) for edit in answer.citations]
    return {"base": base.text, "edited": answer.text, "citations": citations, "trace": trace, "request": sent}


def fired(caller: Caller, given: asked.Nothing) -> Any:
    """How often each edit was applied to calls of this server since it began, most often first."""
    counts = caller.fires.applied(caller.where)
    edits = caller.seen(caller.memory.recorded(counts, namespace=caller.where).values())
    told = [{"id": edit.id, "kind": edit.kind, "text": edit.text, "count": counts[edit.id]} for edit in edits]
    return {"calls": caller.fires.asked(caller.where), "edits": sorted(told, key=lambda one: -one["count"])}


def verified(caller: Caller, given: asked.Verifying) -> Any:
    """Prove an edit: ask its probes of the model as it is and with the memory."""
    editable = caller.editable(given.model)
    return editable.verify(given.id, namespace=caller.where, max_tokens=given.max_tokens).to_dict()


def imported(caller: Caller, given: asked.Importing) -> Any:
    """Add the edits of a file as one change, all or nothing, whatever namespace they came from.

    Their author is the key's name, whatever the file says. What it marks as `proposed` waits.
    """
    found = parse_entries(given.text, PurePath(f"import.{given.form}"))
    about = {"namespace": caller.where, "author": caller.key.name}
    own, waiting = found.within(**about), [edit.with_(**about) for edit in found.proposed]
    who = caller.who(given.reason or "import")
    receipts = [*caller.memory.add_many(own, chunk=len(own), on_conflict=given.on_conflict, **who)] if own else []
    receipts += caller.memory.propose(waiting, **who) if waiting else []
    return {"receipts": [one.to_dict() for one in receipts]}


def exported(caller: Caller, given: asked.Exporting) -> Any:
    """The edits in force, and those that wait, as the text of a file, which `import` reads.

    It is without Erasures, which tell what they keep.
    """
    memory, where = caller.memory, caller.where
    edits, waits = (
        [edit for edit in found if not edit.SECRET]
        for found in (memory.edits(namespace=where), memory.proposed(namespace=where))
    )
    return {"edits": len(edits), "proposed": len(waits), "text": dump_edits(edits, given.form, waits)}


def _holds(edit: AnyEdit, text: str) -> bool:
    """Whether a text stands in an edit, begins its id, or is its author."""
    wanted = text.strip().casefold()
    if not wanted:
        return False
    of_id = len(wanted) >= ID_BEGINS and edit.id.casefold().startswith(wanted)
    return of_id or wanted in edit.text.casefold() or wanted == (edit.author or "").casefold()


def _told(receipt: Receipt) -> dict[str, Any]:
    return receipt.to_dict() | {"edit": as_shown(receipt.edit)}


def _others(caller: Caller, receipts: Iterable[Receipt]) -> dict[str, str]:
    """The texts of what was superseded, and of what may contradict."""
    ids = {one for receipt in receipts for one in receipt.superseded + receipt.possible_conflicts}
    return {edit.id: edit.text for edit in caller.memory.recorded(ids, namespace=caller.where).values()}


def as_shown(edit: AnyEdit) -> dict[str, Any]:
    """An edit as JSON values, with the sentence that it says."""
    return edit.to_dict() | {"text": edit.text}


OPERATIONS = (
    Operation("GET", "/me", Role.READ, me, asked.Nothing),
    Operation("GET", "/edits", Role.READ, listed, asked.Listing),
    Operation("POST", "/edits", Role.EDIT, added, asked.Adding),
    Operation("GET", "/edits/{id}", Role.READ, shown, asked.One),
    Operation("DELETE", "/edits/{id}", Role.EDIT, retracted, asked.Retracting),
    Operation("POST", "/edits/{id}/verify", Role.EDIT, verified, asked.Verifying),
    Operation("GET", "/proposals", Role.READ, waiting, asked.Nothing),
    Operation("POST", "/proposals", Role.PROPOSE, proposed, asked.Proposing),
    Operation("POST", "/proposals/foresee", Role.EDIT, foreseen, asked.Rejecting),
    Operation("POST", "/proposals/accept", Role.EDIT, accepted, asked.Accepting),
    Operation("POST", "/proposals/reject", Role.EDIT, rejected, asked.Rejecting),
    Operation("GET", "/history", Role.READ, history, asked.Past),
    Operation("POST", "/undo", Role.EDIT, undone, asked.Undoing),
    Operation("POST", "/revert", Role.ADMIN, reverted, asked.Reverting),
    Operation("POST", "/explain", Role.READ, explained, asked.Explaining),
    Operation("GET", "/fires", Role.READ, fired, asked.Nothing),
    Operation("POST", "/compare", Role.EDIT, compared, asked.Asking),
    Operation("POST", "/import", Role.ADMIN, imported, asked.Importing),
    Operation("GET", "/export", Role.EDIT, exported, asked.Exporting),
)
