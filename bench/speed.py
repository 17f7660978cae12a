"""Speed, as ratios taken in one run: a decision against the bare embedder call, adding against bare embedding.

python bench/speed.py --edits 10000 --threads 2
python bench/speed.py --edits 100000 --threads 2 --index exact
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
from collections.abc import Iterator

import torch

from memedit.edits import Fact
from memedit.eval.benchmarks.counterfact import bundled_cases
from memedit.gate import default_gate
from memedit.memory import EditMemory


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--index", default="exact", help="one or several of exact, chroma, with commas between")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    edits = list(facts(options.edits))
    with tempfile.TemporaryDirectory() as folder:
        with EditMemory(folder, index="exact") as memory:
            report = {"edits": options.edits, "threads": options.threads, **_adding(memory, edits)}
        for index in options.index.split(","):
            with EditMemory(folder, index=index, query_cache=0) as memory:
                report[f"index {index}"] = _deciding(memory, edits, options.queries)
    report["import memedit, s"] = _import_seconds()
    print(json.dumps(report, indent=2))


def _deciding(memory: EditMemory, edits: list[Fact], count: int) -> dict[str, float]:
    """A decision (recall and gate) against the bare embedder call, in turn, on distinct queries."""
    embedder, gate = memory.embedder, default_gate()
    rng = random.Random(1)
    queries = [
        f"{edit.cloze}?" if rng.random() < 0.5 else f"Tell me: {edit.cloze}" for edit in rng.sample(edits, count)
    ]
    began = time.perf_counter()
    gate.decide(memory.recall("warm up the gate"))
    loaded = time.perf_counter() - began
    bare, decisions, gates = [], [], []
    for query in queries:
        began = time.perf_counter()
        embedder.model.encode([query], show_progress_bar=False)  # type: ignore[attr-defined]
        embedded = time.perf_counter()
        recalled = memory.recall(query)
        looked_up = time.perf_counter()
        gate.decide(recalled)
        ended = time.perf_counter()
        bare.append(embedded - began)
        decisions.append(ended - embedded)
        gates.append(ended - looked_up)
    began = time.perf_counter()
    memory.rebuild_index()
    rebuilt = time.perf_counter() - began
    return {
        "bare embedder call, median ms": round(1e3 * statistics.median(bare), 2),
        "decision, median ms": round(1e3 * statistics.median(decisions), 2),
        "of it the gate, median ms": round(1e3 * statistics.median(gates), 2),
        "decision / bare call": round(statistics.median(decisions) / statistics.median(bare), 3),
        "first look-up after opening, s": round(loaded, 2),
        "rebuilding the index without embedding, s": round(rebuilt, 2),
    }


def _adding(memory: EditMemory, edits: list[Fact]) -> dict[str, object]:
    """Bare embedding and adding, a slice of each in turn, so that both meet the same noise; at most 10,000 edits."""
    bare = added = 0.0
    compared = min(len(edits), 10_000)
    step = max(compared // 5, 1)
    for start in range(0, compared, step):
        part = edits[start : min(start + step, compared)]
        began = time.perf_counter()
        memory.embedder.model.encode([edit.key_text for edit in part], batch_size=64, show_progress_bar=False)  # type: ignore[attr-defined]
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
