"""Spans: what is told of a call of a model and of the proxy, what never is, and that nothing is imported unasked."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from test_server import IN, OUT, URLS, body, caller
from wire_server import EDIT, WireServer

from memedit import EditableLLM, EditMemory
from memedit.adapters.otel import traced
from memedit.adapters.server.app import make_app
from memedit.adapters.server.backend import Editing, Endpoint
from memedit.adapters.server.telemetry import proxied
from memedit.messages import Reply
from memedit.testing import FakeLLM, NamedGate


class Spans:
    """Keeps the spans of a provider."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        return self._kept.get_finished_spans()

    @property
    def only(self) -> dict[str, Any]:
        (span,) = self.all
        return dict(span.attributes or {})


@pytest.fixture
def spans() -> Spans:
    return Spans()


class Counting(FakeLLM):
    """Says how many tokens it took."""

    def generate(self, requests: Any) -> list[Reply]:
        return [Reply("Oslo", finish_reason="stop", usage={"input": 7, "output": 3}) for _ in requests]


async def ask(editable: EditableLLM, how: str, question: str) -> None:
    match how:
        case "invoke":
            editable.invoke(question)
        case "ainvoke":
            await editable.ainvoke(question)
        case "stream":
            list(editable.stream(question))
        case "astream":
            assert [piece async for piece in editable.astream(question)]


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_call_is_told_of(spans: Spans, memory: EditMemory, how: str) -> None:
    editable = traced(EditableLLM(Counting(), memory, gate=NamedGate()), provider=spans.provider)
    await ask(editable, how, IN)
    (span,) = spans.all
    told = spans.only
    assert (span.name, span.kind) == ("chat fake", SpanKind.CLIENT)
    assert (told["gen_ai.operation.name"], told["gen_ai.request.model"]) == ("chat", "fake")
    assert told["memedit.edits"] == (memory.edits()[0].id,)
    assert told["memedit.probabilities"] == (1.0,)
    assert told["memedit.revision"] == 1
    assert not told["memedit.untouched"]
    for part in ("gate", "model", "method"):
        assert 0 <= told[f"memedit.{part}.seconds"] < 60
    if "stream" not in how:  # `FakeLLM` counts nothing in streams
        assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (7, 3)
        assert told["gen_ai.response.finish_reasons"] == ("stop",)
    assert "Oslo" not in span.to_json()
    assert "Norland" not in span.to_json()


def test_texts_are_told_where_they_are_asked_for(spans: Spans, memory: EditMemory) -> None:
    traced(EditableLLM(Counting(), memory, gate=NamedGate()), provider=spans.provider, texts=True).invoke(IN)
    assert spans.only["memedit.texts"] == (EDIT,)
    assert spans.only["gen_ai.input.messages"] == (f"user: {IN}",)


def test_a_batch_is_a_span_each_and_another_model_is_told_of_too(spans: Spans, memory: EditMemory) -> None:
    editable = traced(EditableLLM(FakeLLM(), memory, gate=NamedGate()), provider=spans.provider)
    editable.around(Counting()).batch([IN, OUT])
    assert sorted(len((span.attributes or {})["memedit.edits"]) for span in spans.all) == [0, 1]  # type: ignore[arg-type]


def test_what_is_asked_on_the_way_stands_below_the_call(spans: Spans, memory: EditMemory) -> None:
    tracer = spans.provider.get_tracer("caller")

    class Nested(FakeLLM):
        def generate(self, requests: Any) -> list[Reply]:
            with tracer.start_as_current_span("http"):
                return super().generate(requests)

    with tracer.start_as_current_span("app"):
        traced(EditableLLM(Nested(), memory, gate=NamedGate()), provider=spans.provider).invoke(IN)
    http, chat, app = spans.all
    assert [span.name for span in spans.all] == ["http", "chat fake", "app"]
    assert http.parent is not None
    assert chat.parent is not None
    assert (http.parent.span_id, chat.parent.span_id) == (chat.context.span_id, app.context.span_id)


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_failure_is_told_by_its_kind(spans: Spans, memory: EditMemory, how: str) -> None:
    def fails(prompt: str) -> str:
        raise RuntimeError("sk-secret")

    with pytest.raises(RuntimeError):
        await ask(traced(EditableLLM(FakeLLM(fails), memory), provider=spans.provider), how, OUT)
    (span,) = spans.all
    assert span.status.status_code is StatusCode.ERROR
    assert spans.only["error.type"] == "RuntimeError"
    assert "sk-secret" not in span.to_json()


@pytest.mark.parametrize("path", URLS)
@pytest.mark.parametrize("stream", [False, True])
async def test_the_proxy_tells_tokens_of_what_it_passes_on(
    spans: Spans, memory: EditMemory, upstream: WireServer, path: str, stream: bool
) -> None:
    backend = Endpoint(upstream.url, Editing.of(memory, NamedGate(), telling=proxied(provider=spans.provider)))
    more: dict[str, Any] = {"stream": stream}
    if stream and path == URLS[0]:
        more["stream_options"] = {"include_usage": True}
    async with caller(make_app(backend, memory)) as client:
        for question, edits in ((OUT, ()), (IN, (memory.edits()[0].id,))):
            answer = await client.post(path, json=body(path, question, **more))
            assert answer.status_code == 200
            told = dict(spans.all[-1].attributes or {})
            assert told["gen_ai.request.model"] == "m"
            assert told["memedit.edits"] == edits
            assert told["http.response.status_code"] == 200
            used = (5, 3) if path == "/v1/messages" else (7, 3)
            assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == used
    assert len(spans.all) == 2
    await backend.close()


def test_nothing_is_imported_unasked() -> None:
    script = (
        "import sys, memedit.editable, memedit.adapters.server.app, memedit.cli.serve;"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
