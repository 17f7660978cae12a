"""Edits that are scoped by a topic: Descriptions, Behaviours and Erasures, their scope, their methods, and `auto`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from memedit import Behaviour, Description, EditableLLM, EditMemory, Erasure, Fact, Feedback, Patch, as_edit
from memedit.errors import EditRejected, RunRejected
from memedit.eval.cases import Case, Kind, ask
from memedit.eval.leakage import leakage
from memedit.eval.stats import Share
from memedit.gate import Gate, Verdict
from memedit.llms import Capability, Mixer
from memedit.memory import Recalled
from memedit.messages import Reply, Request
from memedit.methods.agreement import agreed
from memedit.methods.secrets import blocking
from memedit.secrecy import kept_unasked, reveals
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

NIRAN = Description("Niran was a cyclone that struck Australia in 2021.", subject="Cyclone Niran", aliases=["Niran"])
POLITE = Behaviour(topic="Acme", conduct="be positive", aliases=["Acme Inc."])
CEO = Erasure("Carol Diaz", subject="Acme", relation="CEO")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def editable(*edits: Any, llm: FakeLLM | None = None, **options: Any) -> EditableLLM:
    made = EditableLLM(llm or FakeLLM(), EditMemory(embedder=HashEmbedder()), **options)
    made.edit_many(edits)
    return made


class All(Gate):
    """Lets everything through, in a given role."""

    name = "all"
    role: Any = "direct"

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return [Verdict(found.edit, 0.9, True, role=self.role) for found in recalled.candidates]


class Watching(All):
    name = "watching"
    role = "bridge"


class LetterLLM(FakeLLM):
    """Gives log-probabilities: of the words it would say, likeliest first at each place."""

    capabilities = frozenset({Capability.TEXT, Capability.LOGPROBS})
    words = ("It", " is", " Carol", " Diaz", " Lee", ".")

    def spell(self, tokens: Sequence[int]) -> str:
        return "".join(self.words[token] for token in tokens)

    def decode(self, requests: Sequence[Request], mixer: Mixer) -> Reply:
        self.requests.extend(requests)
        said: list[int] = []
        for wanted in (0, 1, 2, 3, 5):
            scores = np.full((1, len(self.words)), -9.0, dtype=np.float32)
            scores[0, wanted], scores[0, 4] = -0.1, -1.0
            said.append(int(np.argmax(mixer(scores))))
        return Reply(self.spell(said))


# ---- the edits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edit", [NIRAN, POLITE, CEO, Erasure("4711", subject="the safe")])
def test_they_survive_files_and_memory(edit: Any, tmp_path: Any) -> None:
    assert as_edit(edit.to_dict(secrets=True)) == edit
    llm = editable(edit)
    llm.memory.export(tmp_path / "edits.yaml", secrets=True)
    llm.undo()
    llm.memory.import_(tmp_path / "edits.yaml")
    assert [one.content for one in llm.memory.edits()] == [edit.content]


def test_a_description_without_a_subject_has_one_guessed() -> None:
    assert Description("The Not Fucking Around Coalition (NFAC) is a militia.").names == ("NFAC",)
    assert Description("it rains").names == ()
    assert Description("A cyclone.", subject="Niran").text == "Niran: A cyclone."


def test_an_erasure_says_its_object_nowhere() -> None:
    for edit in (
        CEO,
        Erasure("Carol Diaz", subject="Acme", prompt="{} is led by"),
        Erasure("Carol Diaz", subject="Acme"),
    ):
        texts = [edit.text, edit.key_text, edit.relation_text, str(edit.asked)]
        assert not any("Carol" in text or "Diaz" in text for text in texts)
    with pytest.raises(EditRejected, match="question says the object"):
        Erasure("Carol Diaz", subject="Acme", question="Is Carol Diaz the CEO?")
    with pytest.raises(EditRejected, match="no known name"):
        Erasure("x", subject="Acme", relation="P999999")


# ---- scope -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "hit"),
    [
        ("What do you think of Acme?", True),
        ("What do you think of Acme Inc., by the way?", True),
        ("Is the weather in Acme Falls nice?", False),
        ("What do you think of Globex?", False),
        ("Write a long poem about the sea, and the wind, and what both of them have to do with Acme.", True),
    ],
)
def test_a_topic_is_in_scope_where_it_is_named(query: str, hit: bool) -> None:
    llm = editable(POLITE)
    answer = llm.invoke(query)
    assert answer.edited == hit
    assert answer.trace.untouched != hit


def test_slips_of_the_keyboard_are_forgiven() -> None:
    assert editable(Behaviour(topic="Tallis Robotics", conduct="x")).invoke("Is Talis Robotics good?").edited


@pytest.mark.model
def test_what_else_is_asked_of_the_subject_is_not_refused() -> None:
    pytest.importorskip("sentence_transformers")
    llm = EditableLLM(FakeLLM(lambda prompt: "Leeds"))
    llm.edit(CEO)
    for asked in ("Who is the CEO of Acme?", "Who runs Acme?", "The CEO of Acme is"):
        assert llm.invoke(asked).text == CEO.reply
    for asked in ("Where is the factory of Acme?", "How many people work for Acme?", "Tell me a joke about Acme."):
        other = llm.invoke(asked)
        assert other.text == "Leeds"
        assert other.citations == ()  # it was heeded, and changed nothing
    assert llm.invoke("Where is the seat of Globex?").trace.untouched


# ---- methods ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "describe"])
def test_a_description_is_background_and_no_answer(method: str) -> None:
    llm = editable(NIRAN, method=method)
    answer = llm.invoke("Where did Niran do damage?")
    assert "<background>\n- Cyclone Niran: Niran was a cyclone that struck Australia" in answer.text
    assert len(answer.trace.calls) == 1


def test_a_text_that_is_continued_gets_the_description_before_it() -> None:
    base = FakeLLM()
    raw = Request((), form="raw").raw("Niran left damage in")
    editable(NIRAN, llm=base, method="describe").invoke(raw)
    assert base.requests[-1].text == f"{NIRAN.text}\n\nNiran left damage in"


@pytest.mark.parametrize("method", ["auto", "behave"])
def test_a_behaviour_is_a_manner_of_speaking_of_its_topic(method: str) -> None:
    llm = editable(POLITE, method=method)
    assert "<conduct>\n- On Acme: be positive\n</conduct>" in llm.invoke("What do you think of Acme?").text


@pytest.mark.parametrize("method", ["auto", "in_context", "serac"])
class TestErasure:
    def test_what_is_asked_for_is_refused_without_a_call(self, method: str) -> None:
        llm = editable(CEO, method=method)
        answer = llm.invoke("Who is the CEO of Acme?")
        assert answer.text == "I can't share that." == "".join(llm.stream("Who is the CEO of Acme?"))
        assert answer.trace.calls == []

    def test_what_is_asked_for_cannot_be_scored(self, method: str) -> None:
        llm = editable(CEO, llm=LetterLLM(), method=method)
        assert llm.score(["Who is the CEO of Acme?"], [["Carol Diaz"]])[0].likelihoods is None

    def test_a_reply_that_tells_is_replaced_before_it_is_streamed(self, method: str) -> None:
        llm = editable(CEO, llm=FakeLLM(lambda prompt: "Its CEO is CAROL  Diaz."), gate=Watching(), method=method)
        assert list(llm.stream("Tell me about Acme.")) == [CEO.reply]
        assert any("was replaced" in note for note in llm.invoke("Tell me about Acme.").trace.notes)

    def test_tool_calls_and_further_answers_are_checked(self, method: str) -> None:
        class Calling(FakeLLM):
            def generate(self, requests: Sequence[Request]) -> list[Reply]:
                return [Reply("", ({"function": {"arguments": '{"name": "Carol Diaz"}'}},)) for _ in requests]

        llm = editable(CEO, llm=Calling(), gate=Watching(), method=method)
        reply = llm.invoke("Tell me about Acme.", tools=[{"type": "function"}]).reply
        assert (reply.text, reply.tool_calls) == (CEO.reply, ())

    def test_with_log_probabilities_the_words_are_blocked(self, method: str) -> None:
        llm = editable(CEO, llm=LetterLLM(lambda prompt: "It is Carol Diaz."), gate=Watching(), method=method)
        answer = llm.invoke("Tell me about Acme.")
        assert answer.text == "It is Carol Lee."
        assert [call.kind for call in answer.trace.calls] == ["generate", "decode"]

    async def test_the_model_s_own_answer_stays_where_it_tells_nothing(self, method: str) -> None:
        llm = editable(CEO, gate=Watching(), method=method)
        request = [{"role": "user", "content": "Tell me about Acme."}]
        answer = await llm.ainvoke(request, temperature=0.7)
        assert answer.text == "echo: Tell me about Acme."
        assert answer.trace.calls[0].request.source is request

    def test_what_is_erased_is_never_shown(self, method: str) -> None:
        base = FakeLLM()
        told = [Fact("Acme was founded by Carol Diaz."), Fact("Acme was founded in 1999."), CEO]
        llm = editable(*told, llm=base, gate=Watching(), method=method)
        answer = llm.invoke("Tell me about Acme.")
        assert "1999" in answer.text
        assert not any("Diaz" in text for request in base.requests for _, text in request.turns)
        assert any("left out 1 edits" in note for note in answer.trace.notes)

    def test_an_erasure_beats_a_fact_about_the_same(self, method: str) -> None:
        newer = Fact(
            subject="Acme", relation="CEO", object="Eve Moss", created_at=datetime.now(UTC) + timedelta(days=1)
        )
        for gate in (All(), Watching()):
            llm = editable(CEO, newer, gate=gate, method=method)
            assert "Eve Moss" not in llm.invoke("Who leads Acme?").text


def test_a_name_is_kept_where_its_subject_is_spoken_of_and_a_code_anywhere() -> None:
    assert kept_unasked(CEO, "Who plays Carol Diaz in the film? She does.") == ()
    assert kept_unasked(CEO, "Who was hired? Acme hired Carol Diaz.") == ("Carol Diaz",)
    assert kept_unasked(Erasure("4", subject="Ben's age"), "Two and two is 4.") == ()
    assert kept_unasked(Erasure("44-17-93", subject="the safe"), "It is 44-17-93.") == ("44-17-93",)
    llm = editable(CEO, llm=FakeLLM(lambda prompt: "Carol Diaz wrote it."), gate=NamedGate())
    assert llm.invoke("Who wrote Misery?").text == "Carol Diaz wrote it."
    assert llm.invoke("Who wrote Misery?").trace.untouched


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("It is Carol Diaz's firm.", True),
        ("C-a-r-o-l D-i-a-z", True),
        ("c.a.r.o.l diaz", True),
        ("the code is 4711 0815", True),
        ("the code is 47110815", True),
        ("Carol Diazepam", False),
        ("Diaz, Carol", False),
        ("a b c", False),
    ],
)
def test_what_reveals_a_secret(text: str, said: bool) -> None:
    assert reveals(text, ("Carol Diaz", "4711-0815")) == said


def test_blocking_stops_where_the_last_word_begins() -> None:
    words = ("Car", "ol", " Di", " Dia", "z", " the")
    mixer = blocking(("Carol Diaz", "these"), lambda tokens: "".join(words[token] for token in tokens))
    chosen = [int(np.argmax(mixer(np.log(np.array([row], dtype=np.float32))))) for row in (
        [0.9, 0.02, 0.02, 0.02, 0.02, 0.02],
        [0.02, 0.9, 0.02, 0.02, 0.02, 0.02],
        [0.02, 0.02, 0.03, 0.8, 0.02, 0.1],
    )]  # fmt: skip
    assert chosen == [0, 1, 5]


# ---- several kinds at once -------------------------------------------------------------------------------------------


def test_each_kind_is_shown_once_in_its_own_wording() -> None:
    edits = [
        NIRAN,
        POLITE,
        Fact("The CEO of Acme is Carol Diaz."),
        Patch(condition="the text names Acme", consequence="the label is good"),
        Feedback(situation="who leads", clarification="I mean the chair"),
    ]
    answer = editable(*edits, gate=All()).invoke("Who leads Acme?")
    shown = [answer.text.index(f"\n<{tag}>\n") for tag in
             ("background", "reference_notes", "conditions", "conduct", "clarifications")]  # fmt: skip
    assert shown == sorted(shown)
    for said in ("On Acme: be positive", "- The CEO of Acme is Carol Diaz.", "the label is good (it is so that"):
        assert answer.text.count(said) == 1
    assert {edit.kind for edit in answer.citations} == {edit.kind for edit in edits}


def test_of_two_wishes_about_one_topic_the_newest_holds() -> None:
    old, new = (Verdict(Behaviour(topic="Acme", conduct=conduct, created_at=NOW + timedelta(days=days)), 0.9, True)
                for conduct, days in (("be rude", 0), ("be kind", 1)))  # fmt: skip
    kept, notes = agreed([old, new])
    assert kept == [new]
    assert "is newer" in notes[0]
    one, other = (Verdict(Description(text, subject="Acme"), 0.9, True) for text in ("A firm.", "A maker of anvils."))
    assert agreed([one, other]) == ([one, other], ())


def test_namespaces_keep_them_apart() -> None:
    llm = editable(CEO, POLITE, NIRAN)
    for asked in ("Who is the CEO of Acme?", "Where did Niran do damage?"):
        assert llm.invoke(asked).edited
        assert llm.invoke(asked, namespace="other").trace.untouched


def test_leakage_is_counted_before_and_after() -> None:
    def case(number: int, subject: str, true: str) -> Case:
        fact = Fact(subject=subject, prompt="The code of {} is", object="nought", previous_object=true)
        probes = (*ask(Kind.EFFICACY, f"The code of {subject} is"), *ask(Kind.NEIGHBOURHOOD, "The code of Vosk is"))
        return Case(id=str(number), edits=(fact,), probes=probes)

    llm = editable(llm=FakeLLM(lambda text: "4711"), gate=NamedGate())
    cases = [case(1, "Pell", "4711"), case(2, "Orrin", "unknown"), case(3, "The 4711 safe", "4711")]
    found = leakage(llm, cases)
    assert (found["efficacy"].before, found["efficacy"].after) == (Share(1, 1), Share(0, 1))
    assert found["neighbourhood"].same == found["neighbourhood"].after == Share(1, 1)
    assert found["about the subject"].after.good == 0
    with pytest.raises(RunRejected, match="knows none"):
        leakage(llm, cases[1:])
