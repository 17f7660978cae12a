"""What adding an edit does to the edits in force: which it replaces, and which it may contradict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from memedit.edits import AnyEdit, Fact
from memedit.errors import EditConflict
from memedit.memory.comparing import says_again
from memedit.memory.contradictions import CERTAIN, LIKELY, SURE, says_one_thing
from memedit.memory.rows import Row
from memedit.memory.scoping import says_more
from memedit.text import as_html, one_line, same_key
from memedit.text.relations import Relations

OnConflict = Literal["supersede", "keep", "error"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What adding one edit did. Once you hold it, the edit is durable.

    Args:
        edit: The edit as it is stored.
        revision: The change set it belongs to.
        status: `added`; or `known`: an edit that says the same was in force already, and `edit` is that one; or
            `proposed`: it waits for approval, and is not in force.
        superseded: Ids of the edits it replaced.
        possible_conflicts: Ids of edits that stay in force and may contradict it; look at them. Of a proposed edit,
            those that it would replace are among them.
    """

    edit: AnyEdit
    revision: int
    status: Literal["added", "known", "proposed"] = "added"
    superseded: tuple[str, ...] = ()
    possible_conflicts: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The edit's id."""
        return self.edit.id

    def _repr_html_(self) -> str:
        """What a notebook shows: what was done, and what it did to other edits."""
        others = [("replaced", one) for one in self.superseded]
        others += [("may contradict", one) for one in self.possible_conflicts]
        done = f"{self.status} {self.id[:8]}: {self.edit.text} (revision {self.revision})"
        return as_html(done, head=("", "edit"), rows=others)

    def to_dict(self) -> dict[str, Any]:
        """The receipt as JSON values."""
        return {
            "status": self.status,
            "revision": self.revision,
            "superseded": list(self.superseded),
            "possible_conflicts": list(self.possible_conflicts),
            "edit": self.edit.to_dict(),
        }


@dataclass
class Slots:
    """The Facts in force by subject, as far as a set of new edits can touch them.

    Args:
        relations: Says which relations have one value at a time.
        facts: Edit id to the Fact in force, of every subject that the new edits name.
    """

    relations: Relations
    facts: dict[str, tuple[Row, Fact]] = field(default_factory=dict)
    _by_subject: dict[str, set[str]] = field(default_factory=dict)

    def put(self, row: Row, edit: AnyEdit) -> None:
        if isinstance(edit, Fact) and row.subject_key is not None:
            self.facts[row.id] = (row, edit)
            self._by_subject.setdefault(row.subject_key, set()).add(row.id)

    def remove(self, edit_id: str) -> None:
        if edit_id in self.facts:
            row, _ = self.facts.pop(edit_id)
            self._by_subject[row.subject_key or ""].discard(edit_id)

    def judge(self, row: Row, edit: AnyEdit, on_conflict: OnConflict) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(ids it supersedes, ids it may contradict).

        Raises:
            EditConflict: It contradicts edits in force, and `on_conflict` is `error`.
        """
        if not isinstance(edit, Fact) or row.subject_key is None or row.relation_key is None:
            return (), ()
        rivals = [
            other
            for edit_id in sorted(self._by_subject.get(row.subject_key, ()))
            for other_row, other in [self.facts[edit_id]]
            if other_row.relation_key == row.relation_key and _overlap(edit, other)
        ]
        differing = tuple(other.id for other in rivals if not _same_object(edit, other))
        one_value = self.relations.has_one_value(edit.relation or "")
        if not one_value:
            return (), (differing if one_value is None else ())
        if differing and on_conflict == "error":
            raise _contradiction(edit, differing)
        if on_conflict == "keep":
            return (), differing
        return tuple(other.id for other in rivals), ()


def judge_statement(
    edit: AnyEdit, rivals: Mapping[str, float], stored: Mapping[str, AnyEdit], on_conflict: OnConflict
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """As `Slots.judge`, of statements whose place it may take. Where it reads as if it took that of several, which it
    is of nobody knows: then it takes none.

    rivals: Ids in force, and how probably it takes their place.
    """
    rivals = {one: likely for one, likely in rivals.items() if likely >= LIKELY and _may_meet(edit, stored[one])}
    sure = [one for one, likely in rivals.items() if likely >= SURE]
    if sure and on_conflict == "error":
        raise _contradiction(edit, sure)
    meant = [one for one in sure if rivals[one] >= CERTAIN] or (sure if len(sure) == 1 else [])
    gone = (
        tuple(one for one in meant if _is_replaced(stored[one].text, edit.text)) if on_conflict == "supersede" else ()
    )
    return gone, tuple(one for one in rivals if one not in gone)


def _is_replaced(earlier: str, later: str) -> bool:
    return says_again(later, earlier) or (says_one_thing(earlier) and not says_more(earlier, later))


def check_on_conflict(value: str, allowed: Iterable[str] = ("supersede", "keep", "error")) -> None:
    """Raise `ValueError` for anything but the three ways."""
    if value not in allowed:
        raise ValueError(f"on_conflict is one of {', '.join(allowed)}, not {value!r}")


def _contradiction(edit: AnyEdit, conflicts: Sequence[str]) -> EditConflict:
    return EditConflict(
        f"“{one_line(edit.text)}” contradicts {len(conflicts)} edit(s) in force: {', '.join(conflicts)}.",
        conflicts=tuple(conflicts),
        do="retract them first, or add with on_conflict='supersede' or 'keep'",
    )


def _may_meet(one: AnyEdit, other: AnyEdit) -> bool:
    if isinstance(one, Fact) and isinstance(other, Fact):
        return _overlap(one, other)
    return one.kind == other.kind


def _same_object(one: Fact, other: Fact) -> bool:
    if one.object is None or other.object is None:
        return same_key(one.statement) == same_key(other.statement)
    return same_key(one.object) == same_key(other.object)


def _overlap(one: Fact, other: Fact) -> bool:
    """Whether there is a time at which both are said to hold in the world."""
    one_ends_first = (
        one.valid_until is not None and other.valid_from is not None and one.valid_until <= other.valid_from
    )
    other_ends_first = (
        other.valid_until is not None and one.valid_from is not None and other.valid_until <= one.valid_from
    )
    return not (one_ends_first or other_ends_first)
