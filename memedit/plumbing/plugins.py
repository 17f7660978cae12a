"""Finding parts by name: built-in and third-party models, embedders, indexes and methods come through entry points."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any
from urllib.parse import unquote

from memedit.errors import MemeditError, UnsupportedModel


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


def check_options(load: Callable[..., Any], options: Iterable[str], what: str, error: type[MemeditError]) -> None:
    """Raise this error where a factory takes an option of no such name; one that takes any says it itself.

    Args:
        load: The factory, whose first parameter is the source.
        options: Their names.
        what: Of which source, for the message.
        error: Of its group.
    """
    _, *known = inspect.signature(load).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in known):
        return
    names = [one.name for one in known]
    for name in options:
        if name not in names:
            raise error(f"`{what:.80}` takes no option `{name:.80}`.", do=f"use {', '.join(names) or 'none'}")


def read_spec(spec: str) -> tuple[str, str, dict[str, Any]]:
    """Scheme, name and options of `scheme:name?option=value&option=value`; a value that is JSON is read as such.

    Raises:
        UnsupportedModel: An option has no value.
    """
    place, _, query = spec.partition("?")
    scheme, _, name = place.partition(":")
    options: dict[str, Any] = {}
    for part in filter(None, query.split("&")):
        option, equals, value = part.partition("=")
        if not option.isidentifier() or not equals:
            raise UnsupportedModel(
                f"`{part:.80}` behind the `?` of `{spec:.80}` is no option.", do="write ?option=value&option=value"
            )
        options[option] = read_value(unquote(value))
    return scheme, name, options


def read_value(text: str) -> Any:
    """What is written as JSON (a number, true, {…}), and else the text itself."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    # What looks like a power of ten is a name: a revision such as 12e4567.
    return text if isinstance(value, float) and "e" in text.lower() else value
