"""A local model behind OpenAI's API: the wire's codecs read the calls, and the answers are written as they are made."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping

import httpx2

from memedit.adapters.server.backend import Backend, Editing
from memedit.adapters.server.chat_form import chat_form
from memedit.adapters.server.faults import Refused
from memedit.adapters.server.streams import streamed
from memedit.adapters.wire.transport import CODECS, response_to, told
from memedit.adapters.wire.upstream import Call
from memedit.editable import EditableLLM
from memedit.editable.streaming import AnswerStream
from memedit.llms import LLM
from memedit.messages import Reply, Request
from memedit.methods.base import Final
from memedit.plumbing.threads import aclosed_after


class LocalModel(Backend):
    """A model of this process.

    Args:
        llm: The model.
        editing: How edits are applied.

    Raises:
        CapabilityMissing: The method needs what the model cannot do.
    """

    def __init__(self, llm: LLM, editing: Editing) -> None:
        self._llm = llm
        self._editing = editing
        self.editable("default")  # what does not fit together is said here, and not at the first call

    def request(
        self, method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes
    ) -> httpx2.Request:
        return httpx2.Request(method, f"http://local{path}", content=body or None)

    async def respond(self, request: httpx2.Request, namespace: str) -> httpx2.Response:
        if request.method in ("GET", "HEAD") and f"{request.url.path}/".startswith("/models/"):
            return self._listed(request.url.path.removeprefix("/models").removeprefix("/"))
        codec = next((one for one in CODECS if request.url.path == one.path), None)
        if codec is None:
            raise Refused(404, f"A local model has /v1/models, {', '.join(f'/v1{one.path}' for one in CODECS)}.")
        if request.method != "POST":
            raise Refused(405, "This path does not take the method.", do="POST to it", headers={"allow": "POST"})
        body = json.loads(request.content)
        asked = chat_form(codec, body)
        call = Call(codec, body, asked, request)
        editable = self.editable(namespace)
        if not body.get("stream"):
            return response_to(call, await editable.ainvoke(asked))
        answers = editable.astream(asked)
        pieces = _pieces(answers)
        first = await anext(pieces)  # what is wrong with the request is told by a status, and not within a stream
        first = codec.following(body, first, _asked(answers))
        known_by = {codec.id_header: f"req_{uuid.uuid4().hex}"}
        headers = {"content-type": "text/event-stream", **known_by, **_applied(answers)}
        return httpx2.Response(200, headers=headers, content=streamed(call, first, pieces))

    def _listed(self, name: str) -> httpx2.Response:
        """The model of this name, or the list of all where there is no name."""
        known = {"id": self._llm.name, "object": "model", "created": 0, "owned_by": "memedit"}
        if name not in ("", self._llm.name):
            raise Refused(404, f"There is no model `{name:.80}`.", do=f"ask for `{self._llm.name}`")
        return httpx2.Response(200, json=known if name else {"object": "list", "data": [known]})

    def editable(
        self, namespace: str, model: str | None = None, headers: Mapping[str, str] | None = None
    ) -> EditableLLM:
        return self._editing.around(self._llm, namespace)


async def _pieces(answers: AnswerStream) -> AsyncIterator[Reply]:
    """The pieces of an answer; an empty one where there is none."""
    some = False
    async with aclosed_after(answers.areplies()) as replies:
        async for piece in replies:
            some = True
            yield piece
    if not some:
        yield Reply("")


def _asked(answers: AnswerStream) -> Request | None:
    """What the model was asked for the answer."""
    if isinstance(answers.end, Final):
        return answers.end.request
    calls = answers.trace.calls
    return calls[-1].request if calls else None


def _applied(answers: AnswerStream) -> dict[str, str]:
    end = answers.end
    assert end is not None  # known before the first piece
    return told(answers.trace.revision, end.citations, end.in_doubt if isinstance(end, Final) else ())
