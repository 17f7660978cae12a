"""The options of a request to a local model, under their names in transformers, and where its text ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from memedit.errors import RequestRejected
from memedit.messages import Reply, Request

MAX_NEW_TOKENS = 128
OPTIONS = {
    "max_tokens": "max_new_tokens",
    "max_completion_tokens": "max_new_tokens",
    "max_new_tokens": "max_new_tokens",
}
SAMPLING = ("temperature", "top_p", "top_k", "repetition_penalty", "min_p")


def read_options(request: Request) -> dict[str, Any]:
    """The options that count here, under their names in transformers.

    Raises:
        RequestRejected: One of them is not known, so that it would be lost without a word.
    """
    known: dict[str, Any] = {"max_new_tokens": MAX_NEW_TOKENS, "stop": stops_of(request)}
    for name, value in request.options.items():
        if name in OPTIONS:
            known[OPTIONS[name]] = value
        elif name in SAMPLING or name == "seed":
            known[name] = value
        elif name not in ("stop", "tools") and not (name == "n" and value == 1):
            raise RequestRejected(
                f"A local model knows no option `{name}`.",
                do=f"use max_tokens, stop, seed, tools, {', '.join(SAMPLING)}",
            )
    return known


def stops_of(request: Request) -> list[str]:
    stop = request.options.get("stop")
    return [] if stop is None else [stop] if isinstance(stop, str) else list(stop)


def cut(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """The text before the first stop string, and whether there was one."""
    ends = [place for stop in stops if (place := text.find(stop)) >= 0]
    return (text[: min(ends)], True) if ends else (text, False)


def until_stop(pieces: Any, stops: Sequence[str]) -> Iterator[Reply]:
    """Pieces up to the first stop string, holding back what may be the beginning of one."""
    held, longest = "", max((len(stop) for stop in stops), default=1) - 1
    for piece in pieces:
        held, stopped = cut(held + piece, stops)
        if stopped:
            for _ in pieces:
                pass  # let the generating thread come to its end
            break
        sure = len(held) - longest
        if sure > 0:
            yield Reply(held[:sure])
            held = held[sure:]
    if held:
        yield Reply(held)


def without_indent(pieces: Iterator[Reply]) -> Iterator[Reply]:
    """The pieces without the blanks that part a continuation from its text."""
    begun = False
    for piece in pieces:
        text = piece.text if begun else piece.text.lstrip()
        begun = begun or bool(text)
        if text:
            yield Reply(text)
