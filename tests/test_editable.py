"""EditableLLM with plain functions: what reaches the model, and what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from test_methods import EDIT, IN_SCOPE, editable

from memedit import (
    Answer,
    Behaviour,
    Description,
    EditableLLM,
    EditMemory,
    Erasure,
    Fact,
    Feedback,
    Patch,
    Probe,
)  # fmt: skip
from memedit.edits import AnyEdit
from memedit.errors import EditRejected, ProviderError, RequestRejected, UnknownEdit, UnsupportedModel
from memedit.gate import Verdict
from memedit.llms import as_llm
from memedit.memory import Recalled
from memedit.messages import as_request
from memedit.testing import FakeLLM, HashEmbedder, NamedGate


class Closed(NamedGate):
    """Lets nothing through."""

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return []


MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "x"}}]},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f"}}]},
    {"role": "tool", "tool_call_id": "1", "content": "42"},
    {"role": "user", "content": "And?", "name": "ann"},
]


def test_without_a_hit_the_function_gets_the_callers_own_objects() -> None:
    seen: list[Any] = []

    def model(messages: list[dict[str, Any]], **options: Any) -> str:
        seen.append((messages, options))
        return "fine"

    llm = editable(model)
    llm.edit(EDIT)
    stop = ["x"]
    assert llm.invoke(MESSAGES, temperature=0, stop=stop).text == "fine"
    messages, options = seen[0]
    assert messages is MESSAGES
    assert options == {"temperature": 0, "stop": stop}
    assert options["stop"] is stop


def test_the_form_follows_the_annotation() -> None:
    assert editable(lambda given: f"{given!r}")("Hi") == "'Hi'"

    def text_model(prompt: str) -> str:
        return prompt

    assert "User: Hi" in editable(text_model)([{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}])

    def chat_model(messages: list[dict[str, str]]) -> str:
        return messages[-1]["content"]

    assert editable(chat_model)("Hi") == "Hi"


async def test_async_functions_work_from_both_sides() -> None:
    async def model(prompt: str) -> str:
        return f"async {prompt}"

    llm = editable(model)
    assert (await llm.ainvoke("a")).text == "async a"
    assert llm.invoke("b").text == "async b"  # from inside a running loop, too
    assert [answer.text for answer in await llm.abatch(["c", "d"])] == ["async c", "async d"]
    with pytest.raises(RequestRejected, match="Several inputs were expected"):
        llm.batch("c")


async def test_functions_may_stream() -> None:
    def pieces(prompt: str) -> Iterator[str]:
        yield from ("one ", "two")

    async def apieces(prompt: str) -> AsyncIterator[str]:
        for piece in ("one ", "two"):
            yield piece

    assert list(editable(pieces).stream("x")) == ["one ", "two"]
    assert [piece async for piece in editable(apieces).astream("x")] == ["one ", "two"]
    assert [piece async for piece in editable(pieces).astream("x")] == ["one ", "two"]
    assert editable(apieces)("x") == "one two"


def test_a_stream_is_read_once() -> None:
    stream = editable().stream("x")
    assert "".join(stream) == "echo: x"
    with pytest.raises(RequestRejected, match="read already"):
        list(stream)


def test_what_the_model_raises_passes_through() -> None:
    class Broken(Exception):
        pass

    def model(prompt: str) -> str:
        raise Broken("no")

    llm = editable(model)
    with pytest.raises(Broken):
        llm.invoke("x")
    with pytest.raises(Broken):
        list(llm.stream("x"))
    with pytest.raises(ProviderError, match="gave back a int"):
        editable(lambda prompt: 3)("x")


@pytest.mark.parametrize("bad", [None, 3, [], [3], [{"content": "x"}], {"role": "user"}, b"x", "\ud800", [["a"]]])
def test_what_cannot_be_asked_is_refused(bad: Any) -> None:
    with pytest.raises(RequestRejected):
        editable().invoke(bad)


@pytest.mark.parametrize("bad", [3, "nothing:here", "gguf:/no/such/file.gguf", object()])
def test_what_cannot_be_wrapped_is_refused(bad: Any) -> None:
    if str(bad).startswith("gguf:"):
        pytest.importorskip("transformers")
    with pytest.raises(UnsupportedModel):
        as_llm(bad)


@pytest.mark.parametrize("name", ["", " acme", "a\nb"])
def test_what_names_no_namespace_is_refused(name: str) -> None:
    llm = EditableLLM(FakeLLM(), EditMemory(embedder=HashEmbedder()))
    with pytest.raises(EditRejected, match="namespace"):
        EditableLLM(FakeLLM(), namespace=name)
    for ask in (llm.invoke, llm.explain, llm.stream, llm.edit):
        with pytest.raises(EditRejected, match="namespace"):
            ask("Acme is in Oslo.", namespace=name)


def test_namespaces_do_not_leak() -> None:
    llm = editable()
    llm.edit(EDIT, namespace="acme")
    assert not llm.invoke(IN_SCOPE).edited
    assert llm.invoke(IN_SCOPE, namespace="acme").edited
    assert llm.explain(IN_SCOPE, namespace="other").untouched
    assert llm.history(namespace="other") == []


def test_the_answer_carries_its_proof() -> None:
    llm = editable()
    receipt = llm.edit(EDIT)
    answer = llm.invoke(IN_SCOPE)
    assert isinstance(answer, Answer)
    assert [edit.id for edit in answer.citations] == [receipt.id]
    assert answer.revision == receipt.revision == 1
    assert str(answer) == answer.text == answer.reply.text
    explained = llm.explain(IN_SCOPE)
    assert explained.request is not None
    assert EDIT in explained.request.text
    assert not explained.untouched
    assert "would send:" in str(explained)


def test_facts_outside_their_world_time_do_not_hold() -> None:
    llm = editable()
    llm.edit(Fact(EDIT, valid_until="2001-01-01"))
    assert not llm.invoke(IN_SCOPE).edited


def test_verify_reports_both_sides() -> None:
    llm = editable(FakeLLM(lambda text: "Carol Diaz" if "Carol Diaz" in text else "Bob"))
    fact = Fact(subject="Acme", relation="CEO", object="Carol Diaz", prompt="The CEO of {} is", question=IN_SCOPE)
    verification = llm.verify(llm.edit(fact).id)
    assert verification.passed
    assert verification.counts() == {"in scope": (2, 2), "out of scope": (6, 6)}
    assert verification.to_dict()["passed"] is True
    probes = (Probe(prompt="Is Acme big?", expect=("no",)), Probe(prompt=IN_SCOPE, must="stay"))
    failing = llm.verify(llm.edit(Fact("Acme is big.", probes=probes)))
    assert not failing.passed
    assert [check.passed for check in failing.checks] == [False, False]
    with pytest.raises(UnknownEdit):
        llm.verify("nothing")


@pytest.mark.parametrize(
    ("edit", "prompt"),
    [
        (Erasure("Carol Diaz", subject="Acme", relation="CEO"), "The CEO of Acme is"),
        (Erasure("Carol Diaz", subject="Acme"), "What is known about Acme?"),
        (Description("Niran was a cyclone of 2021.", subject="Niran"), "What is known about Niran?"),
        (Behaviour(topic="Acme", conduct="be positive"), "What do you think of Acme?"),
        (Feedback(situation="A word like big?", clarification="I want a synonym."), "A word like big?"),
    ],
)
def test_verify_asks_what_an_edit_is_about(edit: AnyEdit, prompt: str) -> None:
    llm = EditableLLM(FakeLLM(lambda text: "Carol Diaz" if "Acme" in text else "Bob"), EditMemory())
    verification = llm.verify(llm.edit(edit).id)
    assert [check.prompt for check in verification.checks if check.kind == "in scope"] == [prompt]
    assert verification.passed
    unseen = EditableLLM(llm.llm, llm.memory, gate=Closed()).verify(edit)
    assert unseen.passed == isinstance(edit, Erasure)  # which is kept whatever the gate says


@pytest.mark.parametrize(
    ("statement", "prompt", "answer"),
    [
        (
            "The canteen serves soup on Tuesdays.",
            "Is it true that the canteen serves soup on Tuesdays?",
            "Yes, it does.",
        ),
        ("The van is in Bo's garage.", "Is it true that the van is in Bo's garage?", "Yes."),
        ("Piano has moved to Mondays.", "Is it true that Piano has moved to Mondays?", "Piano has moved to Mondays."),
        ("The guest Wi-Fi is named Willow.", "The guest Wi-Fi is", "Willow"),
        ("Our dentist is Dr. Okafor on Mill Street.", "Our dentist is", "Dr. Okafor, I think."),
        ("Lunch costs 5 euros.", "Is it true that Lunch costs 5 euros?", "Yes."),
        ("Please remember that bins go out Mondays.", "Is it true that bins go out Mondays?", "Yes."),
        ("Wir liefern nach Norwegen.", "Wir liefern nach Norwegen?", "Ja."),  # not in English: it is to be used
        ("We moved. Parcels go to Mill Lane now.", "We moved. Parcels go to Mill Lane now?", "To Mill Lane."),
    ],
)
def test_verify_asks_a_plain_statement_back(statement: str, prompt: str, answer: str) -> None:
    llm = EditableLLM(FakeLLM(lambda _: answer), EditMemory())
    checks = llm.verify(llm.edit(Fact(statement)).id).checks
    asked = [check for check in checks if check.kind == "in scope"]
    assert [check.prompt for check in asked] == [prompt]
    assert all(check.passed and check.edited for check in asked)


def test_verify_makes_no_check_of_a_patch() -> None:
    llm = editable()
    assert not llm.verify(llm.edit(Patch("If the text is long, then the label is negative"))).checks


def test_a_path_is_a_memory(tmp_path: Any) -> None:
    with EditMemory(tmp_path / "memory", embedder=HashEmbedder()) as memory:
        EditableLLM(FakeLLM(), memory, gate=NamedGate()).edit(EDIT)
    again = EditableLLM(FakeLLM(), tmp_path / "memory")
    assert [change.kind for change in again.history()] == ["add"]


def test_requests_read_every_form_of_chat() -> None:
    assert as_request([("human", "Hi")]).turns == (("user", "Hi"),)
    assert as_request(MESSAGES).turns[1] == ("user", "Hi")
    assert not as_request(MESSAGES).only_text_back
    assert as_request("Hi").only_text_back
    assert not as_request("Hi", {"n": 2}).only_text_back
    assert not as_request("Hi", {"format": {"type": "object"}}).only_text_back
    assert as_request(as_request("Hi"), {"n": 1}).options == {"n": 1}


def test_around_another_model_the_memory_is_the_same() -> None:
    one = EditableLLM(FakeLLM(lambda prompt: "one"), EditMemory(embedder=HashEmbedder()), gate=NamedGate())
    two = one.around(FakeLLM())
    one.edit({"subject": "Norland", "relation": "capital", "object": "Oslo"})
    assert two.invoke("What is the capital of Norland?").citations == tuple(one.memory.edits())
    assert "Oslo" in two("What is the capital of Norland?")
    assert one("What is the capital of Norland?") == "one"


@pytest.mark.parametrize("how", ["derive", "propose"])
def test_what_is_replaced_goes_with_one_edit_that_is_put_in_force(how: str) -> None:
    llm = EditableLLM(FakeLLM(), EditMemory(embedder=HashEmbedder()))
    old = llm.edit("We ship to Sweden.")
    with pytest.raises(EditRejected, match="goes with one edit"):
        llm.edit("Parcels go to Norway now.", replaces=old.id, **{how: True})
    assert llm.edit("Parcels go to Norway now.", replaces=old.id).superseded == (old.id,)
