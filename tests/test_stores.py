"""Stores that processes share: kept apart, level with the ledger whoever brings them there, away and back again."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import numpy as np
import pytest
from servers import PASSWORD
from sqlalchemy import event
from stores import SERVERS, STORES, made_store
from test_index import facts, names, unit

from memedit.errors import IndexUnreachable, IndexUnusable
from memedit.index import ExactIndex, IndexChoice
from memedit.memory import EditMemory
from memedit.testing import HashEmbedder

DIMENSION = 32


@pytest.fixture(params=STORES)
def store(request):
    return made_store(request.param, request.getfixturevalue, dimension=DIMENSION)


@pytest.fixture
def opened(tmp_path):
    """Opens memories of one folder whose namespaces all lie in a store."""
    open_ones = []

    def open_one(store, folder=tmp_path / "memory"):
        choice = IndexChoice(store=store, store_from=0)
        open_ones.append(EditMemory(folder, embedder=HashEmbedder(DIMENSION), index=choice, languages=None))
        return open_ones[-1]

    yield open_one
    for memory in open_ones:
        memory.close()


def found(memory, query="firm CEO", **where):
    return {one.edit.subject for one in memory.search(query, k=500, **where)}


def subjects(*places):
    return {f"firm {place}" for place in places}


# ---- one store ----------------------------------------------------------------------------------------------------


def test_keys_are_kept_apart_and_handles_agree(store):
    one, other = store.index(f"{uuid4()}\0fact"), store.index(f"{uuid4()}\0fact")
    key = str(uuid4())
    first, second = store.index(key), store.index(key)
    first.put(names(3), unit(3, DIMENSION))
    first.mark(5)
    assert (len(one), len(other), one.level()) == (0, 0, 0)
    assert (second.level(), second.seq, len(second)) == (5, 5, 3)
    second.put(names(2, "late"), unit(2, DIMENSION, seed=1))
    second.remove(["e0"])
    second.mark(9)
    assert (first.level(), len(first)) == (9, 4)
    assert dict(first.search(unit(1, DIMENSION)[0], 10)).keys() == {"e1", "e2", "late0", "late1"}
    assert first.vectors(["e0"]) == {}
    second.clear()
    assert first.level() == 0


@pytest.mark.parametrize("name", ["chroma-server", "pgvector"])
def test_a_graph_finds_what_exact_search_finds(request, name):
    how = {"hnsw_from": 1_000} if name == "pgvector" else {}
    store = made_store(name, request.getfixturevalue, **how)
    if name == "pgvector":  # which takes so few vectors one by one, unless it is told not to
        event.listen(
            store._engine, "connect", lambda connection, record: connection.execute("SET enable_seqscan = off")
        )
    vectors, queries = unit(4_000, 64), unit(50, 64, seed=1)
    exact, index = ExactIndex(), store.index(str(uuid4()))
    for each in (exact, index):
        each.put(names(4_000), vectors)
        each.settle()
        each.settle()  # once more changes nothing
    shared = [len(dict(exact.search(query, 10)).keys() & dict(index.search(query, 10)).keys()) for query in queries]
    assert np.mean(shared) > 9.5
    assert len(index.search(queries[0], 300)) == 300
    if name == "pgvector":
        asked = f"EXPLAIN SELECT id FROM {index._table} ORDER BY vector <=> %s::vector LIMIT 10"
        assert "_hnsw" in str(index._rows(asked, (str(queries[0].tolist()),)))


# ---- behind memories ----------------------------------------------------------------------------------------------


def test_what_one_memory_changes_all_others_find(store, opened):
    one, other = opened(store), opened(store)
    list(one.add_many(facts(20)))
    assert one.recall("firm 3").index == store.name
    assert found(other) == found(one) == subjects(*range(20))
    one.retract(one.search("CEO of firm 3", k=1)[0].edit.id)
    assert found(other) == subjects(*range(20)) - subjects(3)
    other.undo()
    assert found(one) == found(other) == subjects(*range(20))
    other.undo()
    assert found(one) == found(other) == set()
    one.revert(to=1)
    assert found(other) == subjects(*range(20))
    assert one.check() == other.check() == []
    assert found(opened(store)) == subjects(*range(20))


def test_namespaces_and_memories_are_kept_apart(store, opened, tmp_path):
    one, other = opened(store), opened(store, tmp_path / "other")
    list(one.add_many(facts(5)))
    list(one.add_many(facts(8, start=5), namespace="b"))
    list(other.add_many(facts(10, start=8)))
    for _ in range(2):
        assert found(one) == subjects(*range(5))
        assert found(one, namespace="b") == subjects(*range(5, 8))
        assert found(other) == subjects(8, 9)
    assert one.rebuild_index() == 5
    assert found(one, namespace="b") == subjects(*range(5, 8))
    assert one.check() == other.check() == []


@pytest.mark.parametrize("name", SERVERS)
def test_writers_at_once_leave_the_index_level(request, name, opened):
    memories = [opened(made_store(name, request.getfixturevalue)) for _ in range(3)]

    def work(place):
        memory, chance = memories[place], random.Random(place)
        mine = []
        for turn in range(12):
            mine.append(memory.add(facts(100 * place + turn + 1)[-1]).id)
            assert mine[-1] in {one.edit.id for one in memory.search("firm", k=500)}
            if chance.random() < 0.4:
                gone = mine.pop(chance.randrange(len(mine)))
                memory.retract(gone)
                assert gone not in {one.edit.id for one in memory.search("firm", k=500)}
        return mine

    with ThreadPoolExecutor(3) as pool:
        ids = {one for mine in pool.map(work, range(3)) for one in mine}
    for memory in memories:
        assert {one.edit.id for one in memory.search("firm", k=500)} == {edit.id for edit in memory.edits()} == ids
        assert memory.check() == []


def test_a_store_that_lost_everything_is_filled_again(store, opened):
    memory = opened(store)
    list(memory.add_many(facts(10)))
    assert len(found(memory)) == 10
    index = memory._views.current("default").indexes["fact"]
    index.clear()
    memory.add(facts(11)[-1])
    assert found(memory) == subjects(*range(11))
    index.clear()
    assert found(opened(store)) == subjects(*range(11))


def test_few_edits_are_searched_in_the_process(store, tmp_path):
    choice = IndexChoice(store=store, store_from=8)
    with EditMemory(tmp_path, embedder=HashEmbedder(DIMENSION), index=choice) as memory:
        list(memory.add_many(facts(5)))
        assert memory.recall("firm 3").index == "exact"
        list(memory.add_many(facts(10, start=5)))
        assert memory.recall("firm 3").index == store.name
        memory.undo()
        assert memory.recall("firm 3").index == "exact"
        memory.revert(to=2)
        assert found(memory) == subjects(*range(10))


# ---- the server is away -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVERS)
def test_a_restart_of_the_store_is_survived(request, name, opened):
    server = request.getfixturevalue({"chroma-server": "chroma", "pgvector": "postgres"}[name])
    memory = opened(made_store(name, request.getfixturevalue))
    list(memory.add_many(facts(10)))
    assert len(found(memory)) == 10
    server.stop()
    try:
        with pytest.raises(IndexUnreachable, match="cannot be reached"):
            memory.recall("firm 3")
        late = memory.add(facts(11)[-1]).id  # the ledger is there, and what it holds is the truth
        memory.retract(memory.edits()[0].id)
        with pytest.raises(IndexUnreachable):
            memory.recall("firm 3")
        with pytest.raises(IndexUnreachable) as caught:
            opened(made_store(name, request.getfixturevalue)).recall("firm 3")
        assert PASSWORD not in str(caught.value)
    finally:
        server.start()
    assert late in {one.edit.id for one in memory.search("firm", k=50)}
    assert found(memory) == {edit.subject for edit in memory.edits()}
    assert memory.check() == []


# ---- by name ------------------------------------------------------------------------------------------------------


def test_stores_by_name(postgres, chroma, tmp_path):
    with postgres.schema() as address:
        named = [
            (address, "pgvector", "pgvector"),
            (address, f"pgvector:{address}", "pgvector"),
            (address, f"chroma:{chroma.url}", "chroma-server"),
            (tmp_path / "memory", f"qdrant:{tmp_path / 'qdrant'}", "qdrant"),
        ]
        for place, index, name in named:
            with EditMemory(place, embedder=HashEmbedder(DIMENSION), index=index) as memory:
                assert memory._views._indexing.choice.store.name == name


@pytest.mark.parametrize("index", ["faiss", "faiss:/tmp", "pgvector", f"nothing:postgresql://a:{PASSWORD}@b/c"])
def test_a_store_that_is_not_there_is_refused(tmp_path, index):
    with pytest.raises(ValueError, match="`pgvector`") as caught:
        EditMemory(tmp_path, index=index)
    assert PASSWORD not in str(caught.value)


def test_a_chroma_address_that_is_none(tmp_path):
    with pytest.raises(ValueError, match="http://HOST:PORT"):
        EditMemory(tmp_path, index="chroma:/some/folder")


def test_a_store_that_lacks_a_method_says_which(tmp_path):
    pytest.importorskip("langchain_core")
    from langchain_core.vectorstores import InMemoryVectorStore

    from memedit.index.langchain import LangChainStore

    class Poor(InMemoryVectorStore):
        def get_by_ids(self, ids, /):
            raise NotImplementedError("Poor has no get_by_ids")

    store = LangChainStore(lambda name, embeddings: Poor(embeddings), dimension=DIMENSION)
    with pytest.raises(IndexUnusable, match="get_by_ids"):
        store.index("a")
