"""Texts at which an answer ends, for models that cannot be told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from memedit.errors import RequestRejected
from memedit.messages import Reply


def stops_of(stop: Any) -> tuple[str, ...]:
    """The texts of an option `stop`.

    Raises:
        RequestRejected: It is neither a text nor a list of texts.
    """
    stops = [] if stop is None else [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, Sequence) or not all(isinstance(one, str) and one for one in stops):
        raise RequestRejected(f"`stop` is {stop!r}.", do="give a text, or a list of texts, none of them empty")
    return tuple(stops)


def cut(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """The text before the first stop string, and whether there was one."""
    ends = [place for stop in stops if (place := text.find(stop)) >= 0]
    return (text[: min(ends)], True) if ends else (text, False)


def until_stop(pieces: Iterable[str], stops: Sequence[str]) -> Iterator[Reply]:
    """Pieces up to the first stop string, holding back what may be the beginning of one."""
    held, longest = "", max((len(stop) for stop in stops), default=1) - 1
    for piece in pieces:
        held, stopped = cut(held + piece, stops)
        if stopped:
            break
        sure = len(held) - longest
        if sure > 0:
            yield Reply(held[:sure])
            held = held[sure:]
    if held:
        yield Reply(held)


def without_indent(pieces: Iterable[Reply]) -> Iterator[Reply]:
    """The pieces without the blanks that part a continuation from its text, which are told with the first."""
    lead: str | None = ""
    for piece in pieces:
        if lead is None:
            yield piece
        elif text := piece.text.lstrip():
            yield Reply(text, lead=lead + piece.text[: -len(text)])
            lead = None
        else:
            lead += piece.text
    if lead:
        yield Reply("", lead=lead)
