"""`eval` and `report`: measuring methods on the benchmarks of the field."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memedit.cli._common import quiet_libraries, use_threads
from memedit.cli._options import Assignment
from memedit.cli._print import say, show_json, table
from memedit.cli._scores import show_scores

if TYPE_CHECKING:
    from memedit.eval.runs import Run
    from memedit.eval.scores import Score

FILE = click.Path(path_type=Path)
LINE_EVERY = 60  # seconds


class EditsInMemory(click.ParamType):  # type: ignore[type-arg]
    """`all`, `group`, or how many cases share a memory."""

    name = "all|group|K"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in ("all", "group") or isinstance(value, int):
            return value
        if value.isdecimal() and int(value) > 0:
            return int(value)
        self.fail(f"`{value}` is neither `all`, `group` nor a number from 1 on.", param, ctx)


@click.command("eval")
@click.argument("benchmark", required=False)
@click.option("--data", multiple=True, type=FILE, metavar="FILE", help="A file of the benchmark; may be repeated.")
@click.option(
    "--fill",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="A file whose edits only fill the memory: of the benchmark, or as `memedit export` writes them.",
)
@click.option("--ids", type=FILE, metavar="FILE", help="A file of case ids; no others are asked.")
@click.option("--llm", default="bundled", metavar="SPEC", show_default=True,
              help="bundled, hf:ID_OR_FOLDER, gguf:FILE or openai:MODEL.")  # fmt: skip
@click.option("--base-url", metavar="URL", help="The server of an openai: model.")
@click.option("--llm-option", type=Assignment(), multiple=True, metavar="NAME=VALUE",
              help="Of the model's loader: dtype=bfloat16, batch_size=32, concurrency=16.")  # fmt: skip
@click.option("--method", "methods", multiple=True, default=["auto"], show_default=True, metavar="NAME[,NAME]",
              help="Methods and baselines; `unedited` always runs too.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Ask at most so many cases, drawn by --seed.")
@click.option("--seed", default=0, show_default=True, help="Of the draw.")
@click.option("--edits-in-memory", type=EditsInMemory(), default="all", show_default=True,
              help="All edits of the files, or groups of K cases, each with a memory of its own.")  # fmt: skip
@click.option("--turn", type=click.IntRange(1), metavar="N",
              help="Of methods that write weights: edits written together; else all of a memory.")  # fmt: skip
@click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="Of an answer.")
@click.option("--raw", is_flag=True, help="Go on with prompts as plain text, without a chat template.")
@click.option("--no-likelihood", is_flag=True, help="Take no likelihoods.")
@click.option("--no-generation", is_flag=True, help="Take no free answers.")
@click.option("--feedback", type=click.FloatRange(0, 1), default=1.0, show_default=True, metavar="P",
              help="Of a stream: how probably a wrong answer is met with feedback.")  # fmt: skip
@click.option("--judge", metavar="SPEC", help="A model that judges what no metric can.")
@click.option("--judge-option", type=Assignment(), multiple=True, metavar="NAME=VALUE",
              help="Of the judge's loader: base_url=URL, …")  # fmt: skip
@click.option("--ask-again", is_flag=True, help="Send untouched requests again, instead of taking over answers.")
@click.option(
    "--embedder",
    metavar="SPEC",
    help="minilm, bundled, st:ID_OR_FOLDER, openai:MODEL, or onnx:, int8:, static:bundled.",
)
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True, metavar="N",
              help="Probes asked together, and written together.")  # fmt: skip
@click.option("--out", type=FILE, metavar="DIR", help="The run's folder. [default: eval-runs/BENCHMARK-TIME]")
@click.option("--resume", is_flag=True, help="Go on with the run in --out; it may have more methods.")
@click.option("--parquet", is_flag=True, help="Write rows.parquet too.")
@click.option("--list", "listing", is_flag=True, help="List the benchmarks, and where their files are published.")
@click.option("--dry-run", is_flag=True, help="Read the files and say what would be asked.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), metavar="N",
              help="Threads of a local model.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON value on stdout, also for an error.")
def evaluate(benchmark: str | None, listing: bool, threads: int, **given: Any) -> None:
    """Measure methods on a benchmark: any method, on any model, resumable.

    Methods of `memedit bake` write the edits into the weights: --edits-in-memory 1 for single edits, all for a batch,
    and --turn N for a stream.

    Every answer is compared with the unedited model's. Free generation and likelihood are reported side by side.

    \b
    Example:
        memedit eval counterfact --data counterfact.json --method in_context,bm25 --limit 100
        memedit eval everyday --edits-in-memory group
        memedit report eval-runs/*
    """  # noqa: D301 - click's mark for lines that stay as they are
    if listing:
        _list(given["as_json"])
        return
    if benchmark is None:
        raise click.UsageError("BENCHMARK is missing; `memedit eval --list` shows the benchmarks.")
    given["data"] = given["data"] or _shipped(benchmark)
    quiet_libraries()
    use_threads(threads)
    settings = _settings(benchmark, given)
    if given["dry_run"]:
        _plan(settings, given["as_json"])
        return
    run = _run(settings, given)
    scores = _scores(run)
    if given["parquet"]:
        from memedit.eval.parquet import write_parquet

        write_parquet(run)
    if given["as_json"]:
        show_json({"run": run.about, "folder": str(run.folder), "scores": [score.to_dict() for score in scores]})
        return
    show_scores(run, scores)
    say(f"\nrows and run.json are in {run.folder}; a page to read: memedit report {shlex.quote(str(run.folder))}")


@click.command("report")
@click.argument("folders", nargs=-1, required=True, type=FILE, metavar="DIR…")
@click.option("--out", type=FILE, metavar="DIR", help="Where report.html and report.md go. [default: the first DIR]")
@click.option("--json", "as_json", is_flag=True, help="One JSON value on stdout, also for an error.")
def report(folders: Sequence[Path], out: Path | None, as_json: bool) -> None:
    """Write one page about runs: tables with intervals, plots, and the cases where methods differ.

    \b
    Example:
        memedit report eval-runs/first eval-runs/second --out page
    """  # noqa: D301 - click's mark for lines that stay as they are
    from memedit.eval.report import write_report
    from memedit.eval.runs import load_run

    runs = [load_run(folder) for folder in folders]
    written = write_report(runs, out or folders[0])
    if as_json:
        show_json({"written": [str(file) for file in written]})
        return
    for file in written:
        say(("✓ ", "green"), f"wrote {file}")


def _shipped(benchmark: str) -> tuple[Path, ...]:
    from memedit.eval.benchmarks.base import find_benchmark

    shipped = find_benchmark(benchmark).shipped
    if shipped is None:
        raise click.UsageError(f"--data FILE is missing: the files of {benchmark} do not come with memedit.")
    return (shipped(),)


def _settings(benchmark: str, given: dict[str, Any]) -> Any:
    from memedit.eval.settings import Settings

    return Settings(
        benchmark=benchmark,
        data=tuple(map(str, given["data"])),
        fill=tuple(map(str, given["fill"])),
        ids=given["ids"] and str(given["ids"]),
        limit=given["limit"],
        seed=given["seed"],
        edits_in_memory=given["edits_in_memory"],
        max_tokens=given["max_tokens"],
        raw=given["raw"],
        generate=not given["no_generation"],
        likelihood=not given["no_likelihood"],
        feedback=given["feedback"],
        ask_again=given["ask_again"],
        turn=given["turn"],
        batch=given["batch"],
    )


def _run(settings: Any, given: dict[str, Any]) -> Run:
    from memedit.errors import MemeditError
    from memedit.eval.runner import evaluate as run
    from memedit.eval.runs import ROWS

    out = given["out"] or Path("eval-runs") / f"{settings.benchmark}-{datetime.now():%Y%m%d-%H%M%S}"
    options = dict(given["llm_option"]) | ({"base_url": given["base_url"]} if given["base_url"] else {})
    with _bars() as progress:
        try:
            return run(
                settings,
                given["llm"],
                [name.strip() for names in given["methods"] for name in names.split(",") if name.strip()],
                out,
                llm_options=options,
                resume=given["resume"],
                judge=given["judge"],
                judge_options=dict(given["judge_option"]),
                embedder=given["embedder"],
                command=["memedit", *sys.argv[1:]],
                progress=progress,
            )
        except (KeyboardInterrupt, Exception) as error:
            if (out / ROWS).exists() and not isinstance(error, MemeditError):
                say(f"What is answered is kept. Go on with --out {shlex.quote(str(out))} --resume.", err=True)
            raise


def _scores(run: Run) -> list[Score]:
    from memedit.eval.scores import score_run

    return score_run(run)


def _plan(settings: Any, as_json: bool) -> None:
    from collections import Counter

    from memedit.eval.benchmarks import find_benchmark
    from memedit.eval.runner import plan_of

    reading, _, plan = plan_of(find_benchmark(settings.benchmark), settings)
    kinds = Counter(str(one.probe.kind) for one in plan.asked)
    edits = sum(map(len, plan.memories.values()))
    if as_json:
        show_json(
            {
                "cases": len(plan.cases),
                "edits": edits,
                "memories": len(plan.memories),
                "probes": kinds,
                "set_aside": [asdict(one) for one in plan.set_aside],
                "malformed": [asdict(one) for one in reading.malformed],
                "repeated": reading.repeated,
            }
        )
        return
    say(
        f"{len(plan.cases)} cases; {edits} edits, memories: {len(plan.memories)}; "
        f"{len(plan.set_aside)} probes set aside"
    )
    table(["probe", "asked"], [[kind, str(count)] for kind, count in kinds.items()])
    for one in reading.malformed:
        say((f"{one.file}, record {one.number}: {one.why}", "yellow"))
    if reading.repeated:
        say(f"{reading.repeated} records repeat a case that stood there before", err=False)


def _list(as_json: bool) -> None:
    from memedit.eval.benchmarks import all_benchmarks

    found = all_benchmarks()
    if as_json:
        show_json([{name: getattr(one, name) for name in ("name", "title", "measures", "paper", "published", "licence")}
                   | {"forms": {form.name: form.needs for form in one.forms}} for one in found])  # fmt: skip
        return
    table(
        ["name", "measures", "paper", "published at", "licence"],
        [[one.name, one.measures, one.paper, one.published, one.licence] for one in found],
        wrap=("measures", "paper", "published at", "licence"),
    )


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr for everything that is being done, with its rate and the time left.

    Where stderr is no terminal, a line a minute.
    """
    if not sys.stderr.isatty():
        last = time.monotonic()

        def say_now(what: str, done: int, of: int) -> None:
            nonlocal last
            if time.monotonic() - last > LINE_EVERY:
                last = time.monotonic()
                say(f"{what}: {done} of {of}", err=True)

        yield say_now
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, markup=False)) as progress:
        tasks: dict[str, Any] = {}

        def advance(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=of, rate="")
            task = next(task for task in progress.tasks if task.id == tasks[what])
            progress.update(tasks[what], completed=done, rate=f"{task.speed:.1f}/s" if task.speed else "")

        yield advance
