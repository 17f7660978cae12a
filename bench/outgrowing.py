"""What a memory costs as it grows, by where its ledger and its index lie: adding, opening, looking up.

python bench/outgrowing.py 10000 --index auto,pgvector,chroma
python bench/outgrowing.py 100000 --index auto,pgvector
python bench/outgrowing.py 1000000 --ledger sqlite --index auto

PostgreSQL with pgvector and Chroma's server are started on this machine, and asked over loopback; Qdrant is its local
mode. Texts are not embedded: a text's vector (384 dimensions) is drawn from a hash of it, around one of 1,000 centres,
so that what is measured is ledger and index alone. Each opening is a process of its own:

fill      opening, and the first look-up, where the index is empty: a store is filled now, once for all processes
open      the same in the next process
look up   the median and the 95th percentile of 200 messages that name no subject, and how many of the 10 nearest of
          exact search are among the 16 that are found
change    one edit is added and looked up
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from memedit.edits import Fact
from memedit.embedders import Embedder, Vectors
from memedit.index import IndexChoice
from memedit.memory import EditMemory

ROOT = Path(__file__).parent.parent
LEDGERS = ("sqlite", "postgres")
INDEXES = ("auto", "pgvector", "chroma", "qdrant")
DIMENSION, CENTRES, LOOKED_UP = 384, 1_000, 200


class Drawn(Embedder):
    """A vector for each text, drawn around one of many centres by a hash of the text."""

    id = f"drawn:{DIMENSION}"

    def __init__(self) -> None:
        self._centres = np.random.default_rng(0).standard_normal((CENTRES, DIMENSION), dtype=np.float32)

    def _embed(self, texts: list[str]) -> Vectors:
        return np.stack([self._one(int.from_bytes(blake2b(text.encode(), digest_size=8).digest())) for text in texts])

    def _one(self, seed: int) -> Vectors:
        own: Vectors = np.random.default_rng(seed).standard_normal(DIMENSION, dtype=np.float32)
        return self._centres[seed % CENTRES] + 0.7 * own


def facts(count: int) -> Iterator[Fact]:
    for place in range(count):
        says = f"The mayor of Town {place} is Ann {place}."
        yield Fact(subject=f"Town {place}", relation="mayor", object=f"Ann {place}", statement=says)


def opened(place: str, index: str, count: int) -> EditMemory:
    choice: Any = IndexChoice.of(index, None, place)
    if choice.store is not None:
        choice = IndexChoice(store=choice.store, store_from=0)
    memory = EditMemory(
        place, embedder=Drawn(), finder=None, languages=None, judge=None, index=choice if choice.store else index,
        query_cache=0,
    )  # fmt: skip
    return memory


def one_process(place: str, index: str, count: int, truth: str) -> dict[str, Any]:
    """What a process sees that opens the memory."""
    began = time.perf_counter()
    memory = opened(place, index, count)
    memory.recall("first")
    opening = time.perf_counter() - began
    queries = [f"message {place}" for place in range(LOOKED_UP)]
    milliseconds, found = [], []
    for query in queries:
        began = time.perf_counter()
        recalled = memory.recall(query)
        milliseconds.append(1_000 * (time.perf_counter() - began))
        found.append([one.edit.id for one in recalled.candidates])
    file = Path(truth)
    if not file.exists():
        file.write_text(json.dumps([_exact(memory, query) for query in queries]))
    best = json.loads(file.read_text())
    began = time.perf_counter()
    memory.add(f"Opening {time.time_ns()} is a day.", on_conflict="keep")
    memory.recall("change")
    change = time.perf_counter() - began
    memory.undo()
    memory.recall("change")
    memory.close()
    return {
        "open": round(opening, 2),
        "look_up": round(statistics.median(milliseconds), 2),
        "p95": round(statistics.quantiles(milliseconds, n=20)[-1], 2),
        "found": round(sum(len({*a} & {*b}) for a, b in zip(best, found, strict=True)) / 10 / len(best), 3),
        "change": round(1_000 * change),
        "mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024),
    }


def _exact(memory: EditMemory, query: str) -> list[str]:
    """The ids of the ten nearest, by all vectors of the ledger."""
    global _all
    if _all is None:
        with memory._ledger.reading() as reader:
            rows = list(reader.rows(reader.head("default").namespace_id))
            known = reader.vectors(Drawn.id, [row.text_hash for row in rows])
        _all = [row.id for row in rows], np.stack([known[row.text_hash] for row in rows])
    ids, vectors = _all
    near = vectors @ Drawn().embed([query])[0]
    return [ids[place] for place in np.argpartition(-near, 10)[:10]]


_all: tuple[list[str], Vectors] | None = None


def child(*arguments: object) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, "--child", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1][:200]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measured(count: int, ledgers: list[str], indexes: list[str]) -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    import servers

    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="memedit-outgrowing-")))
        postgres = chroma = None
        if "postgres" in ledgers or "pgvector" in indexes:
            postgres = servers.postgres_server()
            held.callback(postgres.close)
        if "chroma" in indexes:
            chroma = servers.ChromaServer()
            held.callback(chroma.close)
        addresses = {
            "auto": "auto",
            "pgvector": f"pgvector:{postgres.url}" if postgres else "",
            "chroma": f"chroma:{chroma.url}" if chroma else "",
            "qdrant": f"qdrant:{folder / 'qdrant'}",
        }
        for ledger in ledgers:
            place = postgres.url if postgres and ledger == "postgres" else str(folder / "memory")
            began = time.perf_counter()
            with opened(place, "auto", count) as memory:
                for _ in memory.add_many(facts(count), on_conflict="keep"):
                    pass
            seconds = time.perf_counter() - began
            print(f"{count:,} {ledger}: added {count / seconds:,.0f} a second", flush=True)
            for index in indexes:
                for turn in ("fill", "open"):
                    seen = child(place, addresses[index], count, folder / f"truth-{ledger}.json")
                    print(f"{count:,} {ledger} {index} {turn}: {json.dumps(seen)}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        place, index, count, truth = sys.argv[2:]
        print(json.dumps(one_process(place, index, int(count), truth)))
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("counts", nargs="+", type=int)
        parser.add_argument("--ledger", default=",".join(LEDGERS))
        parser.add_argument("--index", default=",".join(INDEXES))
        asked = parser.parse_args()
        for count in asked.counts:
            measured(count, asked.ledger.split(","), asked.index.split(","))
