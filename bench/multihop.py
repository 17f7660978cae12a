"""Multi-hop questions of MQuAKE, all edits of the file in memory: `multihop` against MeLLo and against no plan at all.

`python bench/multihop.py run FOLDER --cases 200` makes the runs (a killed one goes on where it stopped), with the
published files below MEMEDIT_DATA; `python bench/multihop.py show FOLDER` prints the table.

`python bench/multihop.py compare --cases 30 --methods multihop,mello_dense_top1` asks the multi-hop questions alone, in
lockstep, all edits of MQuAKE-2002 in memory: accuracy and cost of methods that make many calls, or of a slow model.
With `--given` the unedited hops are in the memory too; with `--hops` every hop is asked as well, for H-Acc.
`python bench/multihop.py plans --planner planner:FOLDER --cases 200` walks the multi-hop questions by the plans of the
grammar, of a planner, and of both, the unedited hops given; no other model is asked.
`python bench/multihop.py single` counts the model calls that questions of one hop would pay for; no model is asked.
`python bench/multihop.py mistaken --cases 400` counts, by kind of probe, where an edit of the probe's own case is
left out since it would answer of another thing.

own      the model's own knowledge for what no edit answers
given    the unedited hops are in the memory as well, from the records, so that planning and retrieval are judged apart
         from what a small model happens to know
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from memedit import Answer, EditableLLM, EditMemory
from memedit.edits import Fact
from memedit.embedders import default_embedder
from memedit.eval import Kind, Score, find_benchmark, load_run, read, score_run
from memedit.eval.cases import Case, Probe
from memedit.eval.contenders import contender
from memedit.eval.stats import Share
from memedit.llms import as_llm
from memedit.messages import Reply
from memedit.methods import Final, Generate, Ready, Run, Steps, Task, method
from memedit.methods.multihop import multihop
from memedit.multihop.planning import ask_plan, plan_in
from memedit.multihop.walk import Limits, walk
from memedit.testing import FakeLLM
from memedit.text import says

CF, HARD, IDS = "mquake_cf_3k.jsonl", "mquake_hard.jsonl", "mquake_2002_case_ids.json"
SINGLE = {
    "counterfact": "counterfact/counterfact_sample500.jsonl",
    "zsre": "zsre/zsre_eval_portability.jsonl",
    "wiki_counterfact": "knowedit/wiki_counterfact_train.jsonl",
}
ONE_HOP = {Kind.EFFICACY, Kind.PARAPHRASE, Kind.ALIAS, Kind.NEIGHBOURHOOD, Kind.LOCALITY}
SHOWN = (
    ("multi-hop", "M-Acc"), ("multi-hop", "contains"), ("all", "M-Acc"), ("all", "H-Acc"), ("multi-hop", "H-Acc"),
    ("hop", "contains"), ("all", "tokens in"), ("multi-hop", "tokens in"), ("multi-hop", "seconds"), ("all", "seconds"),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "show", "compare", "plans", "single", "mistaken"))
    parser.add_argument("folder", type=Path, nargs="?", default=Path("bench/out/multihop"))
    parser.add_argument("--cases", default="200")
    parser.add_argument("--methods", default="multihop", help="with commas")
    parser.add_argument("--parts", default="given,own")
    parser.add_argument("--hard", action="store_true", help="MQuAKE-hard instead of MQuAKE-2002")
    parser.add_argument("--in-memory", default="all", help="all, or groups of so many cases")
    parser.add_argument("--llm", default="bundled")
    parser.add_argument("--given", action="store_true", help="of `compare`: with the unedited hops in the memory")
    parser.add_argument("--hops", action="store_true", help="of `compare`: H-Acc, too")
    parser.add_argument("--planner", help="of `plans`: planner:FOLDER, or any other model")
    options = parser.parse_args()
    if options.what == "run":
        run(options)
    elif options.what == "compare":
        compare(options)
    elif options.what == "plans":
        plans(options)
    elif options.what == "single":
        single()
    elif options.what == "mistaken":
        mistaken(int(options.cases))
    else:
        for part in sorted(options.folder.glob("*/run.json")):
            print(f"\n{part.parent.name}\n")
            print("\n".join(table(score_run(load_run(part.parent)))))


def run(options: argparse.Namespace) -> None:
    data = Path(os.environ["MEMEDIT_DATA"]) / "mquake"
    files = [str(data / HARD)] if options.hard else [str(data / CF), "--ids", str(data / IDS)]
    options.folder.mkdir(parents=True, exist_ok=True)
    known = options.folder / "known.jsonl"
    rows = [json.loads(line) for line in Path(files[0]).read_text(encoding="utf-8").splitlines()]
    told = [json.dumps(fact.to_dict(), ensure_ascii=False) for fact in unedited(rows)]
    known.write_text("\n".join(told) + "\n", encoding="utf-8")
    for part in options.parts.split(","):
        fill = ["--fill", str(known)] if part == "given" and told else []
        how = ["--limit", options.cases, "--method", options.methods, "--no-likelihood", "--llm", options.llm]
        memory = ["--edits-in-memory", options.in_memory, "--llm-option", "dtype=bfloat16"]
        given = ["--data", *files, *fill, *how, *memory, "--out", str(options.folder / part), "--resume"]
        subprocess.run([sys.executable, "-m", "memedit", "eval", "mquake", *given], check=True)


def compare(options: argparse.Namespace) -> None:
    """M-Acc, H-Acc, questions right, and what they cost, by method."""
    memory, cases = sample(int(options.cases), given=options.given)
    llm = as_llm(options.llm, dtype="bfloat16")
    print("| method | M-Acc | H-Acc | questions right | tokens a question, in / out | calls | s a question |")
    print("|---|---|---|---|---|---:|---:|", flush=True)
    for name in options.methods.split(","):
        editable, began = contender(name)(llm, memory), time.perf_counter()
        asked = [probe.prompt for case in cases for probe in of_kind(case, Kind.MULTI_HOP)]
        answers = editable.batch(asked, max_tokens=32)
        seconds = (time.perf_counter() - began) / len(answers)
        right = marks(cases, Kind.MULTI_HOP, answers)
        solved = [any(one) for one in right]
        h_acc = "–"
        if options.hops:
            hops = [probe.prompt for case in cases for probe in of_kind(case, Kind.HOP)]
            each = marks(cases, Kind.HOP, editable.batch(hops, max_tokens=32))
            h_acc = share(one and all(way) for one, way in zip(solved, each, strict=True))
        calls = [call for answer in answers for call in answer.trace.calls]
        tokens = [sum(call.usage.get(way, 0) for call in calls) / len(answers) for way in ("input", "output")]
        shares = [share(solved), h_acc, share(mark for case in right for mark in case)]
        print(
            f"| `{name}` | {' | '.join(shares)} | {tokens[0]:.0f} / {tokens[1]:.0f} "
            f"| {len(calls) / len(answers):.2f} | {seconds:.2f} |",
            flush=True,
        )


def of_kind(case: Case, kind: Kind) -> list[Probe]:
    return [probe for probe in case.probes if probe.kind is kind]


def marks(cases: list[Case], kind: Kind, answers: Iterable[Answer]) -> list[list[bool]]:
    """Whether each answer is right, by case."""
    each = iter(answers)
    return [[says(next(each).text, probe.answers) for probe in of_kind(case, kind)] for case in cases]


def sample(count: int, *, given: bool = False) -> tuple[EditMemory, list[Case]]:
    """All edits of MQuAKE-2002, with the unedited hops if they are `given`, and so many cases."""
    data = Path(os.environ["MEMEDIT_DATA"]) / "mquake"
    chosen = set(json.loads((data / IDS).read_text(encoding="utf-8")))
    cases = [case for case in read(find_benchmark("mquake"), [data / CF]).cases if int(case.id.split(":")[1]) in chosen]
    memory = EditMemory(embedder=default_embedder())
    list(memory.add_many(edit for case in cases for edit in case.edits))
    if given:
        rows = (data / CF).read_text(encoding="utf-8").splitlines()
        list(memory.add_many(unedited(json.loads(line) for line in rows)))
    random.Random(0).shuffle(cases)
    return memory, cases[:count]


def plans(options: argparse.Namespace) -> None:
    """M-Acc and questions right, by who plans."""
    memory, cases = sample(int(options.cases), given=True)
    asked = [probe.prompt for case in cases for probe in of_kind(case, Kind.MULTI_HOP)]
    models = {"planner": as_llm(options.planner)} if options.planner else {}
    ways = {"the grammar": multihop()}
    if models:
        ways |= {
            f"{options.planner} alone": planned(),
            f"the grammar, where it fails {options.planner}": multihop(),
            "both, weighed": multihop(agree=True),
        }
    print("| plans of | M-Acc | questions right | calls of the planner a question |\n|---|---|---|---:|", flush=True)
    for name, way in ways.items():
        known = {} if name == "the grammar" else models
        answers = EditableLLM(Unknowing(), memory, method=way, models=known).batch(asked)
        right = marks(cases, Kind.MULTI_HOP, answers)
        shares = share(map(any, right)), share(mark for case in right for mark in case)
        calls = sum(call.model == "planner" for answer in answers for call in answer.trace.calls) / len(answers)
        print(f"| {name} | {' | '.join(shares)} | {calls:.2f} |", flush=True)


@method("planned", paper="of this bench: a planner's plan is walked, whatever the grammar says", always=True)
def planned() -> Run:
    """Walk the plan of the model `planner`, and no other."""

    def run(task: Task) -> Steps:
        query = task.hits.query
        reply = yield Generate(ask_plan(task.request, query, task.hits, task.models["planner"].kind), "planner")
        plan = plan_in(reply.text, query)
        if plan is None:
            return Final(task.request)
        made = yield from walk(*plan, task, model=None, limits=Limits())
        if not made.arrived:
            return Final(task.request)
        return Ready(Reply(made.thing.names[0]), made.edits, hops=tuple(made.hops))

    return run


def share(marks: Iterable[bool]) -> str:
    counted = list(marks)
    of = Share(sum(counted), len(counted))
    low, high = of.interval
    return f"{100 * of.value:.1f} % ({100 * low:.1f}–{100 * high:.1f}; {of.good}/{of.of})"


def single() -> None:
    """Questions of one hop, with all edits of their file in memory: how many would be asked more than themselves."""
    data = Path(os.environ["MEMEDIT_DATA"])
    for name, file in SINGLE.items():
        cases = read(find_benchmark(name), [data / file]).cases
        llm = EditableLLM(Unknowing(), EditMemory(embedder=default_embedder()), method="multihop")
        list(llm.memory.add_many(edit for case in cases for edit in case.edits))
        probes = [probe.prompt for case in cases for probe in case.probes if probe.kind in ONE_HOP]
        print(f"{name}: {share(len(answer.trace.calls) > 1 for answer in llm.batch(probes))} pay for hops")


def mistaken(count: int) -> None:
    """All edits of each file in memory; by kind of probe, of how many an edit of the same case is left out."""
    data = Path(os.environ["MEMEDIT_DATA"])
    for name, file in {**SINGLE, "mquake": f"mquake/{CF}"}.items():
        cases = list(read(find_benchmark(name), [data / file]).cases)
        llm = EditableLLM(Unknowing(), EditMemory(embedder=default_embedder()), method="multihop")
        list(llm.memory.add_many(edit for case in cases for edit in case.edits))
        random.Random(0).shuffle(cases)
        asked = [(case, probe) for case in cases[:count] for probe in case.probes if probe.kind in ONE_HOP]
        left_out: dict[Kind, list[bool]] = {}
        for (case, probe), answer in zip(asked, llm.batch([probe.prompt for _, probe in asked]), strict=True):
            own = {f"left out {edit.id[:8]}," for edit in case.edits}
            noted = any(note.startswith(tuple(own)) for note in answer.trace.notes)
            left_out.setdefault(probe.kind, []).append(noted)
        for kind, marks_of in left_out.items():
            print(f"{name}, {kind}: {share(marks_of)} left out", flush=True)


class Unknowing(FakeLLM):
    """Stands for a small model that gives no further hop, so that the first one that is asked is counted."""

    kind = "instruct"

    def __init__(self) -> None:
        super().__init__(lambda prompt: "unknown")


def unedited(rows: Iterable[dict[str, Any]]) -> Iterator[Fact]:
    """The hops of the edited chains that no edit of the file says, each once."""
    rows = list(rows)
    edited = {(one["subject"], one["relation_id"]) for row in rows for one in row["requested_rewrite"]}
    for row in rows:
        triples = zip(row["orig"]["new_triples"], row["orig"]["new_triples_labeled"], strict=True)
        for (triple, (subject, _, _)), hop in zip(triples, row["new_single_hops"], strict=True):
            if (subject, triple[1]) in edited:
                continue
            edited.add((subject, triple[1]))
            prompt = hop["cloze"].replace(subject, "{}", 1)
            said = {"prompt": prompt} if prompt.count("{}") == 1 else {"statement": f"{hop['cloze']} {hop['answer']}"}
            yield Fact(subject=subject, relation=triple[1], object=hop["answer"], question=hop["question"], **said)


def table(scores: list[Score]) -> list[str]:
    """Figures down, methods across."""
    methods = list(dict.fromkeys(score.method for score in scores))
    known = {(score.kind, score.metric, score.method): score for score in scores}
    lines = [f"| probe | metric | {' | '.join(methods)} |", f"|---|---|{'---|' * len(methods)}"]
    for kind, metric in SHOWN:
        row = [known.get((kind, metric, method)) for method in methods]
        if any(row):
            lines.append(f"| {kind} | {metric} | {' | '.join(map(cell, row))} |")
    return lines


def cell(score: Score | None) -> str:
    if score is None or not score.n:
        return "–"
    if score.metric in ("seconds", "tokens in"):
        return f"{score.value:.3g}"
    return f"{100 * score.value:.1f} ({100 * score.low:.0f}–{100 * score.high:.0f}; n {score.n})"


if __name__ == "__main__":
    main()
