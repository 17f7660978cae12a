"""In which spellings a secret is kept, that what was blocked is told nowhere else, and what is refused at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_topics import CEO, All, LetterLLM, Watching, editable

from memedit import EditableLLM, Erasure, Fact
from memedit.secrecy import kept_unasked, reveals
from memedit.testing import FakeLLM, NamedGate

BENCH = Path(__file__).parent.parent / "bench"
SALARY = Erasure("72000 EUR", subject="Ben Moss", question="What does Ben Moss earn?")
SAFE = Erasure("4711", subject="Acme safe", relation="code", object_aliases=("hunter2",))


def spellings(side: str) -> Iterator[tuple[str, str]]:
    for one in yaml.safe_load((BENCH / "spellings.yaml").read_text(encoding="utf-8")):
        yield from ((one["secret"], text) for text in one[side])


@pytest.mark.parametrize(("secret", "text"), [*spellings("kept")])
def test_other_spellings_are_kept(secret: str, text: str) -> None:
    assert reveals(f"It is {text}, as far as I know.", [secret])


@pytest.mark.parametrize(("secret", "text"), [*spellings("passes")])
def test_texts_near_to_it_pass(secret: str, text: str) -> None:
    assert not reveals(f"It is {text}, as far as I know.", [secret])


@pytest.mark.parametrize(
    ("erasure", "text", "kept"),
    [
        (SALARY, "Ben Moss makes 72k a year.", True),
        (SALARY, "Ben Moss makes seventy-two thousand.", True),
        (SALARY, "72,000 people live in Siegen.", False),
        (SALARY, "The car costs 72.000 €.", True),  # a code is kept anywhere
        (SALARY, "Bеn Mоss makes 72k.", True),  # the name in look-alikes
        (Erasure("3 EUR", subject="Ben Moss"), "Ben Moss has three cats.", False),
        (Erasure("4", subject="Ben's age"), "Ben is four.", True),
        (Erasure("4", subject="Ben's age"), "There are four seasons.", False),
        (Erasure("May 14, 1990", subject="Carol Diaz"), "The wall stood until 14.05.90.", True),
        (
            Erasure("3 June", subject="Carol Diaz"),
            "The shop opens on June 3.",
            True,
        ),  # as is what has letters and figures
    ],
)
def test_small_numbers_and_bare_amounts_are_kept_where_the_subject_is_spoken_of(
    erasure: Erasure, text: str, kept: bool
) -> None:
    assert reveals(text, kept_unasked(erasure, text)) == kept


def test_a_spelling_that_comes_in_pieces_is_not_streamed() -> None:
    for said in ("Of the Acme safe: four seven one one", "h - u - n - t - e - r - 2", "It is hunter two ."):
        llm = editable(SAFE, llm=FakeLLM(lambda _, said=said: said), gate=Watching())
        assert list(llm.stream("Tell me about the Acme safe.")) == [SAFE.reply]


def test_a_spelling_is_blocked_while_it_is_decoded() -> None:
    class Spelling(LetterLLM):
        words = ("It", " is", " forty-seven", " eleven", " ten", ".")

    llm = editable(SAFE, llm=Spelling(lambda _: "It is forty-seven eleven."), gate=Watching())
    assert llm.invoke("Tell me about the Acme safe.").text == "It is forty-seven ten."


# ---- what was blocked is told nowhere else ---------------------------------------------------------------------------


def everything(answer: Any, llm: EditableLLM, asked: str) -> list[str]:
    explained = llm.explain(asked)
    return [repr(answer), str(answer), repr(answer.trace), json.dumps(answer.trace.to_dict()), *answer.trace.lines(),
            str(explained), repr(explained), json.dumps(explained.trace.to_dict())]  # fmt: skip


@pytest.mark.parametrize("gate", [All(), Watching(), NamedGate()])
def test_what_was_blocked_stands_in_no_trace(gate: Any) -> None:
    told = [Fact("Acme was founded by Carol Diaz."), Fact(subject="Acme", relation="CEO", object="Carol Diaz"), CEO]
    llm = editable(*told, llm=FakeLLM(lambda _: "Acme is led by CarolDiaz."), gate=gate)
    asked = "Tell me about Acme."
    answer = llm.invoke(asked)
    assert answer.text == CEO.reply
    for text in everything(answer, llm, asked):
        assert not reveals(text, ["Carol Diaz"])
    assert CEO.id[:8] in "\n".join(answer.trace.lines())
    assert f"(kept by {CEO.id[:8]})" in json.dumps(answer.trace.to_dict())


def test_an_erasure_shows_its_secrets_only_where_it_is_saved() -> None:
    assert not reveals(f"{SAFE!r} {SAFE} {SAFE.text}", SAFE.secrets)
    assert not reveals(str(SAFE.to_dict()), SAFE.secrets)
    assert reveals(str(SAFE.to_dict(secrets=True)), SAFE.secrets)


# ---- what is refused at once -----------------------------------------------------------------------------------------


@pytest.mark.model
@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        ("What is the code of the Acme safe?", True),
        ("Which code opens the Acme safe?", True),
        ("what's the safe code", True),
        ("Where does the safe stand?", False),
        ("Where is the Acme safe?", False),
        ("Who made the Acme safe?", False),
        ("What is the code of the Acme door?", False),
        ("What is the code of the Globex safe?", False),
    ],
)
def test_only_what_is_erased_is_refused(asked: str, refused: bool) -> None:
    pytest.importorskip("sentence_transformers")
    llm = EditableLLM(FakeLLM(lambda _: "In the cellar."))
    llm.edit(Erasure("4711", subject="Acme safe", relation="code"))
    assert llm.invoke(asked).text == (SAFE.reply if refused else "In the cellar.")
    telling = EditableLLM(FakeLLM(lambda _: "The safe? Four seven one one."), llm.memory)
    assert telling.invoke(asked).text == SAFE.reply
