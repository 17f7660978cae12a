"""Indexes: one contract for all, Chroma as good as exact, and every damage repaired from the ledger."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

from memedit.edits import Fact
from memedit.errors import IndexUnusable
from memedit.index import ExactIndex, IndexChoice
from memedit.memory import EditMemory
from memedit.testing import HashEmbedder

pytest.importorskip("chromadb")
from memedit.index.chroma import ChromaIndex


def unit(count, dimension=16, *, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def names(count, prefix="e"):
    return [f"{prefix}{place}" for place in range(count)]


@pytest.fixture(params=["exact", "chroma"])
def index(request, tmp_path):
    index = ExactIndex() if request.param == "exact" else ChromaIndex(tmp_path / "index", "a\0fact\0hash")
    yield index
    index.close()


def test_empty(index):
    assert len(index) == index.seq == 0
    assert index.search(unit(1)[0], 5) == []
    assert index.vectors(["x"]) == index.vectors([]) == {}
    index.put([], np.zeros((0, 16), np.float32))
    index.remove(["unknown"])
    index.try_out()


def test_put_search_vectors(index):
    vectors = unit(50)
    index.put(names(50), vectors)
    assert len(index) == 50
    found = index.search(vectors[7], 5)
    assert found[0] == ("e7", pytest.approx(1, abs=1e-5))
    assert len(found) == 5
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert len(index.search(vectors[7], 500)) == 50
    assert index.search(vectors[7], 0) == index.search(vectors[7], -1) == []
    stored = index.vectors(["e3", "none", "e4"])
    assert stored.keys() == {"e3", "e4"}
    np.testing.assert_allclose(stored["e3"], vectors[3], atol=1e-6)


def test_replace_and_remove(index):
    vectors = unit(20)
    index.put(names(10), vectors[:10])
    index.put(["e3", "new"], vectors[10:12])
    assert len(index) == 11
    assert index.search(vectors[10], 1)[0][0] == "e3"
    index.remove(["e3", "e0", "unknown"])
    assert len(index) == 9
    assert "e3" not in dict(index.search(vectors[10], 50))
    np.testing.assert_allclose(index.vectors(["new"])["new"], vectors[11], atol=1e-6)
    index.remove(names(10))
    assert [edit_id for edit_id, _ in index.search(vectors[0], 5)] == ["new"]


def test_clear_and_mark(index):
    index.put(names(5), unit(5))
    index.mark(7)
    assert index.seq == 7
    index.clear()
    assert (len(index), index.seq) == (0, 0)
    index.put(["again"], unit(1))
    assert len(index) == 1


def test_another_dimension_is_refused(index):
    index.put(names(3), unit(3))
    with pytest.raises(IndexUnusable):
        index.put(["odd"], unit(1, 8))
    with pytest.raises(IndexUnusable):
        index.search(unit(1, 8)[0], 1)
    assert len(index) == 3


def test_chroma_remembers_and_keeps_collections_apart(tmp_path):
    one, other = ChromaIndex(tmp_path, "a"), ChromaIndex(tmp_path, "b")
    one.put(names(3), unit(3))
    one.mark(5)
    for index in (one, other):
        index.close()
    assert (len(ChromaIndex(tmp_path, "a")), ChromaIndex(tmp_path, "a").seq) == (3, 5)
    assert len(ChromaIndex(tmp_path, "b")) == 0
    assert len(ChromaIndex(tmp_path, "a", anew=True)) == 0


def test_chroma_finds_what_exact_search_finds(tmp_path):
    vectors, queries = unit(5_000, 64), unit(100, 64, seed=1)
    exact, chroma = ExactIndex(), ChromaIndex(tmp_path, "a")
    for index in (exact, chroma):
        index.put(names(5_000), vectors)
    found = [len(dict(exact.search(query, 10)).keys() & dict(chroma.search(query, 10)).keys()) for query in queries]
    assert np.mean(found) > 9.5


# ---- behind a memory ----------------------------------------------------------------------------------------------


def facts(count, start=0):
    return [Fact(subject=f"firm {place}", relation="CEO", object=f"Ann {place}") for place in range(start, count)]


def opened(folder, *, chroma_from=0, **more):
    return EditMemory(folder, embedder=HashEmbedder(32), index=IndexChoice(chroma_from=chroma_from), **more)


def holds(memory, count):
    assert len(memory.edits()) == count
    found = memory.search("firm CEO", k=count + 5)
    assert len(found) == count
    assert memory.recall("Who is the CEO of firm 3?").candidates[0].edit.subject == "firm 3"
    assert memory.check() == []
    return True


def test_a_growing_namespace_moves_to_chroma_and_back(tmp_path):
    memory = opened(tmp_path, chroma_from=20)
    list(memory.add_many(facts(10)))
    assert memory.recall("firm 3").index == "exact"
    list(memory.add_many(facts(30, start=10)))
    assert memory.recall("firm 3").index == "chroma"
    assert holds(memory, 30)
    memory.undo()
    assert memory.recall("firm 3").index == "exact"
    assert holds(memory, 10)
    memory.revert(to=2)
    assert memory.recall("firm 3").index == "chroma"
    assert holds(memory, 30)


@pytest.mark.parametrize("choice", ["chroma", "exact"])
def test_a_choice_by_name(tmp_path, choice):
    memory = EditMemory(tmp_path, embedder=HashEmbedder(32), index=choice)
    list(memory.add_many(facts(5)))
    assert memory.recall("firm 3").index == choice
    assert holds(memory, 5)


def lose_folder(folder):
    shutil.rmtree(folder)


def lose_database(folder):
    (folder / "chroma.sqlite3").unlink()


def garble_database(folder):
    (folder / "chroma.sqlite3").write_bytes(b"no database " * 1000)


def cut_database(folder):
    data = (folder / "chroma.sqlite3").read_bytes()
    (folder / "chroma.sqlite3").write_bytes(data[: len(data) // 2])


def lose_segments(folder):
    for part in folder.iterdir():
        if part.is_dir():
            shutil.rmtree(part)


def file_instead(folder):
    shutil.rmtree(folder)
    folder.write_text("not a folder")


DAMAGE = [lose_folder, lose_database, garble_database, cut_database, lose_segments, file_instead]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("while_open", [False, True])
def test_a_damaged_index_is_repaired_from_the_ledger(tmp_path, damage, while_open):
    memory = opened(tmp_path)
    list(memory.add_many(facts(1_200)))  # more than Chroma keeps in its log only
    assert len(memory.search("firm", k=5)) == 5
    if not while_open:
        memory.close()
    damage(tmp_path / "index")
    if not while_open:
        memory = opened(tmp_path)
    memory.add(facts(1_201)[-1])
    assert memory.rebuild_index() == 1_201
    assert len(memory.search("firm", k=5)) == 5
    assert memory.get(memory.search("CEO of firm 3")[0].edit.id)
    assert memory.check() == []


@pytest.mark.parametrize("damage", DAMAGE)
def test_no_one_has_to_ask_for_the_repair(tmp_path, damage):
    with opened(tmp_path) as memory:
        list(memory.add_many(facts(20)))
        assert holds(memory, 20)
    damage(tmp_path / "index")
    assert holds(opened(tmp_path), 20)


def test_an_index_behind_or_ahead_of_the_ledger_is_brought_level(tmp_path):
    with opened(tmp_path) as memory:
        list(memory.add_many(facts(10)))
        assert holds(memory, 10)
    shutil.copytree(tmp_path, tmp_path.with_name("old"))
    with opened(tmp_path) as memory:
        list(memory.add_many(facts(15, start=10)))
        memory.retract(memory.search("firm 5", k=1)[0].edit.id)
        assert holds(memory, 14)
    behind, ahead = tmp_path.with_name("behind"), tmp_path.with_name("ahead")
    for target, ledger, index in ((behind, tmp_path, "old"), (ahead, tmp_path.with_name("old"), tmp_path.name)):
        shutil.copytree(ledger, target)
        shutil.rmtree(target / "index")
        shutil.copytree(tmp_path.with_name(index) / "index", target / "index")
    assert holds(opened(behind), 14)
    assert holds(opened(ahead), 10)


def test_two_memories_on_one_folder_see_each_others_changes(tmp_path):
    one, two = opened(tmp_path), opened(tmp_path)
    for place in range(10):
        writer, reader = (one, two) if place % 2 else (two, one)
        receipt = writer.add(facts(place + 1)[-1])
        assert receipt.id in {found.edit.id for found in reader.search("firm CEO", k=20)}
        undone = writer.add(Fact(subject="gone", relation="CEO", object="Bob"))
        assert undone.id in {found.edit.id for found in reader.search("gone CEO", k=20)}
        reader.undo()
        for memory in (one, two):
            assert undone.id not in {found.edit.id for found in memory.search("gone CEO", k=20)}
    assert holds(one, 10)
    assert holds(two, 10)


def test_one_rebuilds_while_the_other_has_it_open(tmp_path):
    one, two = opened(tmp_path), opened(tmp_path)
    list(one.add_many(facts(20)))
    for _ in range(3):
        assert holds(two, 20)
        assert one.rebuild_index() == 20
        assert holds(two, 20)
        assert holds(one, 20)


UNDO = """
import sys
from memedit.index import IndexChoice
from memedit.memory import EditMemory
from memedit.testing import HashEmbedder
memory = EditMemory(sys.argv[1], embedder=HashEmbedder(32), index=IndexChoice(chroma_from=0))
memory.search("firm")
memory.undo()
memory.search("firm")
"""


def test_what_another_process_undid_never_comes_back(tmp_path):
    memory = opened(tmp_path)
    list(memory.add_many(facts(10)))
    receipt = memory.add(Fact(subject="gone", relation="CEO", object="Bob"))
    assert receipt.id in {found.edit.id for found in memory.search("CEO of gone", k=50)}
    subprocess.run([sys.executable, "-c", UNDO, str(tmp_path)], check=True, timeout=60)
    assert receipt.id not in {found.edit.id for found in memory.search("CEO of gone", k=50)}
    assert holds(memory, 10)
    assert holds(opened(tmp_path), 10)
