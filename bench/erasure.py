"""Leakage of erased facts: how often the model still says what it knew, before and after it is erased.

    python bench/erasure.py [--data counterfact.json] [--method auto] [--limit 40]

Facts are CounterFact's true ones, as far as the model says them; without --data, of the cases that come with memedit.
"""

from __future__ import annotations

import argparse
from importlib import resources

import torch

from memedit import EditableLLM
from memedit.eval.benchmarks import find_benchmark, read
from memedit.eval.leakage import leakage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(resources.files("memedit.data") / "counterfact_150.jsonl"))
    parser.add_argument("--benchmark", default="counterfact")
    parser.add_argument("--llm", default="bundled")
    parser.add_argument("--method", default="auto")
    parser.add_argument("--limit", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(1)
    llm = EditableLLM(options.llm, method=options.method)
    cases = read(find_benchmark(options.benchmark), [options.data]).cases
    print("| prompts | say it before | say it after | refused | same answer |\n|---|---|---|---|---|")
    for name, leak in leakage(llm, cases, limit=options.limit).items():
        print(f"| {name} | {leak.before} | {leak.after} | {leak.refused} | {leak.same} |")


if __name__ == "__main__":
    main()
