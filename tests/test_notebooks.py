"""What notebooks show of answers, traces, receipts and memories: text as text, and nothing that is erased."""

from __future__ import annotations

from memedit import EditableLLM, EditMemory, Erasure, Fact
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

MARKUP = "<img src=x onerror=alert(1)>"
FACT = Fact(f"{MARKUP} City", subject="Norland", relation="capital", question="What is the capital of Norland?")


def test_each_is_shown_and_markup_stays_text() -> None:
    with EditMemory(embedder=HashEmbedder()) as memory:
        editable = EditableLLM(FakeLLM(lambda prompt: f"It is {MARKUP}."), memory, gate=NamedGate())
        old = memory.add({"subject": "Norland", "relation": "capital", "object": "Oslo"})
        receipt = editable.edit(FACT)
        memory.propose("The tower is closed.")
        answer = editable.invoke("What is the capital of Norland?")
        shown = [one._repr_html_() for one in (answer, answer.trace, receipt, memory)]
        assert all("<img" not in one for one in shown)
        assert "&lt;img" in shown[0]
        assert receipt.id[:8] in shown[0]
        assert "looked up" in shown[1]
        assert f"replaced</td><td style='text-align: left'>{old.id}" in shown[2]
        assert ">default<" in shown[3]
        cells = "".join(f"<td style='text-align: left'>{count}</td>" for count in (1, 1, 3))
        assert cells in shown[3]  # in force, waiting, revision


def test_what_is_erased_is_not_shown() -> None:
    with EditMemory(embedder=HashEmbedder()) as memory:
        editable = EditableLLM(FakeLLM(lambda prompt: "It is Quillivar."), memory, gate=NamedGate())
        receipt = memory.add(Erasure("Quillivar", subject="Norland", relation="code"))
        answer = editable.invoke("What is the code of Norland?")
        assert all("Quillivar" not in one._repr_html_() for one in (receipt, answer, answer.trace, memory))
