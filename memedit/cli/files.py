"""`export`, `import`, `test`: edits in files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memedit.cli import FAILED
from memedit.cli._common import Command, Session, cited
from memedit.cli._options import Asking, asking
from memedit.cli._print import busy, printable, progress, say, show_json
from memedit.cli._receipts import show_receipts
from memedit.cli.edits import AUTHOR, ON_CONFLICT, REASON, STDIO, read_given
from memedit.text import some

if TYPE_CHECKING:
    from memedit.memory.files import Entries
    from memedit.verify import Check, Verification

FILE = click.argument("file", type=click.Path(path_type=Path))


@click.command(cls=Command)
@FILE
@click.option("--secrets", is_flag=True, help="Also Erasures, with what they keep in plain text.")
@click.pass_obj
def export(session: Session, file: Path, secrets: bool) -> None:
    """Write the edits in force to a file: .jsonl, or .yaml for people and git; `-` writes .jsonl to stdout.

    A file of this name that is there is replaced.

    Those that wait for approval are written too, marked as `proposed`, and wait again where the file is imported.

    Example:
        memedit export edits.yaml
        memedit export - | memedit import - --memory elsewhere
    """
    from memedit.memory.files import dump_edits

    with session.memory() as memory:
        edits = memory.edits(namespace=session.namespace)
        waits = memory.proposed(namespace=session.namespace)
        told, waiting = ([edit for edit in found if secrets or not edit.SECRET] for found in (edits, waits))
        if file != STDIO:
            memory.export(file, namespace=session.namespace, secrets=secrets)
    left_out = len(edits) + len(waits) - len(told) - len(waiting)
    if file == STDIO:
        if session.as_json:
            raise click.UsageError("--json and - both write to stdout.")
        click.echo(dump_edits(told, "jsonl", waiting), nl=False)
    elif session.as_json:
        show_json({"file": str(file), "edits": len(told), "proposed": len(waiting), "left_out": left_out})
    else:
        also = f" and {len(waiting)} that wait for approval" if waiting else ""
        say(("✓ ", "green"), f"wrote {some(len(told), 'edit')}{also} to {file}")
    if left_out and not session.as_json:
        say(f"left out {some(left_out, 'Erasure')}; --secrets writes them, with what they keep", err=True)


@click.command("import", cls=Command)
@FILE
@ON_CONFLICT
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would be added and replaced.")
@AUTHOR
@REASON
@click.pass_obj
def import_file(
    session: Session, file: Path, on_conflict: Any, only_plan: bool, author: str | None, reason: str | None
) -> None:
    """Add the edits of a file as one change, whatever namespace they came from; `-` reads them from stdin.

    The file is .jsonl, .yaml, or a table: a .csv or .tsv whose columns are named as the fields of an edit (statement,
    or subject, relation, object, …), one edit a row; or .txt, with a statement a line. Nothing is imported when one of
    them is not valid.

    Example:
        memedit import edits.yaml --namespace staging
        memedit import corrections.csv --plan
    """
    found = read_given(file)  # first, so that no memory is made for a file that cannot be read
    if only_plan:
        _show_import(session, found, on_conflict)
        return
    how: dict[str, Any] = {"namespace": session.namespace, "on_conflict": on_conflict, "author": author}
    with session.memory(create=True) as memory:
        with busy("importing…"):
            if file == STDIO:
                own = found.within(session.namespace)
                waiting = [edit.with_(namespace=session.namespace) for edit in found.proposed]
                why = reason or "import of stdin"
                receipts = memory.apply(own, reason=why, **how) if own else []
                if waiting:
                    receipts += memory.propose(waiting, namespace=session.namespace, author=author, reason=why)
            else:
                receipts = memory.import_(file, reason=reason, **how)
        show_receipts(session, memory, receipts)


def _show_import(session: Session, found: Entries, on_conflict: Any) -> None:
    """What an import would do. Whether a plain statement takes the place of another is read when it is added."""
    from memedit.cli._plan import preview
    from memedit.cli.apply import show_plan
    from memedit.text.relations import shipped_relations

    held, relations = [], shipped_relations()
    if session.storage.exists():
        with session.memory() as memory:
            held, relations = memory.edits(namespace=session.namespace), memory.relations
    made = preview(found.edits, held, on_conflict=on_conflict, relations=relations)
    if session.as_json:
        show_json({**made.to_dict(), "proposed": [edit.to_dict() for edit in found.proposed]})
        return
    show_plan(made)
    if found.proposed:
        say(f"{some(len(found.proposed), 'edit')} would wait for approval")


@click.command(cls=Command)
@FILE
@asking(max_tokens=32)
@click.option("--junit", type=click.Path(path_type=Path), metavar="XML", help="Also write a JUnit report.")
@click.pass_obj
def test(session: Session, file: Path, junit: Path | None, asking: Asking) -> None:
    """Run the probes of every edit of a file, and exit with 1 when one fails; for CI.

    By default the edits are put into a memory that is thrown away afterwards. With --memory on the command line, the
    probes are asked of the edits in force there instead, and the file's own are not added. An edit without probes gets
    some, made from its prompt or statement; feedback and patches have none and are skipped.

    Example:
        memedit test edits.yaml
        memedit test edits.yaml --memory .memedit --junit report.xml
    """
    from memedit.memory.files import read_edits

    edits = [edit.with_(namespace=session.namespace) for edit in read_edits(file)]
    began = time.perf_counter()
    with session.memory() if session.place_given else session.throw_away() as memory:
        if not session.place_given:
            added = memory.add_many(edits, namespace=session.namespace)
            for _ in progress(added, total=len(edits), message="adding"):
                pass
        editable = session.editable(memory, asking)
        from memedit.verify import verify

        with busy(f"asking the probes of {some(len(edits), 'edit')}, before and after…"):
            results = verify(editable, edits, namespace=session.namespace, system=asking.system, **asking.options)
    seconds = time.perf_counter() - began
    if junit is not None:
        junit.write_bytes(as_junit(results, file.name, seconds))
    passed = bool(_ran(results)) and all(result.passed for result in _ran(results))
    if session.as_json:
        counts = _counts(results)
        show_json(
            {"passed": passed, **counts, "seconds": round(seconds, 2), "edits": [one.to_dict() for one in results]}
        )
    else:
        _show_results(results, seconds)
    if not passed:
        click.get_current_context().exit(FAILED)


def as_junit(results: Sequence[Verification], suite: str, seconds: float) -> bytes:
    """The results as a JUnit report: one test case a check."""
    from xml.etree import ElementTree as ET

    checks = [(result, check) for result in results for check in result.checks]
    failures = sum(not check.passed for _, check in checks)
    attributes = {"name": suite, "tests": str(len(checks)), "failures": str(failures), "time": f"{seconds:.2f}"}
    root = ET.Element("testsuite", attributes)
    for result, check in checks:
        name = printable(f"{check.kind}: {check.prompt}")
        case = ET.SubElement(root, "testcase", classname=printable(cited(result.edit)), name=name)
        if not check.passed:
            ET.SubElement(case, "failure", message=printable(_why(check)))
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _ran(results: Sequence[Verification]) -> list[Verification]:
    return [result for result in results if result.checks]


def _counts(results: Sequence[Verification]) -> dict[str, int]:
    ran = _ran(results)
    good = sum(result.passed for result in ran)
    return {"ok": good, "failed": len(ran) - good, "skipped": len(results) - len(ran)}


def _show_results(results: Sequence[Verification], seconds: float) -> None:
    for result in results:
        if not result.checks:
            say(("- ", "yellow"), cited(result.edit), ("  (no probes, skipped)", "dim"))
            continue
        numbers = ", ".join(f"{good}/{made} {kind}" for kind, (good, made) in result.counts().items() if made)
        mark = ("✓ ", "green") if result.passed else ("✗ ", "red")
        say(mark, cited(result.edit), (f"  ({numbers})", "dim"))
        for check in result.checks:
            if not check.passed:
                say(("    ✗ ", "red"), f"{check.kind}: {check.prompt}")
                say((f"      {_why(check)}", "dim"))
    counts = _counts(results)
    checks = sum(len(result.checks) for result in results)
    fine = counts["ok"] and not counts["failed"]
    numbers = f"{counts['ok']} passed, {counts['failed']} failed, {counts['skipped']} skipped"
    say(
        (f"{some(len(results), 'edit')}: {numbers}", f"bold {'green' if fine else 'red'}"),
        f"; {checks} checks in {seconds:.1f} s",
    )
    if not checks:
        say("Nothing was tested, which counts as failed: give an edit probes.", err=True)


def _why(check: Check) -> str:
    after = " ".join(check.after.split())
    if check.kind == "in scope":
        scope = "" if check.edited else "; no edit was in scope"
        return f"expected {' or '.join(check.expected)}; answered “{after}”{scope}"
    return f"was “{' '.join(check.before.split())}”, became “{after}”"
