"""The deep judge: a change of an encoder's weights, and what is read again with it."""

import hashlib
import json

import numpy as np
import pytest

from memedit import EditMemory
from memedit.encoder.change import CHANGE, Change, read_change, write_change
from memedit.errors import EncoderUnusable, GateUnusable
from memedit.gate import as_gate, read_conversation

RNG = np.random.default_rng(0)


def weights(**shapes):
    return {name: RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def before():
    return weights(wide=(40, 30), same=(4, 4), bias=(40,))


@pytest.fixture
def after(before):
    low = RNG.normal(size=(40, 4)) @ RNG.normal(size=(4, 30))
    head = weights(head=(2, 30))
    return {**before, "wide": before["wide"] + low.astype(np.float32), "bias": before["bias"] + 0.5, **head}


def test_a_change_of_low_rank_comes_back_through_a_file(before, after, tmp_path):
    change = Change.between(before, after, rank=4)
    assert {key.partition(":")[0] for key in change.kept} == {"wide", "bias", "head"}  # nothing of what stays
    write_change(change, tmp_path / "change.npz")
    made = read_change(tmp_path / "change.npz").of(before)
    for name, weight in made.items():
        assert np.abs(weight - after[name]).max() < 0.15, name
    assert np.abs(after["wide"] - before["wide"]).max() > 1


def test_of_another_encoder_or_of_a_damaged_file_nothing_is_made(before, after, tmp_path):
    change = Change.between(before, after, rank=4)
    with pytest.raises(GateUnusable, match="`wide` is another"):
        change.of({**before, "wide": before["wide"] + 1})
    with pytest.raises(GateUnusable, match="`wide` is another"):
        change.of(after)  # the change is in it already
    with pytest.raises(GateUnusable, match="`bias` is another"):
        change.of({"wide": before["wide"]})
    write_change(change, tmp_path / "whole.npz")
    whole = (tmp_path / "whole.npz").read_bytes()
    for damaged in (b"no archive", b"", whole[: len(whole) // 2]):
        (tmp_path / "change.npz").write_bytes(damaged)
        with pytest.raises(EncoderUnusable, match="install memedit again"):
            read_change(tmp_path / "change.npz")


def test_the_change_that_comes_with_memedit_is_whole():
    from memedit.encoder.deep import deep_folder

    card = json.loads((deep_folder() / "card.json").read_text())
    file = deep_folder() / CHANGE
    assert card["made"]["change"] == hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    assert read_change(file).labels == 2


class Small:
    """Reads “sure” as such, “open” as what may be, and the rest as nothing to do with it."""

    def logits(self, pairs):
        odds = {"sure": 6.0, "open": 0.0}
        return np.array([[0.0, odds.get(edit, -9.0), -20.0] for _, edit in pairs], dtype=np.float32)


@pytest.fixture
def base(tmp_path):
    """A folder with an encoder of MPNet's kind, so small that nothing was ever learned by it."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from memedit.embedders.folders import bundled_folder

    torch.manual_seed(0)
    config = transformers.MPNetConfig(
        vocab_size=30_527, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    folder = tmp_path / "base"
    transformers.MPNetModel(config).save_pretrained(folder)
    takes = ["input_ids", "attention_mask"]
    transformers.AutoTokenizer.from_pretrained(str(bundled_folder()), model_input_names=takes).save_pretrained(folder)
    return folder


@pytest.fixture
def change(base):
    """Of that encoder: one of its weights, and a head that tells two labels apart."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    body = {
        f"mpnet.{name}": weight.numpy()
        for name, weight in transformers.MPNetModel.from_pretrained(base).state_dict().items()
    }
    torch.manual_seed(1)
    model = transformers.MPNetForSequenceClassification.from_pretrained(base, num_labels=2)
    with torch.no_grad():
        model.mpnet.encoder.layer[1].output.dense.weight += 0.1
        model.classifier.out_proj.bias[:] = torch.tensor([0.0, 3.0])
    return model.eval(), Change.between(body, {name: one.numpy() for name, one in model.state_dict().items()}, rank=8)


@pytest.mark.model
def test_only_what_the_small_judge_leaves_open_is_read_again(base, change):
    torch = pytest.importorskip("torch")
    from memedit.encoder.deep import Deep

    model, of_it = change
    deep = Deep(base, of_it, Small())
    read = []
    own = deep._read

    def noted(pairs):
        read.extend(pairs)
        return own(pairs)

    deep._read = noted
    pairs = [("hello", "far"), ("hello there", "open"), ("hello", "sure")]
    logits = deep.run(pairs)
    assert read == [("hello there", "open"), ("hello", "sure")]
    assert logits[0].tolist() == [0.0, -9.0, -20.0]
    batch = deep._tokenizer("hello there", "open", return_tensors="pt")
    with torch.no_grad():
        out, bears = model(**batch).logits[0].tolist()
    assert logits[1, 1] == pytest.approx((0.0 + bears - out) / 2, abs=0.02)  # the mean of both log-odds
    assert logits[1, 2] - logits[1, 1] == pytest.approx(-20.0)  # in which role it bears, the small one says


@pytest.mark.model
def test_a_base_that_is_none_is_refused_before_anything_is_asked(tmp_path, base):
    with pytest.raises(GateUnusable, match="cannot be read"):
        as_gate(f"deep:{tmp_path / 'nothing'}")
    with pytest.raises(GateUnusable, match="not of this encoder"):
        as_gate(f"deep:{base}")


@pytest.mark.model
def test_the_gate_decides_with_it(base, change, monkeypatch):
    from memedit.encoder import deep
    from memedit.encoder.judge import Judge, shipped_judge
    from memedit.gate import deep_gate

    reads = Judge(encoder=deep.Deep(base, change[1], shipped_judge()))
    monkeypatch.setattr(deep_gate, "deep_judge", lambda given: reads)
    gate = as_gate(f"deep:{base}", max_false_fires=0.02)
    assert (gate.name, gate.judge) == ("deep", reads)
    assert gate.thresholds["direct"] > as_gate(f"deep:{base}", max_false_fires=0.1).thresholds["direct"]
    with EditMemory() as memory:
        memory.add("The gym opens at 6 am.")
        said = read_conversation([("user", "When does the gym open?")])
        (verdict,) = gate.decide(memory.recall(said.query, whole=said.whole))
        assert verdict.reasons[0].startswith("as it reads, it ")
