"""`memedit systems`: every system of the reading list, and the check that shows that it works."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from memedit.cli._common import Command, Session
from memedit.cli._print import Piece, busy, say, show_json, table, watching

if TYPE_CHECKING:
    from memedit.systems.running import Result

MARKS = {True: ("✓ ", "green"), False: ("✗ ", "red"), None: ("– ", "yellow")}


@click.command(cls=Command, short_help="List the systems of the field, and show that each works.")
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Run every check; one whose result is kept is not run again.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With NAME: draw its figures there, as .svg, .png or .pdf; not every system has a picture.",
)
@click.option(
    "--page", type=click.Path(path_type=Path), metavar="FILE",
    help="Write the table of the kept results there, and pictures into a folder of its name beside it.",
)  # fmt: skip
@click.option(
    "--kept", type=click.Path(path_type=Path), default=Path("systems-runs"), show_default=True, metavar="FOLDER",
    help="Where results of --all are kept.",
)  # fmt: skip
@click.option(
    "--part", type=(click.IntRange(1), click.IntRange(1)), metavar="K N",
    help="With --all: every N-th check from the K-th on, so that N processes share the work.",
)  # fmt: skip
@click.pass_obj
def systems(
    session: Session, name: str | None, everything: bool, plot: Path | None, page: Path | None, kept: Path,
    part: tuple[int, int] | None,
) -> None:  # fmt: skip
    """List what memedit has of the field's systems; with NAME, run the check that shows that one works, on --llm.

    With NAME the status is 1 where the figure misses what is demanded.

    Example:
        memedit systems
        memedit systems leace
        memedit systems paint --plot paint.svg
        memedit systems --all --page systems.md
    """
    if name is not None and (everything or page is not None):
        raise click.UsageError("Give a NAME, or --all or --page.")
    if plot is not None and name is None:
        raise click.UsageError("Give --plot FILE with the NAME of a system.")
    if part is not None and (not everything or part[0] > part[1]):
        raise click.UsageError("Give --part K N with --all, K being N at most.")
    ran: list[Result] = []
    if everything:
        ran = _run_all(session, kept, *(part or (1, 1)))
    elif name is not None:
        _run(session, name, plot)
    elif page is None:
        _list(session)
    if page is not None:
        _write(session, page, kept, ran)


def _list(session: Session) -> None:
    from dataclasses import asdict

    from memedit.systems.registry import systems as known

    if session.as_json:
        show_json([asdict(one) for one in known().values()])
        return
    rows: list[list[Piece]] = [
        [(one.name, "cyan"), one.title, one.paper, (one.group, "dim")] for one in known().values()
    ]
    table(["name", "system", "paper", "group"], rows, wrap=["system", "paper", "group"])
    say(
        ("`memedit systems NAME` runs the check of one, in minutes; --json tells all that is known of each", "dim"),
        err=True,
    )


def _run(session: Session, name: str, plot: Path | None) -> None:
    from memedit.systems.ground import Ground
    from memedit.systems.pictures import check_file, draw
    from memedit.systems.registry import find_system
    from memedit.systems.running import run

    system = find_system(name)
    if plot is not None:
        check_file(system, plot)
    with busy(f"checking {system.title}…"):
        result = run(system, Ground(session.model))
    if session.as_json:
        show_json(result.to_dict())
    else:
        say((system.title, "bold"), (f"  {system.paper}", "dim"))
        say(system.built)
        _show(result)
        say((f"  demanded: {system.works}", "dim"))
    if plot is not None and result.met is not None:
        draw(system, result.more, plot)
        say(f"drew {plot}", err=True)
    if not result.met:
        raise click.exceptions.Exit(1)


def _run_all(session: Session, kept: Path, first: int, every: int) -> list[Result]:
    from memedit.systems.ground import Ground
    from memedit.systems.registry import systems as known
    from memedit.systems.running import run_all

    wanted, ground, found = list(known().values())[first - 1 :: every], Ground(session.model), []
    with watching() as told:
        for result in run_all(wanted, ground, kept):
            found.append(result)
            told(result.name, len(found), len(wanted))
            if not session.as_json:
                _show(result)
    if session.as_json:
        show_json([one.to_dict() for one in found])
    else:
        say(f"{sum(bool(one.met) for one in found)} of {len(found)} reach what is demanded")
    return found


def _write(session: Session, page: Path, kept: Path, ran: list[Result]) -> None:
    """The page of what is kept, and of what was run now, which is not kept where it could not be run."""
    from memedit.errors import MissingExtra
    from memedit.systems.registry import systems as known
    from memedit.systems.running import draw_all, kept_of
    from memedit.systems.running import page as written

    now = {one.name: one for one in ran}
    found = [(one, now.get(one.name) or kept_of(one, session.model, kept)) for one in known().values()]
    try:
        pictures = draw_all(found, page.with_suffix(""))
    except MissingExtra as missing:  # the page is worth having without them
        say(("! ", "yellow"), f"no pictures were drawn: {missing.what}", (f"  {missing.do or ''}", "dim"), err=True)
        pictures = {}
    page.write_text(written(found, session.model, pictures), encoding="utf-8")


def _show(result: Result) -> None:
    say(MARKS[result.met], result.name, f"  {result.figure}", (f"  ({result.seconds:.0f} s)", "dim"))
