"""What a small real model makes of an edit that passes: one message of each kind, of the shipped everyday records."""

from __future__ import annotations

import pytest

from memedit import EditableLLM, EditMemory, Gate, Verdict
from memedit.adapters.causal import LocalLLM
from memedit.eval.benchmarks.everyday import shipped
from memedit.gate.learning.messages import Group, Message, read_groups
from memedit.memory import Recalled
from memedit.testing import HashEmbedder
from memedit.text import says


class Given(Gate):
    """Lets the edits of one message through."""

    name = "given"

    def __init__(self, group: Group, message: Message) -> None:
        self.edits = [edit for edit in group.edits if edit.id in message.bearing]

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return [Verdict(edit, 1.0, passed=True) for edit in self.edits]


@pytest.fixture(scope="module")
def groups() -> dict[str, Group]:
    return {group.name: group for group in read_groups([shipped("test")])}


@pytest.mark.parametrize(
    ("name", "place", "kind"),
    [
        ("hobby_orchestra", 98, "direct"),
        ("robot_firmware", 57, "paraphrase"),
        ("theatre_box_office", 2, "casual"),
        ("robot_firmware", 87, "presupposes"),
        ("robot_firmware", 32, "embedded"),
        ("research_station", 117, "follow-up"),
        ("hobby_orchestra", 174, "indirect"),
    ],
)
def test_every_kind_of_message_is_answered_by_its_edit(
    groups: dict[str, Group], smollm: LocalLLM, name: str, place: int, kind: str
) -> None:
    message = groups[name].messages[place]
    assert (message.kind, message.side) == (kind, "in")
    assert message.answer is not None
    gate = Given(groups[name], message)
    with EditMemory(embedder=HashEmbedder()) as memory:
        memory.add(gate.edits[0])
        llm = EditableLLM(smollm, memory, gate=gate)
        turns = [{"role": role, "content": text} for role, text in message.turns]
        edited, base = llm.invoke(turns, max_tokens=40).text, llm.ask_base([turns], max_tokens=40)[0].text
    assert says(edited, [message.answer]), edited
    assert not says(base, [message.answer]), base
