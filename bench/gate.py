"""Trains the gate that comes with memedit, and measures it on relations and subjects it was not trained on.

MEMEDIT_DATA=… python bench/gate.py train memedit/data/gate
"""

from __future__ import annotations

import argparse
import os
import pickle
import time
from pathlib import Path

import torch
from gate_sets import training_sets

from memedit.embedders import default_embedder
from memedit.gate.training import Disjoint, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("train",))
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--both", action="store_true", help="also judge questions in distribution, for comparison")
    parser.add_argument("--judged", type=Path, help="where the cross-fitted judgements are kept")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    began = time.perf_counter()
    sets = training_sets(Path(os.environ["MEMEDIT_DATA"]), seed=options.seed)

    def say(text: str) -> None:
        print(f"{time.perf_counter() - began:6.0f} s  {text}", flush=True)

    say(", ".join(f"{one.name}: {len(one.edits)} edits, {len(one.questions)} questions" for one in sets))
    embedder = default_embedder()
    kinds: tuple[Disjoint, ...] = ("relation", "subject") if options.both else ("relation",)
    found = {kind: train(sets, embedder, seed=options.seed, disjoint=kind, progress=say) for kind in kinds}
    found["relation"].scorer.save(options.out)
    if options.judged:
        options.judged.write_bytes(pickle.dumps({kind: one.judged for kind, one in found.items()}))


if __name__ == "__main__":
    main()
