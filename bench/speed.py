"""Speed, as ratios taken in one run: a decision against the bare embedder call, adding against bare embedding.

python bench/speed.py --edits 10000 --threads 2
python bench/speed.py --edits 100000 --threads 2 --index two-pass,exact
python bench/speed.py --edits 100000 --embedder onnx:bundled --vectors random
python bench/speed.py --edits 1000000 --threads 2 --vectors random --folder FOLDER

A decision is recall and gate, with the query cache off, on distinct queries, each as a conversation of one message,
so that finder and judge take part. The bare call is `SentenceTransformer.encode` of the same query just before it.
With `--vectors random` only the first 10,000 edits' key texts are embedded; the others get one of these vectors plus
noise (`NearEmbedder`), the queries ask for those that were embedded, and adding is not compared.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from memedit.edits import Fact
from memedit.embedders import Embedder, Vectors, as_embedder
from memedit.eval.benchmarks.counterfact import bundled_cases
from memedit.gate import as_gate, read_conversation
from memedit.memory import EditMemory

EMBEDDED = 10_000  # edits that are embedded with `--vectors random`
NOISE = 0.4  # length of the noise beside a vector's 1: a cosine of 0.93


def facts(count: int) -> Iterator[Fact]:
    """Distinct Facts: the bundled cases' templates over subjects recombined from the words of theirs."""
    known = [edit for case in bundled_cases() for edit in case.edits if isinstance(edit, Fact)]
    words = sorted({word for fact in known for word in (fact.subject or "").split() if word.isalpha()})
    rng = random.Random(0)
    for number in range(count):
        fact = known[number % len(known)]
        subject = " ".join(rng.sample(words, rng.randint(2, 3)))
        yield Fact(
            subject=f"{subject} {number}" if rng.random() < 0.1 else subject,
            relation=fact.relation,
            prompt=fact.prompt,
            object=rng.choice(known).object,
        )


class NearEmbedder(Embedder):
    """Vectors for very many texts without embedding each: those of real key texts, with a little noise.

    Those texts get their own vector; every other gets the vector of one of them plus noise, at a cosine of 0.93 to it.
    """

    def __init__(self, inner: Embedder, keys: list[str]) -> None:
        self.id, self._inner = inner.id, inner
        self._base = inner.embed(keys)
        self._own = dict(zip(keys, self._base, strict=True))
        self._rng = np.random.default_rng(0)

    def _embed(self, texts: list[str]) -> Vectors:
        return np.stack([self._own[text] if text in self._own else self._near() for text in texts])

    def _near(self) -> Vectors:
        base = self._base[self._rng.integers(len(self._base))]
        noise = self._rng.standard_normal(len(base), dtype=np.float32)
        near: Vectors = base + NOISE * noise / np.sqrt(len(base))
        return near


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--index", default="auto", help="one or several of auto, exact, two-pass, chroma, with commas")
    parser.add_argument("--vectors", choices=["embedded", "random"], default="embedded")
    parser.add_argument(
        "--embedder", default="minilm", help="of memedit; the bare call is always SentenceTransformer's"
    )
    parser.add_argument(
        "--folder", type=Path, help="keep the memory here; one that is there already is not filled again"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    embedder = as_embedder(options.embedder)
    asked = list(islice(facts(options.edits), EMBEDDED if options.vectors == "random" else options.edits))
    report: dict[str, object] = {"edits": options.edits, "threads": options.threads, "vectors": options.vectors}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not (folder / "ledger.sqlite").exists():
            report |= _filled(folder, embedder, asked, options.edits, random_vectors=options.vectors == "random")
        for index in options.index.split(","):
            with EditMemory(folder, index=index, query_cache=0, embedder=embedder) as memory:
                report[f"index {index}"] = _deciding(memory, asked, options.queries)
    report["import memedit, s"] = _import_seconds()
    print(json.dumps(report, indent=2))


def _filled(
    folder: Path, embedder: Embedder, asked: list[Fact], count: int, *, random_vectors: bool
) -> dict[str, object]:
    if not random_vectors:
        with EditMemory(folder, index="exact", embedder=embedder) as memory:
            return _adding(memory, asked)
    texts = [text for fact in asked for text in (fact.key_text, fact.relation_text)]
    near = NearEmbedder(embedder, list(dict.fromkeys(texts)))
    began = time.perf_counter()
    with EditMemory(folder, embedder=near) as memory:
        for _ in memory.add_many(facts(count), chunk=10_000):
            pass
    return {"add_many without embedding, edits a second": round(count / (time.perf_counter() - began))}


def _deciding(memory: EditMemory, edits: list[Fact], count: int) -> dict[str, object]:
    """A decision (recall and gate) against the bare embedder call, in turn, on distinct queries."""
    embedder, gate, alone = memory.embedder, as_gate(), as_embedder("bundled")
    rng = random.Random(1)
    queries = [
        f"{edit.cloze}?" if rng.random() < 0.5 else f"Tell me: {edit.cloze}" for edit in rng.sample(edits, count)
    ]
    embedder.embed(["warm up the embedder"])
    held, began = _resident(), time.perf_counter()
    recalled = memory.recall("warm up the memory", whole="warm up the memory")
    opened, grown = time.perf_counter() - began, _resident() - held
    gate.decide(recalled)
    embeddings = _timed(embedder)
    bare, decisions, recalls, gates = [], [], [], []
    for query in queries:
        began = time.perf_counter()
        alone.model.encode([query], show_progress_bar=False)  # type: ignore[attr-defined]
        embedded = time.perf_counter()
        said = read_conversation([("user", query)])
        recalled = memory.recall(said.query, whole=said.whole)
        looked_up = time.perf_counter()
        gate.decide(recalled)
        ended = time.perf_counter()
        bare.append(embedded - began)
        decisions.append(ended - embedded)
        recalls.append(looked_up - embedded - embeddings[-1])
        gates.append(ended - looked_up)
    began = time.perf_counter()
    memory.rebuild_index()
    rebuilt = time.perf_counter() - began
    typical, decision = statistics.median(bare), statistics.median(decisions)
    return {
        "found by": recalled.index,
        "bare embedder call, median ms": round(1e3 * typical, 2),
        "decision, median ms": round(1e3 * decision, 2),
        "of it embedding, median ms": round(1e3 * statistics.median(embeddings), 2),
        "of it the rest of recall, median ms": round(1e3 * statistics.median(recalls), 2),
        "of it the gate, median ms": round(1e3 * statistics.median(gates), 2),
        "decision / bare call": round(decision / typical, 3),
        "recall / bare call": round((decision - statistics.median(gates)) / typical, 3),
        "first look-up after opening, s": round(opened, 2),
        "memory it takes, MB": round(grown),
        "rebuilding the index without embedding, s": round(rebuilt, 2),
    }


def _timed(embedder: Embedder) -> list[float]:
    """The seconds of each call of the embedder from now on."""
    spent: list[float] = []
    embed = embedder.embed

    def timed(texts: Sequence[str]) -> Vectors:
        began = time.perf_counter()
        vectors = embed(texts)
        spent.append(time.perf_counter() - began)
        return vectors

    embedder.embed = timed  # type: ignore[method-assign]
    return spent


def _resident() -> float:
    """Megabytes this process holds (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def _adding(memory: EditMemory, edits: list[Fact]) -> dict[str, object]:
    """Bare embedding and adding, a slice of each in turn, so that both meet the same noise; at most 10,000 edits."""
    alone, bare, added = as_embedder("bundled"), 0.0, 0.0
    compared = min(len(edits), 10_000)
    step = max(compared // 5, 1)
    for start in range(0, compared, step):
        part = edits[start : min(start + step, compared)]
        began = time.perf_counter()
        alone.model.encode([edit.key_text for edit in part], batch_size=64, show_progress_bar=False)  # type: ignore[attr-defined]
        middle = time.perf_counter()
        for _ in memory.add_many(part):
            pass
        added += time.perf_counter() - middle
        bare += middle - began
    for _ in memory.add_many(edits[compared:]):
        pass
    return {
        "bare embedding, texts a second": round(compared / bare),
        "add_many, edits a second": round(compared / added),
        "add_many / bare embedding": round(bare / added, 3),
    }


def _import_seconds() -> float:
    """The best of five fresh interpreters, less the start of the interpreter itself."""

    def best(code: str) -> float:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(time.perf_counter() - began)
        return min(times)

    return round(best("import memedit") - best("pass"), 3)


if __name__ == "__main__":
    main()
