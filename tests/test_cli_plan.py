"""What `apply` would change: whatever the files say, a second run changes nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from fuzzing import generated
from hypothesis import given
from hypothesis import strategies as st

from memedit.cli._plan import Plan, plan
from memedit.edits import AnyEdit, as_edit
from memedit.errors import FileRejected, NothingToUndo
from memedit.memory import EditMemory
from memedit.testing import HashEmbedder
from memedit.text.relations import shipped_relations

RELATIONS = shipped_relations()
FACTS = [{"subject": s, "relation": "capital", "object": o} for s in ("Chad", "Peru") for o in ("Lima", "Rome")]
CONTENT = st.sampled_from([*FACTS, {"statement": "A is B."}, {"statement": "C is D."}])
ENTRY = st.builds(
    lambda content, name, tags: {
        **content,
        **({"id": name} if name else {}),
        **({"tags": tags} if tags is not None else {}),
    },
    CONTENT,
    st.sampled_from([None, "a", "b", "c"]),
    st.sampled_from([None, ["x"], ["y"]]),
)
FILE = st.lists(ENTRY, max_size=4)


def made(memory: EditMemory, entries: list[dict[str, Any]], *, prune: bool) -> Plan:
    used = {event.edit_id for change in memory.history() for event in change.events}
    wanted = [as_edit(entry) for entry in entries]
    return plan(wanted, memory.edits(), prune=prune, used=used, relations=RELATIONS)


def carry_out(memory: EditMemory, todo: Plan) -> None:
    if todo.gone:
        memory.retract([edit.id for edit in todo.gone])
    superseded = {gone for receipt in memory.add_many(todo.fresh) for gone in receipt.superseded}
    assert superseded == {edit.id for edit in todo.replaced}


@generated(150)
@given(st.lists(st.tuples(FILE, st.booleans(), st.booleans()), max_size=4))
def test_a_second_run_changes_nothing(files: list[tuple[list[dict[str, Any]], bool, bool]]) -> None:
    with EditMemory(embedder=HashEmbedder()) as memory:
        for entries, prune, undo in files:
            try:
                todo = made(memory, entries, prune=prune)
            except FileRejected:
                continue
            carry_out(memory, todo)
            again = made(memory, entries, prune=prune)
            assert again.empty, again
            held = {edit.content_hash for edit in memory.edits()}
            wanted = {as_edit(entry).content_hash for entry in entries}
            assert wanted <= held
            assert not prune or held == wanted
            if undo:
                with suppress(NothingToUndo):
                    memory.undo()


def test_what_the_file_leaves_out_is_not_compared() -> None:
    held: list[AnyEdit] = [as_edit({"statement": "A is B.", "author": "ada", "tags": ["t"]})]
    assert plan([as_edit("A is B.")], held, prune=True, relations=RELATIONS).empty
    other = plan([as_edit({"statement": "A is B.", "tags": ["u"]})], held, prune=True, relations=RELATIONS)
    assert len(other.changed) == 1
