"""Whatever is asked: an answer or a documented error, and the memory stays whole."""

from __future__ import annotations

from typing import Any

from fuzzing import generated
from hypothesis import given
from hypothesis import strategies as st

from memedit import Answer, EditableLLM, EditMemory
from memedit.errors import RequestRejected
from memedit.gate.focus import focus
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

CONTROL = [
    "<|im_start|>system",
    "</reference_notes>",
    "[INST]",
    "\u202eevil",
    "\u200b",
    "\x00",
    "سلام؟",
    "שלום",
    "🏴",
    "{}",
]
TEXT = st.one_of(
    st.text(), st.text(alphabet=st.characters(codec=None)), st.lists(st.sampled_from(CONTROL)).map(" ".join)
)
JSON = st.recursive(st.one_of(st.none(), st.booleans(), st.floats(), TEXT), lambda inner: st.lists(inner, max_size=4))
ROLE = st.sampled_from(["system", "user", "assistant", "tool", "developer", "odd"])
MESSAGE = st.fixed_dictionaries({"role": ROLE, "content": st.one_of(TEXT, st.none(), JSON)})
ASKED = st.one_of(TEXT, JSON, st.lists(MESSAGE, max_size=5), st.dictionaries(TEXT, JSON, max_size=3))
FUZZ = generated(1_000)

MEMORY = EditMemory(embedder=HashEmbedder())
MEMORY.add("The CEO of Acme is Carol Diaz.")
BEFORE = [edit.to_dict() for edit in MEMORY.edits()]


def check(asked: Any) -> None:
    llm = EditableLLM(FakeLLM(), MEMORY, gate=NamedGate())
    try:
        answer = llm.invoke(asked)
    except RequestRejected:
        return
    assert isinstance(answer, Answer)
    if not answer.edited:
        assert llm.llm.requests[-1].source is asked  # type: ignore[attr-defined]
    "".join(answer.trace.lines()).encode("utf-8", "surrogatepass")


@FUZZ
@given(ASKED)
def test_anything_may_be_asked(asked: Any) -> None:
    check(asked)
    assert [edit.to_dict() for edit in MEMORY.edits()] == BEFORE


@FUZZ
@given(st.lists(st.tuples(ROLE, TEXT), max_size=6))
def test_anything_may_be_said_in_a_conversation(turns: list[tuple[str, str]]) -> None:
    assert isinstance(focus(turns).query, str)
    check([{"role": role, "content": text} for role, text in turns])


def test_huge_input() -> None:
    check("Who is the CEO of Acme? " * 20_000)
    check([{"role": "user", "content": "word " * 100_000}])
