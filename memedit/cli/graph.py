"""`graph`: the facts of a namespace as a graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING

import click

from memedit.cli._common import Command, Session, point_in_time
from memedit.cli._print import say, show_json

if TYPE_CHECKING:
    from memedit.multihop.graph import Triple


@click.command(cls=Command)
@click.option("--entity", metavar="NAME", help="Only what is said of this thing, or leads to it.")
@click.option("--at", metavar="DATE", help="Only what holds in the world at this date.")
@click.option("--derived", is_flag=True, help="Also what follows by rules: inverse relations, uncles, …")
@click.option("--format", "form", type=click.Choice(["text", "dot", "mermaid"]), default="text", show_default=True)
@click.pass_obj
def graph(session: Session, entity: str | None, at: str | None, derived: bool, form: str) -> None:
    """Print or draw the facts in force as a graph of things and relations.

    Example:
        memedit graph --entity Acme --derived
        memedit graph --at 2019-06-01
        memedit graph --format dot | dot -Tsvg > graph.svg
    """
    from memedit.multihop.graph import Graph
    from memedit.text import words

    when = point_in_time(at, hint="--at")
    with session.memory() as memory:
        edits = memory.edits(namespace=session.namespace)
    found = Graph.of(edits, at=when)
    if derived:
        found = found.with_derived()
    triples = list(found.triples)
    if entity is not None:
        wanted = words(found.name(entity))
        triples = [one for one in triples if wanted in (words(one.subject), words(one.object))]
    if session.as_json:
        show_json([one.to_dict() for one in triples])
    elif not triples:
        say(f"No such facts are in force in namespace `{session.namespace}`.", err=True)
    else:
        for line in {"text": _text, "dot": _dot, "mermaid": _mermaid}[form](triples):
            say(line)


def _text(triples: Iterable[Triple]) -> Iterator[str]:
    """A tree a thing."""
    ordered = sorted(triples, key=lambda one: (one.subject.casefold(), one.relation))
    for subject, group in groupby(ordered, key=lambda one: one.subject):
        yield subject
        for one in group:
            yield f"  {one.relation} → {one.object}  [{one.rule or one.edits[0][:8]}]"


def _dot(triples: Iterable[Triple]) -> Iterator[str]:
    """In Graphviz's language."""
    yield "digraph memory {"
    for one in triples:
        style = ", style=dashed" if one.rule else ""
        yield f"  {_quoted(one.subject)} -> {_quoted(one.object)} [label={_quoted(one.relation)}{style}];"
    yield "}"


def _mermaid(triples: Iterable[Triple]) -> Iterator[str]:
    """In Mermaid's flowchart syntax."""
    ids: dict[str, str] = {}
    yield "flowchart LR"
    for one in triples:
        first, second = (ids.setdefault(name, f"n{len(ids)}") for name in (one.subject, one.object))
        subject, relation, object_ = (_quoted(name, quote="#quot;") for name in (one.subject, one.relation, one.object))
        yield f"  {first}[{subject}] {'-.->' if one.rule else '-->'}|{relation}| {second}[{object_}]"


def _quoted(name: str, quote: str = '\\"') -> str:
    flat = " ".join(name.split()).replace("\\", "\\\\").replace('"', quote)
    return f'"{flat}"'
