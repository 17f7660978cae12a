"""`evaluate`: a benchmark, a model and some methods become a run in a folder, which can be killed and resumed."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from memedit.errors import MemeditError, RunRejected
from memedit.eval.asking import Asking, Progress, asked_of, own_namespace, quiet
from memedit.eval.benchmarks import Benchmark, Reading, find_benchmark, read
from memedit.eval.benchmarks.ids import read_ids
from memedit.eval.contenders import ORACLE, UNEDITED, contender
from memedit.eval.judge import judge_rows
from memedit.eval.plan import Plan, make_plan
from memedit.eval.remembered import Remembered
from memedit.eval.runs import MEMORY, RUN, Asked, Row, Run, load_run, locked, write_about, write_asked, write_rows
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
    if not (settings.generate or settings.likelihood):
        raise RunRejected("Without answers and likelihoods there is nothing to measure.", do="take one of them")
    begun = load_run(out).about.get("methods", ()) if (out / RUN).exists() else ()
    names = list(dict.fromkeys([UNEDITED, *begun, *methods]))
    makers = {name: contender(name) for name in names}
    benchmark = find_benchmark(settings.benchmark)
    reading, filling, plan = plan_of(benchmark, settings)
    judging = None if judge is None else as_llm(judge)
    base = Remembered(_loaded(llm, llm_options or {}))
    if not settings.generate:
        base.require(Capability.LOGPROBS, by="A run without free answers")
    about = _about(benchmark, settings, reading, filling, plan, base, names, command)
    about["llm_options"] = {name: "…" if "key" in name else value for name, value in (llm_options or {}).items()}
    with locked(out), EditMemory(out / MEMORY, embedder=embedder) as memory:
        contenders = {name: make(base, memory) for name, make in makers.items()}
        about["embedder"] = memory.embedder.id
        done = _begin(out, about, plan, settings.batch_of(benchmark))
        _load(memory, plan, ORACLE in names, progress)
        loaded = time.perf_counter()
        asking = Asking(
            settings=settings, benchmark=benchmark, plan=plan, llm=base, memory=memory, out=out, done=done,
            progress=progress,
        )  # fmt: skip
        for name, editable in contenders.items():
            asking.run(name, editable)
        about["revision"] = {name: memory.revision(namespace=name) for name in plan.memories}
        if judging is not None:
            about["judge"] = judging.name
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
        given = ", ".join(f"{name}={value}" for name, value in options.items())
        raise RunRejected(f"The model cannot be loaded with {given}: {error}.", do="check --llm-option") from error


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


def _begin(out: Path, about: dict[str, Any], plan: Plan, batch: int) -> dict[str, list[Row]]:
    """Begin a run, or take the whole chunks of the one that lies there."""
    done: dict[str, list[Row]] = {}
    if (out / RUN).exists():
        before = load_run(out)
        if differing := _differing(before.about, about):
            raise RunRejected(
                f"The run in {out} is another one: {', '.join(differing)} differ.",
                do="give the same arguments, or another --out",
            )
        for name, rows in before.rows.items():
            done[name] = _whole_chunks(rows, asked_of(name, plan.asked), batch)
        about["began"] = before.about["began"]
    write_asked(out, plan.asked)
    write_rows(out, [row for rows in done.values() for row in rows])
    write_about(out, about)
    return done


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What two runs do not have in common."""
    settings = [name for name, value in now["settings"].items() if before["settings"].get(name) != value]
    return settings + [name for name in SAME if before.get(name) != now[name]]


SAME = ("benchmark", "data", "fill", "llm", "llm_options", "embedder", "cases", "asked")
"""What a resumed run must share with the one it goes on with."""


def _whole_chunks(rows: Sequence[Row], asked: Sequence[Asked], batch: int) -> list[Row]:
    """The rows up to the last chunk that is whole."""
    matching = 0
    for row, one in zip(rows, asked, strict=False):
        if row.key != one.key:
            break
        matching += 1
    return list(rows[: matching if matching == len(asked) else matching // batch * batch])


def _about(
    benchmark: Benchmark, settings: Settings, reading: Reading, filling: Reading, plan: Plan, llm: LLM,
    names: Sequence[str], command: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """Everything to repeat the run."""
    kept = {name: value for name, value in asdict(settings).items() if name not in ("data", "fill")}
    return {
        "benchmark": benchmark.name,
        "title": benchmark.title,
        "paper": benchmark.paper,
        "command": list(command),
        "settings": kept,
        "llm": llm.name,
        "methods": list(names),
        "edits_in_memory": settings.edits_in_memory,
        "edits": sum(map(len, plan.memories.values())),
        "seed": settings.seed,
        "limit": settings.limit,
        "cases": list(plan.cases),
        "asked": len(plan.asked),
        "data": [asdict(source) for source in reading.sources],
        "fill": [asdict(source) for source in filling.sources],
        "malformed": [asdict(one) for one in (*reading.malformed, *filling.malformed)],
        "repeated": reading.repeated,
        "set_aside": [asdict(one) for one in plan.set_aside],
        "memedit": version("memedit"),
        "python": platform.python_version(),
        "packages": _versions(),
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "ended": None,
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # an extra that is not installed takes no part in the run
    return found
