"""`memedit documents`: documents brought in line with the memory."""

from __future__ import annotations

from pathlib import Path

import click

from memedit.cli._common import Command, Session
from memedit.cli._print import Piece, busy, say, short, show_json
from memedit.text import some


@click.group()
def documents() -> None:
    """Bring documents in line with the memory.

    \b
        memedit documents update article.md
        memedit documents update article.md --out article.md
    """  # noqa: D301 - click's mark for lines that stay as they are


@documents.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Where the text goes; FILE itself is fine."
)
@click.option("--append", is_flag=True, help="Add facts about what the text names, where it does not tell them.")
@click.pass_obj
def update(session: Session, file: Path, out: Path | None, append: bool) -> None:
    """Change what a text says where a fact in force says otherwise, and name the edits that each change rests on.

    A value is put in the place of the one that a fact replaces (--previous of `add`), or that a plain sentence gives.
    All other sentences stay byte by byte. Without --out, nothing is written.

    Example:
        memedit documents update article.md
        memedit documents update article.md --out article.md
    """
    from memedit.systems.fruit import update as updated

    text = _read(file)
    with session.memory() as memory:
        session.load_embedder(memory)
        with busy("reading the document…"):
            done = updated(text, memory, namespace=session.namespace, append=append)
    if out is not None:
        out.write_bytes(done.text.encode("utf-8"))
    if session.as_json:
        show_json(done.to_dict() | {"out": out and str(out)})
        return
    for one in done.changed:
        lines: list[Piece] = [(f"− {one.before.strip()}", "red")] if one.before else []
        for line in (*lines, (f"+ {one.text.strip()}", "green")):
            say(line, (f"  {', '.join(map(short, one.edits))}" if line[0][0] == "+" else "", "dim"))
    left = len(done.sentences) - len(done.changed)
    written = f"; written to {out}" if out else ""
    say(f"{some(len(done.changed), 'sentence')} changed, {left} as they were{written}", err=True)


def _read(file: Path) -> str:
    """The text of a file, its line ends as they are.

    Raises:
        FileRejected: It cannot be read, or is no UTF-8 text.
    """
    from memedit.errors import FileRejected

    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileRejected(f"{file} is not UTF-8 text.", do="give a .txt or .md file") from error
    except OSError as error:
        raise FileRejected(f"{file} cannot be read: {error.strerror}.", do="check the name") from error
