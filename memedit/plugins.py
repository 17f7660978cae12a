"""Finding parts by name: built-in and third-party models, embedders, indexes and methods come through entry points."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any


@cache
def plugins(group: str) -> dict[str, EntryPoint]:
    """Entry points of `memedit.<group>` by name."""
    return {point.name: point for point in entry_points(group=f"memedit.{group}")}


def plugin(group: str, name: str) -> Callable[..., Any] | None:
    """The factory of this name, imported now; None when there is none."""
    point = plugins(group).get(name)
    return None if point is None else point.load()


def plugin_for(group: str, value: object) -> Callable[..., Any] | None:
    """The factory for an object: the entry point `type.PACKAGE` of the package its class, or a base of it, is from."""
    for cls in type(value).__mro__:
        if found := plugin(group, f"type.{cls.__module__.partition('.')[0]}"):
            return found
    return None


def schemes(group: str) -> str:
    """The names that can stand before a colon (`hf:…`), for messages."""
    return ", ".join(f"`{name}`" for name in sorted(plugins(group)) if not name.startswith("type."))
