"""Training finder and judge on a handful of messages, and choosing thresholds: the recipes, end to end."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from command_line import documented

from memedit.encoder.graph import CARD, FORMAT, Encoder
from memedit.errors import FileRejected, RunRejected
from memedit.gate import read_conversation, thresholds
from memedit.gate.judge_gate import JudgeGate
from memedit.gate.learning.apart import KINDS
from memedit.gate.learning.messages import read_groups
from memedit.gate.learning.scope_sets import OUT
from memedit.gate.learning.thresholds import RATES, Read, chosen, read_messages, reading

pytestmark = pytest.mark.model


def record(number, group, statement, asked, other):
    return {
        "id": f"{group}-{number}", "group": group, "statement": statement, "replaces": None,
        "in": [{"kind": "direct", "turns": asked, "answer": "x"},
               {"kind": "follow-up", "answer": "x", "turns": [
                   {"role": "user", "content": "hello"}, {"role": "assistant", "content": "Hi."},
                   {"role": "user", "content": asked}]}],
        "out": [{"kind": "same subject", "turns": other}, {"kind": "near topic", "turns": "hi", "also": []}],
    }  # fmt: skip


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    told = [
        ("The gym opens at 6 am.", "When does the gym open?", "When does the gym close?"),
        ("Refunds take 5 days.", "How long does a refund take?", "How do I ask for a refund?"),
        ("The CEO of Acme is Carol Diaz.", "Who runs Acme?", "Who founded Acme?"),
        ("Staging runs on port 5433.", "staging port?", "Who set up staging?"),
    ]
    path = tmp_path_factory.mktemp("everyday") / "few.jsonl"
    lines = [json.dumps(record(at, f"g{at % 2}", *one)) for at, one in enumerate(told)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_groups([path])


def test_groups_say_what_bears_on_each_message(groups):
    assert [group.name for group in groups] == ["g0", "g1"]
    first = groups[0].messages[0]
    assert (first.side, first.kind, first.bearing) == ("in", "direct", {"g0-0"})
    assert groups[0].messages[1].turns[-1] == ("user", "When does the gym open?")
    assert groups[0].messages[2].bearing == frozenset()


@pytest.mark.parametrize("pays", [True, False])
def test_a_step_is_in_bfloat16_only_where_that_is_faster(pays, monkeypatch):
    torch = pytest.importorskip("torch")
    from memedit.gate.learning import encoding

    monkeypatch.setattr(encoding, "bfloat16_pays", lambda: pays)
    model = torch.nn.Linear(4, 1)
    said = []

    def loss():
        out = model(torch.ones(2, 4))
        said.append(out.dtype)
        return out.float().sum()

    encoding.Learning(model, rate=0.1, minutes=1, report=lambda _: None).step(loss)
    assert said == [torch.bfloat16 if pays else torch.float32]


def apart(rank, folder):
    """One of two processes: what it learns from alone would lead it elsewhere than the other."""
    import torch

    from memedit.gate.learning.encoding import MEET, Learning, save

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/met", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)
    learning = Learning(model, rate=1, minutes=0.05, report=lambda _: None)
    while learning.done < 1:
        learning.step(lambda: (model(torch.eye(2)[[rank]]).float() - 3).square().sum())
    assert learning.steps % MEET == 0
    torch.save(model.state_dict(), f"{folder}/{rank}.pt")
    save(Named(f"{folder}/written", rank), Named(f"{folder}/words", rank), "")
    torch.distributed.destroy_process_group()


class Named:
    """Stands for a model and its tokenizer: says who saved it."""

    def __init__(self, path, rank):
        self.path, self.rank = path, rank

    def save_pretrained(self, _):
        with open(self.path, "a") as file:
            file.write(str(self.rank))


def test_two_processes_learn_together(tmp_path):
    torch = pytest.importorskip("torch")
    torch.multiprocessing.spawn(apart, (str(tmp_path),), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert all(torch.equal(one[name], other[name]) for name in one)
    said = (one["weight"] + one["bias"]).flatten()
    assert (said - 3).abs().max() < 1.5  # each learned from one of the two alone
    assert (tmp_path / "written").read_text() == "0"


def test_a_successor_bears_on_what_its_predecessor_does(tmp_path):
    older = record(0, "g", "The gym opens at 6 am.", "When does the gym open?", "hi")
    newer = record(1, "g", "From now on the gym opens at 7.", "gym opening?", "hi") | {"replaces": "g-0"}
    path = tmp_path / "two.jsonl"
    path.write_text(f"{json.dumps(older)}\n{json.dumps(newer)}\n", encoding="utf-8")
    (group,) = read_groups([path])
    assert group.messages[0].bearing == {"g-0", "g-1"}


def test_a_file_in_another_form_is_named(tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_text('{"group": "g", "id": "x"}\n', encoding="utf-8")
    with pytest.raises(FileRejected, match="everyday"):
        read_groups([path])
    with pytest.raises(FileRejected, match=r"missing\.jsonl"):
        read_groups([tmp_path / "missing.jsonl"])


def test_finder_and_judge_are_trained_exported_and_read(groups, tmp_path):
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification

    from memedit.encoder.export import Labelled, check_shared, write_graph, write_words
    from memedit.gate.learning import finder, judge
    from memedit.gate.learning.encoding import encoder

    torch.set_num_threads(1)
    said = []
    finder.train(
        groups, tmp_path / "finder", pairs=[("Who made it?", "Rust was made by Graydon Hoare.")],
        recipe=finder.Recipe(minutes=0.03, batch=4), report=said.append,
    )  # fmt: skip
    judge.train(
        groups, tmp_path / "judge", finder=tmp_path / "finder", pairs=[("Who is it?", "It is Bo.", 2)] * 3,
        recipe=judge.Recipe(minutes=0.03, batch=4), report=said.append,
    )  # fmt: skip
    assert any(line.startswith("step 0") for line in said)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "judge", attn_implementation="eager").eval()
    check_shared(AutoModel.from_pretrained(tmp_path / "finder"), model)
    out = tmp_path / "made"
    out.mkdir()
    _, tokenizer = encoder()
    write_words(model, tokenizer, out)
    write_graph(Labelled(model), out / "judge.onnx")
    (out / CARD).write_text(json.dumps({"format": FORMAT, "made": {"judge": "x"}}), encoding="utf-8")
    pair = ("When does the gym open?", "The gym opens at 6 am.")
    read = Encoder(out, "judge", tokens=64).run([pair])
    with torch.no_grad():
        whole = model(**tokenizer(*pair, return_tensors="pt")).logits.numpy()
    assert read.shape == (1, 3)
    assert np.abs(read - whole).max() < 0.3  # int8
    with torch.no_grad():
        model.get_input_embeddings().weight += 1
    with pytest.raises(RunRejected, match="word embeddings"):
        check_shared(AutoModel.from_pretrained(tmp_path / "finder"), model)


def test_an_encoder_that_tells_no_kinds_of_texts_is_exported_too(tmp_path):
    import torch
    from transformers import MPNetConfig, MPNetForSequenceClassification

    from memedit.encoder.export import Labelled, write_card, write_graph, write_words
    from memedit.gate.learning.encoding import encoder

    _, tokenizer = encoder()
    torch.manual_seed(0)
    config = MPNetConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        num_labels=3,
    )  # fmt: skip
    model = MPNetForSequenceClassification(config).eval()
    write_words(model, tokenizer, tmp_path)
    write_graph(Labelled(model), tmp_path / "judge.onnx")
    write_card(tmp_path)
    pair = ("When does the gym open?", "The gym opens at 6 am.")
    read = Encoder(tmp_path, "judge", tokens=64).run([pair])
    given = tokenizer(*pair, return_tensors="pt")
    with torch.no_grad():
        whole = model(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).logits.numpy()
    assert np.abs(read - whole).max() < 0.05  # int8


def test_training_may_go_on_from_what_comes_with_memedit():
    import torch
    from transformers import AutoModelForSequenceClassification

    from memedit.embedders.finder import load_finder
    from memedit.encoder.judge import shipped_judge
    from memedit.gate.learning.encoding import SHIPPED, embedded, encoder

    pairs = [("Who runs Acme?", "The CEO of Acme is Carol Diaz."), ("hi", "The gym opens at 6 am.")]
    model, tokenizer = encoder(SHIPPED, AutoModelForSequenceClassification, num_labels=3)
    with torch.no_grad():
        whole = [model.eval()(**tokenizer(*pair, return_tensors="pt")).logits[0].numpy() for pair in pairs]
    assert np.abs(np.stack(whole) - shipped_judge().logits(pairs)).max() < 0.5  # int8
    asked = [text for pair in pairs for text in pair]
    found = embedded(*encoder(SHIPPED), asked, tokens=64)
    assert (found * load_finder().embed(asked)).sum(axis=1).min() > 0.98
    assert not model.get_input_embeddings().weight.requires_grad


def test_a_judge_learns_of_what_another_reads_and_its_lowest_layers_are_held():
    import torch
    from transformers import AutoModelForSequenceClassification, MPNetConfig, MPNetModel

    from memedit.gate.learning.encoding import encoder, hold
    from memedit.gate.learning.judge import _loss

    class Beside:
        def __init__(self, logits):
            self.given = logits

        def logits(self, pairs):
            return self.given[: len(pairs)]

    torch.manual_seed(0)
    model, tokenizer = encoder(None, AutoModelForSequenceClassification, num_labels=3)
    model.eval()
    batch = [("Who runs Acme?", "The CEO of Acme is Carol Diaz.", 1), ("hi", "The gym opens at 6 am.", 0)]
    read = tokenizer([one for one, *_ in batch], [one for _, one, _ in batch], padding=True, return_tensors="pt")
    own = model(**read).logits.detach().numpy()
    both, neither = [0, 1], list[int]()
    alone, same, far, untaught = (
        _loss(model, tokenizer, batch, *of).item()
        for of in ((), (Beside(own), both, 0.5), (Beside(-9 * own), both, 0.5), (Beside(-9 * own), neither, 0.5))
    )
    assert untaught == alone
    assert same == pytest.approx(alone / 2, abs=1e-4)  # as it reads already: nothing to learn of it
    assert far > same
    hold(model, 2)
    _loss(model, tokenizer, batch).backward()
    learns = [any(one.grad is not None for one in layer.parameters()) for layer in model.bert.encoder.layer]
    assert learns == [False, False, True, True, True, True]
    config = MPNetConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    other = MPNetModel(config)
    hold(other, 1)
    other(input_ids=torch.tensor([[5, 6, 7]])).last_hidden_state.sum().backward()
    assert {name.partition(".layer.1.")[0] for name, one in other.named_parameters() if one.grad is not None} == {
        "encoder"
    }


def test_thresholds_are_chosen_kept_and_read_again(groups, tmp_path):
    read = read_messages(reading(), groups)
    assert len(read) == 16
    assert all((one.roles == OUT).all() for one in read if one.kind.startswith("out"))
    found = chosen(read)
    assert [rate for rate, _ in found.rates] == list(RATES)
    assert all(strict >= lax for (_, strict), (_, lax) in pairwise(found.rates))
    (tmp_path / CARD).write_text('{"format": 1}', encoding="utf-8")
    thresholds.save(found, tmp_path)
    again = thresholds.load(tmp_path)
    assert replace(again, card={}) == replace(found, card={})
    assert np.array_equal(read[0].probabilities(again), read[0].probabilities(found))


def test_what_the_manner_of_a_message_says_is_learned():
    from memedit.gate.learning import manner

    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6000, 2)).astype(np.float32)
    odds = rng.normal(size=6000).astype(np.float32)
    bears = odds + 2 * vectors[:, 0] > rng.logistic(size=6000)
    *line, bias = manner.fit(vectors, odds, bears, np.ones(len(odds)))
    assert line[0] == pytest.approx(2, abs=0.5)
    assert line[1] == pytest.approx(0, abs=0.4)
    assert float((vectors @ np.array(line)).mean()) + bias == pytest.approx(0, abs=1e-3)


def test_small_talk_says_nothing_of_thresholds(groups):
    read = [replace(one, vector=None) for one in read_messages(reading(), groups)]
    said = {0: np.array([0.0, 9.0, 0.0], dtype=np.float32)}
    loud = Read("g", f"out {KINDS[0]}", said, np.array([OUT]), cosines=(0.5,))
    assert chosen([*read, loud]) == chosen(read)


def test_messages_of_other_groups_are_read_beside_statements_that_none_of_them_needs(groups):
    from memedit.embedders.finder import load_finder, load_minilm
    from memedit.encoder.judge import shipped_judge
    from memedit.gate.learning import apart

    embed = {"embed_messages": load_finder().embed, "embed_edits": load_minilm().embed}
    pairs = list(apart.pairs(groups, ["thanks!"], **embed, judge=shipped_judge()))
    own = {edit.text: group for group in groups for edit in group.edits}
    assert {label for _, _, label in pairs} == {OUT}
    assert "thanks!" in {text for text, _, _ in pairs}
    for text, statement, _ in pairs:
        said = {read_conversation(one.turns).whole for one in own[statement].messages}
        assert text == "hi" or text not in said  # which somebody says in both


def test_a_judge_of_ones_own_is_trained_on_the_command_line_and_used(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from memedit import EditableLLM, EditMemory
    from memedit.cli import main
    from memedit.gate import as_gate
    from memedit.testing import FakeLLM

    monkeypatch.chdir(tmp_path)
    lines = [
        json.dumps(record(at, f"g{at}", f"Door {at} opens at {at} am.", f"When does door {at} open?", "Who built it?"))
        for at in range(1, 21)
    ]
    (tmp_path / "own.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    call = ["gate", "train", "--kind", "judge", "--data", "own.jsonl", "--no-everyday", "--minutes", "0.02"]
    done = CliRunner().invoke(main, [*call, "--out", "mine", "--json"])
    assert done.exit_code == 0, done.output
    documented("gate train --kind judge", done.stdout)
    gate = as_gate("mine")
    assert isinstance(gate, JudgeGate)
    assert "g5" in json.loads((tmp_path / "mine/gate.json").read_text())["chosen on"]
    with EditMemory() as memory:
        llm = EditableLLM(FakeLLM(), memory, gate=gate)
        llm.edit("Door 3 opens at 3 am.")
        (hits,) = llm.explain("When does door 3 open?").trace.lookups
    assert len(hits.verdicts) == 1
    few = CliRunner().invoke(main, [*call[:5], "few.jsonl", *call[6:], "--out", "other"])
    assert "few.jsonl" in few.output
    (tmp_path / "few.jsonl").write_text("\n", encoding="utf-8")
    assert (
        "No messages in few.jsonl"
        in CliRunner().invoke(main, [*call[:5], "few.jsonl", *call[6:], "--out", "other"]).output
    )
    (tmp_path / "few.jsonl").write_text(lines[0] + "\n", encoding="utf-8")
    assert "too few" in CliRunner().invoke(main, [*call[:5], "few.jsonl", *call[6:], "--out", "other"]).output
    wrong = CliRunner().invoke(main, ["gate", "train", "--data", "own.jsonl", "--minutes", "1", "--out", "other"])
    assert "--kind judge" in wrong.output
