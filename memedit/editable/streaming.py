"""An answer in pieces, as it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from memedit.answers import Answer
from memedit.editable.drive import Driver, Job
from memedit.errors import RequestRejected
from memedit.messages import Reply
from memedit.methods.base import Final, Ready
from memedit.plumbing.aio import Closing
from memedit.plumbing.threads import aclosed_after, closed_after


class AnswerStream(Closing):
    """The text of an answer in pieces, for `for` or `async for`.

    Closed early (`close`, `aclose`, or at the end of a `with` or `async with`), it lets the model end, too.

    Attributes:
        trace: What happened so far.
        end: What the method came to, with the edits it used; known before the first piece.
        answer: The whole Answer, once the stream has ended.
    """

    def __init__(self, driver: Driver, job: Job) -> None:
        self._driver = driver
        self._job = job
        self._pieces: Any = None
        self.trace = job.trace
        self.end: Final | Ready | None = None
        self.answer: Answer | None = None

    def replies(self) -> Iterator[Reply]:
        """The pieces as the model gave them, with its own objects at `raw` (tool calls, log-probabilities, …)."""
        with closed_after(self._begin(self._driver.stream)) as pieces:
            for piece in pieces:
                if isinstance(piece, Reply):
                    yield piece
                else:
                    self._note(piece)

    async def areplies(self) -> AsyncIterator[Reply]:
        """As `replies`, for `async for`."""
        async with aclosed_after(self._begin(self._driver.astream)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Reply):
                    yield piece
                else:
                    self._note(piece)

    def _note(self, found: Final | Ready | Answer) -> None:
        if isinstance(found, Answer):
            self.answer = found
        else:
            self.end = found

    def close(self) -> None:
        """Want no more of it."""
        with closed_after(self._pieces):
            return

    async def aclose(self) -> None:
        """As `close`, for a stream that is read by `async for`."""
        async with aclosed_after(self._pieces):
            return

    def _begin(self, stream: Callable[[Job], Any]) -> Any:
        if self._pieces is not None:
            raise RequestRejected("This stream was read already.", do="see its `answer`, or ask again")
        self._pieces = stream(self._job)
        return self._pieces

    def __iter__(self) -> Iterator[str]:
        with closed_after(self.replies()) as pieces:
            yield from (piece.text for piece in pieces if piece.text)

    async def __aiter__(self) -> AsyncIterator[str]:
        async with aclosed_after(self.areplies()) as pieces:
            async for piece in pieces:
                if piece.text:
                    yield piece.text
