"""What goes wrong, as JSON in the form of OpenAI's errors, which is also Anthropic's where one asks by that API."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import httpx2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from memedit.adapters.wire.codec import encoded
from memedit.adapters.wire.upstream import NoAnswer
from memedit.errors import (
    CapabilityMissing,
    EditConflict,
    EditRejected,
    FileRejected,
    IndexUnusable,
    LedgerBusy,
    LedgerReadOnly,
    LedgerUnreachable,
    MemeditError,
    NothingToUndo,
    ProviderError,
    RequestRejected,
    RevisionMoved,
    UnknownEdit,
    UnknownRevision,
)

LOG = logging.getLogger("memedit.server")
STATUS: dict[type[MemeditError], int] = {
    EditRejected: 422,
    FileRejected: 422,
    RequestRejected: 400,
    CapabilityMissing: 400,
    UnknownEdit: 404,
    UnknownRevision: 404,
    NothingToUndo: 409,
    RevisionMoved: 409,
    EditConflict: 409,
    LedgerReadOnly: 503,
    LedgerBusy: 503,
    LedgerUnreachable: 503,
    IndexUnusable: 503,
    ProviderError: 502,
}
TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error",
}  # fmt: skip


class Refused(Exception):
    """A request that is answered with an error.

    Args:
        status: Of HTTP.
        message: What was given, and what was expected; never a secret.
        do: What to do next.
        headers: That go with it.
    """

    def __init__(
        self, status: int, message: str, *, do: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status, self.message, self.do, self.headers = status, message, do, headers
        super().__init__(message)


def fault(refused: Refused, *, kind: str | None = None) -> Response:
    """The answer to a request that is refused. OpenAI's clients pass over the outer `type`, which is Anthropic's."""
    status = refused.status
    kind = kind or TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    said = {"message": refused.message, "type": kind, "param": None, "code": None}
    told = {"type": "error", "error": said | ({"do": refused.do} if refused.do else {})}
    return Response(encoded(told), status, refused.headers, "application/json")


def fault_of(error: Exception) -> Response:
    """The answer to a request during which this was raised.

    What is not memedit's own is told by its kind alone: what it says may hold an address, or a key.
    """
    match error:
        case Refused():
            return fault(error)
        case HTTPException():
            return fault(Refused(error.status_code, error.detail, headers=error.headers))
        case MemeditError():
            kinds = (STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
            return fault(Refused(next(kinds, 500), error.what, do=error.do), kind=type(error).__name__)
        case NoAnswer():
            said = f"The model's server answered {error.response.status_code} to a question that memedit asked it."
            return fault(Refused(502, said, do="check the model's name"))
        case httpx2.TimeoutException():
            return fault(Refused(504, "The model's server did not answer in time.", do="try again"))
        case httpx2.TransportError():
            LOG.warning("the model's server cannot be reached: %s", type(error).__name__)
            return fault(Refused(502, "The model's server cannot be reached.", do="try again later"))
    return fault(Refused(500, "The request failed inside memedit.", do="see the server's log"))


async def answered(request: Request, error: Exception) -> Response:
    """As `fault_of`, for Starlette, whose own errors are no sentences."""
    if isinstance(error, HTTPException) and error.status_code == 404:
        return fault(Refused(404, "There is no such path.", do="ask under /v1; people find a page under /memedit/"))
    if isinstance(error, HTTPException) and error.status_code == 405:
        asks_for_page = request.method == "OPTIONS" and "origin" in request.headers
        do = "let a server of yours ask: this one answers to no page of another origin" if asks_for_page else None
        return fault(Refused(405, "This path does not take the method.", do=do, headers=error.headers))
    return fault_of(error)


HANDLERS = dict.fromkeys((Refused, HTTPException, MemeditError, NoAnswer, httpx2.TransportError, Exception), answered)
"""For Starlette, which logs those of them that are bare exceptions."""
