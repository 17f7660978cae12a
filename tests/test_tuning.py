"""Fine-tuning for a method: a tiny model, made here, learns, stops, goes on to the same weights, and is loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from command_line import documented

from memedit import EditableLLM, EditMemory, Fact, Probe
from memedit.adapters.causal import LocalLLM
from memedit.adapters.counterfactual import Lesson, load, train
from memedit.adapters.tuning import CARD, CHECKPOINT, Recipe
from memedit.errors import CapabilityMissing, FileRejected, RunRejected, UnsupportedModel
from memedit.eval.cases import Case, Kind, ask
from memedit.eval.lessons import lessons_of, lessons_of_facts, read_lessons
from memedit.llms import as_llm
from memedit.memory.files import write_edits
from memedit.messages import as_request
from memedit.methods.serac import serac
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

NAMES, CITIES = ("Acme", "Globex", "Initech", "Hooli"), ("Bonn", "Oslo", "Lima", "Rome")
LESSONS = [Lesson(f"{name} is in {city}", f"{name} sits in", city, name) for name in NAMES for city in CITIES]
RECIPE = Recipe(steps=30, batch=4, learning_rate=1e-2, warm_up=2, every=10, held_out=0.25)


def tiny(seed: int = 0, *, width: int = 0, more: str = "") -> LocalLLM:
    """A Llama of two layers over single bytes."""
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    pieces = ["<pad>", "<eos>", *sorted(ByteLevel.alphabet()), *more.split()]
    inner = Tokenizer(BPE({piece: place for place, piece in enumerate(pieces)}, []))
    inner.pre_tokenizer, inner.decoder = ByteLevel(add_prefix_space=False, use_regex=False), Decoder()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>")
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(pieces) + width, hidden_size=32, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, eos_token_id=1, pad_token_id=0, bos_token_id=None,
    )  # fmt: skip
    return LocalLLM(LlamaForCausalLM(config), tokenizer, name="tiny", kind="base")


def weights(llm: LocalLLM) -> torch.Tensor:
    return torch.cat([value.flatten() for value in llm.model.state_dict().values()])


def test_it_learns_and_what_it_made_is_a_counterfactual_model(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    card = train(tiny(), LESSONS, out=tmp_path / "out", recipe=RECIPE, progress=lambda *at: told.append(at))
    loss = card["held-out loss, nats a token"]
    assert loss["after"] < loss["before"]
    assert told[-1] == (card["steps"], 30)
    assert card["lessons"] == {"learned from": 12, "held out": 4}
    assert json.loads((tmp_path / "out" / CARD).read_text()) == card
    assert not (tmp_path / "out" / CHECKPOINT).exists()
    made = load(str(tmp_path / "out"))
    assert made.kind == "counterfactual"
    llm = EditableLLM(
        FakeLLM(),
        EditMemory(embedder=HashEmbedder()),
        gate=NamedGate(),
        method=serac(),
        models={"counterfactual": made},
    )
    llm.edit(Fact(subject="Acme", object="Lima", prompt="{} is in"))
    answer = llm.invoke("Acme sits in", max_tokens=2)
    assert answer.trace.calls[-1].model == "counterfactual"
    assert answer.edited


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole, parted = tiny(), tiny()
    train(whole, LESSONS, out=tmp_path / "whole", recipe=RECIPE)

    class Stopped(Exception):
        pass

    def stop(done: int, of: int) -> None:
        if done == 17:
            raise Stopped

    with pytest.raises(Stopped):
        train(parted, LESSONS, out=tmp_path / "parted", recipe=RECIPE, progress=stop)
    with pytest.raises(UnsupportedModel, match="holds no counterfactual model"):
        load(str(tmp_path / "parted"))
    again = tiny(seed=5)
    train(again, LESSONS, out=tmp_path / "parted", recipe=RECIPE, resume=True)
    assert torch.allclose(weights(again), weights(whole), atol=1e-6)
    assert torch.allclose(weights(load(str(tmp_path / "parted"))), weights(load(str(tmp_path / "whole"))), atol=1e-6)


def test_it_stops_when_it_no_longer_gets_better(tmp_path: Path) -> None:
    recipe = replace(RECIPE, learning_rate=1e-12, every=2, patience=2, steps=100)
    assert train(tiny(), LESSONS, out=tmp_path / "out", recipe=recipe)["steps"] < 100


def test_folders_and_data_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(RunRejected, match=r"there already\.(.|\n)*--resume"):
        train(tiny(), LESSONS, out=tmp_path / "full", recipe=RECIPE)
    with pytest.raises(RunRejected, match="holds no run to resume"):
        train(tiny(), LESSONS, out=tmp_path / "full", recipe=RECIPE, resume=True)
    with pytest.raises(RunRejected, match="is a file"):
        train(tiny(), LESSONS, out=tmp_path / "full" / "mine.txt", recipe=RECIPE)
    with pytest.raises(RunRejected, match="1 subjects"):
        train(tiny(), LESSONS[:4], out=tmp_path / "new", recipe=RECIPE)
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), LESSONS, out=tmp_path / "run", recipe=RECIPE, progress=_interrupt)
    with pytest.raises(RunRejected, match="other data, settings or another model"):
        train(tiny(), LESSONS[:-1], out=tmp_path / "run", recipe=RECIPE, resume=True)


def _interrupt(done: int, of: int) -> None:
    if done == 12:
        raise KeyboardInterrupt


def test_models_of_one_vocabulary_decode_together_and_others_do_not() -> None:
    one, other, padded = tiny(1), tiny(2), tiny(3, width=9)
    asked = as_request("x", {"max_tokens": 4})
    requests = [asked.raw("Acme is in"), asked.raw("Globex sits in Oslo .")]
    for place, llm in enumerate((one, other)):
        alone = llm.decode([requests[place]], lambda rows: rows[0])
        mixed = one.decode_with([other], requests, lambda rows, place=place: rows[place])  # type: ignore[misc]
        assert mixed.text == alone.text
    assert one.decode_with([padded], requests, lambda rows: rows.sum(0)).usage["output"] <= 4
    assert one.decode_with([one], requests, lambda rows: rows[0]).text  # one lock, taken once
    for stranger in (FakeLLM(), tiny(more="another")):
        with pytest.raises(CapabilityMissing, match="one vocabulary"):
            one.decode_with([stranger], requests, lambda rows: rows[0])


def test_lessons_of_cases_and_of_ones_own_edits(tmp_path: Path) -> None:
    fact = Fact(subject="Acme", object="Carol", prompt="The CEO of {} is", question="Who runs Acme?")
    probes = [
        *ask(Kind.PARAPHRASE, "Acme is run by", answers=("Carol",)),
        *ask(Kind.NEIGHBOURHOOD, "The CEO of B is", answers=("Bob",)),
        *ask(Kind.EFFICACY, "What of Acme?", answers=("x" * 500,)),
    ]
    cases = [Case(id="a", edits=(fact,), probes=tuple(probes)), Case(id="b", edits=(fact, fact), probes=tuple(probes))]
    assert list(lessons_of(cases)) == [Lesson(fact.text, "Acme is run by", "Carol", "Acme")]
    asked = fact.with_(probes=[Probe(prompt="Acme's head?", expect=["C."]), Probe(prompt="Who?", must="stay")])
    told = [(one.prompt, one.answer) for one in lessons_of_facts([asked, Fact("It is so.")])]
    assert told == [("The CEO of Acme is", "Carol"), ("Who runs Acme?", "Carol"), ("Acme's head?", "C.")]
    write_edits(tmp_path / "edits.jsonl", [asked])
    assert len(read_lessons([str(tmp_path / "edits.jsonl")])) == 3
    counterfact = Path(__file__).parent / "data" / "counterfact_20.jsonl"
    assert len(read_lessons([f"counterfact={counterfact}"])) == 60
    write_edits(tmp_path / "none.jsonl", [Fact("It is so.")])
    with pytest.raises(FileRejected, match="no edit with a text in its scope"):
        read_lessons([str(tmp_path / "none.jsonl")])


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from memedit.cli.serac import serac as group

    monkeypatch.setattr("memedit.cli._common.open_model", lambda *_: tiny())
    facts = [Fact(subject=name, object=CITIES[place], prompt="{} is in") for place, name in enumerate(NAMES)]
    write_edits(tmp_path / "edits.jsonl", facts)
    given = ["train", "--data", str(tmp_path / "edits.jsonl"), "--steps", "2", "--every", "1"]
    said = CliRunner().invoke(group, [*given, "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert "2 steps; held-out loss" in said.output
    said = CliRunner().invoke(group, [*given, "--out", str(tmp_path / "two"), "--json"], catch_exceptions=False)
    assert documented("serac train", said.stdout)["kind"] == "counterfactual"
    monkeypatch.setattr("memedit.cli._common.open_model", lambda *_: FakeLLM())
    with pytest.raises(UnsupportedModel, match="cannot be trained"):
        CliRunner().invoke(group, [*given, "--out", str(tmp_path / "three")], catch_exceptions=False)


def test_the_command_makes_a_planner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from memedit.cli.multihop import multihop as group

    monkeypatch.setattr("memedit.cli._common.open_model", lambda *_: tiny())
    given = ["train", "--questions", "40", "--steps", "3", "--every", "1", "--learning-rate", "1e-2"]
    said = CliRunner().invoke(group, [*given, "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert f'"planner": "planner:{tmp_path / "out"}"' in said.output
    said = CliRunner().invoke(group, [*given, "--out", str(tmp_path / "two"), "--json"], catch_exceptions=False)
    assert documented("multihop train", said.stdout)["kind"] == "planner"
    made = as_llm(f"planner:{tmp_path / 'out'}")
    assert made.kind == "planner"
    with pytest.raises(UnsupportedModel, match="holds no counterfactual model"):
        load(str(tmp_path / "out"))
    llm = EditableLLM(FakeLLM(), EditMemory(), method="multihop", models={"planner": made})
    llm.edit(Fact(subject="Acme", object="Lima", prompt="{} is based in"))
    answer = llm.invoke("Acme pays in what, and where is the river of its home?", max_tokens=2)
    assert all(call.model in ("planner", "base") for call in answer.trace.calls)


@pytest.mark.model
def test_the_bundled_model_with_demonstrations_and_with_mixed_views(smollm: Any) -> None:
    from memedit import Demonstration
    from memedit.methods.ike import ike

    for method in (ike(k=2, frame="reference"), serac(mixing="soft")):
        llm = EditableLLM(smollm, EditMemory(embedder=HashEmbedder()), gate=NamedGate(), method=method)
        llm.edit("The CEO of Acme is Carol Diaz.")
        for name, head in (("Globex", "Ann Lee"), ("Hooli", "Jim Moss")):
            fact = f"The CEO of {name} is {head}"
            llm.edit(Demonstration(role="update", fact=fact, prompt=f"Who runs {name}?", answer=head))
        answer = llm.invoke("Who is the CEO of Acme?", max_tokens=8)
        assert "Carol Diaz" in answer.text
        assert answer.trace.notes
