"""Whose edits an agent or a retriever uses, and which of them it may be told."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from memedit.edits import SCOPED, AnyEdit, Erasure
from memedit.memory import EditMemory
from memedit.secrecy import tells

Namespace = str | Callable[[], str]
"""A namespace, or what names it when it is needed (in an agent: `lambda: get_runtime().context.user`)."""

TOLD = tuple(kind for kind in SCOPED if kind != "erasure")


def named(namespace: Namespace) -> str:
    """The namespace of now."""
    return namespace if isinstance(namespace, str) else namespace()


def tellable(edits: Iterable[AnyEdit], memory: EditMemory, namespace: str) -> list[AnyEdit]:
    """The edits but for Erasures, and for those that tell what one erases."""
    erasures = [one for one in memory.of_kind("erasure", namespace=namespace) if isinstance(one, Erasure)]
    return [
        edit
        for edit in edits
        if edit.kind in TOLD and not any(tells(edit, erasure, in_scope=True) for erasure in erasures)
    ]
