"""`evaluate`: a benchmark, a model and some methods become a run in a folder, which can be killed and resumed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memedit.errors import MemeditError, RunRejected
from memedit.eval.asking import Asking, Progress, own_namespace, quiet
from memedit.eval.benchmarks import Benchmark, Reading, find_benchmark, read
from memedit.eval.benchmarks.ids import read_ids
from memedit.eval.contenders import ORACLE, UNEDITED, contender
from memedit.eval.in_weights import logging_to
from memedit.eval.judge import judge_rows
from memedit.eval.manifest import manifest
from memedit.eval.plan import Plan, make_plan
from memedit.eval.remembered import Remembered
from memedit.eval.resume import begin
from memedit.eval.runs import MEMORY, RUN, Run, load_run, locked, write_about
from memedit.eval.settings import Settings
from memedit.llms import LLM, Capability, as_llm
from memedit.memory import EditMemory

PACKAGES = ("torch", "transformers", "sentence-transformers", "openai", "numpy", "chromadb", "bm25s")


def evaluate(
    settings: Settings,
    llm: Any,
    methods: Sequence[str],
    out: str | Path,
    *,
    llm_options: Mapping[str, Any] | None = None,
    resume: bool = False,
    judge: Any = None,
    judge_options: Mapping[str, Any] | None = None,
    embedder: Any = None,
    command: Sequence[str] = (),
    progress: Progress = quiet,
) -> Run:
    """Run methods over a benchmark.

    `unedited` always runs first: locality is measured against what it answers.

    Args:
        settings: What is asked, and how.
        llm: Whatever `as_llm` takes.
        methods: Registered methods and baselines; a resumed run may have more of them.
        out: The folder of the run.
        llm_options: Of the model's loader (`dtype`, `batch_size`, `concurrency`, …).
        resume: Whether to go on with a run that lies there.
        judge: A model that judges what no metric can; whatever `as_llm` takes.
        judge_options: Of the judge's loader.
        embedder: Of the edit memory; the default one when left out.
        command: Kept in `run.json`, so that the run can be repeated.
        progress: Called as it goes.

    Raises:
        RunRejected: The folder holds another run, or nothing is left to ask.
        FileRejected: A file cannot be read, or there is no such benchmark.
        UnknownMethod: There is no such method or baseline.
        CapabilityMissing: A method needs what the model cannot do.
        StorageFull: The disk is full; what was computed is kept.
    """
    began, out = time.perf_counter(), Path(out)
    if (out / RUN).exists() and not resume:
        raise RunRejected(f"{out} holds a run already.", do="go on with it by --resume, or give another --out")
    begun = load_run(out).about.get("methods", ()) if (out / RUN).exists() else ()
    names = list(dict.fromkeys([UNEDITED, *begun, *methods]))
    makers = {name: contender(name, turn=settings.turn, log=logging_to(out)) for name in names}
    benchmark = find_benchmark(settings.benchmark)
    reading, filling, plan = plan_of(benchmark, settings)
    judging = None if judge is None else _loaded(judge, judge_options or {})
    base = Remembered(_loaded(llm, llm_options or {}))
    if not settings.generate:
        base.require(Capability.LOGPROBS, by="A run without free answers")
    about = manifest(benchmark, settings, reading, filling, plan, base, llm_options or {}, judging, names, command)
    with locked(out), EditMemory(out / MEMORY, embedder=embedder) as memory:
        contenders = {name: make(base, memory) for name, make in makers.items()}
        about["embedder"] = memory.embedder.id
        done = begin(out, about, plan, settings.batch_of(benchmark))
        _load(memory, plan, ORACLE in names, progress)
        about["edits"] = sum(len(memory.edits(namespace=name)) for name in plan.memories)
        loaded = time.perf_counter()
        asking = Asking(
            settings=settings, benchmark=benchmark, plan=plan, llm=base, memory=memory, out=out, done=done,
            progress=progress,
        )  # fmt: skip
        for name, editable in contenders.items():
            with editable:  # at its end what it wrote into the weights is taken out again
                asking.run(name, editable)
        about["revision"] = {name: memory.revision(namespace=name) for name in plan.memories}
        if judging is not None:
            judge_rows(out, plan.asked, judging)
        about["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
        write_about(out, about | {"seconds": _spent(began, loaded, asking)})
    return load_run(out)


def _spent(began: float, loaded: float, asking: Asking) -> dict[str, float]:
    """Seconds of this session: all of it, loading model and edits, answering, scoring. The rest is the harness."""
    return {
        "total": round(time.perf_counter() - began, 2),
        "loading": round(loaded - began, 2),
        **{name: round(seconds, 2) for name, seconds in asking.seconds.items()},
    }


def _loaded(llm: Any, options: Mapping[str, Any]) -> LLM:
    try:
        return as_llm(llm, **options)
    except TypeError as error:
        if isinstance(error, MemeditError) or not options:
            raise
        raise RunRejected(
            f"`{llm}` cannot be loaded with {', '.join(options)}: {error}.", do="check the options of model and judge"
        ) from error


def plan_of(benchmark: Benchmark, settings: Settings) -> tuple[Reading, Reading, Plan]:
    """What the files hold, what the files that only fill the memory hold, and what of it is asked."""
    reading, filling = read(benchmark, settings.data), read(benchmark, settings.fill)
    plan = make_plan(
        reading.cases,
        fill=filling.cases,
        only=read_ids(settings.ids, reading.cases) if settings.ids else None,
        limit=settings.limit,
        seed=settings.seed,
        edits_in_memory=settings.edits_in_memory,
        stream=benchmark.stream,
    )
    return reading, filling, plan


def _load(memory: EditMemory, plan: Plan, own: bool, progress: Progress) -> None:
    """Put the edits in force; those that are already are passed over."""
    memories = dict(plan.memories)
    if own:
        memories |= {own_namespace(case.id): case.edits for case in plan.cases.values()}
    total, done = sum(map(len, memories.values())), 0
    for namespace, edits in memories.items():
        there = memory.recorded([edit.id for edit in edits], namespace=namespace)
        for _ in memory.add_many([edit for edit in edits if edit.id not in there], namespace=namespace):
            done += 1
            progress("putting edits in force", done, total - len(there))
