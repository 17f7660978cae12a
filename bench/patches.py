"""Language patches on the published files: the gate's F1, and the sentiment of reviews with and without patches.

python bench/patches.py            the figures of BENCHMARKS.md; MEMEDIT_DATA names the folder with `language_patches/`
python bench/patches.py --train FOLDER   the weights that come with memedit, from their templates alone (a few minutes)
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch

from memedit.embedders import default_embedder
from memedit.eval.patches import score_gate, score_labels, slices
from memedit.gate import patch_scorer
from memedit.gate.learning.patch_data import read_patch_data
from memedit.gate.learning.patch_templates import made
from memedit.gate.learning.patches import train_gate
from memedit.llms import as_llm

INTERPRETER = (0.0, 1.0, 0.0)
TEXTS = 2_000  # made ones, to learn from


def train(folder: Path) -> None:
    trained = train_gate(made(TEXTS), default_embedder(), interpreter=INTERPRETER, progress=print)
    scores = {name: one.to_dict() for name, one in trained.unseen.items()}
    card = {
        "made by": "python bench/patches.py --train",
        "data": [f"patch_templates.made({TEXTS})"],
        "licence": "Apache-2.0: made of templates written for memedit, with no record of a benchmark",
        "scores on groups never trained on": scores,
    }
    trained.scorer.with_(card=card).save(folder)
    print(scores)


def measure(texts: int, labelled: int) -> None:
    folder = Path(os.environ["MEMEDIT_DATA"]) / "language_patches"
    files = [folder / "feature_patches.jsonl", folder / "feature_patches_applies.jsonl"]
    scorer, embedder = patch_scorer.shipped(), default_embedder()
    for name, one in score_gate(scorer, read_patch_data(files, limit=texts).pairs, embedder).items():
        print(f"gate, {name}: {one.to_dict()}")
    if labelled:
        told = read_patch_data(files).told
        found = score_labels(
            slices(told, limit=labelled),
            as_llm("bundled"),
            scorer,
            embedder,
            progress=lambda name, at, of: print(f"  {name}: {at} of {of}", flush=True),
        )
        for name, score in found.items():
            print(f"{name}: {score.to_dict()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--texts", type=int, default=6_000)
    parser.add_argument("--labelled", type=int, default=300)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.train:
        train(given.train)
    else:
        measure(given.texts, given.labelled)
