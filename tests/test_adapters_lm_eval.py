"""The bridge to lm-eval: its own evaluator, on small local tasks, with an edit that is in scope of one question."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("lm_eval")

import lm_eval
from lm_eval.__main__ import cli_evaluate
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager

from memedit import EditableLLM, EditMemory
from memedit.adapters.lm_eval import START, EditableLM, _windows
from memedit.errors import CapabilityMissing, LedgerError, RequestRejected
from memedit.llms import LLM, Capability, Likelihood
from memedit.messages import Reply, Request
from memedit.methods.base import Ready, Run, Steps, Task, method
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

if TYPE_CHECKING:
    from memedit.adapters.causal import LocalLLM

EDIT = {
    "subject": "Norland",
    "relation": "capital",
    "object": "Oslo",
    "statement": "The capital of Norland is Oslo",
}
DOCS = [
    {"question": "What is the capital of Norland?", "choices": ["Bern", "Oslo"], "answer": 1},
    {"question": "What is the capital of Sudland?", "choices": ["Turin", "Milan"], "answer": 0},
    {"question": "What is seven times six?", "choices": ["42", "41"], "answer": 0},
]


class Scoring(FakeLLM):
    """Finds an ending the likelier the more of its words stand in the request, and answers the likelier city."""

    capabilities = frozenset({Capability.TEXT, Capability.LOGPROBS})

    def __init__(self, answer: Callable[[str], str] | None = None) -> None:
        super().__init__(answer or (lambda prompt: "Oslo.\nNext" if "Oslo" in prompt else "Bergen.\nNext"))

    def score(self, requests: Sequence[Request], continuations: Sequence[Sequence[str]]) -> list[list[Likelihood]]:
        self.requests.extend(requests)
        return [
            [_likelihood(request.text, text) for text in texts]
            for request, texts in zip(requests, continuations, strict=True)
        ]


def _likelihood(request: str, text: str) -> Likelihood:
    known = [word in request for word in text.split()]
    return Likelihood(-float(len(text) + 10 * known.count(False)), tuple(known))


def editable(model: LLM | None = None, **how: Any) -> EditableLLM:
    return EditableLLM(model or Scoring(), EditMemory(embedder=HashEmbedder()), gate=NamedGate(), **how)


@pytest.fixture
def tasks(tmp_path: Path) -> list[dict[str, Any]]:
    """A multiple-choice task and a generating one over the same questions in a local file."""
    (tmp_path / "docs.jsonl").write_text("\n".join(map(json.dumps, DOCS)))
    common = {
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {"test": str(tmp_path / "docs.jsonl")}, "cache_dir": str(tmp_path / "datasets"),
        },
        "test_split": "test",
        "doc_to_text": "Question: {{question}}\nAnswer:",
    }  # fmt: skip
    exact = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True, "ignore_punctuation": True}
    return [
        {
            "task": "capitals_choice", "output_type": "multiple_choice", "doc_to_choice": "choices",
            "doc_to_target": "answer", "metric_list": [{"metric": "acc"}, {"metric": "acc_mutual_info"}], **common,
        },
        {
            "task": "capitals_text", "output_type": "generate_until", "doc_to_target": "{{choices[answer]}}",
            "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8}, "metric_list": [exact], **common,
        },
    ]  # fmt: skip


@pytest.fixture(scope="module")
def manager() -> TaskManager:
    return TaskManager(include_defaults=False)


def run(model: EditableLLM, tasks: list[dict[str, Any]], manager: TaskManager, **how: Any) -> dict[str, Any]:
    lm = EditableLM(model, batch_size=how.pop("batch_size", 2))
    return lm_eval.simple_evaluate(model=lm, tasks=tasks, task_manager=manager, bootstrap_iters=0, **how)


def samples(results: dict[str, Any], task: str) -> list[Any]:
    """What the model said to each question, in their order."""
    return [sample["resps"] for sample in sorted(results["samples"][task], key=lambda sample: sample["doc_id"])]


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_an_edit_changes_what_is_in_scope_and_nothing_else(
    tasks: list[dict[str, Any]], manager: TaskManager, chat: bool
) -> None:
    model = editable()
    before = run(model, tasks, manager, apply_chat_template=chat)
    model.edit(EDIT)
    after = run(model, tasks, manager, apply_chat_template=chat)
    for task in ("capitals_choice", "capitals_text"):
        assert samples(before, task)[0] != samples(after, task)[0]
        assert samples(before, task)[1:] == samples(after, task)[1:]
    scores = [
        (found["results"]["capitals_choice"]["acc,none"], found["results"]["capitals_text"]["exact_match,none"])
        for found in (before, after)
    ]
    assert scores[1] == pytest.approx((scores[0][0] + 1 / 3, scores[0][1] + 1 / 3))
    assert after["config"]["memedit"]["revision"] == 1
    assert before["config"]["memedit"]["revision"] == 0


def test_out_of_scope_the_model_is_sent_the_context_as_it_is(tasks: list[dict[str, Any]], manager: TaskManager) -> None:
    model = editable(llm := Scoring())
    model.edit(EDIT)
    run(model, tasks, manager)
    sent = [request for request in llm.requests if "Sudland" in request.text]
    assert {(request.form, request.text, request.untouched) for request in sent} == {
        ("raw", "Question: What is the capital of Sudland?\nAnswer:", True)
    }
    run(model, tasks, manager, apply_chat_template=True, system_instruction="Be brief.")
    assert llm.requests[-1].turns == (("system", "Be brief."), ("user", f"Question: {DOCS[2]['question']}\nAnswer:"))


def test_options_have_openais_names(tasks: list[dict[str, Any]], manager: TaskManager) -> None:
    model = editable(llm := Scoring())
    run(model, tasks[1:], manager)
    assert llm.requests[-1].options == {"max_tokens": 8, "temperature": 0.0, "stop": ["\n"]}
    run(model, tasks[1:], manager, gen_kwargs={"do_sample": True, "temperature": 0.5, "top_p": 0.9, "until": []})
    assert llm.requests[-1].options == {"max_tokens": 8, "temperature": 0.5, "top_p": 0.9}


def ask(lm: EditableLM, kind: str, *args: tuple[Any, ...]) -> list[Any]:
    found = getattr(lm, kind)([Instance(kind, {}, one, 0) for one in args], disable_tqdm=True)
    assert isinstance(found, list)
    return found


def test_blanks_between_context_and_continuation_go_to_the_continuation() -> None:
    llm = Scoring()
    lm = EditableLM(editable(llm))
    scores = ask(lm, "loglikelihood", ("A b ", "b"), ("A b", " b"), ("A b", " c"))
    assert scores == [(-2.0, True), (-2.0, True), (-12.0, False)]
    assert [request.text for request in llm.requests] == ["A b"]  # one question with three endings


@pytest.mark.parametrize("batch_size", [1, 2, 64, "auto", "auto:4"])
def test_batches_keep_the_order(batch_size: int | str) -> None:
    lm = EditableLM(editable(Scoring(lambda prompt: prompt.upper())), batch_size=batch_size)
    texts = [f"text {number}" for number in range(5)]
    assert ask(lm, "generate_until", *((text, {"until": []}) for text in texts)) == [text.upper() for text in texts]
    assert [round(score) for score, _ in ask(lm, "loglikelihood", *((text, "x" * len(text)) for text in texts))] == [
        -16 - (len(text) == 7) for text in texts
    ]  # fmt: skip
    assert ask(lm, "loglikelihood") == []


def test_empty_contexts_and_rolling_texts_are_scored_whole() -> None:
    llm = Scoring()
    lm = EditableLM(editable(llm), window=10)
    assert ask(lm, "loglikelihood", ("", " x"), ("\n", "x")) == [(-12.0, False), (-12.0, False)]
    assert {request.text for request in llm.requests} == {START}
    assert ask(lm, "generate_until", ("", {"until": []})) == ["Bergen.\nNext"]
    llm.requests.clear()
    text = "one two three\nfour  five sixsevenandeight nine "
    assert ask(lm, "loglikelihood_rolling", (text,), ("",), ("one",)) == [
        sum(_likelihood(before, piece).logprob for before, piece in zip([START, *PIECES], PIECES, strict=False)),
        0.0,
        -13.0,
    ]
    assert sorted(request.text for request in llm.requests) == sorted([START, *PIECES[:-1], START])


PIECES = ["one two", " three", "\nfour ", " five", " sixsevena", "ndeight", " nine "]


@pytest.mark.parametrize("size", [1, 3, 10, 1_000])
def test_windows_are_the_text(size: int) -> None:
    text = "one two three\nfour  five sixsevenandeight nine \n\n"
    assert "".join(_windows(text, size)) == text
    assert all(0 < len(piece) <= size for piece in _windows(text, size))
    assert _windows("x" * 25_000, 2_000)[-1] == "x" * 1_000


def test_what_lm_eval_cannot_be_given_is_said() -> None:
    @method("quoting", paper="none")
    def quoting() -> Run:
        """Answers with the edit."""

        def run(task: Task) -> Steps:
            return Ready(Reply(task.hits.edits[0].text), task.hits.edits)
            yield

        return run

    model = editable(method=quoting())
    model.edit(EDIT)
    with pytest.raises(CapabilityMissing, match=r"quoting.*\n.*generate_until"):
        ask(EditableLM(model), "loglikelihood", ("The capital of Norland is", " Oslo"))
    assert ask(EditableLM(model), "generate_until", ("The capital of Norland is", {"until": [" is"]})) == [
        "The capital of Norland"
    ]
    with pytest.raises(CapabilityMissing, match="logprobs"):
        ask(EditableLM(editable(FakeLLM())), "loglikelihood", ("a", " b"))
    with pytest.raises(RequestRejected, match="gen_prefix"):
        EditableLM(model).apply_chat_template([{"role": "user", "content": "Hi"}], add_generation_prompt=False)
    with pytest.raises(TypeError, match="memory"):
        EditableLM(model, memory=".memedit")


def test_a_memory_that_holds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="There is no memory"):
        EditableLM(Scoring(), memory=tmp_path / "empty", namespace="other", embedder=HashEmbedder())
    with EditMemory(tmp_path, embedder=HashEmbedder()) as made:
        made.add(EDIT)
    with pytest.raises(LedgerError, match="namespace `other`"):
        EditableLM(Scoring(), memory=tmp_path, namespace="other", embedder=HashEmbedder())
    assert EditableLM(Scoring(), namespace=7, embedder=HashEmbedder()).editable.namespace == "7"


# ---- by name, on the bundled model ----------------------------------------------------------------------------------


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    with EditMemory(tmp_path / "memory") as made:
        made.add({"statement": "The capital of France is Lyon"})
    return tmp_path / "memory"


CAPITALS = [
    {"question": "What is the capital of France?", "choices": ["Paris", "Lyon"], "answer": 1},
    {"question": "What is the capital of Italy?", "choices": ["Milan", "Rome"], "answer": 1},
    {"question": "What is the capital of Japan?", "choices": ["Tokyo", "Osaka"], "answer": 0},
]


@pytest.mark.model
def test_on_the_bundled_model(
    smollm: LocalLLM, memory: Path, tasks: list[dict[str, Any]], manager: TaskManager, tmp_path: Path
) -> None:
    (tmp_path / "docs.jsonl").write_text("\n".join(map(json.dumps, CAPITALS)))
    lm = EditableLM(smollm, memory=memory)
    after = lm_eval.simple_evaluate(model=lm, tasks=tasks, task_manager=manager, bootstrap_iters=0)
    lm.editable.undo()
    before = lm_eval.simple_evaluate(model=lm, tasks=tasks, task_manager=manager, bootstrap_iters=0)
    for task in ("capitals_choice", "capitals_text"):
        assert samples(before, task)[0] != samples(after, task)[0]
    # Padding differs with the batch, and with it the last digits.
    for said, said_before in zip(
        samples(after, "capitals_choice")[1:], samples(before, "capitals_choice")[1:], strict=True
    ):
        assert numbers(said) == pytest.approx(numbers(said_before), abs=1e-4)
    assert samples(after, "capitals_text")[1:] == samples(before, "capitals_text")[1:]
    assert samples(after, "capitals_text")[0] == [["Lyon"]]
    accuracies = [found["results"]["capitals_choice"]["acc,none"] for found in (before, after)]
    assert accuracies == pytest.approx([2 / 3, 1.0])


def numbers(said: Any) -> list[float]:
    """The log-probabilities of all choices."""
    return [logprob for choice in said for logprob, _ in choice]


@pytest.mark.model
def test_scores_are_those_of_lm_evals_own_model(smollm: LocalLLM, memory: Path) -> None:
    from lm_eval.models.huggingface import HFLM

    lm = EditableLM(smollm, memory=memory)
    # lm-eval begins texts with the token that begins a chat turn, which says nothing of the model.
    begin = smollm.tokenizer.convert_tokens_to_ids("<|endoftext|>")
    own = HFLM(pretrained=smollm.model, tokenizer=smollm.tokenizer, device="cpu", batch_size=4, prefix_token_id=begin)
    pairs = [("Question: Who wrote Hamlet?\nAnswer:", f" {name}") for name in ("Shakespeare", "Goethe")]
    pairs += [("The quick brown fox ", "jumps over the lazy dog"), ("1 + 1 =", " 2\n\nThat is all.")]
    for (mine, my_greedy), (theirs, greedy) in zip(
        ask(lm, "loglikelihood", *pairs), ask(own, "loglikelihood", *pairs), strict=True
    ):
        assert math.isclose(mine, theirs, abs_tol=1e-3)
        assert my_greedy == greedy
    wanted = {"until": ["\n"], "max_gen_toks": 8}
    mine, theirs = (ask(one, "generate_until", *((text, wanted) for text, _ in pairs)) for one in (lm, own))
    assert mine == [text.lstrip() for text in theirs]
    text = "The museum opens at ten in the morning and closes at six. Visitors may leave their coats at the desk."
    (mine,), (theirs,) = (ask(one, "loglikelihood_rolling", (text,)) for one in (lm, own))
    assert mine == pytest.approx(theirs, rel=0.05)


@pytest.mark.model
def test_by_name_on_the_command_line(
    memory: Path, tmp_path: Path, tasks: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "tasks").mkdir()
    (tmp_path / "docs.jsonl").write_text("\n".join(map(json.dumps, CAPITALS)))
    (tmp_path / "tasks" / "capitals.yaml").write_text(json.dumps(tasks[0]))  # JSON is YAML
    given = f"--model memedit --model_args model=bundled,memory={memory} --tasks capitals_choice --batch_size 8"
    where = f"--include_path {tmp_path / 'tasks'} --output_path {tmp_path / 'out'}"
    monkeypatch.setattr(sys, "argv", ["lm_eval", "run", *given.split(), *where.split()])
    cli_evaluate()
    assert "|capitals_choice|" in capsys.readouterr().out
    (report,) = (tmp_path / "out").rglob("results*.json")
    written = json.loads(report.read_text())
    assert written["results"]["capitals_choice"]["acc,none"] == 1.0
    assert written["config"]["memedit"] | {"version": ""} == {
        "version": "", "model": "SmolLM2-135M-Instruct", "namespace": "default", "revision": 1, "method": "auto",
    }  # fmt: skip
