"""Labelled look-ups as a scope set: what users asked, and which edits were in scope of it, as somebody judged.

Either a line of its own, or a trace as `memedit explain --json`, `memedit ask --json` and `Trace.to_dict` give it, with
labels added. `labels` by edit id are of a trace's first look-up, that of the request; verdicts of any may have one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memedit.edits import AnyEdit, as_edit
from memedit.errors import EditRejected, FileRejected
from memedit.gate.learning.scope_sets import Question, ScopeSet
from memedit.gate.roles import LABELS, Label
from memedit.text import one_line

REST = "*"  # in `labels`: every other edit
GROUPS: dict[Label, str] = {"direct": "answered", "bridge": "on the way", "out": "out of scope"}
Values = Sequence[tuple[int, Any]]
"""JSON values, each with the number of the line it begins in."""


@dataclass(frozen=True, slots=True)
class Held:
    """The edits of a memory.

    Args:
        edits: All that ever were in force, by id.
        in_force: Ids of those that are now.
    """

    edits: Mapping[str, AnyEdit]
    in_force: frozenset[str]


@dataclass
class _Asked:
    """What is known of one query.

    Args:
        labels: By edit id.
        complete: Whether every edit without a label is out of scope.
    """

    labels: dict[str, Label] = field(default_factory=dict)
    complete: bool = False


def values_of(text: str, path: Path) -> list[tuple[int, Any]]:
    """The JSON values of a text, one a line or over several.

    Raises:
        FileRejected: There is none, or something else stands between them.
    """
    found, at, decoder = [], 0, json.JSONDecoder()
    while (at := len(text) - len(text[at:].lstrip())) < len(text):
        line = text.count("\n", 0, at) + 1
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else "it is nested too deeply"
            where = error.lineno if isinstance(error, json.JSONDecodeError) else line
            raise FileRejected(f"{path}, line {where} is not JSON: {what}.", do="one JSON object a line") from error
        found.append((line, value))
    if not found:
        raise FileRejected(f"{path} is empty.", do="give a file with edits and probes, or with labelled look-ups")
    return found


def is_labelled(value: Any) -> bool:
    """Whether a value is a labelled look-up, and no edit."""
    return isinstance(value, Mapping) and any(name in value for name in ("query", "lookups", "trace", "label"))


def labelled_set(name: str, values: Values, path: Path, held: Callable[[], Held]) -> ScopeSet:
    """The scope set of labelled look-ups.

    An edit without a label is neither in scope of a query nor out of it, unless a label says so of all the rest.

    Args:
        name: Of the set.
        values: Of the file.
        path: The file, for messages.
        held: Gives the edits that the look-ups name by id; asked only where some do.

    Raises:
        FileRejected: A value is no labelled look-up; the message names its line.
    """
    reading = _Reading(path, held)
    for line, value in values:
        reading.line = line
        try:
            reading.take(value)
        except EditRejected as error:
            raise reading.fault(error.what, do="correct it; nothing was read") from error
    return reading.made(name)


class _Reading:
    """The look-ups of a file as they are read."""

    def __init__(self, path: Path, held: Callable[[], Held]) -> None:
        self._path = path
        self._held = held
        self._known: Held | None = None
        self._edits: dict[str, AnyEdit] = {}
        self._asked: dict[str, _Asked] = defaultdict(_Asked)
        self.line = 0

    def take(self, value: Any) -> None:
        """A value of the file."""
        if not is_labelled(value):
            raise self.fault("it has no `query`.", do='write {"query": …, "edit": {…}, "label": "direct"}')
        trace = value.get("trace", value)
        if "query" in value and "lookups" not in trace:
            self._label(value["query"], self._named(value), value.get("label"))
            return
        lookups = trace.get("lookups") if isinstance(trace, Mapping) else None
        if not isinstance(lookups, list) or not all(isinstance(one, Mapping) for one in lookups):
            raise self.fault("it is no trace: its `lookups` is no list of objects.", do="give it as memedit wrote it")
        own = value.get("labels", trace.get("labels", {}))
        if not sum(self._lookup(lookup, {} if place else own) for place, lookup in enumerate(lookups)):
            raise self.fault(
                "none of its verdicts has a label.",
                do='add "label": "direct", "bridge" or "out" to verdicts, or "labels": {"ID": "direct", "*": "out"}',
            )

    def made(self, name: str) -> ScopeSet:
        """The set."""
        everything = {**self._edits, **self._remembered()}
        questions = [
            Question(
                query,
                direct=_with(asked, "direct"),
                bridges=_with(asked, "bridge"),
                unsure=frozenset() if asked.complete else frozenset(everything.keys() - asked.labels.keys()),
                group=GROUPS[next((one for one in ("direct", "bridge") if one in asked.labels.values()), "out")],
            )
            for query, asked in self._asked.items()
        ]
        return ScopeSet(name, tuple(everything.values()), tuple(questions))

    def _remembered(self) -> dict[str, AnyEdit]:
        """The memory's edits in force, and former ones that have a label."""
        if self._known is None:
            return {}
        named = {edit_id for asked in self._asked.values() for edit_id in asked.labels}
        return {one: edit for one, edit in self._known.edits.items() if one in named | self._known.in_force}

    def fault(self, what: str, *, do: str) -> FileRejected:
        """An error that names the line."""
        return FileRejected(f"{self._path}, line {self.line}: {what}", do=do)

    def _lookup(self, lookup: Mapping[str, Any], own: Any) -> int:
        """The labels of a look-up; gives how many there are."""
        labels = 0
        verdicts = lookup.get("verdicts", [])
        if not isinstance(own, Mapping) or not isinstance(verdicts, list):
            raise self.fault("its `labels` or `verdicts` are not of the right form.", do="give it as memedit wrote it")
        for verdict in verdicts:
            edit_id = verdict.get("edit") if isinstance(verdict, Mapping) else None
            if not isinstance(edit_id, str):
                raise self.fault("a verdict names no `edit`.", do="give it as memedit wrote it")
            label = verdict.get(
                "label", next((own[one] for one in own if one and edit_id.startswith(one)), own.get(REST))
            )
            if label is not None:
                labels += 1
                self._label(lookup.get("query"), self._by_id(edit_id), label)
        if own.get(REST) == "out" and isinstance(lookup.get("query"), str):
            self._asked[lookup["query"].strip()].complete = True
            labels += 1
        return labels

    def _label(self, query: Any, edit_id: str | None, label: Any) -> None:
        if not isinstance(query, str) or not query.strip():
            raise self.fault("`query` is no text.", do="write what was asked")
        if label not in LABELS:
            raise self.fault(f"`label` is {one_line(json.dumps(label), 40)}.", do=f"use one of {', '.join(LABELS)}")
        asked = self._asked[query.strip()]
        if edit_id is None:
            if label != "out":
                raise self.fault(f"label `{label}` without an edit.", do="say which, with `edit` or `edit_id`")
            asked.complete = True
        elif asked.labels.setdefault(edit_id, label) != label:
            before = asked.labels[edit_id]
            raise self.fault(f"the same query and edit have the label `{before}` above, and `{label}` here.",
                             do="keep one of them")  # fmt: skip

    def _named(self, value: Mapping[str, Any]) -> str | None:
        """The id of the edit that a line names."""
        if "edit_id" in value:
            return self._by_id(value["edit_id"])
        if "edit" not in value:
            return None
        given = value["edit"]
        edit = as_edit(given)
        if not isinstance(given, Mapping) or "id" not in given:
            edit = edit.with_(id=edit.content_hash[:16])  # so that lines about one edit find together
        if self._edits.setdefault(edit.id, edit).content_hash != edit.content_hash:
            raise self.fault(f"another edit has the id `{edit.id:.40}` above.", do="give each its own, or none")
        return edit.id

    def _by_id(self, edit_id: Any) -> str:
        if self._known is None:
            self._known = self._held()
        edit_id = edit_id if isinstance(edit_id, str) else json.dumps(edit_id)
        found = [edit_id] if edit_id in self._known.edits else []
        if not found and edit_id:
            found = [one for one in self._known.edits if one.startswith(edit_id)]
        if len(found) != 1:
            raise self.fault(
                f"no edit `{one_line(edit_id, 40)}` was ever in this memory."
                if not found
                else f"`{edit_id:.40}` begins {len(found)} ids.",
                do="name the memory it was asked of with --memory and --namespace, or give the whole `edit`",
            )
        return str(found[0])


def _with(asked: _Asked, label: Label) -> frozenset[str]:
    return frozenset(edit_id for edit_id, given in asked.labels.items() if given == label)
