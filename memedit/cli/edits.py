"""`add`, `list`, `show`, `search`, `retract`: the edits themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import click

from memedit.cli._common import (
    Command,
    Session,
    cited,
    day,
    find_edits,
    point_in_time,
    read_text,
    recorded_id,
    revision_or_time,
)
from memedit.cli._documents import accepted, as_values, proposed
from memedit.cli._print import Piece, busy, progress, say, short, show_json, table
from memedit.cli._receipts import show_receipt, show_receipts

if TYPE_CHECKING:
    from memedit.edits import EditLike
    from memedit.memory.files import Entries

KINDS = ("fact", "feedback", "patch", "demonstration", "description", "behaviour", "erasure")
ADDED = tuple(kind for kind in KINDS if kind != "demonstration")
ON_CONFLICT = click.option(
    "--on-conflict", type=click.Choice(["supersede", "keep", "error"]), default="supersede", show_default=True,
    help="What to do where an edit in force gives the same subject and relation another object.",
)  # fmt: skip
STDIO = Path("-")
AUTHOR = click.option("--author", metavar="NAME", help="Who makes the change.")
REASON = click.option("--reason", metavar="TEXT", help="Why.")


@click.command(cls=Command)
@click.argument("statement", required=False)
@click.option("--subject", metavar="NAME", help="What the fact is about.")
@click.option("--relation", metavar="NAME", help="What is said of it, such as `capital`.")
@click.option("--object", metavar="NAME", help="The answer.")
@click.option("--prompt", metavar="CLOZE", help="Text with {} for the subject, which the object continues.")
@click.option("--question", metavar="TEXT", help="The same as a question.")
@click.option("--alias", "aliases", metavar="NAME", multiple=True, help="Another name of the subject; repeatable.")
@click.option("--previous", "previous_object", metavar="NAME", help="The answer it replaces.")
@click.option("--valid-from", metavar="DATE", help="When it began to hold in the world.")
@click.option("--valid-until", metavar="DATE", help="When it ceased to hold in the world.")
@click.option("--kind", type=click.Choice(ADDED), help="Told by the other options if left out.")
@click.option("--situation", metavar="TEXT", help="Feedback: when I ask this …")
@click.option("--clarification", metavar="TEXT", help="… I mean this.")
@click.option("--condition", metavar="TEXT", help="Patch: if this holds of the text …")
@click.option("--consequence", metavar="TEXT", help="… then this.")
@click.option("--description", metavar="TEXT", help="Description: what the --subject is, in a sentence or a paragraph.")
@click.option("--topic", metavar="NAME", help="Behaviour: where this is spoken of (left out: in every answer) …")
@click.option("--conduct", metavar="TEXT", help="… it is done in this manner.")
@click.option("--reply", metavar="TEXT", help="Erasure: the answer where the --object is asked for.")
@click.option("--expires", "expires_at", metavar="TIME",
              help="When the memory shall drop it: 2027-01-31, or 2027-01-31T18:00.")  # fmt: skip
@click.option("--tag", "tags", metavar="NAME", multiple=True, help="A label; repeatable.")
@click.option("--source", metavar="TEXT", help="Where it is from.")
@AUTHOR
@REASON
@ON_CONFLICT
@click.option("--replaces", metavar="ID", multiple=True,
              help="An edit in force (how its id begins) whose place it takes; repeatable.")  # fmt: skip
@click.option("--file", "file", type=click.Path(path_type=Path), metavar="FILE",
              help="Add the edits of a .jsonl, .yaml, .csv or .txt file, or of stdin: `-`.")  # fmt: skip
@click.option("--from-document", "document", type=click.Path(path_type=Path), metavar="FILE",
              help="Find the facts of a text with --llm, and add those you accept; `-` is stdin.")  # fmt: skip
@click.option("--yes", "-y", is_flag=True, help="With --from-document: add all.")
@click.option("--propose", is_flag=True, help="Not yet: what is added waits until `memedit review` accepts it.")
@click.option("--derive", is_flag=True, help="Also add what follows by rules: inverse relations, uncles, …")
@click.pass_obj
def add(
    session: Session, /, statement: str | None, file: Path | None, on_conflict: Any, document: Path | None, yes: bool,
    derive: bool, propose: bool, replaces: Sequence[str],
    **given: Any,
) -> None:  # fmt: skip
    """Put an edit in force, or all edits of a file (`-` reads JSON lines, YAML or a statement a line from stdin).

    It takes effect at once, and `memedit undo` takes it back. A fact replaces an older one with the same subject and
    relation, where the relation has one value at a time.

    Example:
        memedit add "The capital of Australia is Sydney."
        memedit add --subject Australia --relation capital --object Sydney
        memedit add --situation "the deadline" --clarification "the one of the tax office"
        memedit add --topic Acme --conduct "be positive"
        memedit add --kind erasure --subject Acme --relation CEO --object "Carol Diaz"
        memedit add "We ship to Norway." --replaces 3f2a
        memedit add --file edits.yaml
        memedit add --from-document news.txt --propose --yes
    """
    who = {name: given.pop(name) for name in ("author", "source", "reason", "tags", "expires_at")}
    who["expires_at"] = point_in_time(who["expires_at"], hint="--expires", instead="no time such as 2027-01-31T18:00")
    fields = {name: value for name, value in given.items() if value not in (None, ())}
    how = {"namespace": session.namespace, **who} | ({"propose": True} if propose else {"on_conflict": on_conflict})
    if replaces and (document or file or statement == "-" or derive or propose):
        raise click.UsageError("--replaces goes with one edit, which is put in force.")
    if document is not None:
        if statement is not None or file is not None or fields:
            raise click.UsageError("The facts of a document are whole: give --from-document alone.")
        _add_from(session, document, how, yes=yes)
    elif file is None and statement != "-":
        _add_one(session, statement, fields, how, derive=derive, replaces=replaces)
    elif fields or (file is not None and statement is not None):
        raise click.UsageError("The edits of a file are whole: put the other options into the file.")
    elif derive:
        raise click.UsageError("--derive goes with one edit; of a file, add what follows with --derive one at a time.")
    else:
        _add_many(session, read_given(file), how)


@click.command("list", cls=Command)
@click.option("--kind", type=click.Choice(KINDS), help="Only these.")
@click.option("--tag", metavar="NAME", help="Only those with this label.")
@click.option("--as-of", metavar="REV_OR_TIME", help="What was in force at a revision, or at a time.")
@click.pass_obj
def list_edits(session: Session, kind: str | None, tag: str | None, as_of: str | None) -> None:
    """List the edits in force, oldest first.

    Example:
        memedit list --kind patch
        memedit list --as-of 3
        memedit list --as-of 2026-03-01T12:00
    """
    when = revision_or_time(as_of)
    with session.memory() as memory:
        snapshot = memory.as_of(when, namespace=session.namespace)
        edits = snapshot.edits(kind=kind, tag=tag)
    if session.as_json:
        show_json([edit.to_dict() for edit in edits])
    elif edits:
        table(
            ["id", "kind", "edit", "since", "tags"],
            [
                [(short(edit.id), "cyan"), edit.kind, edit.text, day(edit.created_at), ", ".join(edit.tags)]
                for edit in edits
            ],
            wrap=["edit", "tags"],
        )
    else:
        none = "No such edit" if kind or tag else "Nothing"
        say(f"{none} is in force in namespace `{session.namespace}` at revision {snapshot.revision}.", err=True)


@click.command(cls=Command)
@click.argument("id")
@click.pass_obj
def show(session: Session, id: str) -> None:
    """Show all of one edit, in force or not, with its history. The beginning of the id is enough.

    Example:
        memedit show 3f2a
    """
    from memedit.memory.events import fate

    with session.memory() as memory:
        edit_id = recorded_id(memory.history(namespace=session.namespace), id, session.namespace)
        changes = memory.history(edit_id, namespace=session.namespace)
        edit = memory.recorded([edit_id], namespace=session.namespace).get(edit_id)
        holds = edit_id in {one.id for one in memory.edits(namespace=session.namespace)}
    happened = [
        {"revision": change.revision, "at": change.at.isoformat(), "change": change.kind, "event": event.kind,
         "author": change.author, "reason": change.reason}
        for change in changes
        for event in change.events
    ]  # fmt: skip
    if session.as_json:
        show_json({"edit": edit and edit.to_dict(), "in_force": holds, "history": happened})
        return
    if not holds:
        say((f"Not in force: {fate(changes, edit_id)}.", "yellow"))
    fields = edit.to_dict() if edit else {"id": edit_id}
    width = max(len(name) for name in ("history", *fields))
    for name, value in fields.items():
        say((f"{name.replace('_', ' '):<{width}}  ", "dim"), _in_words(value, width + 2))
    say((f"{'history':<{width}}", "dim"))
    for change, event in zip(changes, happened, strict=False):
        by = f" by {change.author}" if change.author else ""
        why = f": {change.reason}" if change.reason else ""
        say(f"  revision {change.revision}  {day(change.at)}  {event['event']}{by}{why}")


@click.command(cls=Command)
@click.argument("query")
@click.option("--limit", "-k", type=click.IntRange(1), default=10, show_default=True, help="How many at most.")
@click.option("--kind", type=click.Choice(KINDS), help="Only these.")
@click.pass_obj
def search(session: Session, query: str, limit: int, kind: str | None) -> None:
    """Find the edits nearest to a text, whether they are in scope of it or not (that is what `explain` shows).

    Example:
        memedit search "Australia"
    """
    text = read_text(query, what="query")
    with session.memory() as memory:
        session.load_embedder(memory)
        found = memory.search(text, k=limit, namespace=session.namespace, kind=kind)
    if session.as_json:
        show_json([{"similarity": round(one.similarity, 4), "edit": one.edit.to_dict()} for one in found])
    elif found:
        rows: list[list[Piece]] = [
            [f"{one.similarity:.2f}", (short(one.edit.id), "cyan"), one.edit.kind, one.edit.text] for one in found
        ]
        table(["similarity", "id", "kind", "edit"], rows, wrap=["edit"])
    else:
        say(f"Nothing is in force in namespace `{session.namespace}`.", err=True)


@click.command(cls=Command)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@AUTHOR
@REASON
@click.pass_obj
def retract(session: Session, ids: Sequence[str], author: str | None, reason: str | None) -> None:
    """Take edits out of force, all as one change. The beginnings of their ids are enough.

    Example:
        memedit retract 3f2a 91bc --reason "was a rumour"
    """
    with session.memory() as memory:
        edits = find_edits(memory, ids, session.namespace)
        change = memory.retract([edit.id for edit in edits], namespace=session.namespace, author=author, reason=reason)
    if session.as_json:
        show_json({"revision": change.revision, "retracted": list(change.went)})
        return
    for edit in {edit.id: edit for edit in edits}.values():
        say(("− ", "red"), cited(edit))
    say((f"revision {change.revision}; `memedit undo` brings back what was retracted", "dim"))


def read_given(path: Path | None) -> Entries:
    """The edits of a file, or those on stdin: JSON lines, YAML, a table, or lines of plain text, told by how it begins.

    Raises:
        FileRejected: It cannot be read; the message names the line or entry.
    """
    from memedit.memory.files import ending_of, parse_entries, read_entries

    if path not in (None, STDIO):
        return read_entries(path)
    text = read_text("-", what="input")
    return parse_entries(text, PurePath(f"stdin.{ending_of(text)}"))


def _add_one(
    session: Session, statement: str | None, fields: dict[str, Any], how: dict[str, Any], *, derive: bool,
    replaces: Sequence[str],
) -> None:  # fmt: skip
    from memedit.edits import as_edit
    from memedit.multihop.graph import with_derived
    from memedit.text import is_blank

    if statement is None and not fields.keys() - {"kind"}:
        raise click.UsageError("What shall hold? Give a statement, or options such as --subject, --relation, --object.")
    edit: EditLike = statement or ""  # by itself it does not say of what kind it is: the memory tells
    if fields or derive or is_blank(statement or ""):  # which is refused before a memory is made
        kind = fields.pop("kind", None) or _kind_of(fields)
        said = {"statement": statement} if statement is not None else {}
        edit = as_edit({"kind": kind, **said, **fields})
    with session.memory(create=True) as memory:
        with busy("loading the embedder…"):
            _ = memory.embedder
        edits = with_derived(as_edit(edit), memory.edits(namespace=session.namespace)) if derive else [edit]
        if how.pop("propose", False):
            receipts = memory.propose(edits, **how)
        elif replaces:
            gone = find_edits(memory, replaces, session.namespace)
            receipts = [memory.add(edit, replaces=[one.id for one in gone], **how)]
        else:
            receipts = list(memory.add_many(edits, **how))
        if derive and session.as_json:
            show_json([receipt.to_dict() for receipt in receipts])
        elif session.as_json:
            show_json(receipts[0].to_dict())
        else:
            for receipt in receipts:
                show_receipt(memory, receipt, session.namespace)


def _add_from(session: Session, document: Path, how: dict[str, Any], *, yes: bool) -> None:
    from memedit.memory.files import Entries

    found = proposed(session, document)
    if session.as_json and not yes:
        show_json(as_values(found))
        return
    how.pop("source", None)  # each fact has its own
    chosen = list(found.facts) if session.as_json else accepted(found, everything=yes)
    if chosen or session.as_json:
        _add_many(session, Entries([*chosen]), how)
    else:
        say("nothing was added", err=True)


def _add_many(session: Session, given: Entries, how: dict[str, Any]) -> None:
    waiting = given.proposed + (given.stated if how.pop("propose", False) else [])
    edits = [] if waiting[len(given.proposed) :] else given.stated
    with session.memory(create=True) as memory:
        if edits or waiting:
            with busy("loading the embedder…"):
                _ = memory.embedder
        receipts = list(progress(memory.add_many(edits, **how), total=len(edits), message="adding"))
        if waiting:
            receipts += memory.propose(waiting, **{name: one for name, one in how.items() if name != "on_conflict"})
        show_receipts(session, memory, receipts)


def _kind_of(fields: Iterable[str]) -> str:
    given = set(fields)
    if given & {"situation", "clarification"}:
        return "feedback"
    if given & {"topic", "conduct"}:
        return "behaviour"
    if given & {"description", "reply"}:
        return "description" if "description" in given else "erasure"
    return "patch" if given & {"condition", "consequence"} else "fact"


def _in_words(value: Any, indent: int) -> str:
    if isinstance(value, list):
        return ("\n" + " " * indent).join(_in_words(one, indent) for one in value)
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_in_words(one, indent)}" for name, one in value.items())
    return str(value)
