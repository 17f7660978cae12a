"""Localisation beside edits, recall knocked out, origins of facts, judgements of plausibility, and proofs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from families import tiny_of
from tiny import make_tiny

from memedit import EditMemory, Fact
from memedit.errors import CapabilityMissing, FileRejected
from memedit.llms import Capability, Likelihood
from memedit.parametric.layout import Anatomy
from memedit.parametric.meta import seen_of
from memedit.parametric.methods.memit import MEMIT
from memedit.parametric.reading import inputs_of
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.teaching import Lesson
from memedit.parametric.understanding.neurons import chance
from memedit.parametric.understanding.recall import knocked_out, recall
from memedit.parametric.understanding.tracing import spoiled_choice
from memedit.systems import commonsense, entailer, localisation, origins
from memedit.systems.ground import Ground
from memedit.testing import FakeLLM, HashEmbedder

REWRITE = Rewrite("one", "The sea of {} is", "Ada", "X")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(f"hf:{make_tiny(tmp_path_factory.mktemp('tiny'))}", tmp_path_factory.mktemp("cache"))


def test_r_squared_is_what_columns_explain() -> None:
    draw = np.random.default_rng(0)
    layers, effects, noise = draw.normal(size=4), draw.normal(size=(30, 4)), draw.normal(size=(30, 4))
    assert localisation.r_squared(np.tile(layers, (30, 1))) == pytest.approx(1)
    scores = layers + 2 * effects
    alone = localisation.r_squared(scores)
    by_hand = 1 - ((scores - scores.mean(0)) ** 2).sum() / ((scores - scores.mean()) ** 2).sum()
    assert alone == pytest.approx(by_hand)
    assert localisation.r_squared(scores, effects) == pytest.approx(1)
    assert localisation.r_squared(noise, effects) - localisation.r_squared(noise) < 0.05


def test_layers_are_edited_one_by_one_beside_their_effects(ground: Ground) -> None:
    effects = localisation.effects_of(ground, ground.cases[:2], [0, 1], samples=2)
    scores = localisation.scores_of(ground, ground.cases[:2], [0, 1])
    assert effects.shape == scores.shape == (2, 2)
    assert (scores > 0).all()  # every edit makes its target likelier
    assert not ground.local.overlay.names
    true = localisation.wanted(ground, ground.cases[0], "amplification")
    assert true.target == ground.cases[0].edits[0].previous_object  # type: ignore[union-attr]
    plain = spoiled_choice(*ground.parts, true, noise=0.0)
    anatomy, tokenizer = ground.parts
    with torch.no_grad():
        said = anatomy.model(**tokenizer(true.text, return_tensors="pt")).logits[0, -1].argsort(descending=True)
    assert plain == next(word for one in said.tolist() if (word := tokenizer.decode([one]).strip()))


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_what_is_knocked_out_is_what_a_mask_hides(family: str, tokenizer: Any) -> None:
    anatomy = Anatomy(tiny_of(family))
    ids = tokenizer("Ada is", return_tensors="pt")["input_ids"]
    length = ids.shape[1]

    def logits(**named: Any) -> torch.Tensor:
        with torch.no_grad():
            told: torch.Tensor = anatomy.model(input_ids=ids, use_cache=False, **named).logits
        return told

    before = logits()
    with knocked_out(anatomy, range(3), [], length - 1):
        assert torch.allclose(logits(), before)
    lowest = torch.finfo(before.dtype).min
    mask = torch.full((1, 1, length, length), lowest, dtype=before.dtype).triu(1)
    mask[..., -1, 1:3] = lowest
    with knocked_out(anatomy, range(3), [1, 2], length - 1):
        hidden = logits()
    assert torch.allclose(hidden[:, :-1], before[:, :-1])
    assert not torch.allclose(hidden[:, -1], before[:, -1])
    if family == "llama":
        assert torch.allclose(hidden, logits(attention_mask=mask))
    assert torch.equal(logits(), before)


def test_a_recall_is_a_table_of_what_is_lost_and_said(tokenizer: Any) -> None:
    anatomy = Anatomy(tiny_of("llama"))
    found = recall(anatomy, tokenizer, REWRITE, window=1, most=2)
    assert {name: one.shape for name, one in found.lost.items()} == {
        name: (3,) for name in ("subject", "other", "last")
    }
    clean = chance(anatomy, tokenizer, REWRITE.text, "X")
    assert found.clean == pytest.approx(clean, rel=1e-5)
    places = list(range(len("The sea of "), len("The sea of Ada")))
    with knocked_out(anatomy, [1], places, len(REWRITE.text) - 1):
        assert found.lost["subject"][1] == pytest.approx(
            1 - chance(anatomy, tokenizer, REWRITE.text, "X") / clean, rel=1e-4
        )
    shown = found._repr_html_()
    assert "without subject" in shown
    assert len(found.words) == 3
    assert shown.count("<tr>") == 4


def test_bm25_heeds_rare_words_and_length() -> None:
    texts = ["the river of Velden is the Rhine", "the the the", "Velden", "the sea is wide"]
    scores = origins.bm25("the Velden Rhine", texts)
    assert scores.argmax() == 0
    assert scores[2] > scores[3]
    assert scores[1] > 0
    assert origins.bm25("nothing", texts).tolist() == [0, 0, 0, 0]
    assert origins.reciprocal_rank(np.array([3.0, 2.0, 1.0]), [1]) == 0.5
    assert origins.reciprocal_rank(np.array([1.0, 1.0, 0.0]), [0]) == pytest.approx(1 / 1.5)


def test_a_dot_product_of_gradients_is_what_a_step_gives(ground: Ground) -> None:
    """To 1 %: the change of the query's loss by one small step on a text, along one matrix."""
    one, other = Rewrite("a", "The sea of {} is", "Ada", "X"), Rewrite("b", "The sky of {} is", "Ada", "X")
    anatomy, tokenizer = ground.parts
    first, second = (seen_of(ground.local, [1], each).gradient(1) for each in (one, other))

    def loss() -> float:
        with torch.no_grad():
            return float(Lesson.of(anatomy, tokenizer, [one]).losses(anatomy)[0].double())

    rate, weight = 4.0, anatomy.written(1).weight
    before, kept = loss(), weight.detach().clone()
    with torch.no_grad():
        weight -= rate * second
        after = loss()
        weight.copy_(kept)
    assert (before - after) / rate == pytest.approx(float((first * second).sum()), rel=0.02)
    scores = origins.by_gradients(ground.local, one, [one, other], [1])
    assert scores[0] == pytest.approx(1, abs=1e-4)
    wanted = torch.cosine_similarity(first.flatten(), second.flatten(), dim=0)
    assert scores[1] == pytest.approx(float(wanted), abs=1e-4)
    states = origins.by_states(ground.local, "The sea", ["The sea", "A boat"], 0)
    assert states[0] == pytest.approx(1)
    assert states[1] < 1


def test_origins_are_ranked_every_way(ground: Ground) -> None:
    found = origins.check(ground, most=3, steps=5, again=1)
    assert set(found.more) == {"random", "BM25+", "gradients", "states"}
    assert not ground.local.overlay.names


def test_a_judgement_is_written_at_any_of_three_words(ground: Ground, tmp_path: Path) -> None:
    one = commonsense.Statement("The man eats the moon", "The man", "eats", "the moon", plausible=False)
    assert one.text == "The man eats the moon:"
    _, tokenizer = ground.parts
    for part, word in (("subject", "The man"), ("verb", "eats"), ("object", "the moon")):
        judged = one.judged(part)  # type: ignore[arg-type]
        assert (judged.text, judged.target) == (one.text, "False")
        read = judged.read(tokenizer)
        ends = [n for n in range(len(read.ids)) if tokenizer.decode(read.ids[: n + 1]).endswith(word)]
        assert read.subject == ends[0]  # by decoding every beginning
    told = commonsense.own_statements()
    assert len({one.text for one in told}) == len(told) == 32
    assert sum(one.plausible for one in told) == 16
    record = {"prompt": "man swallowed paintball", "label": 1, "subject": "man", "verb": "swallowed",
              "object": "paintball", "neg": None}  # fmt: skip
    file = tmp_path / "pep.json"
    file.write_text(json.dumps([record]))
    assert commonsense.read_statements(file) == [
        commonsense.Statement("man swallowed paintball", "man", "swallowed", "paintball", True)
    ]
    file.write_text(json.dumps([record, record | {"verb": "ate"}]))
    with pytest.raises(FileRejected, match="record 2"):
        commonsense.read_statements(file)
    rightly = [True, False, True, False]
    four = [commonsense.Statement(f"a b {n}", "a", "b", str(n), n < 2) for n in range(4)]
    assert commonsense.f1(four, rightly) == pytest.approx(2 * 1 / (2 + 2))
    assert commonsense.windows(30, 3, 8) == [(0, 1, 2), (8, 9, 10), (16, 17, 18)]


@pytest.mark.parametrize("part", commonsense.PARTS)
def test_a_judgement_is_solved_for_at_the_chosen_word(ground: Ground, part: commonsense.Part) -> None:
    statements = commonsense.own_statements()[:2]  # one plausible, one not
    before = commonsense.log_odds(ground, statements)
    one = statements[0]
    change = MEMIT.with_(layers=(0,), bare=1.0).write(ground.local, [one.judged(part)])
    given, _ = inputs_of(*ground.parts, 0, [one.text])
    end = one.text.index(getattr(one, part)) + len(getattr(one, part))  # a token is a byte here
    assert torch.allclose(change.kept["keys.0"][:, 0], given[0, end - 1], atol=1e-6)
    assert change.norm() > 0
    with ground.local.overlay.over("one", change):
        assert commonsense.log_odds(ground, statements) != before
    f1, efficacy, relapse = commonsense._edited(ground, statements, part, (0,), 0.0)
    assert not ground.local.overlay.names
    assert commonsense.log_odds(ground, statements) == before
    assert all(0 <= one <= 1 for one in (f1, efficacy, relapse))


class Odd(FakeLLM):
    """Says yes where the fact and the hypothesis have the object in common, and believes nothing by itself."""

    capabilities = frozenset({Capability.TEXT, Capability.LOGPROBS})

    def score(self, requests: Any, continuations: Any) -> list[list[Likelihood]]:
        found = []
        for request in requests:
            facts, _, claim = request.text.partition("show that")
            sure = bool(claim) and re.findall(r"\w+", claim.partition("”")[0])[-1] in facts
            found.append([Likelihood(-1.0 if sure else -3.0, (True,)), Likelihood(-3.0 if sure else -1.0, (True,))])
        return found


def test_a_proof_cites_the_edit_it_rests_on() -> None:
    memory = EditMemory(embedder=HashEmbedder(), finder=None, languages=None, judge=None)
    memory.add(Fact(id="head", subject="Tallis", prompt="The head of {} is", object="Diaz"))
    memory.add(Fact(id="sea", subject="Velden", prompt="The sea of {} is", object="Baltic"))
    prover = entailer.Prover(Odd(), memory)
    proof = prover.prove("Tallis is led by Diaz.")
    assert "head" in proof.edits
    assert proof.score > 0.8
    assert any("[head]" in line for line in proof.lines())
    by_itself = prover.prove("Tallis is led by Okafor.")
    assert (by_itself.edits, by_itself.premises) == ((), ())
    assert next(by_itself.lines()).endswith("[believed]")
    assert prover.answer(["Tallis is led by Okafor.", "Tallis is led by Diaz."]) == proof
    known = prover.prove(memory.edits(kind="fact")[0].text)
    assert known.score == 1.0
    memory.undo()
    memory.undo()
    assert prover.prove("Tallis is led by Diaz.").edits == ()
    with pytest.raises(CapabilityMissing):
        entailer.Prover(FakeLLM(), memory).prove("x")
