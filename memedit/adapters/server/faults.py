"""What a caller is told that did something wrong: a status, what happened, and what to do, in the API's own form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from memedit.errors import (
    EditConflict,
    MemeditError,
    NothingToUndo,
    UnknownEdit,
    UnknownRevision,
)

STATUS: tuple[tuple[type[MemeditError], int], ...] = (
    (UnknownEdit, 404), (UnknownRevision, 404), (EditConflict, 409), (NothingToUndo, 409), (MemeditError, 400),
)  # fmt: skip


class Fault(Exception):
    """A request that is refused.

    Args:
        status: Of HTTP.
        what: What happened.
        do: What to do.
        headers: Of the response.
    """

    def __init__(self, status: int, what: str, do: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.what = what
        self.do = do
        self.headers = dict(headers or {})
        super().__init__(what)


def told(status: int, what: str, do: str | None, kind: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error as clients of these APIs read it."""
    message = f"{what} → {do}" if do else what
    error = {"message": message, "type": kind, "param": None, "code": str(status)}
    return JSONResponse({"error": error}, status, dict(headers or {}))


async def on_fault(request: Request, error: Exception) -> JSONResponse:
    """The response to a `Fault`."""
    assert isinstance(error, Fault)
    return told(error.status, error.what, error.do, "memedit_refused", error.headers)


async def on_memedit_error(request: Request, error: Exception) -> JSONResponse:
    """The response to an error of memedit's."""
    assert isinstance(error, MemeditError)
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    return told(status, error.what, error.do, type(error).__name__)


async def on_any(request: Request, error: Exception) -> JSONResponse:
    """The response to what should not have happened; it tells nothing of it, the log does."""
    return told(500, "Something failed inside the proxy.", "see its log", "memedit_failed")


def as_object(value: Any) -> Mapping[str, Any]:
    """A body's JSON object.

    Raises:
        Fault: 400, where it is something else.
    """
    if not isinstance(value, Mapping):
        raise Fault(400, "The body is no JSON object.", "send one, with content-type: application/json")
    return value
