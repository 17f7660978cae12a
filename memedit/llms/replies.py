"""Replies: made of what a function gave back, and of the pieces of a stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from memedit.errors import ProviderError
from memedit.messages import Reply


def as_reply(value: Any) -> Reply:
    """A Reply from what a function gave back: text, a Reply, or an object or mapping with `content` or `text`.

    Raises:
        ProviderError: It is none of these.
    """
    if isinstance(value, Reply):
        return value
    if isinstance(value, str):
        return Reply(value, raw=value)
    for name in ("content", "text"):
        text = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
        if isinstance(text, str):
            return Reply(text, raw=value)
    raise ProviderError(
        f"The model's function gave back a {type(value).__name__}, not text.",
        do="return a string, an iterator of strings, or an object with `content`",
    )


def join(pieces: Sequence[Reply]) -> Reply:
    """The whole reply from its pieces; `raw` becomes the list of theirs when there are several."""
    calls = _whole_calls(call for piece in pieces for call in piece.tool_calls)
    if len(pieces) == 1:
        return pieces[0] if calls == pieces[0].tool_calls else replace(pieces[0], tool_calls=calls)
    usage: dict[str, int] = {}
    for piece in pieces:
        usage.update(piece.usage)
    return Reply(
        "".join(piece.text for piece in pieces),
        calls,
        next((piece.finish_reason for piece in reversed(pieces) if piece.finish_reason), None),
        usage,
        [piece.raw for piece in pieces],
        pieces[0].lead,
    )


def _whole_calls(calls: Iterable[Any]) -> tuple[Any, ...]:
    """Tool calls from the deltas of a stream, told apart by `index`; one without an index is whole already."""
    whole: list[Any] = []
    latest: dict[Any, dict[str, Any]] = {}
    for call in calls:
        place = call.get("index") if isinstance(call, Mapping) else None
        if place is None:
            whole.append(call)
            continue
        # Some servers number every call 0: another id is another call.
        if place not in latest or (call.get("id") or latest[place]["id"]) != latest[place]["id"]:
            latest[place] = {"id": call.get("id"), "type": "function", "function": {"name": "", "arguments": ""}}
            whole.append(latest[place])
        function = latest[place]["function"]
        for name, text in (call.get("function") or {}).items():
            function[name] = function.get(name, "") + (text or "")
    return tuple(whole)
