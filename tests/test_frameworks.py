"""The recipes of docs/frameworks.md, run as they stand there, against a server on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai")
pytest.importorskip("starlette")

import httpx2
from click.testing import CliRunner
from openai import AsyncOpenAI, OpenAI
from test_server import IN, OUT
from test_server_stream import listening
from wire_server import EDIT, WireServer

import memedit
from memedit import EditMemory
from memedit.adapters.openai import editable
from memedit.adapters.server.app import make_app
from memedit.adapters.server.backend import Editing, Endpoint
from memedit.testing import NamedGate

PAGE = (Path(__file__).parent.parent / "docs/frameworks.md").read_text(encoding="utf-8")


def blocks(heading: str, kind: str) -> list[str]:
    """The code under a heading."""
    part = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.findall(rf"^```{kind}\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
    assert found
    return found


@pytest.fixture
def proxy(upstream: WireServer, memory: EditMemory) -> Iterator[str]:
    with listening(make_app(Endpoint(upstream.url, Editing.of(memory, NamedGate())), memory)) as (_, url):
        yield f"{url}/v1"


@pytest.fixture
def given(upstream: WireServer, memory: EditMemory, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What stands at the page's beginning, with the server in the place of OpenAI's."""
    monkeypatch.setenv("OPENAI_BASE_URL", upstream.url)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    return {
        "memory": memory, "EditableLLM": partial(memedit.EditableLLM, gate=NamedGate()), "question": IN,
        "client": editable(OpenAI(), memory, gate=NamedGate()),
        "aclient": editable(AsyncOpenAI(), memory, gate=NamedGate()),
    }  # fmt: skip


@pytest.mark.parametrize(("heading", "package"), [("pydantic-ai", "pydantic_ai"), ("LiteLLM", "litellm")])
def test_the_page_s_code_runs(
    given: dict[str, Any], upstream: WireServer, heading: str, package: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(package)
    first, second = blocks(heading, "python")
    for code, question, said in ((first, OUT, "nobody knows"), (first, IN, "Oslo"), (second, IN, "Oslo")):
        exec(code, given := {**given, "question": question})
        assert capsys.readouterr().out.strip().split("\n")[-1] == said
    assert [EDIT in json.dumps(body) for body in upstream.bodies] == [False, True, True]


async def test_pydantic_ai_keeps_its_tools_and_streams(given: dict[str, Any], upstream: WireServer) -> None:
    pydantic_ai = pytest.importorskip("pydantic_ai")
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel("m", provider=OpenAIProvider(openai_client=given["aclient"]))
    agent = pydantic_ai.Agent(model, instructions="Be brief.")
    looked: list[str] = []

    @agent.tool_plain
    def look(city: str) -> str:
        looked.append(city)
        upstream.script = lambda body: (200, last)
        return "42"

    last = {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "It is 42."}, "finish_reason": "stop"}],
    }  # fmt: skip
    assert (await agent.run(IN)).output == "It is 42."
    assert looked == ["Oslo"]
    assert all(EDIT in str(body["messages"][0]) for body in upstream.bodies)
    upstream.script = lambda body: None
    async with pydantic_ai.Agent(model).run_stream(IN) as result:
        assert [piece async for piece in result.stream_text(delta=True, debounce_by=None)] == ["Os", "lo"]


async def test_litellm_streams_and_waits(given: dict[str, Any]) -> None:
    litellm = pytest.importorskip("litellm")
    asked = {"model": "openai/m", "messages": [{"role": "user", "content": IN}]}
    pieces = litellm.completion(**asked, client=given["client"], stream=True)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "Oslo"
    made = await litellm.acompletion(**asked, client=given["aclient"])
    assert made.choices[0].message.content == "Oslo"


def test_llm_asks_through_the_server(
    given: dict[str, Any], proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (models,) = blocks("llm", "yaml")
    (tmp_path / "extra-openai-models.yaml").write_text(models.replace("http://127.0.0.1:8080/v1", proxy))
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    monkeypatch.setenv("LLM_LOAD_PLUGINS", "")
    command = pytest.importorskip("llm.cli").cli
    done = CliRunner().invoke(command, ["-m", "edited", "--no-log", IN])
    assert (done.exit_code, done.output.strip()) == (0, "Oslo"), done.output
    (code,) = blocks("llm", "python")
    exec(code, given)
    assert capsys.readouterr().out.strip() == "Oslo"


@pytest.mark.parametrize("streamed", [False, True])
def test_what_llama_index_asks_is_edited_by_the_server(proxy: str, upstream: WireServer, streamed: bool) -> None:
    """Its client cannot be installed beside openai 3: this is what it sends, a chat and, by default, a completion."""
    told = {"content-type": "application/json", "authorization": "Bearer k", "user-agent": "OpenAI/Python 2.9.0"}
    chat = {"messages": [{"role": "user", "content": IN}], "model": "m", "stream": streamed, "temperature": 0.1}
    answer = httpx2.post(f"{proxy}/chat/completions", json=chat, headers=told)
    assert "Os" in answer.text
    assert EDIT in str(upstream.bodies[0]["messages"][0])
    text = {"prompt": IN, "model": "m", "stream": streamed, "temperature": 0.1, "max_tokens": 256}
    answer = httpx2.post(f"{proxy}/completions", json=text, headers=told)
    assert '"text":" Oslo"' in answer.text
