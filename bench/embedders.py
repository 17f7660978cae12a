"""Faster embedders against the bundled MiniLM: their speed, and how well the evidence decides with them.

export MEMEDIT_DATA=…
python bench/embedders.py --cache FOLDER

Speed is a ratio to the bare `SentenceTransformer.encode`, wall clock on one thread, all in turn in one run: medians
over distinct queries one at a time, and sums over slices of 100 texts. Quality: all edits of a set in one memory, a
sample of its questions, the evidence and thresholds that come with memedit. These weights have seen both sets, so
that only the differences between lines count. `MiniLM, no head` is what an embedder gets that the gate does not know.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import torch
from gate_sets import COUNTERFACT, FLAT, cases
from speed import facts

from memedit.embedders import Embedder, FunctionEmbedder, as_embedder
from memedit.eval.gates import scores
from memedit.eval.scopes import scope_set
from memedit.gate import as_gate
from memedit.gate.learning.judging import judge
from memedit.gate.learning.scope_sets import ScopeSet

ASKED = {"efficacy": 300, "paraphrase": 500, "alias": 500, "same subject": 500, "neighbourhood": 1_000}
SLICE = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, help="where exports and static vectors are kept")
    parser.add_argument("--texts", type=int, default=1_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    minilm = as_embedder("bundled")
    onnx = as_embedder("onnx:bundled", cache=options.cache, threads=1)
    int8 = as_embedder("int8:bundled", cache=options.cache, threads=1)
    static = as_embedder("static:bundled", cache=options.cache)
    fast = {"minilm": as_embedder("minilm"), "onnx:bundled": onnx, "int8:bundled": int8, "static:bundled": static}
    asked = list(dict.fromkeys(fact.cloze for fact in islice(facts(2 * options.texts), 2 * options.texts)))
    speed(minilm, fast, asked[: options.texts])
    stranger = FunctionEmbedder(onnx.embed, id="stranger")
    quality({"bundled": minilm, "MiniLM, no head": stranger, **fast}, Path(os.environ["MEMEDIT_DATA"]))


def speed(minilm: Embedder, fast: Mapping[str, Embedder], texts: list[str]) -> None:
    """One call a query, then slices; every embedder in turn on each."""
    bare = partial(minilm.model.encode, batch_size=64, show_progress_bar=False)  # type: ignore[attr-defined]
    calls = {"bare encode": bare, "bundled": minilm.embed, **{name: one.embed for name, one in fast.items()}}
    for call in calls.values():
        call(texts[:2])
    one = {name: statistics.median(spent) for name, spent in _spent(calls, [[text] for text in texts]).items()}
    slices = [texts[at : at + SLICE] for at in range(0, len(texts), SLICE)]
    many = {name: sum(spent) for name, spent in _spent(calls, slices).items()}
    given = minilm.embed(texts)
    print("| embedder | one query, ms | / bare | in bulk, texts a second | × bare | cosine with MiniLM: mean, least |")
    print("|---|---|---|---|---|---|")
    for name, call in calls.items():
        vectors = np.asarray(call(texts))
        alike = (vectors * given).sum(axis=1) if vectors.shape == given.shape else None
        cells = [
            f"{1e3 * one[name]:.2f} | {one[name] / one['bare encode']:.3f}",
            f"{len(texts) / many[name]:.0f} | {many['bare encode'] / many[name]:.2f}",
            "another space" if alike is None else f"{alike.mean():.4f}, {alike.min():.4f}",
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _spent(calls: Mapping[str, Callable[[list[str]], object]], parts: list[list[str]]) -> dict[str, list[float]]:
    spent = defaultdict(list)
    for part in parts:
        for name, call in calls.items():
            began = time.perf_counter()
            call(part)
            spent[name].append(time.perf_counter() - began)
    return spent


def quality(embedders: Mapping[str, Embedder], data: Path) -> None:
    """What the evidence lets through with each, in percent, with the interval."""
    gate = as_gate("evidence")
    print(f"\n| set | questions | edit let through | n | {' | '.join(embedders)} |")
    print("|---|---|---|---" + "|---" * len(embedders) + "|")
    for held in _sets(data):
        cells: dict[tuple[str, str, int], list[str]] = defaultdict(list)
        for embedder in embedders.values():
            judged = judge(gate, held, embedder)
            found = scores(judged, direct=gate.thresholds["direct"], bridge=gate.thresholds["bridge"])
            for one in found.groups:
                for what, share in (("right", one.direct), ("wrong", one.false_fires)):
                    if one.group in ASKED and share.of:
                        low, high = share.interval
                        text = f"{100 * share.value:.1f} ({100 * low:.1f}–{100 * high:.1f})"
                        cells[one.group, what, share.of].append(text)
        for (group, what, count), line in cells.items():
            print(
                f"| {held.name}, {len(held.edits)} edits | {group} | {what} | {count} | {' | '.join(line)} |",
                flush=True,
            )


def _sets(data: Path) -> Iterator[ScopeSet]:
    official, flat = (cases(data, "counterfact", *files) for files in (COUNTERFACT, FLAT))
    known = cases(data, "wiki_counterfact", "knowedit/wiki_counterfact_train.jsonl")
    for whole in (scope_set("counterfact", official, fill=flat), scope_set("wiki_counterfact", known)):
        rng, groups = random.Random(0), defaultdict(list)
        for question in whole.questions:
            groups[question.group].append(question)
        some = [rng.sample(groups[name], min(most, len(groups[name]))) for name, most in ASKED.items()]
        yield replace(whole, questions=tuple(question for part in some for question in part))


if __name__ == "__main__":
    main()
