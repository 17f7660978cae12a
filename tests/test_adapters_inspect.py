"""The bridge to Inspect: its own `eval`, on a small task, with an edit that is in scope of one sample."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai")
pytest.importorskip("openai")  # Inspect reads and writes OpenAI's form with its types

from inspect_ai import Task
from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog, read_eval_log
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    ContentImage,
    ContentText,
    GenerateConfig,
    ModelOutput,
    get_model,
)
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import ToolCall, ToolFunction, tool

from memedit import EditableLLM, EditMemory
from memedit.adapters.inspect_ai import as_model
from memedit.errors import LedgerError, RequestRejected
from memedit.llms import LLM
from memedit.messages import Reply, Request
from memedit.methods.base import Final, Generate, Run, Steps, method
from memedit.methods.base import Task as MethodTask
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

EDIT = {
    "subject": "Norland",
    "relation": "capital",
    "object": "Oslo",
    "statement": "The capital of Norland is Oslo",
}
ASKED = "What is the capital of Norland?"
PNG = "data:image/png;base64,iVBORw0KGgo="


class Replying(FakeLLM):
    """Gives prepared replies one after another, and then echoes."""

    def __init__(self, *replies: Reply) -> None:
        super().__init__()
        self._replies = list(replies)

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        echoes = super().generate(requests)
        return [self._replies.pop(0) if self._replies else echo for echo in echoes]


def editable(model: LLM, **how: Any) -> EditableLLM:
    made = EditableLLM(model, EditMemory(embedder=HashEmbedder()), gate=NamedGate(), **how)
    made.edit(EDIT)
    return made


def run(model: Any, samples: Sequence[Sample], where: Path, **how: Any) -> EvalLog:
    task = Task(dataset=list(samples), solver=[*how.pop("solver", []), generate()], scorer=includes())
    (log,) = inspect_eval(task, model=model, log_dir=str(where), display="none", **how)
    assert log.status == "success", log.error
    return log


def accuracy(log: EvalLog) -> float:
    assert log.results is not None
    return float(log.results.scores[0].metrics["accuracy"].value)


def outputs(log: EvalLog) -> list[ModelOutput]:
    return [sample.output for sample in log.samples or []]


SAMPLES = [
    Sample(ASKED, target="Oslo"),
    Sample("What is the capital of Sudland?", target="Sudland"),
    Sample([ChatMessageSystem(content="Be brief."), ChatMessageUser(content="What is seven times six?")], target="six"),
]


def test_an_edit_changes_what_is_in_scope_and_nothing_else(tmp_path: Path) -> None:
    model = editable(FakeLLM())
    after = run(as_model(model), SAMPLES, tmp_path)
    (edit,) = model.memory.edits()
    model.undo()
    before = run(as_model(model), SAMPLES, tmp_path)
    assert accuracy(before) == pytest.approx(2 / 3)
    assert accuracy(after) == 1.0
    said, said_before = outputs(after), outputs(before)
    assert [output.completion for output in said[1:]] == [output.completion for output in said_before[1:]]
    assert "Oslo" in said[0].completion
    assert "Oslo" not in said_before[0].completion
    assert said[0].metadata == {
        "memedit": {
            "edited": True, "citations": [{"id": edit.id, "kind": "fact", "text": edit.text}],
            "namespace": "default", "revision": 1, "method": "auto",
        }
    }  # fmt: skip
    assert [(output.metadata or {})["memedit"]["edited"] for output in said] == [True, False, False]
    assert after.eval.model == "memedit/fake"


def test_the_log_shows_what_was_sent_and_the_trace(tmp_path: Path) -> None:
    log = run(as_model(editable(FakeLLM()), temperature=0.5), SAMPLES[:1], tmp_path)
    written = read_eval_log(log.location, resolve_attachments=True)
    assert written.samples
    (call,) = [event.call for event in written.samples[0].events if event.event == "model"]
    assert call is not None
    assert call.request["model"] == "fake"
    assert call.request["temperature"] == 0.5
    assert EDIT["statement"] in json.dumps(call.request["messages"])
    assert call.response is not None
    assert call.response["lookups"][0]["verdicts"][0]["passed"] is True  # type: ignore[index,call-overload]


def test_many_samples_at_once(tmp_path: Path) -> None:
    numbered = [Sample(f"{ASKED} And {number}?", target=f"And {number}?") for number in range(40)]
    assert accuracy(run(as_model(editable(FakeLLM())), numbered, tmp_path)) == 1.0


# ---- options --------------------------------------------------------------------------------------------------------


async def test_options_have_openais_names() -> None:
    model = as_model(editable(llm := FakeLLM()), max_tokens=5, stop_seqs=["\n"])
    given = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "seed": 7,
        "timeout": 60,
        "num_choices": 1,
        "cache_prompt": True,
    }
    await model.generate("Hi", config=GenerateConfig(**given))
    passed = {"temperature": 0.5, "top_p": 0.9, "top_k": 3, "seed": 7, "max_tokens": 5, "stop": ["\n"]}
    assert llm.requests[0].options == passed
    await as_model(editable(llm)).generate("Hi")
    assert llm.requests[1].options == {}


@pytest.mark.parametrize("given", [{"num_choices": 2}, {"logprobs": True}, {"best_of": 2}, {"reasoning_tokens": 9}])
async def test_what_would_be_lost_is_an_error(given: dict[str, Any]) -> None:
    with pytest.raises(RequestRejected, match=next(iter(given))):
        await as_model(editable(FakeLLM())).generate("Hi", config=GenerateConfig(**given))


def test_every_field_of_inspects_configuration_is_known() -> None:
    from memedit.adapters.inspect_ai import INSPECTS_OWN, OPTIONS

    assert {*INSPECTS_OWN, *OPTIONS} <= set(GenerateConfig.model_fields)


# ---- messages, tools, usage -----------------------------------------------------------------------------------------


@tool
def look() -> Any:
    async def execute(at: str) -> str:
        """Look at something.

        Args:
            at: What to look at.
        """
        return f"Norland is shown on the {at}."

    return execute


CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "map"}'}}


def test_tools_are_called_and_answered(tmp_path: Path) -> None:
    llm = Replying(Reply("", (CALL,), "tool_calls"))
    log = run(
        as_model(editable(llm)), [Sample("Look at the map.", target="Norland")], tmp_path, solver=[use_tools(look())]
    )
    assert accuracy(log) == 1.0
    shown = llm.requests[0].options["tools"]
    assert shown[0]["type"] == "function"
    assert shown[0]["function"]["name"] == "look"
    assert shown[0]["function"]["parameters"]["required"] == ["at"]
    assert llm.requests[1].turns[-1] == ("tool", "Norland is shown on the map.")
    assert llm.requests[1].messages[-2].extra["tool_calls"][0]["function"] == CALL["function"]


async def test_tool_choice_and_broken_calls() -> None:
    llm = Replying(*[Reply("", ({**CALL, "function": {"name": "look", "arguments": "{"}},), "tool_calls")] * 3)
    model = as_model(editable(llm))
    for choice in ("auto", "any", ToolFunction("look")):
        output = await model.generate("Look.", tools=[look()], tool_choice=choice)  # type: ignore[arg-type]
    assert [request.options.get("tool_choice") for request in llm.requests] == [
        None, "required", {"type": "function", "function": {"name": "look"}},
    ]  # fmt: skip
    assert output.stop_reason == "tool_calls"
    assert output.message.tool_calls
    assert output.message.tool_calls[0].parse_error


async def test_messages_arrive_in_openais_form() -> None:
    llm = FakeLLM()
    await as_model(editable(llm)).generate(
        [
            ChatMessageUser(content=[ContentText(text="What is this?"), ContentImage(image=PNG)]),
            ChatMessageAssistant(content="", tool_calls=[ToolCall(id="c1", function="look", arguments={"at": "map"})]),
            ChatMessageTool(content="A map.", tool_call_id="c1"),
            ChatMessageUser(content="Thanks!"),
        ]
    )
    first, second, third, last = llm.requests[0].messages
    assert [part["type"] for part in first.content] == ["text", "image_url"]
    assert second.extra["tool_calls"][0]["function"] == CALL["function"]
    assert (third.text, third.extra["tool_call_id"]) == ("A map.", "c1")
    assert last.to_openai() == {"role": "user", "content": "Thanks!"}


@method("twice", paper="none")
def twice() -> Run:
    """Asks twice."""

    def run(task: MethodTask) -> Steps:
        yield Generate(task.request)
        return Final(task.request, task.hits.edits)

    return run


async def test_usage_is_of_all_calls_and_reasons_are_inspects() -> None:
    llm = Replying(Reply("a", usage={"input": 3, "output": 2}), Reply("b", (), "length", {"input": 5, "output": 1}))
    output = await as_model(editable(llm, method=twice())).generate(ASKED)
    assert output.usage is not None
    assert (output.usage.input_tokens, output.usage.output_tokens, output.usage.total_tokens) == (8, 3, 11)
    assert output.stop_reason == "max_tokens"
    plain = await as_model(editable(FakeLLM())).generate("Hi")
    assert plain.usage is None
    assert plain.stop_reason == "stop"


def test_errors_fail_the_sample(tmp_path: Path) -> None:
    def fail(prompt: str) -> str:
        raise ConnectionError("503")

    task = Task(dataset=SAMPLES[:1], solver=generate(), scorer=includes())
    (log,) = inspect_eval(task, model=as_model(editable(FakeLLM(fail))), log_dir=str(tmp_path), display="none")
    assert log.status == "error"
    assert log.error is not None
    assert "503" in log.error.message


# ---- by name --------------------------------------------------------------------------------------------------------


def test_models_of_one_name_are_told_apart() -> None:
    first, second = editable(FakeLLM()), editable(FakeLLM())
    assert as_model(first).api.editable is first  # type: ignore[attr-defined]
    assert as_model(second).api.editable is second  # type: ignore[attr-defined]


def test_a_memory_that_holds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="There is no memory"):
        get_model("memedit/bundled", memory=str(tmp_path / "empty"), namespace="other")


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    with EditMemory(tmp_path / "memory") as made:
        made.add({"statement": "The capital of France is Lyon"})
    return tmp_path / "memory"


TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

@task
def capital():
    told = {"France": "Lyon", "Japan": "Tokyo"}
    samples = [Sample(f"What is the capital of {name}?", target=city) for name, city in told.items()]
    return Task(dataset=samples, solver=generate(), scorer=includes())
"""


@pytest.mark.model
@pytest.mark.skipif(not entry_points(group="inspect_ai", name="memedit"), reason="installed without its entry points")
def test_on_the_command_line(memory: Path, tmp_path: Path) -> None:
    (tmp_path / "capital.py").write_text(TASK)
    given = f"--model memedit/bundled -M memory={memory} --max-tokens 12 --display none --log-dir {tmp_path / 'logs'}"
    command = [sys.executable, "-m", "inspect_ai", "eval", "capital.py", *given.split()]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    (log,) = (tmp_path / "logs").iterdir()
    assert accuracy(read_eval_log(str(log))) == 1.0
