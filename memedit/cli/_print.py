"""Printing: colours and tables on a terminal, plain columns in a pipe, one JSON value for programs.

Rich is imported only when a terminal is written to. No text is ever read as markup, and no control character of an
edit or of a model's answer reaches the terminal.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Piece = str | tuple[str, str]
"""A text, or a text with its style."""

Item = TypeVar("Item")
SCHEMA = 1
"""Of what `--json` prints: raised when a key is renamed, removed or comes to mean something else; not for a new one."""
EVERY = 5.0
"""Seconds between two lines about what is being waited for, where nobody sees a bar."""
PADDED = 60
"""Columns of a cell in a pipe up to which those beside it are filled up; what is longer pushes its own line out."""

# Escape sequences as a whole; then every control character but newline and tab, and those that reorder what is seen.
UNPRINTABLE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


def printable(text: str) -> str:
    """The text without anything that could steer a terminal."""
    return UNPRINTABLE.sub("", text.replace("\r\n", "\n"))


def say(*pieces: Piece, err: bool = False) -> None:
    """One line of text for people, on stdout or stderr."""
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        from rich.text import Text

        line = Text.assemble(*(_styled(piece) for piece in pieces))
        _console(stream).print(line, soft_wrap=True)
    else:
        print(printable("".join(piece if isinstance(piece, str) else piece[0] for piece in pieces)), file=stream)


def write(text: str) -> None:
    """A piece of text on stdout, at once."""
    print(printable(text), end="", flush=True)


def show_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """One JSON object on stdout: the version of its form, and the value, a list under `items`."""
    fields = value if isinstance(value, Mapping) else {"items": value}
    print(json.dumps({"schema": SCHEMA, **fields}, ensure_ascii=False, indent=2, default=str))


def table(columns: Sequence[str], rows: Sequence[Sequence[Piece]], *, wrap: Sequence[str] = ()) -> None:
    """A table; in a pipe, aligned columns under a header, one line a row and nothing cut off.

    Columns named in `wrap` may run over several lines on a terminal.
    """
    if sys.stdout.isatty():
        _rich_table(columns, rows, wrap)
    else:
        _plain_table(columns, rows)


@contextmanager
def busy(message: str) -> Iterator[None]:
    """Says on stderr what is being waited for; where that is no terminal, every few seconds that it takes."""
    if not sys.stderr.isatty():
        began, ended = time.monotonic(), threading.Event()

        def tell() -> None:
            while not ended.wait(EVERY):
                say(f"{message} {time.monotonic() - began:.0f} s", err=True)

        telling = threading.Thread(target=tell, daemon=True)
        telling.start()
        try:
            yield
        finally:
            ended.set()
            telling.join()
        return
    from rich.text import Text

    with _console(sys.stderr).status(Text(printable(message), "dim")):
        yield


def progress(items: Iterable[Item], *, total: int, message: str) -> Iterator[Item]:
    """The items, with a bar on stderr when that is a terminal, else a line every few seconds."""
    if not sys.stderr.isatty():
        last = time.monotonic()
        for done, item in enumerate(items, start=1):
            yield item
            if time.monotonic() - last >= EVERY:
                last = time.monotonic()
                say(f"{message} {done}/{total}…", err=True)
        return
    from rich.progress import track

    yield from track(items, message, total, console=_console(sys.stderr), transient=True)


@contextmanager
def watching() -> Iterator[Callable[[str, int, int], None]]:
    """Given what is done, how much of it, and of how much, says so on stderr.

    Where that is no terminal, a line every few seconds.
    """
    if not sys.stderr.isatty():
        last = time.monotonic()

        def told(what: str, done: int, of: int) -> None:
            nonlocal last
            if time.monotonic() - last >= EVERY:
                last = time.monotonic()
                say(f"{what} {done}/{of}…", err=True)

        yield told
        return
    with _console(sys.stderr).status("") as status:
        yield lambda what, done, of: status.update(f"{what} {done}/{of}…")


def short(edit_id: str) -> str:
    """The beginning of a made id; an id that somebody chose stays whole."""
    return edit_id[:8] if re.fullmatch(r"[0-9a-f]{16}", edit_id) else edit_id


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=stream, markup=False, highlight=False, emoji=False)


def _styled(piece: Piece) -> tuple[str, str]:
    text, style = (piece, "") if isinstance(piece, str) else piece
    return printable(text), style


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[Piece]], wrap: Sequence[str]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    for column in columns:
        grid.add_column(Text(column), no_wrap=column not in wrap, overflow="fold" if column in wrap else "ellipsis")
    for row in rows:
        cells: list[Text] = [Text(*_styled(piece)) for piece in row]
        grid.add_row(*cells)
    _console(sys.stdout).print(grid)


def _plain_table(columns: Sequence[str], rows: Sequence[Sequence[Piece]]) -> None:
    from rich.cells import cell_len

    lines = [list(columns), *([" ".join(_styled(piece)[0].split()) for piece in row] for row in rows)]
    widths = [min(max(cell_len(line[place]) for line in lines), PADDED) for place in range(len(columns))]
    for line in lines:
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())
