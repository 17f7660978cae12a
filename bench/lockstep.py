"""How much faster lockstep batches answer than one request at a time, and whether they answer the same."""

from __future__ import annotations

import argparse
import tempfile
import time

import torch

from memedit import EditableLLM, EditMemory
from memedit.eval.benchmarks.counterfact import bundled_cases
from memedit.eval.plan import make_plan

MAX_TOKENS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probes", type=int, default=96, help="CounterFact probes, drawn evenly over the 150 cases")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    plan = make_plan(bundled_cases())
    step = len(plan.asked) // options.probes
    prompts = [one.probe.prompt for one in plan.asked[::step][: options.probes]]
    with tempfile.TemporaryDirectory() as folder, EditMemory(folder) as memory:
        llm = EditableLLM("bundled", memory)
        llm.edit_many(plan.memories["all"])
        llm.batch(prompts[:2], max_tokens=MAX_TOKENS)  # loads the embedder, fills the prefix cache
        began = time.perf_counter()
        single = [llm.invoke(prompt, max_tokens=MAX_TOKENS).text for prompt in prompts]
        halfway = time.perf_counter()
        together = [answer.text for answer in llm.batch(prompts, max_tokens=MAX_TOKENS)]
        ended = time.perf_counter()
    alike = sum(one == other for one, other in zip(single, together, strict=True))
    alone, batched = halfway - began, ended - halfway
    print(f"one at a time: {alone / len(prompts):.3f} s a probe; in lockstep: {batched / len(prompts):.3f} s")
    print(f"throughput ratio: {alone / batched:.2f}; same answers: {alike} of {len(prompts)}")


if __name__ == "__main__":
    main()
