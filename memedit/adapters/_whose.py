"""Whose edits an agent or a retriever uses, which of them it may be told, and what the gate says of those."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from memedit.editable.look_up import looked_up
from memedit.edits import SCOPED, AnyEdit, Erasure
from memedit.gate import Gate, Hits, read_conversation
from memedit.memory import EditMemory
from memedit.methods.base import Recall
from memedit.secrecy import tells

Namespace = str | Callable[[], str]
"""A namespace, or what names it when it is needed (in an agent: `lambda: get_runtime().context.user`)."""

TOLD = tuple(kind for kind in SCOPED if kind != "erasure")


def named(namespace: Namespace) -> str:
    """The namespace of now."""
    return namespace if isinstance(namespace, str) else namespace()


def erasures_of(memory: EditMemory, namespace: str) -> list[Erasure]:
    """The Erasures that are in force."""
    return [one for one in memory.of_kind("erasure", namespace=namespace) if isinstance(one, Erasure)]


def tellable(edits: Iterable[AnyEdit], memory: EditMemory, namespace: str) -> list[AnyEdit]:
    """The edits but for Erasures, and for those that tell what one erases."""
    erasures = erasures_of(memory, namespace)
    return [
        edit
        for edit in edits
        if edit.kind in TOLD and not any(tells(edit, erasure, in_scope=True) for erasure in erasures)
    ]


def tellable_hits(message: str, memory: EditMemory, gate: Gate, namespace: str) -> Hits:
    """What looking up a message gave, without what may not be told."""
    said = read_conversation([("user", message)])
    (hits,) = looked_up(memory, gate, namespace, [Recall.of(said, TOLD)])
    told = {edit.id for edit in tellable((one.edit for one in hits.verdicts), memory, namespace)}
    return replace(hits, verdicts=tuple(one for one in hits.verdicts if one.edit.id in told))
