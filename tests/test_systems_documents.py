"""Documents brought up to date, and edits as operations: what changes, and that nothing else does."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from command_line import documented
from tiny import make_tiny

from memedit import EditMemory, Fact
from memedit.cli import _common, main
from memedit.errors import RequestRejected
from memedit.eval.update_rouge import additions, update_rouge
from memedit.gate import Gate, Verdict
from memedit.gate.focus import cut_up
from memedit.memory import Recalled
from memedit.systems import editpro
from memedit.systems.fruit import update
from memedit.systems.ground import Ground
from memedit.testing import HashEmbedder

TEXT = (
    "Tallis Robotics was founded in 1990.  The CEO of Tallis Robotics is Bob Smith.\r\n\r\n"
    "It is a firm of 40 people. Bob Smith lives in Oslo\tand plays chess. "
    "Tallis Robotics's seat is Vienna, near the river.\n"
)
CEO = Fact(
    id="ceo", subject="Tallis Robotics", prompt="The CEO of {} is", object="Carol Diaz", previous_object="Bob Smith"
)
SEAT = Fact(id="seat", subject="Tallis Robotics", prompt="{}'s seat is", object="Rome", previous_object="Vienna")


class Alike(Gate):
    """Lets through what a query begins just as."""

    name = "alike"

    def decide(self, recalled: Recalled) -> list[Verdict]:
        found = []
        for one in recalled.candidates:
            same = recalled.query.casefold() == one.edit.key_text.casefold()
            found.append(Verdict(one.edit, float(same), same))
        return found


class Named(Alike):
    """Lets through whatever names its subject."""

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return [
            replace(one, passed=one.edit.names[0] in recalled.query, probability=1.0)
            for one in super().decide(recalled)
        ]


def memory(*facts: Any) -> EditMemory:
    made = EditMemory(embedder=HashEmbedder(), finder=None, languages=None, judge=None)
    for fact in facts:
        made.add(fact)
    return made


def test_what_replaces_a_value_does_so_and_is_named_and_all_else_stays() -> None:
    done = update(TEXT, memory(CEO, SEAT), gate=Alike())
    assert done.text == TEXT.replace("is Bob Smith", "is Carol Diaz").replace("Vienna", "Rome")
    assert [one.edits for one in done.changed] == [("ceo",), ("seat",)]
    assert "".join(one.before for one in done.sentences) == TEXT
    assert all(one.text == one.before for one in done.sentences if not one.edits)


def test_behind_a_question_a_pronoun_is_of_what_that_asks() -> None:
    text = "The CEO of Tallis Robotics is Bob Smith. Who is the CEO of {}? It is Bob Smith. It is so."
    other = text.format("Vantor")
    assert update(other, memory(CEO), gate=Named()).text == other.replace("Bob Smith.", "Carol Diaz.", 1)
    own = text.format("Tallis Robotics")
    assert update(own, memory(CEO), gate=Named()).text == own.replace("Bob Smith", "Carol Diaz")


def test_the_gate_decides() -> None:
    class Never(Alike):
        def decide(self, recalled: Recalled) -> list[Verdict]:
            return [Verdict(one.edit, 0.0, False) for one in recalled.candidates]

    assert update(TEXT, memory(CEO, SEAT), gate=Never()).text == TEXT
    assert update(TEXT, memory(), gate=Alike()).text == TEXT


def test_a_plain_sentence_gives_the_value_that_is_replaced() -> None:
    done = update(TEXT, memory(Fact("The CEO of Tallis Robotics is Carol Diaz.", id="plain")), gate=Alike())
    assert done.text == TEXT.replace("is Bob Smith", "is Carol Diaz")
    assert done.changed[0].edits == ("plain",)


def test_a_value_within_a_name_or_that_is_told_already_stays() -> None:
    within = Fact(id="x", subject="Vienna Works", prompt="The seat of {} is", object="Rome", previous_object="Vienna")
    assert (
        update("The seat of Vienna Works is Vienna.", memory(within), gate=Alike()).text
        == "The seat of Vienna Works is Rome."
    )
    told = "The CEO of Tallis Robotics is Carol Diaz, not Bob Smith."
    assert update(told, memory(CEO), gate=Alike()).text == told


def test_what_is_not_told_is_added_only_where_that_is_wanted() -> None:
    text = "Tallis Robotics is a firm."
    assert update(text, memory(CEO), gate=Alike()).text == text
    done = update(text, memory(CEO), gate=Alike(), append=True)
    assert done.text == f"{text} The CEO of Tallis Robotics is Carol Diaz."
    assert done.sentences[-1].before == ""
    for wrong in ("", " \n", "a\0b", "x" * 100_001):
        with pytest.raises(RequestRejected, match="document"):
            update(wrong, memory(CEO))


@pytest.mark.parametrize(
    "text", [TEXT, "", "One", "A.\n\nB?  C!", "Dr. No is in No. 5 St. Mary's. He said “no.” Then…"]
)
def test_cuts_joined_are_the_text(text: str) -> None:
    assert "".join(cut_up(text)) == text


def test_update_rouge_counts_additions_alone() -> None:
    source, target = "Rome is old. Oslo is far.", "Rome is old. Oslo is near. New things came."
    assert additions(target, source) == ["Oslo is near.", "New things came."]
    assert update_rouge(target, target, source)["rouge1"] == 1.0
    assert update_rouge(source, target, source) == {"rouge1": 0.0, "rouge2": 0.0, "rougeLsum": 0.0}
    assert update_rouge(source, source, source)["rouge2"] == 1.0
    # By hand: said {oslo, is, big}, wanted {oslo, is, near, new, things, came}; 2 shared of 3 and of 6.
    assert update_rouge("Rome is old. Oslo is big.", target, source)["rouge1"] == pytest.approx(
        2 * (2 / 3) * (2 / 6) / (2 / 3 + 2 / 6)
    )


def test_operations_rebuild_both_texts() -> None:
    before, after = "The capital of  Australia is Sydney.", "The big capital of  Australia is Canberra. It is far"
    done = editpro.operations(before, after)
    assert "".join(one.old for one in done) == before
    assert "".join(one.new for one in done) == after
    assert [one.tag for one in done] == ["keep", "insert", "keep", "replace"]
    assert [one.tag for one in editpro.operations("a b c", "a c")] == ["keep", "delete", "keep"]
    assert editpro.tags_of(done) == ["begin", "keep", "insert", "keep", "keep", "keep", "keep", "replace", "end"]


def test_a_tagger_sums_to_one_and_prefers_what_it_saw() -> None:
    seen = [editpro.operations("a b c", f"a b {n}") for n in range(9)]
    learnt = editpro.Tagger.learn(seen)
    total = sum(math.exp(editpro.Tagger(learnt.counts).logprob(())) for _ in [0])  # begin, end
    assert total == pytest.approx(1 / (9 + 5))
    assert learnt.logprob(seen[0]) > editpro.Tagger(Counter()).logprob(seen[0])
    assert learnt.logprob(editpro.operations("a b c", "b c")) < learnt.logprob(seen[0])
    pairs: Sequence[tuple[str, str]] = [("keep", one) for one in (*editpro.TAGS, editpro.END)]
    row = sum(
        (learnt.counts[one] + 1) / (sum(c for (a, _), c in learnt.counts.items() if a == "keep") + 5) for one in pairs
    )
    assert row == pytest.approx(1.0)


def test_perplexities_are_of_tags_and_spans(tmp_path: Path) -> None:
    from memedit.parametric.measuring import likelihoods

    ground, pairs = Ground(f"hf:{make_tiny(tmp_path)}", tmp_path / "cache"), [("a b c", "a b x y")]
    tagger = editpro.Tagger.learn([editpro.operations("a b c", "a b d")])
    found = editpro.perplexities(*ground.parts, tagger, pairs)
    step = editpro.operations(*pairs[0])
    span = likelihoods(*ground.parts, [("a b", "x y")])[0]
    assert found.g == pytest.approx(math.exp(-span.logprob / span.tokens))
    assert found.o == pytest.approx(math.exp(-tagger.logprob(step) / 4))
    assert found.e == pytest.approx(math.exp(-(tagger.logprob(step) + span.logprob) / 4))
    checked = editpro.check(ground, cases=8)
    assert checked.more["oPPL"] > 1


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_common, "open_memory", lambda path, *_: EditMemory(path, embedder=HashEmbedder(), judge=None))

    def run(*args: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, args)
        assert done.exit_code == code, done.output
        return done.output

    for who in ("Bob Smith", "Carol Diaz"):
        run("add", "--subject", "Tallis Robotics", "--relation", "CEO", "--object", who, "--on-conflict", "supersede")
    assert "[−Bob Smith.] [+Carol Diaz.]" in run("history", "--ops").replace(
        "[−Bob Smith] [+Carol Diaz]", "[−Bob Smith.] [+Carol Diaz.]"
    )
    told = documented("history --ops", run("history", "--ops", "--json"))
    assert any(one["tag"] == "replace" and "Carol" in one["new"] for one in told["items"][0]["operations"])
    file = tmp_path / "article.md"
    file.write_bytes(TEXT.encode())
    documented("documents update", run("documents", "update", "article.md", "--json"))
    run("documents", "update", "article.md", "--out", "new.md")
    assert (tmp_path / "new.md").read_bytes() in (TEXT.encode(), TEXT.replace("is Bob Smith", "is Carol Diaz").encode())
    (tmp_path / "bad.md").write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8 text" in run("documents", "update", "bad.md", code=2)
    assert "cannot be read" in run("documents", "update", "none.md", code=2)
