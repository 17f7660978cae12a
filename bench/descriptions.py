"""Entity descriptions: how well a model continues a sentence about a new entity, with and without its description.

    MEMEDIT_DATA=… python bench/descriptions.py [--limit 50]

The folder holds `ecbd/` and `entity_inferences/`. ECBD: perplexity of the span that was cut out (per token, all spans
together). Entity Inferences: how often the right span is the likeliest of those given. All descriptions are in one
memory, and the sentence is a plain text that is continued, as published.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from memedit import Description, EditableLLM
from memedit.answers import Scored
from memedit.eval.benchmarks import find_benchmark, read
from memedit.eval.cases import Case, Probe
from memedit.eval.stats import Share
from memedit.llms import Likelihood
from memedit.messages import Request

FILES = {
    "ecbd": ["ecbd/all_ent_2020_2021_np_500samples.jsonl"],
    "specificity": ["ecbd/specificity_popular_20np_20random.jsonl"],
    "entity_inferences": sorted(
        f"entity_inferences/{kind}.jsonl"
        for kind in (
            "disaster_explicit_attribute_independent", "disaster_implicit_attribute_independent",
            "tv_show_explicit_attribute_dependent", "fake_person_explicit_attribute_dependent",
        )
    ),
}  # fmt: skip


def cases(name: str) -> Sequence[Case]:
    folder = Path(os.environ["MEMEDIT_DATA"])
    benchmark = find_benchmark("ecbd" if name == "specificity" else name)
    return read(benchmark, [folder / file for file in FILES[name]]).cases


def describe(llm: EditableLLM, told: Iterable[Case]) -> None:
    for case in told:
        for edit in case.edits:
            llm.edit(Description(edit.text, subject=edit.subject))


def requests(probes: Sequence[Probe]) -> list[Request]:
    return [Request(()).raw(probe.prompt) for probe in probes]


def scored(llm: EditableLLM, probes: Sequence[Probe], spans: Sequence[Sequence[str]], namespace: str) -> list[Scored]:
    found = []
    for start in range(0, len(probes), 8):
        part = slice(start, start + 8)
        found += llm.score(requests(probes[part]), spans[part], namespace=namespace)
    return found


def perplexity(found: Sequence[Likelihood]) -> float:
    return math.exp(-sum(one.logprob for one in found) / sum(one.tokens for one in found))


def spans_of(llm: EditableLLM, name: str, probes: Sequence[Probe]) -> None:
    spans = [[probe.answers[0]] for probe in probes]
    before, after = (scored(llm, probes, spans, where) for where in ("empty", "default"))
    edited = Share(sum(bool(one.citations) for one in after), len(after))
    firsts = [[one.likelihoods[0] for one in part] for part in (before, after)]
    better = Share(sum(new.logprob > old.logprob for old, new in zip(*firsts, strict=True)), len(probes))
    print(f"{name}: perplexity {perplexity(firsts[0]):.2f} without, {perplexity(firsts[1]):.2f} with")
    print(f"{name}: a description in scope: {edited}; the span likelier: {better}")


def choices_of(llm: EditableLLM, name: str, probes: Sequence[Probe]) -> None:
    spans = [list(probe.choices) for probe in probes]
    for title, where in (("without", "empty"), ("with", "default")):
        found = scored(llm, probes, spans, where)
        right = 0
        for probe, row, one in zip(probes, spans, found, strict=True):
            best = max(range(len(row)), key=lambda at: one.likelihoods[at].logprob)
            right += row[best] == probe.answers[0]
        print(f"{name}: the right span likeliest, {title}: {Share(right, len(probes))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llm", default="bundled")
    parser.add_argument("--limit", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    llm = EditableLLM(options.llm, method="describe")
    told = {name: cases(name)[: options.limit] for name in FILES}
    for name in ("ecbd", "entity_inferences"):
        describe(llm, told[name])
    probes = {name: [probe for case in found for probe in case.probes][: options.limit] for name, found in told.items()}
    spans_of(llm, "ECBD", probes["ecbd"])
    spans_of(llm, "ECBD specificity (known entities)", probes["specificity"])
    choices_of(llm, "Entity Inferences", probes["entity_inferences"])


if __name__ == "__main__":
    main()
