"""Indexes: one contract for all, each as good as exact search, and every damage repaired from the ledger."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stores import STORES, made_store

from memedit.edits import Fact
from memedit.errors import IndexUnusable
from memedit.index import ExactIndex, IndexChoice, MentionIndex, TwoPassIndex, inverted, two_pass
from memedit.index.folder import throw_away
from memedit.memory import EditMemory, views
from memedit.testing import HashEmbedder
from memedit.text import words

pytest.importorskip("chromadb")
from memedit.index.chroma import ChromaIndex


def unit(count, dimension=16, *, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def names(count, prefix="e"):
    return [f"{prefix}{place}" for place in range(count)]


@pytest.fixture(params=["exact", "two-pass", "chroma", *STORES])
def index(request, tmp_path, monkeypatch):
    if request.param == "two-pass":
        monkeypatch.setattr(two_pass, "SMALL", 0)
        monkeypatch.setattr(two_pass, "FIRST", 1)
    if request.param in STORES:
        index = made_store(request.param, request.getfixturevalue).index(uuid4().hex)
    else:
        made = {"exact": ExactIndex, "two-pass": TwoPassIndex}.get(request.param)
        index = made() if made else ChromaIndex(tmp_path / "index", "a\0fact\0hash")
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
    whole = index.search_whole(vectors[7], 5)
    assert [(edit_id, cosine) for edit_id, cosine, _ in whole] == [(each, pytest.approx(far)) for each, far in found]
    for edit_id, _, vector in whole:
        np.testing.assert_allclose(vector, vectors[int(edit_id[1:])], atol=1e-6)
    assert index.search_whole(vectors[7], 0) == []
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


def clustered(count, dimension, *, seed=0):
    """Unit vectors around a few hundred centres, as those of texts are."""
    chance = np.random.default_rng(seed)
    centres = chance.normal(size=(300, dimension)) * np.linspace(1.5, 0.3, dimension)
    vectors = (centres[chance.integers(300, size=count)] + 0.3 * chance.normal(size=(count, dimension))).astype(
        np.float32
    )
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize(("visited", "least"), [(60_000, 0.999), (12_000, 0.95)])
def test_two_passes_find_what_exact_search_finds(monkeypatch, visited, least):
    monkeypatch.setattr(two_pass, "VISITED", visited)
    vectors = clustered(40_100, 128)
    vectors, queries = vectors[:-100], vectors[-100:]
    exact, index = ExactIndex(), TwoPassIndex()
    for each in (exact, index):
        each.put(names(40_000), vectors)
        each.remove(names(40_000)[::7])
    found = [len(dict(exact.search(query, 16)).keys() & dict(index.search(query, 16)).keys()) for query in queries]
    assert len(index._lists._sizes) == (1 if visited == 60_000 else 34)
    assert np.mean(found) / 16 >= least
    assert index.search(queries[0], 30_000) == exact.search(queries[0], 30_000)


some_names = st.lists(st.integers(0, 150), min_size=1, max_size=120)
steps = st.lists(st.tuples(st.sampled_from(["put", "put", "remove"]), some_names, st.integers(0, 2**32)), max_size=12)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps, st.sampled_from([8, 100]), st.booleans())
def test_two_passes_after_any_changes(steps, dimension, many_lists):
    """With bounds that nothing exceeds the result is that of exact search; of some lists only, it is a part of it."""
    with pytest.MonkeyPatch.context() as patched:
        for module, name, value in (
            (two_pass, "SMALL", 10), (two_pass, "FIRST", 2), (two_pass, "VISITED", 20 if many_lists else 1_000),
            (inverted, "PER_LIST", 5), (inverted, "SLACK", 1.0), (inverted, "BLOCK", 32), (inverted, "FEW", 8),
        ):  # fmt: skip
            patched.setattr(module, name, value)
        exact, index = ExactIndex(), TwoPassIndex()
        query = unit(1, dimension, seed=99)[0]
        for step, chosen, seed in steps:
            ids = [f"e{each}" for each in chosen]
            for each in (exact, index):
                each.put(ids, unit(len(ids), dimension, seed=seed)) if step == "put" else each.remove(ids)
            assert len(index) == len(exact)
            found, expected = index.search(query, 2), exact.search(query, 2)
            true = dict(exact.search(query, 1_000))
            assert len(found) == len(expected)
            assert [cosine for _, cosine in found] == pytest.approx([true[edit_id] for edit_id, _ in found], abs=1e-5)
            if not many_lists:
                assert [cosine for _, cosine in found] == pytest.approx([far for _, far in expected], abs=1e-5)
            _lists_are_whole(index, query)
        stored = index.vectors(list(exact._ids))
        assert stored.keys() == set(exact._ids)
        for edit_id, vector in exact.vectors(list(exact._ids)).items():
            np.testing.assert_array_equal(stored[edit_id], vector)


def _lists_are_whole(index, query):
    """Every vector stands in the lists once, and below its bound."""
    if index._lists is None:
        return
    rows, bounds = index._lists.bounds(query, len(index))
    assert sorted(rows) == list(range(len(index)))
    assert (bounds >= index._matrix[rows] @ query - 1e-5).all()


few_words = st.lists(st.sampled_from("abcd"), min_size=1, max_size=12)
put_names = st.dictionaries(st.integers(0, 9).map(str), st.lists(few_words.map(" ".join), max_size=3), max_size=8)


@settings(max_examples=200, deadline=None)
@given(put_names, st.sets(st.integers(0, 9).map(str)), few_words)
def test_mentions(named, removed, query):
    index = MentionIndex()
    for edit_id, its_names in named.items():
        index.put(edit_id, its_names)
    for edit_id in removed:
        index.remove(edit_id, named.get(edit_id, ["a b"]))
    text = f" {' '.join(query)} "
    expected = {
        edit_id
        for edit_id, its_names in named.items()
        if edit_id not in removed and any(f" {name} " in text for name in its_names if len(name.split()) <= 10)
    }
    assert set(index.find(query, 100)) == expected
    assert len(index.find(query, 2)) == min(2, len(expected))


def test_a_longer_name_is_found_first_and_a_common_one_is_cut():
    index = MentionIndex()
    for place in range(1_000):
        index.put(str(place), ["york"])
    index.put("longer", ["new york"])
    found = index.find(("in", "new", "york"), 5)
    assert found[0] == "longer"
    assert len(found) == 5


# ---- behind a memory ----------------------------------------------------------------------------------------------


def facts(count, start=0):
    return [Fact(subject=f"firm {place}", relation="CEO", object=f"Ann {place}") for place in range(start, count)]


def opened(folder, *, chroma_from=0, **more):
    return EditMemory(folder, embedder=HashEmbedder(32), index=IndexChoice(chroma_from=chroma_from), **more)


def holds(memory, count):
    assert len(memory.edits()) == count
    found = memory.search("firm CEO", k=count + 5)
    approximate = memory.recall("firm 3").index == "chroma"  # a graph drawn at random, which may leave one unreached
    assert count - approximate <= len(found) <= count
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


def test_a_growing_namespace_is_searched_in_two_passes(tmp_path, monkeypatch):
    for name, value in {"SMALL": 20, "FIRST": 1, "VISITED": 100}.items():
        monkeypatch.setattr(two_pass, name, value)
    monkeypatch.setattr(inverted, "PER_LIST", 30)
    memory = EditMemory(tmp_path, embedder=HashEmbedder(512), index=IndexChoice(two_pass_from=20))
    list(memory.add_many(facts(10)))
    assert memory.recall("firm 3").index == "exact"
    list(memory.add_many(facts(300, start=10)))
    for _ in range(2):
        assert memory.recall("firm 3").index == "two-pass"
        assert memory.search("CEO of firm 77", k=1)[0].edit.subject == "firm 77"
        assert holds(memory, 300)
        memory.retract(memory.search("CEO of firm 77", k=1)[0].edit.id)
        assert memory.search("CEO of firm 77", k=1)[0].edit.subject != "firm 77"
        assert holds(memory, 299)
        memory.undo()
    memory.revert(to=1)
    assert memory.recall("firm 3").index == "exact"
    assert holds(memory, 10)


def test_small_namespaces_do_not_drive_out_a_large_one(monkeypatch):
    monkeypatch.setattr(views, "MAX_VECTORS", 12)
    memory = EditMemory(embedder=HashEmbedder(32))
    for where, count in (("large", 30), ("a", 5), ("b", 5), ("c", 5)):
        list(memory.add_many(facts(count), namespace=where))
        assert memory.recall("firm 3", namespace=where).candidates
    assert [memory._views.loaded(where) for where in ("large", "b", "c")] == [True, True, True]
    assert not memory._views.loaded("a")


@pytest.mark.parametrize("choice", ["chroma", "two-pass", "exact"])
def test_a_choice_by_name(tmp_path, choice):
    memory = EditMemory(tmp_path, embedder=HashEmbedder(32), index=choice)
    list(memory.add_many(facts(5)))
    assert memory.recall("firm 3").index == choice
    assert holds(memory, 5)


def test_a_folder_is_gone_though_somebody_still_writes_there(tmp_path):
    folder, is_over = tmp_path / "index", threading.Event()
    folder.mkdir()

    def write():
        at = 0
        while not is_over.is_set():
            at += 1
            with suppress(OSError):
                (folder / f"{at}.bin").write_bytes(b"secret")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            folder.mkdir(exist_ok=True)
            throw_away(folder)
    finally:
        is_over.set()
        writer.join()
    assert list(tmp_path.iterdir()) == []


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
from memedit.text import words
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


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("กรุงเทพมหานคร", "ผู้ว่าราชการกรุงเทพมหานครคือใคร"),
        ("株式会社アクメホールディングス", "株式会社アクメホールディングスの社長は誰ですか？"),
        ("서울", "서울의 시장은 누구입니까?"),
        ("القاهرة", "من هو محافظ القاهرة؟"),
        ("तल्लिस", "तल्लिस के प्रमुख कौन हैं?"),
        ("Москва", "Москва — столица?"),
        ("Acme", "acmeのCEOは誰"),
    ],
)
def test_names_of_any_script_are_found(name, text):
    index = MentionIndex()
    index.put("named", [" ".join(words(name))])
    assert index.find(words(text), 5) == ["named"]
    index.remove("named", [" ".join(words(name))])
    assert index.find(words(text), 5) == []
