"""Which edits were written into a model's weights together: a fold of the ledger's events, and the files they name."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memedit.memory import Change
from memedit.memory.events import folded
from memedit.memory.purging import BAKED
from memedit.parametric.delta import Delta
from memedit.parametric.loading import load_change
from memedit.parametric.slots import Change as Wrote


@dataclass(frozen=True, slots=True)
class Group:
    """Edits that were written together.

    Args:
        delta: Name of their change on the shelf.
        ids: Of the edits; in force or not.
        silent: Ids of those that the model says by itself when it is asked, so that memory need not.
        data: What else the ledger holds of it: method, strength, scores.
    """

    delta: str
    ids: tuple[str, ...] = ()
    silent: frozenset[str] = frozenset()
    data: Mapping[str, Any] = field(default_factory=dict)


def groups_of(changes: Iterable[Change], weights: str) -> list[Group]:
    """The groups in the weights of a model, in the order in which they were written.

    Args:
        changes: Of a namespace, oldest first.
        weights: Hash of the unedited weights.
    """
    found: dict[str, Group] = folded(changes, {}, lambda now, change: _after(now, change, weights))
    return [group for group in found.values() if group.ids]


def _after(now: Mapping[str, Group], change: Change, weights: str) -> dict[str, Group]:
    then = dict(now)
    for event in change.events:
        if event.data.get("weights") != weights:
            continue
        if event.kind == "baked":
            name = str(event.data["delta"])
            group = then.get(name, Group(name, data=event.data))
            silent = group.silent | {event.edit_id} if event.data.get("silent") else group.silent
            then[name] = Group(name, (*group.ids, event.edit_id), silent, group.data)
        elif event.kind == "unbaked":
            for name, group in then.items():
                rest = tuple(one for one in group.ids if one != event.edit_id)
                then[name] = Group(name, rest, group.silent - {event.edit_id}, group.data)
    return then


class Shelf:
    """Where the changes of a memory are kept: beside its ledger, or with it in this process.

    Args:
        memory: The folder of the memory; None for one that ends with the process.
    """

    def __init__(self, memory: Path | None) -> None:
        self._folder = None if memory is None else memory / BAKED
        self._held: dict[str, Wrote] = {}

    def put(self, delta: Wrote) -> str:
        """Keep a change, whole or not at all; its name says what it holds."""
        digest = hashlib.sha256(repr(sorted(delta.made.items())).encode())
        for name, tensors in sorted(_tensors(delta).items()):
            digest.update(name.encode() + b"".join(one.contiguous().cpu().numpy().tobytes() for one in tensors))
        name = digest.hexdigest()[:16]
        self._held[name] = delta
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            draft = self._folder / f".{name}-{secrets.token_hex(4)}"
            delta.save(draft)
            draft.replace(self.file(name))
        return name

    def get(self, name: str) -> Wrote:
        """A change that was kept.

        Raises:
            FileRejected: It is missing or damaged.
        """
        if name not in self._held:
            self._held[name] = load_change(self.file(name))
        return self._held[name]

    def file(self, name: str) -> Path:
        """Where it lies, in a memory that has a folder."""
        return (self._folder or Path(BAKED)) / f"{name}.safetensors"


def _tensors(change: Wrote) -> dict[str, Sequence[Any]]:
    if isinstance(change, Delta):
        return {str(layer): factors for layer, factors in change.parts.items()}
    return {name: [tensor] for name, tensor in change.slots.items()}


def common(first: Sequence[Any], second: Sequence[Any]) -> int:
    """How many members two sequences begin with alike."""
    pairs = zip(first, second, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second)))
