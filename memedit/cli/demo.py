"""`memedit demo`: real edits in front of the bundled model, asked with and without the memory, then undone."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memedit.cli._options import Renamed
from memedit.cli._print import show_json

if TYPE_CHECKING:
    from memedit.editable import EditableLLM
    from memedit.eval.runs import Asked
    from memedit.eval.stats import Share

FRIENDLY = (
    ("The capital of Australia is Melbourne.", "What is the capital of Australia?"),
    ("The CEO of Tallis Robotics is Carol Diaz.", "Who is the CEO of Tallis Robotics?"),
    ("The refund window of Kestrel Outdoor is 45 days.", "How long is the refund window of Kestrel Outdoor?"),
)
UNRELATED = ("What is the capital of New Zealand?", "Write one sentence about autumn.")
SAMPLE = {"efficacy": 12, "paraphrase": 12, "neighbourhood": 24}
TITLES = {
    "efficacy": "CounterFact: the prompts of the edits",
    "paraphrase": "CounterFact: paraphrases, behind a stray sentence",
    "neighbourhood": "CounterFact: neighbours, which must not change",
}
BATCH, MAX_TOKENS = 48, 20


@dataclass(frozen=True)
class Shown:
    """One line of the table."""

    kind: str
    prompt: str
    before: str
    after: str
    good: bool


@click.command("demo")
@click.option("--seed", default=0, show_default=True, help="Which prompts are drawn.")
@click.option("--all", "everything", is_flag=True, help="Ask all prompts of the 150 cases (about half an hour).")
@click.option("--memory", "folder", cls=Renamed, formerly="--folder", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Keep the memory there, instead of a temporary folder.")  # fmt: skip
@click.option("--threads", default=1, show_default=True, help="Threads of PyTorch.")
@click.option("--json", "as_json", is_flag=True, help="One JSON value instead of tables.")
def demo(seed: int, everything: bool, folder: Path | None, threads: int, as_json: bool) -> None:
    """Edit the bundled SmolLM2 with 150 CounterFact cases and three plain edits, ask, and undo.

    Each prompt is asked of the model alone and of the model with its memory, by free generation, with all edits in the
    memory at once.

    Example: memedit demo --seed 7
    """
    from memedit.eval.benchmarks.counterfact import bundled_cases
    from memedit.eval.plan import make_plan

    began = time.perf_counter()
    with _folder(folder) as place, _model(place, threads, quiet=as_json) as llm:
        plan = make_plan(bundled_cases())
        llm.edit_many(plan.memories["all"], reason="CounterFact, 150 cases")
        llm.edit_many([statement for statement, _ in FRIENDLY], reason="three plain edits")
        friendly = _friendly(llm)
        chosen = _chosen(plan.asked, None if everything else seed)
        with _bar(len(chosen), quiet=as_json) as advance:
            shown = _asked(llm, chosen, advance)
        undone = _undone(llm, friendly)
    scores, aside = _shares(shown), len(plan.set_aside)
    if as_json:
        show_json(_json(friendly, shown, scores, aside, undone, time.perf_counter() - began))
        return
    _print(friendly, shown, scores, aside, undone, len(plan.cases), time.perf_counter() - began)


def _chosen(asked: Sequence[Asked], seed: int | None) -> list[Asked]:
    """A sample of each kind, in the order of the cases; all of them without a seed."""
    of_kind = {kind: [place for place, one in enumerate(asked) if one.probe.kind == kind] for kind in SAMPLE}
    if seed is not None:
        draw = random.Random(seed)  # noqa: S311 - a sample, no secret
        of_kind = {kind: draw.sample(places, min(SAMPLE[kind], len(places))) for kind, places in of_kind.items()}
    return [asked[place] for place in sorted(place for places in of_kind.values() for place in places)]


def _asked(llm: EditableLLM, asked: Sequence[Asked], advance: Callable[[int], None]) -> list[Shown]:
    """Each prompt asked of the model alone and with its memory."""
    from memedit.text import says

    lines = []
    for start in range(0, len(asked), BATCH):
        probes = [one.probe for one in asked[start : start + BATCH]]
        prompts = [probe.prompt for probe in probes]
        before = [reply.text for reply in llm.ask_base(prompts, max_tokens=MAX_TOKENS)]
        after = [answer.text for answer in llm.batch(prompts, max_tokens=MAX_TOKENS)]
        for probe, old, new in zip(probes, before, after, strict=True):
            good = old == new if probe.kind == "neighbourhood" else says(new, probe.answers)
            lines.append(Shown(str(probe.kind), probe.prompt, old, new, good))
        advance(len(probes))
    return lines


def _shares(shown: Sequence[Shown]) -> dict[str, Share]:
    from memedit.eval.stats import Share

    of_kind = {kind: [line.good for line in shown if line.kind == kind] for kind in SAMPLE}
    return {kind: Share(sum(good), len(good)) for kind, good in of_kind.items()}


def _friendly(llm: Any) -> list[Shown]:
    from memedit.edits.probes import accepted_answers
    from memedit.text import says

    by_text = {edit.text: edit for edit in llm.memory.edits(kind="fact")}
    prompts = [question for _, question in FRIENDLY] + list(UNRELATED)
    before = [reply.text for reply in llm.ask_base(prompts, max_tokens=24)]
    after = [answer.text for answer in llm.batch(prompts, max_tokens=24)]
    lines = [
        Shown("edit", question, before[at], after[at], says(after[at], accepted_answers(by_text[statement])))
        for at, (statement, question) in enumerate(FRIENDLY)
    ]
    at = len(FRIENDLY)
    return lines + [
        Shown("unrelated", prompt, old, new, old == new)
        for prompt, old, new in zip(UNRELATED, before[at:], after[at:], strict=True)
    ]


def _undone(llm: Any, friendly: list[Shown]) -> list[Shown]:
    """Undo both change sets and ask again: the old answers must be back."""
    llm.undo()
    llm.undo()
    prompts = [line.prompt for line in friendly]
    again = [answer.text for answer in llm.batch(prompts, max_tokens=24)]
    return [
        Shown("undone", line.prompt, line.before, text, text == line.before)
        for line, text in zip(friendly, again, strict=True)
    ]


@contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="memedit-demo-") as place:
        yield Path(place)


@contextmanager
def _model(place: Path, threads: int, *, quiet: bool) -> Iterator[Any]:
    from rich.console import Console

    from memedit.cli._common import quiet_libraries

    quiet_libraries()
    with Console(stderr=True, quiet=quiet).status("Loading SmolLM2-135M-Instruct and MiniLM …"):
        import torch

        from memedit.editable import EditableLLM
        from memedit.memory import EditMemory

        torch.set_num_threads(threads)
        memory = EditMemory(place)
        llm = EditableLLM("bundled", memory)
    with memory:
        yield llm


@contextmanager
def _bar(total: int, *, quiet: bool) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=quiet, transient=True) as progress:
        task = progress.add_task("Asking with and without memedit", total=total)
        yield lambda done: progress.advance(task, done)


def _print(
    friendly: list[Shown],
    shown: list[Shown],
    scores: dict[str, Share],
    aside: int,
    undone: list[Shown],
    cases: int,
    seconds: float,
) -> None:
    from rich.console import Console

    console = Console()
    console.print(_table("Three plain edits, and two prompts they do not concern", friendly))
    for kind, title in TITLES.items():
        console.print(_table(title, [line for line in shown if line.kind == kind][:12]))
    console.print(_table("After undo, the old answers are back", undone))
    console.print(
        f"[bold]{cases} CounterFact edits and {len(FRIENDLY)} plain ones in memory at once.[/bold] "
        f"New answer on {scores['efficacy']} of edit prompts and {scores['paraphrase']} of paraphrases; "
        f"{scores['neighbourhood']} of out-of-scope answers identical to the model's own; "
        f"{aside} neighbourhood prompts set aside, because another loaded edit covers them. "
        f"Undone: {sum(line.good for line in undone)} of {len(undone)} old answers back. {seconds:.0f} s.",
        highlight=False,
    )


def _table(title: str, lines: list[Shown]) -> Any:
    from rich.table import Table
    from rich.text import Text

    from memedit.text import one_line

    table = Table(title=title, title_justify="left", title_style="bold", expand=True)
    for name, ratio in (("prompt", 5), ("model alone", 4), ("with memedit", 4)):
        table.add_column(name, ratio=ratio, overflow="fold")
    table.add_column("", width=1)
    for line in lines:
        mark = Text("✓", "green") if line.good else Text("✗", "red")
        changed = "bold" if line.after != line.before else ""
        table.add_row(
            Text(one_line(line.prompt, 110)),
            Text(one_line(line.before, 70), "dim"),
            Text(one_line(line.after, 70), changed),
            mark,
        )
    return table


def _json(
    friendly: list[Shown], shown: list[Shown], scores: dict[str, Share], aside: int, undone: list[Shown], seconds: float
) -> dict[str, Any]:
    def rows(lines: list[Shown]) -> list[dict[str, Any]]:
        return [vars(line) for line in lines]

    return {
        "plain": rows(friendly),
        "counterfact": rows(shown),
        "scores": {
            name: {"good": share.good, "of": share.of, "share": share.value, "interval": share.interval}
            for name, share in scores.items()
            if share.of
        },
        "set_aside": aside,
        "undone": rows(undone),
        "seconds": round(seconds, 1),
    }
