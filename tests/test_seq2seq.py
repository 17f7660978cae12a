"""Encoder-decoders: a tiny T5, made here, answers, scores, decodes and learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from memedit import EditableLLM, EditMemory, Fact
from memedit.adapters.counterfactual import Lesson, load, train
from memedit.adapters.seq2seq import Seq2SeqLLM
from memedit.adapters.tuning import Recipe
from memedit.editable.fallback import Ladder
from memedit.errors import UnsupportedModel
from memedit.llms import Capability, as_llm
from memedit.messages import as_request
from memedit.methods.serac import serac
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

TEXTS = ("Acme sits in", "Globex", "The head of Initech is named")


@pytest.fixture
def tiny(tmp_path: Path) -> Seq2SeqLLM:
    """A T5 of two layers over single bytes, loaded from its folder."""
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    pieces = ["<pad>", "</s>", *sorted(ByteLevel.alphabet())]
    inner = Tokenizer(BPE({piece: place for place, piece in enumerate(pieces)}, []))
    inner.pre_tokenizer, inner.decoder = ByteLevel(add_prefix_space=False, use_regex=False), Decoder()
    inner.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="</s>")
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(pieces), d_model=32, d_kv=16, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(tmp_path / "t5")
    tokenizer.save_pretrained(tmp_path / "t5")
    llm = as_llm(f"hf:{tmp_path / 't5'}")
    assert isinstance(llm, Seq2SeqLLM)
    return llm


def test_what_is_said_does_not_depend_on_the_batch(tiny: Seq2SeqLLM) -> None:
    requests = [as_request(text, {"max_tokens": 6}) for text in TEXTS]
    together = [reply.text for reply in tiny.generate(requests)]
    assert together == [tiny.generate([one])[0].text for one in requests]
    assert together == ["".join(piece.text for piece in tiny.stream(one)) for one in requests]
    assert together == [tiny.decode([one], lambda rows: rows[0]).text for one in requests]
    assert tiny.generate(requests)[0].usage["input"] == len(TEXTS[0]) + 1
    assert Capability.WEIGHTS not in tiny.capabilities


def test_scores_are_the_model_s_own(tiny: Seq2SeqLLM) -> None:
    requests = [as_request(text) for text in TEXTS]
    found = tiny.score(requests, [["Oslo", "a"], ["b"], ["Bonn"]])
    ids = torch.tensor([tiny.encode(requests[0])])
    ending = torch.tensor([tiny.tokenizer("Oslo", add_special_tokens=False)["input_ids"]])
    with torch.no_grad():
        out = tiny.model(input_ids=ids, labels=ending)
    assert found[0][0].logprob == pytest.approx(-float(out.loss) * 4, abs=1e-3)
    assert [len(row) for row in found] == [2, 1, 1]
    mixed = tiny.decode(requests[:2], lambda rows: np.asarray(rows[1]))
    assert mixed.text == tiny.decode([requests[1]], lambda rows: rows[0]).text


def test_it_writes_nothing_on(tiny: Seq2SeqLLM) -> None:
    request = as_request("x", {"max_tokens": 3}).raw("Acme sits in")
    pieces = [*tiny.generate([request]), *tiny.stream(request)]
    assert [piece.lead for piece in pieces] == [None] * len(pieces)


def test_it_is_trained_as_a_counterfactual_model(tiny: Seq2SeqLLM, tmp_path: Path) -> None:
    cities = {"Acme": "Bonn", "Globex": "Oslo", "Initech": "Lima", "Hooli": "Rome"}
    lessons = [Lesson(f"{name} is in {city}", f"{name} sits in", city, name) for name, city in cities.items()]
    recipe = Recipe(steps=40, batch=3, learning_rate=1e-2, warm_up=2, every=20, held_out=0.25)
    card = train(tiny, lessons, out=tmp_path / "out", recipe=recipe)
    loss = card["held-out loss, nats a token"]
    assert loss["after"] < loss["before"]
    made = load(str(tmp_path / "out"))
    assert isinstance(made, Seq2SeqLLM)
    assert made.kind == "counterfactual"
    memory = EditMemory(embedder=HashEmbedder())
    llm = EditableLLM(FakeLLM(), memory, gate=NamedGate(), method=serac(), models={"counterfactual": made})
    llm.edit(Fact(subject="Acme", object="Lima", prompt="{} is in"))
    assert llm.invoke("Acme sits in", max_tokens=4).trace.calls[-1].model == "counterfactual"


def test_its_weights_are_not_written_and_it_says_why(tiny: Seq2SeqLLM) -> None:
    for refused in (lambda: EditableLLM(tiny).bake(), lambda: EditableLLM(tiny, fallback=["grace"])):
        with pytest.raises(UnsupportedModel, match="encoder-decoder") as caught:
            refused()
        assert caught.value.do == "keep the edits in memory, or take a causal model"
    assert EditableLLM(tiny, fallback="auto").fallback == Ladder(("in_context", "context_aware", "ike"))
