"""Two plain statements that lead to an answer together, by the default gate."""

import pytest

from memedit import EditableLLM, EditMemory, Erasure
from memedit.testing import FakeLLM

TOLD = (
    "My sister is Lena.",
    "Lena is allergic to nuts.",
    "Dr. Okafor is our dentist.",
    "Dr. Okafor moved to Mill Street.",
    "The head chef of Cafe Lune is Imani Roe.",
    "Imani Roe trained in Lyon.",
    "The manager is Bo Lind.",
    "Bo Lind lives in Marn.",
    "The gym opens at 6 am.",
    "My brother's name is Paul.",
    "Paul is vegan.",
    "My neighbour Lena has a dog called Otto.",
)


@pytest.fixture(scope="module")
def llm():
    llm = EditableLLM(FakeLLM(), EditMemory())
    llm.edit_many(TOLD)
    return llm


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("What is my sister allergic to?", "My sister is Lena.", "Lena is allergic to nuts."),
        pytest.param(
            "Can my sister eat nuts?",
            "My sister is Lena.",
            "Lena is allergic to nuts.",
            marks=pytest.mark.xfail(reason="the judge takes “Can Lena eat nuts?” for likely alone", strict=True),
        ),
        ("Does my brother eat meat?", "My brother's name is Paul.", "Paul is vegan."),
        ("Where is our dentist now?", "Dr. Okafor is our dentist.", "Dr. Okafor moved to Mill Street."),
        (
            "Where did the head chef of Cafe Lune train?",
            "The head chef of Cafe Lune is Imani Roe.",
            "Imani Roe trained in Lyon.",
        ),
    ],
)
def test_both_statements_are_shown_and_the_way_is_told(llm, asked, first, last):
    explained = llm.explain(asked)
    assert [hop.edit.text for hop in explained.trace.hops] == [first, last]
    shown = [line for line in explained.request.text.splitlines() if line.startswith("- ")]
    assert shown == [f"- {first}", f"- {last}"]
    assert [edit.text for edit in llm.invoke(asked).citations] == [first, last]


def test_what_is_erased_is_refused_by_its_description_too():
    with EditMemory() as memory:
        llm = EditableLLM(FakeLLM(lambda _: "She is allergic to nuts."), memory)
        llm.edit_many(["My sister is Lena.", "Lena is allergic to nuts."])
        llm.edit(Erasure("nuts", subject="Lena", question="What is Lena allergic to?"))
        answer = llm.invoke("What is my sister allergic to?")
    assert "nuts" not in answer.text


@pytest.mark.parametrize(
    "asked",
    [
        "Where does the manager of Acme live?",
        "What is my brother allergic to?",
        "How old is my sister?",
        "What's the name of my sister's dog?",
        "Where did the head chef of Cafe Sol train?",
    ],
)
def test_what_nothing_leads_to_has_no_way(llm, asked):
    assert not llm.explain(asked).trace.hops
