"""Methods side by side, with the right edit handed over: what each makes of it, and at what price.

    python bench/methods.py --cases 40 --threads 1

With a counterfactual model that was trained on the cases that are not asked:

    tail -n 110 memedit/data/counterfact_150.jsonl > bench/out/others.jsonl
    memedit serac train --data counterfact=bench/out/others.jsonl --steps 60 --every 20 --out bench/out/counterfactual
    python bench/methods.py --counterfactual bench/out/counterfactual --only serac

The right edit is given for every prompt, also for neighbours, which it does not concern (no gate stands before the
method), so that nothing but the method is measured. The demonstrations of `ike` are made of the bundled CounterFact
cases that are not asked.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence

import torch

from memedit import EditableLLM, EditMemory
from memedit.adapters.counterfactual import load
from memedit.edits import AnyEdit
from memedit.embedders import default_embedder
from memedit.eval.benchmarks import find_benchmark, read
from memedit.eval.benchmarks.counterfact import bundled_cases
from memedit.eval.cases import Case, Kind, Probe
from memedit.eval.demonstrations import demonstrations_of
from memedit.eval.stats import Share
from memedit.gate import Gate, Hits, Verdict
from memedit.gate.focus import focus
from memedit.llms import as_llm
from memedit.memory import Recalled
from memedit.methods import Method
from memedit.methods.base import Recall
from memedit.methods.context_aware import context_aware
from memedit.methods.ike import ike
from memedit.methods.in_context import in_context
from memedit.methods.serac import serac
from memedit.text import says, words

MAX_TOKENS, BATCH = 20, 16
KINDS = (Kind.EFFICACY, Kind.PARAPHRASE, Kind.NEIGHBOURHOOD)
"""What is asked; out-of-scope probes of other benchmarks count as neighbours."""


class Nothing(Gate):
    """Lets nothing through; it is never asked."""

    name = "nothing"

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return []


class Handed(EditableLLM):
    """The right edit of each query is handed over."""

    right: Mapping[str, AnyEdit]

    def recall(self, namespace: str, asked: Sequence[Recall]) -> list[Hits]:
        return [Hits(one.query, (Verdict(self.right[one.query], 1.0, passed=True),)) for one in asked]


def methods() -> Iterator[tuple[str, Method]]:
    yield "in_context", in_context(objects=False)
    yield "in_context, the object", in_context()
    yield "in_context, the likelier object", in_context(weigh=True)
    for k in (0, 8, 16, 32):
        yield f"ike, k = {k}", ike(k=k, budget=2_048)
    for alpha in (0.5, 1.0):
        yield f"context_aware, α = {alpha}", context_aware(alpha=alpha)
    for k in (8, 16):
        yield f"ike in the reference frame, k = {k}", ike(k=k, budget=4_096, frame="reference")
    yield "serac", serac()


def probes_of(case: Case, each: int) -> Iterator[Probe]:
    """Its edit prompt, and its first paraphrases and neighbours."""
    for kind in KINDS:
        yield from [probe for probe in case.probes if _kind(probe) is kind][:each]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=40, help="how many of the 150 are asked; the first ones")
    parser.add_argument("--each", type=int, default=1, help="paraphrases, and neighbours, of a case")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--llm", default="bundled")
    parser.add_argument("--counterfactual", help="the folder of a counterfactual model; `serac` is measured with it")
    parser.add_argument("--data", default="", metavar="NAME=FILE", help="the first 150 cases of a benchmark instead")
    parser.add_argument("--only", help="methods whose name holds one of these, split by commas")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    name, _, file = options.data.partition("=")
    cases = read(find_benchmark(name), [file]).cases[:150] if file else bundled_cases()
    asked = [(case.edits[0], probe) for case in cases[: options.cases] for probe in probes_of(case, options.each)]
    shots = list(demonstrations_of(cases[options.cases :]))
    right = {focus((("user", probe.prompt),)).query: edit for edit, probe in asked}
    memory, llm = EditMemory(embedder=default_embedder()), as_llm(options.llm, dtype=options.dtype)
    list(memory.add_many(shots))
    others = len(cases) - options.cases
    print(f"{options.cases} cases, {len(asked)} prompts; {len(shots)} demonstrations of {others} other cases")
    print("| method | edit prompts, new object | begins with it | paraphrases, new object | begins with it "
          "| neighbours, new object (wrong) | tokens in | s a prompt |")  # fmt: skip
    print("|---|---|---|---|---|---|---:|---:|", flush=True)
    for name, method in methods():
        if options.only and not any(part in name for part in options.only.split(",")):
            continue
        if name == "serac" and not options.counterfactual:
            continue  # without one it is `in_context`
        models = {"counterfactual": load(options.counterfactual)} if name == "serac" else {}
        editable = Handed(llm, memory, gate=Nothing(), method=method, models=models)
        editable.right = right
        print(row(name, editable, asked), flush=True)


def row(name: str, editable: EditableLLM, asked: Sequence[tuple[AnyEdit, Probe]]) -> str:
    """A line of the table: what the answers hold, tokens of the prompts, seconds."""
    held: dict[Kind, list[bool]] = {kind: [] for kind in KINDS}
    begun: dict[Kind, list[bool]] = {kind: [] for kind in KINDS}
    tokens, began = 0, time.perf_counter()
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        answers = editable.batch([probe.prompt for _, probe in batch], max_tokens=MAX_TOKENS)
        for (edit, probe), answer in zip(batch, answers, strict=True):
            new = edit.answer  # type: ignore[union-attr]
            held[_kind(probe)].append(says(answer.text, (new,)))
            begun[_kind(probe)].append(words(answer.text)[: len(words(new))] == words(new))
            for call in answer.trace.calls[-1:]:
                tokens += len(editable.models[call.model].encode(call.request))  # type: ignore[attr-defined]
    seconds = (time.perf_counter() - began) / len(asked)
    shares = []
    for kind in KINDS:
        shares.append(cell(held[kind]))
        if kind is not Kind.NEIGHBOURHOOD:
            shares.append(f"{sum(begun[kind])}/{len(begun[kind])}")
    return f"| `{name}` | {' | '.join(shares)} | {tokens / len(asked):.0f} | {seconds:.2f} |"


def _kind(probe: Probe) -> Kind:
    return Kind.NEIGHBOURHOOD if probe.kind.in_scope is False else probe.kind


def cell(good: Sequence[bool]) -> str:
    share = Share(sum(good), len(good))
    low, high = share.interval
    return f"{100 * share.value:.1f} ({100 * low:.0f}–{100 * high:.0f}; {share.good}/{share.of})"


if __name__ == "__main__":
    main()
