"""A local model behind OpenAI's API: the wire's codecs read the calls, and the answers are written as they are made."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import httpx2

from memedit.adapters.server.backend import Backend, Editing
from memedit.adapters.server.faults import Refused
from memedit.adapters.server.streams import streamed
from memedit.adapters.wire.chat import ChatCompletions
from memedit.adapters.wire.codec import Codec
from memedit.adapters.wire.responses import Responses
from memedit.adapters.wire.transport import codec_for, read_call, response_to, told
from memedit.drive import AnswerStream
from memedit.editable import EditableLLM
from memedit.llms import LLM
from memedit.messages import Reply, Request
from memedit.methods.base import Final
from memedit.threads import aclosed_after

SPOKEN = (ChatCompletions, Responses)
"""The APIs that it has."""
IDLE = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key")
"""Fields that change nothing of an answer, which clients send to everybody."""
SAME = {"n": 1, "presence_penalty": 0, "frequency_penalty": 0, "logprobs": False, "parallel_tool_calls": True}
"""Fields that ask for what is so anyway, as long as they have this value."""
EMPTY: tuple[Any, ...] = (None, [], {})


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
        if request.method == "GET" and request.url.path == "/models":
            known = {"id": self._llm.name, "object": "model", "created": 0, "owned_by": "memedit"}
            return httpx2.Response(200, json={"object": "list", "data": [known]})
        codec = codec_for(request)
        if not isinstance(codec, SPOKEN):
            raise Refused(404, "A local model has /v1/models, /v1/chat/completions and /v1/responses.")
        call = read_call(codec, request, request.content)
        if call is None:
            raise Refused(400, f"The body holds no conversation in `{codec.said[-1]}`.", do="see OpenAI's API")
        editable, asked = self.editable(namespace), heeded(codec, call.request)
        if not call.body.get("stream"):
            return response_to(call, await editable.ainvoke(asked))
        answers = editable.astream(asked)
        pieces = _pieces(answers)
        first = await anext(pieces)  # what is wrong with the request is told by a status, and not within a stream
        headers = {"content-type": "text/event-stream", "x-request-id": f"req_{uuid.uuid4().hex}", **_applied(answers)}
        return httpx2.Response(200, headers=headers, content=streamed(call, first, pieces))

    def editable(
        self, namespace: str, model: str | None = None, headers: Mapping[str, str] | None = None
    ) -> EditableLLM:
        return self._editing.around(self._llm, namespace)


def heeded(codec: Codec, request: Request) -> Request:
    """The request with the options that a local model has to heed, under memedit's names; it refuses what it cannot."""
    options = {
        name: value
        for name, value in request.options.items()
        if name not in IDLE and value not in EMPTY and not (name in SAME and value == SAME[name])
    }
    for name in codec.limits:
        if name in options:
            options["max_tokens"] = options.pop(name)
    return replace(request, options=options)


async def _pieces(answers: AnswerStream) -> AsyncIterator[Reply]:
    """The pieces of an answer; an empty one where there is none."""
    some = False
    async with aclosed_after(answers.areplies()) as replies:
        async for piece in replies:
            some = True
            yield piece
    if not some:
        yield Reply("")


def _applied(answers: AnswerStream) -> dict[str, str]:
    end = answers.end
    assert end is not None  # known before the first piece
    return told(answers.trace.revision, end.citations, end.in_doubt if isinstance(end, Final) else ())
