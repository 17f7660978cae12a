"""`memedit delta`: arithmetic on saved changes of weights (task arithmetic, Ilharco et al. 2023, arXiv:2212.04089)."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memedit.cli._common import Command, Session
from memedit.cli._print import busy, say, show_json, table

if TYPE_CHECKING:
    from memedit.parametric.delta import Delta

FILE = click.Path(path_type=Path)
INTO = click.option("--out", type=FILE, required=True, metavar="FILE", help="Where the new change goes.")


@click.group()
def delta() -> None:
    """Add, scale, negate and apply saved changes of weights, the .safetensors files that `bake` keeps.

    \b
        memedit delta add paris.safetensors rome.safetensors --out both.safetensors
        memedit delta scale both.safetensors 0.5 --out half.safetensors
        memedit delta negate paris.safetensors --out forget.safetensors
        memedit delta apply half.safetensors --out my-model
        memedit delta show half.safetensors
    """  # noqa: D301 - click's mark for lines that stay as they are


@delta.command(cls=Command)
@click.argument("files", nargs=-1, required=True, type=FILE)
@INTO
@click.pass_obj
def add(session: Session, files: tuple[Path, ...], out: Path) -> None:
    """Add changes: learn what each of them teaches.

    Example:
        memedit delta add paris.safetensors rome.safetensors --out both.safetensors
    """
    _write(session, reduce(lambda one, other: one + other, map(_read, files)), out)


@delta.command(cls=Command)
@click.argument("file", type=FILE)
@click.argument("factor", type=float)
@INTO
@click.pass_obj
def scale(session: Session, file: Path, factor: float, out: Path) -> None:
    """Multiply a change: patch by interpolation.

    Example:
        memedit delta scale paris.safetensors 0.5 --out half.safetensors
    """
    _write(session, _read(file) * factor, out)


@delta.command(cls=Command)
@click.argument("file", type=FILE)
@INTO
@click.pass_obj
def negate(session: Session, file: Path, out: Path) -> None:
    """Turn a change around: forget what it teaches. An analogy is C + (B + negated A).

    Example:
        memedit delta negate paris.safetensors --out forget.safetensors
    """
    _write(session, -_read(file), out)


@delta.command(cls=Command)
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.pass_obj
def show(session: Session, files: tuple[Path, ...]) -> None:
    """Show which layers changes are of, their norms, and where they are from.

    Example:
        memedit delta show both.safetensors
    """
    told = [(file, _read(file)) for file in files]
    if session.as_json:
        show_json([_told(one) | {"file": str(file)} for file, one in told])
    else:
        rows = [
            [str(file), ", ".join(map(str, sorted(one.parts))), f"{one.norm():.3g}", _origin(one.made)]
            for file, one in told
        ]
        table(["file", "layers", "norm", "made"], rows, wrap=["made"])


@delta.command(cls=Command)
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--out", type=FILE, required=True, metavar="FOLDER", help="Where the model goes; new or empty.")
@click.pass_obj
def apply(session: Session, files: tuple[Path, ...], out: Path) -> None:
    """Write --llm with changes over its weights to a folder, as transformers opens it.

    Example:
        memedit delta apply half.safetensors --out my-model
    """
    from memedit.errors import FileRejected
    from memedit.parametric.delta import overlay_of
    from memedit.parametric.local_model import require_weights

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileRejected(f"{out} is there already.", do="give a new or empty folder")
    whole = reduce(lambda one, other: one + other, map(_read, files))
    local = require_weights(session.llm())
    with busy("writing the model…"), overlay_of(local.model).over("applied", whole):
        local.save(out)
    if session.as_json:
        show_json(_told(whole) | {"folder": str(out)})
    else:
        say(("✓ ", "green"), f"the model is in {out}")


def _read(file: Path) -> Delta:
    """A change of weights.

    Raises:
        FileRejected: It is missing, damaged, or holds slots.
    """
    from memedit.parametric.delta import Delta

    return Delta.load(file)


def _write(session: Session, change: Delta, out: Path) -> None:
    change.save(out)
    if session.as_json:
        show_json(_told(change) | {"file": str(out)})
    else:
        say(("✓ ", "green"), f"{out}: layers {', '.join(map(str, sorted(change.parts)))}, norm {change.norm():.3g}")


def _told(change: Delta) -> dict[str, Any]:
    return {"layers": sorted(change.parts), "norm": change.norm(), "made": dict(change.made)}


def _origin(made: Any) -> str:
    """Where a change is from, in one line."""
    if "sum" in made:
        return " + ".join(f"({_origin(one)})" for one in made["sum"])
    scaled = f"{made['scaled']:g} × " if "scaled" in made else ""
    edits = made.get("rewrites", [])
    return f"{scaled}{made.get('method', 'unknown')} of {len(edits)} edits"
