"""What `apply` would change: a pure function from the wanted and the present edits to a plan."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from memedit.edits import AnyEdit
from memedit.errors import FileRejected
from memedit.memory.conflicts import OnConflict, Slots
from memedit.memory.rows import Row
from memedit.text import one_line
from memedit.text.relations import Relations

COMPARED = frozenset({"author", "source", "reason", "expires_at", "tags"})
VERSION = "~"  # a changed edit of id `pm` is stored as `pm~2`: the ledger never gives one id to two edits


@dataclass
class Plan:
    """What is to be done so that a namespace holds the wanted edits.

    Args:
        added: New edits.
        changed: (the edit in force, what takes its place).
        replaced: Edits in force that a new one supersedes: the same subject and relation, with one value at a time.
        retracted: Edits in force that are not wanted.
        unchanged: Edits in force that are wanted as they are.
    """

    added: list[AnyEdit] = field(default_factory=list)
    changed: list[tuple[AnyEdit, AnyEdit]] = field(default_factory=list)
    replaced: list[AnyEdit] = field(default_factory=list)
    retracted: list[AnyEdit] = field(default_factory=list)
    unchanged: list[AnyEdit] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.added or self.changed or self.retracted)

    @property
    def fresh(self) -> list[AnyEdit]:
        """The edits to be put in force."""
        return [*(new for _, new in self.changed), *self.added]

    @property
    def gone(self) -> list[AnyEdit]:
        """The edits to be retracted first."""
        return [*(old for old, _ in self.changed), *self.retracted]

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {
            "added": [edit.to_dict() for edit in self.added],
            "changed": [{"before": old.to_dict(), "after": new.to_dict()} for old, new in self.changed],
            "replaced": [edit.to_dict() for edit in self.replaced],
            "retracted": [edit.to_dict() for edit in self.retracted],
            "unchanged": len(self.unchanged),
        }


def plan(
    wanted: Sequence[AnyEdit],
    held: Sequence[AnyEdit],
    *,
    prune: bool,
    used: Collection[str] = (),
    relations: Relations,
) -> Plan:
    """What would make `held` into `wanted`. Planning again after it is done gives an empty plan.

    A wanted edit is matched by its id if it was given one, else by what it says.

    Args:
        wanted: The entries of a file.
        held: The edits in force.
        prune: Retract what is in force and not wanted.
        used: Every id that ever was in force.
        relations: Says which relations have one value at a time.

    Raises:
        FileRejected: Two entries have one id, say the same, or cannot both be in force.
    """
    _check(wanted)
    made = Plan()
    by_content = {edit.content_hash: edit for edit in held}
    by_name = {_name(edit.id): edit for edit in held}
    taken = {*used, *(edit.id for edit in held)}
    matched: dict[str, AnyEdit] = {}
    double: dict[str, AnyEdit] = {}
    for edit in wanted:
        twin = by_content.get(edit.content_hash)
        match = by_name.get(edit.id) if "id" in edit.model_fields_set else None
        match = match or twin
        if match is None or match.id in matched:
            made.added.append(_named(edit, edit.id, taken))
        elif _same(edit, match):
            made.unchanged.append(match)
        else:
            made.changed.append((match, _named(edit, _name(match.id), taken)))
        if match is not None:
            matched[match.id] = match
        if twin is not None and twin is not match:  # one content is in force once, here under the entry's own id
            double[twin.id] = twin
    made.retracted = [edit for edit in held if edit.id not in matched and (prune or edit.id in double)]
    made.replaced = _replaced(made, held, relations)
    return made


def preview(
    given: Sequence[AnyEdit], held: Sequence[AnyEdit], *, on_conflict: OnConflict, relations: Relations
) -> Plan:
    """What adding edits would do: none of those in force is changed or retracted but what a new one replaces.

    Raises:
        EditConflict: As adding them would.
    """
    made, slots = Plan(), Slots(relations)
    known = {edit.content_hash: edit for edit in held}
    for edit in held:
        slots.put(Row.of(edit, relations), edit)
    for edit in given:
        if edit.content_hash in known:
            made.unchanged.append(known[edit.content_hash])
            continue
        row = Row.of(edit, relations)
        for other in slots.judge(row, edit, on_conflict)[0]:
            made.replaced.append(slots.facts[other][1])
            slots.remove(other)
        slots.put(row, edit)
        known[edit.content_hash] = edit
        made.added.append(edit)
    return made


def _same(wanted: AnyEdit, held: AnyEdit) -> bool:
    """Whether they say the same, and agree in what the file states besides."""
    stated = wanted.model_fields_set & COMPARED
    return wanted.content_hash == held.content_hash and all(
        getattr(wanted, name) == getattr(held, name) for name in stated
    )


def _replaced(made: Plan, held: Sequence[AnyEdit], relations: Relations) -> list[AnyEdit]:
    gone = {edit.id for edit in made.gone}
    stays = {edit.id: edit for edit in held if edit.id not in gone}
    own = {edit.id: edit for edit in (*made.unchanged, *made.fresh)}
    slots, replaced = Slots(relations), []
    for edit in stays.values():
        slots.put(Row.of(edit, relations), edit)
    for edit in made.fresh:
        row = Row.of(edit, relations)
        for other in slots.judge(row, edit, "supersede")[0]:
            if other in own:
                raise FileRejected(
                    f"“{one_line(own[other].text)}” and “{one_line(edit.text)}” cannot both be in force: "
                    "the subject and the relation are the same.",
                    do="keep one of them, or give both a time with valid_from and valid_until",
                )
            replaced.append(stays[other])
            slots.remove(other)
        slots.put(row, edit)
    return replaced


def _check(wanted: Sequence[AnyEdit]) -> None:
    ids, contents = set(), set()
    for edit in wanted:
        if edit.id in ids:
            raise FileRejected(f"Two entries have the id `{edit.id:.40}`.", do="give each its own, or none")
        if edit.content_hash in contents:
            raise FileRejected(f"Two entries say the same: “{one_line(edit.text)}”.", do="keep one of them")
        ids.add(edit.id)
        contents.add(edit.content_hash)


def _name(edit_id: str) -> str:
    """The id as the file gives it, without the version."""
    name, mark, version = edit_id.rpartition(VERSION)
    return name if mark and version.isdecimal() else edit_id


def _named(edit: AnyEdit, name: str, taken: set[str]) -> AnyEdit:
    """The edit under `name`, or under its first version that no edit ever had."""
    edit_id, version = name, 1
    while edit_id in taken:
        version += 1
        edit_id = f"{name}{VERSION}{version}"
    taken.add(edit_id)
    return edit.model_copy(update={"id": edit_id})
