"""Edits that wait for approval: they change nothing until somebody accepts them, and nobody loses sight of them."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from command_line import value
from test_durability import opened
from test_purge import SECRET, holding

from memedit import EditableLLM
from memedit.adapters._agent_tools import MemoryTools
from memedit.adapters.langchain.store import EditStore
from memedit.adapters.langchain.tools import memory_tools
from memedit.edits import Fact
from memedit.errors import EditConflict, EditRejected, FileRejected, NothingToUndo, UnknownEdit
from memedit.memory import EditMemory, proposals
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

CAPITAL = {"subject": "Norland", "relation": "capital", "object": "Oslo"}
OTHER = {"subject": "Norland", "relation": "capital", "object": "Bergen"}


@pytest.fixture
def memory():
    with EditMemory(embedder=HashEmbedder(32)) as made:
        yield made


def waiting(memory, **where):
    return [edit.id for edit in memory.proposed(**where)]


def in_force(memory, **where):
    return [edit.id for edit in memory.edits(**where)]


# ---- what waits does nothing ----------------------------------------------------------------------------------------


def test_what_accepting_would_do_is_foreseen_and_nothing_done(memory):
    old = memory.add(CAPITAL)
    one, other = (receipt.id for receipt in memory.propose([OTHER, CAPITAL | {"object": "Rom"}]))
    foreseen = memory.foresee([one, other])
    assert [receipt.superseded for receipt in foreseen] == [(old.id,)] * 2  # each by itself
    assert (waiting(memory), in_force(memory), memory.revision()) == ([one, other], [old.id], 2)
    (accepted,) = memory.accept(one)
    assert (accepted.superseded, accepted.edit) == (foreseen[0].superseded, foreseen[0].edit)
    assert memory.foresee(other)[0].superseded == (one,)
    with pytest.raises(UnknownEdit, match="does not wait"):
        memory.foresee(one)


def test_what_waits_is_in_no_answer_look_up_or_list(memory):
    (receipt,) = memory.propose(CAPITAL, author="agent", source="mail 7", reason="said so")
    assert (receipt.status, receipt.revision, receipt.superseded) == ("proposed", 1, ())
    assert (receipt.edit.author, receipt.edit.source, receipt.edit.reason) == ("agent", "mail 7", "said so")
    editable = EditableLLM(FakeLLM(lambda prompt: prompt), memory, gate=NamedGate())
    asked = "What is the capital of Norland?"
    assert editable.invoke(asked).trace.lookups[0].verdicts == ()
    assert editable.explain(asked).untouched
    assert memory.recall(asked, k=99).candidates == ()
    assert memory.search("Norland") == []
    assert memory.edits() == []
    assert memory.as_of(None).edits() == []
    assert memory.of_kind("fact") == []
    with pytest.raises(UnknownEdit, match="is not in force"):
        memory.get(receipt.id)
    with pytest.raises(UnknownEdit, match="is not in force"):
        memory.retract(receipt.id)
    assert memory.check() == []
    (change,) = memory.history()
    assert (change.kind, change.came, change.went, change.waits) == ("propose", (), (), (receipt.id,))


def test_what_was_accepted_answers_and_tells_who_wanted_it_and_who_let_it_in(memory):
    old = memory.add(OTHER)
    (asked,) = memory.propose(CAPITAL, author="agent")
    assert asked.possible_conflicts == (old.id,)  # what accepting it would replace
    (receipt,) = memory.accept(asked.id, author="ann", reason="checked")
    assert (receipt.status, receipt.superseded) == ("added", (old.id,))
    assert in_force(memory) == [asked.id]
    assert waiting(memory) == []
    proposal, decision = memory.history(asked.id)
    assert (proposal.author, decision.author, decision.reason) == ("agent", "ann", "checked")
    assert memory.get(asked.id).author == "agent"
    assert {one.edit.id for one in memory.recall("capital of Norland").candidates} == {asked.id}


def test_rejected_is_out_and_can_be_proposed_again(memory):
    ids = [one.id for one in memory.propose([CAPITAL, "The tower is closed."])]
    assert waiting(memory) == ids
    change = memory.reject(ids[0], reason="a rumour")
    assert (change.kind, change.went) == ("reject", (ids[0],))
    assert waiting(memory) == ids[1:]
    with pytest.raises(UnknownEdit, match=r"(?s)does not wait for approval.*memedit review"):
        memory.accept(ids)
    assert in_force(memory) == []  # all or none
    (again,) = memory.propose({**CAPITAL, "id": ids[0]})
    assert (again.id, again.status) == (ids[0], "proposed")
    assert waiting(memory) == [ids[1], ids[0]]


def test_what_is_known_or_waits_already_is_not_recorded_again(memory):
    known = memory.add(CAPITAL)
    assert memory.propose(CAPITAL)[0].status == "known"
    first, second = memory.propose(OTHER)[0], memory.propose(OTHER)[0]
    assert (first.id, second.status) == (second.id, "proposed")
    assert memory.revision() == 2
    memory.retract(known.id)
    (waits,) = memory.propose(CAPITAL)
    added = memory.add(CAPITAL)
    (receipt,) = memory.accept(waits.id)
    assert (receipt.status, receipt.id) == ("known", added.id)
    assert waiting(memory) == [first.id]


def test_each_of_several_that_are_accepted_sees_the_ones_before_it(memory):
    ids = [one.id for one in memory.propose([CAPITAL, OTHER])]
    receipts = memory.accept(ids)
    assert receipts[1].superseded == (ids[0],)
    assert in_force(memory) == [ids[1]]
    memory.undo()
    assert (in_force(memory), waiting(memory)) == ([], ids)
    with pytest.raises(EditConflict):
        memory.accept(ids, on_conflict="error")
    assert waiting(memory) == ids


def test_a_plain_text_that_governs_waits_as_such():
    with EditMemory() as memory:
        (receipt,) = memory.propose("Never use emojis with me.")
        assert receipt.edit.kind == "behaviour"
        assert memory.of_kind("behaviour") == []


def test_nobody_buries_what_is_to_be_reviewed(memory, monkeypatch):
    monkeypatch.setattr(proposals, "MOST", 3)
    memory.propose([f"firm {n} is {n}" for n in range(3)])
    with pytest.raises(EditRejected, match=r"(?s)3 edits .* wait for approval already.*memedit review"):
        memory.propose("firm 4 is 4")
    memory.propose("firm 4 is 4", namespace="other")
    memory.reject(waiting(memory)[:1])
    memory.propose("firm 4 is 4")


# ---- undo, namespaces, processes -----------------------------------------------------------------------------------


def test_undo_goes_past_proposals_and_brings_decisions_back(memory):
    added = memory.add(CAPITAL)
    (waits,) = memory.propose("The tower is closed.")
    memory.undo()
    assert (in_force(memory), waiting(memory)) == ([], [waits.id])
    with pytest.raises(NothingToUndo):
        memory.undo()
    memory.reject(waits.id)
    memory.undo()
    assert waiting(memory) == [waits.id]
    memory.accept(waits.id)
    memory.undo()
    assert (in_force(memory), waiting(memory)) == ([], [waits.id])
    memory.revert(to=1)
    assert (in_force(memory), waiting(memory)) == ([added.id], [waits.id])
    revision = memory.revision()
    memory.propose("The bridge is open.")
    memory.revert(to=revision)  # is in that state already
    assert memory.revision() == revision + 1


def test_namespaces_are_kept_apart(memory):
    (ours,) = memory.propose(CAPITAL, namespace="a")
    assert waiting(memory, namespace="b") == []
    for decide in (memory.accept, memory.reject):
        with pytest.raises(UnknownEdit):
            decide(ours.id, namespace="b")
    memory.accept(ours.id, namespace="a")
    assert in_force(memory, namespace="b") == []


def test_other_processes_see_it_and_only_one_decides(tmp_path):
    memory, other = opened(tmp_path), opened(tmp_path)
    (waits,) = memory.propose(CAPITAL)
    assert waiting(other) == [waits.id]
    other.accept(waits.id)
    assert {one.edit.id for one in memory.recall("capital of Norland").candidates} == {waits.id}
    for late in (memory.accept, memory.reject):
        with pytest.raises(UnknownEdit, match="does not wait"):
            late(waits.id)
    memory.close()
    other.close()
    with opened(tmp_path) as memory:
        assert in_force(memory) == [waits.id]
        assert memory.check() == []


async def test_the_verbs_are_awaitable(memory):
    (waits,) = await memory.aio.propose(CAPITAL)
    assert await memory.aio.proposed() == [waits.edit]
    await memory.aio.reject(waits.id)
    (waits,) = await memory.aio.propose(OTHER)
    await memory.aio.accept(waits.id)
    assert in_force(memory) == [waits.id]


# ---- care -----------------------------------------------------------------------------------------------------------


def test_it_is_purged_as_everything_else(tmp_path):
    memory = opened(tmp_path)
    (waits,) = memory.propose(
        Fact(statement=SECRET, subject="Orla Quist", relation="owns"), reason=f"{SECRET}, they say"
    )
    kept = memory.propose("firm A is B")[0]
    assert holding(tmp_path, SECRET)
    made = memory.purge(subject="Orla Quist")
    assert (made.ids, made.in_force) == ((waits.id,), ())
    assert holding(tmp_path, SECRET) == []
    assert waiting(memory) == [kept.id]
    memory.close()


def test_what_waits_is_kept_and_what_was_rejected_is_not(tmp_path):
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    memory = opened(tmp_path, keep_history="90 days", clock=lambda: now[0])
    added = memory.add("firm C is D")
    memory.retract(added.id)
    ids = [one.id for one in memory.propose(["firm A is B", "firm X is Y"])]
    memory.propose(added.edit)
    memory.reject(ids[0])
    now[0] += timedelta(days=100)
    memory.propose("firm E is F")
    assert waiting(memory)[:2] == [ids[1], added.id]
    assert memory.recorded([ids[0]]) == {}
    memory.close()


def test_it_is_in_backups_and_in_what_is_repaired(tmp_path):
    with opened(tmp_path / "a") as memory:
        (waits,) = memory.propose(CAPITAL)
        memory.backup(tmp_path / "backup")
    with opened(tmp_path / "b") as memory:
        memory.restore(tmp_path / "backup")
        assert waiting(memory) == [waits.id]
        memory.accept(waits.id)
        assert in_force(memory) == [waits.id]
    from memedit.memory.repairing import repair

    made = repair(tmp_path / "a")
    assert (made.lost, made.doubtful) == ([], [])
    with opened(tmp_path / "a") as memory:
        assert waiting(memory) == [waits.id]


def test_a_text_that_is_gone_is_told(tmp_path):
    memory = opened(tmp_path)
    (waits,) = memory.propose(CAPITAL)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as file:
        file.execute("DELETE FROM edits")
    (fault,) = memory.check()
    assert f"`{waits.id}` waits for approval, and what it says is gone" in fault
    memory.close()


# ---- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["jsonl", "yaml"])
def test_a_file_keeps_what_waits_apart(tmp_path, memory, form):
    added = memory.add(OTHER)
    (waits,) = memory.propose(CAPITAL)
    file = tmp_path / f"edits.{form}"
    assert memory.export(file) == 2
    with EditMemory(embedder=HashEmbedder(32)) as other:
        assert [one.status for one in other.import_(file)] == ["added", "proposed"]
        assert (in_force(other), waiting(other)) == ([added.id], [waits.id])
    file.write_text(file.read_text(encoding="utf-8").replace("true", "1"), encoding="utf-8")
    with pytest.raises(FileRejected, match="`proposed` is true or left out, not 1"):
        memory.import_(file)


# ---- who proposes ---------------------------------------------------------------------------------------------------


def test_tools_that_propose_change_no_answer(memory):
    held = memory.add(OTHER, author="agent")
    correct, recall, retract = memory_tools(memory, gate=NamedGate(), proposes=True)
    said = correct.invoke({"statement": "The capital of Norland is Oslo."})
    (waits,) = memory.proposed()
    assert said.startswith(f"Proposed as {waits.id}. It does not hold until a person accepts it")
    assert (waits.author, waits.reason) == ("agent", "proposed by the tool `correct`")
    assert "Oslo" not in recall.invoke({"message": "What is the capital of Norland?"})
    assert "Nothing that you proposed" in retract.invoke({"edit_id": held.id})
    memory.propose("The tower is closed.", author="another")
    assert "Nothing that you proposed" in retract.invoke({"edit_id": waiting(memory)[1]})
    assert "Oslo" in retract.invoke({"edit_id": waits.id})
    assert len(waiting(memory)) == 1
    assert in_force(memory) == [held.id]
    with pytest.raises(NothingToUndo, match="only propose"):
        MemoryTools(memory, proposes=True).undo()


def test_a_store_that_proposes_changes_no_answer(memory):
    held = memory.add(OTHER)
    store = EditStore(memory, gate=NamedGate(), proposes=True)
    where = ("edits", "default")
    store.put(where, "k1", {"statement": "The capital of Norland is Oslo."})
    assert waiting(memory) == ["k1"]
    assert store.get(where, "k1") is None
    store.delete(where, held.id)
    assert in_force(memory) == [held.id]
    store.delete(where, "k1")
    assert waiting(memory) == []


async def test_an_mcp_server_that_proposes_has_no_undo(memory):
    mcp, server = pytest.importorskip("mcp"), pytest.importorskip("memedit.adapters.mcp")
    made = server.memory_server(memory, gate=NamedGate(), proposes=True)
    async with mcp.Client(made) as client:
        assert [one.name for one in (await client.list_tools()).tools] == ["recall", "correct", "retract", "explain"]
        said = await client.call_tool("correct", {"statement": "The capital of Norland is Oslo."})
        assert said.structured_content["status"] == "proposed"
        found = await client.call_tool("recall", {"message": "What is the capital of Norland?"})
        assert found.structured_content["edits"] == []
    assert len(waiting(memory)) == 1


def test_what_a_document_or_a_talk_says_may_wait(memory):
    editable = EditableLLM(FakeLLM(lambda prompt: "nothing"), memory, gate=NamedGate())
    found = editable.propose("The capital of Norland is Oslo.", source="news.txt")
    (receipt,) = memory.propose(found.facts)
    assert receipt.status == "proposed"
    assert receipt.edit.source.startswith("news.txt")
    assert editable.edit("The tower is closed.", propose=True).status == "proposed"
    assert editable.feedback("the deadline", "of the tax office", propose=True).status == "proposed"
    assert in_force(memory) == []
    assert len(waiting(memory)) == 3


# ---- the command line -----------------------------------------------------------------------------------------------


def test_the_command_line_lists_accepts_and_rejects(run):
    assert "Nothing waits" in run("init").stderr + run("review").stderr
    added = value(run("add", "The tower is closed.", "--propose", "--author", "bot", "--json"))
    assert added["status"] == "proposed"
    first = added["edit"]["id"]
    said = run("add", "--subject", "Norland", "--relation", "capital", "--object", "Oslo", "--propose").stdout
    assert "proposed" in said
    assert "`memedit review` decides on it" in said
    listed = value(run("review", "--json"))
    assert listed[0]["id"] == first
    assert "bot" in run("review").stdout
    assert value(run("list", "--json")) == []
    assert "? " in run("history").stdout
    accepted = value(run("review", first[:6], "--accept", "--author", "ann", "--json"))
    assert (accepted["added"], accepted["receipts"][0]["edit"]["author"]) == (1, "bot")
    assert [one["id"] for one in value(run("list", "--json"))] == [first]
    assert "wrote 1 edit and 1 that wait" in run("export", "edits.yaml").stdout
    assert value(run("review", "--all", "--reject", "--json"))["rejected"] == [listed[1]["id"]]
    assert "1 proposed" in run("import", "edits.yaml").stdout
    assert "1 proposed" in run("add", "--file", "edits.yaml").stdout
    assert "does not wait" in run("review", "nothing", "--accept", code=4).stderr
    for wrong in (("--accept",), (first,), (first, "--accept", "--reject"), (first, "--all", "--accept")):
        run("review", *wrong, code=2)


def test_what_is_piped_through_waits_there_too(run):
    run("add", "The tower is closed.", "--propose")
    said = run("export", "-").stdout
    assert "1 proposed" in run("import", "-", "--memory", "other", input=said).stdout
    assert len(value(run("review", "--memory", "other", "--json"))) == 1


def test_a_chat_may_only_propose(run):
    done = value(run("chat", "--propose", "--json", input="/edit The capital of Norland is Oslo.\n"))
    assert done[0]["status"] == "proposed"
    assert value(run("list", "--json")) == []
