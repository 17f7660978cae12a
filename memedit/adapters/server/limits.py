"""What a caller may take: bytes of a body, and calls a minute."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request

from memedit.adapters.server.faults import Fault

KNOWN = 10_000  # callers whose calls are counted


class Rate:
    """A bucket of calls for each caller, which fills evenly.

    Args:
        per_minute: How many are allowed; None for any number.
        now: Seconds of a clock.
    """

    def __init__(self, per_minute: float | None, now: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._now = now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count a call.

        Raises:
            Fault: 429, with the seconds until the next is allowed.
        """
        if self._per_minute is None:
            return
        now = self._now()
        left, at = self._left.get(caller, (self._per_minute, now))
        left = min(left + (now - at) * self._per_minute / 60, self._per_minute)
        if left < 1:
            wait = max(1, round((1 - left) * 60 / self._per_minute))
            raise Fault(429, "Too many calls.", f"wait {wait} s", headers={"retry-after": str(wait)})
        self._left[caller] = left - 1, now
        self._left.move_to_end(caller)
        while len(self._left) > KNOWN:
            self._left.popitem(last=False)


async def body_of(request: Request, most: int) -> bytes:
    """The body of a request.

    Raises:
        Fault: 413, as soon as it is longer than `most` bytes.
    """
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > most:
        raise too_long(most)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise too_long(most)
        parts.append(part)
    return b"".join(parts)


def too_long(most: int) -> Fault:
    """The fault of a body of more than so many bytes."""
    return Fault(413, f"The body is longer than {most:,} bytes.", "send less, or have --max-body raised")
