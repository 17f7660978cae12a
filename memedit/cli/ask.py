"""`ask`, `explain`, `verify`: the model with the memory in front of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from memedit.cli import FAILED
from memedit.cli._common import Command, Session, cited, find_edits, read_text
from memedit.cli._options import Asking, asking
from memedit.cli._print import Piece, busy, printable, say, short, show_json, table, write

if TYPE_CHECKING:
    from memedit.answers import Answer, Explanation
    from memedit.editable import EditableLLM
    from memedit.gate import Hits
    from memedit.messages import Request
    from memedit.trace import Trace
    from memedit.verify import Verification

SHOWN = 10  # candidates that `explain` lists
LONGEST = 4_000  # characters of a message that it writes out
DOUBT = "may bear on it: shown to a capable model as a note that may not apply, left out for a small one"
MARKS = {"✓": "green", "?": "yellow", "·": "dim"}


@click.command(cls=Command)
@click.argument("prompt")
@click.option("--stream", is_flag=True, help="Print the answer as it is made.")
@asking()
@click.option("--trace", is_flag=True, help="Also say on stderr what was looked up and called.")
@click.pass_obj
def ask(session: Session, prompt: str, stream: bool, trace: bool, asking: Asking) -> None:
    """Ask the model, with the memory in front of it. `-` reads the prompt from stdin.

    The answer stands on stdout, and the edits it rests on stand on stderr.

    Example:
        memedit ask "What is the capital of Australia?"
        memedit ask "Who leads it?" --llm openai:gpt-5-mini --stream --system "Answer in one sentence."
        cat question.txt | memedit ask - --llm hf:./my-model --method ike --option temperature=0.7
    """
    question = read_text(prompt, what="prompt")
    if stream and session.as_json:
        raise click.UsageError("--stream and --json exclude one another.")
    with session.memory() as memory:
        editable = session.editable(memory, asking, llm=session.waiting(asking))
        if stream:
            answer = streamed(editable, asking.input(question), asking.options)
        else:
            with busy("asking…"):
                answer = editable.invoke(asking.input(question), **asking.options)
    if session.as_json:
        show_json(answer_values(answer) | {"trace": answer.trace.to_dict()})
        return
    if not stream:
        say(answer.text)
    show_citations(answer)
    if trace:
        for line in answer.trace.lines():
            say((line, "dim"), err=True)


@click.command(cls=Command)
@click.argument("prompt")
@asking()
@click.option("--words", is_flag=True, help="Also name the words that spoke for and against the likeliest edits.")
@click.option("--numbers", is_flag=True, help="Also show what was measured, by name.")
@click.pass_obj
def explain(session: Session, prompt: str, words: bool, numbers: bool, asking: Asking) -> None:
    """Show what would be looked up, how probably each edit is in scope and why, and the exact request to the model.

    The model is not asked, and is loaded only where its files do not say of what kind it is (a hub id). `-` reads the
    prompt from stdin. Marked are edits that are let through (✓), and those that
    may bear on it (?).

    Example:
        memedit explain "What is the capital of Australia?"
        memedit explain "When do I get my money back?" --words --numbers
    """
    question = read_text(prompt, what="prompt")
    with session.memory() as memory:
        editable = session.editable(memory, asking, llm=session.unloaded(asking))
        explanation = editable.explain(asking.input(question), by_word=words, **asking.options)
    if session.as_json:
        show_json(explanation.to_dict())
    else:
        show_explanation(explanation, editable.llm.name, numbers=numbers)


@click.command(cls=Command)
@click.argument("id")
@asking()
@click.pass_obj
def verify(session: Session, id: str, asking: Asking) -> None:
    """Prove an edit: ask its probes of the model alone and of the model with its memory.

    In scope the answer must say what the edit says; out of scope it must be the very same as before. An edit without
    probes of its own gets some, made from its prompt or statement. Exits with 1 when a check fails.

    With --fallback, an edit that does not hold is tried by one method after the other; the first by which all checks
    pass answers it from then on, here and in `ask`, `explain` and `chat` where they are given --fallback, too.

    Example:
        memedit verify 3f2a
        memedit verify 3f2a --fallback in_context,ike,grace
    """
    with session.memory() as memory:
        edit = find_edits(memory, [id], session.namespace)[0]
        editable = session.editable(memory, asking)
        with busy("asking before and after…"):
            verification = editable.verify(edit.id, system=asking.system, **asking.options)
    if session.as_json:
        show_json(verification.to_dict())
    else:
        _show_verification(verification)
    if not verification.passed:
        click.get_current_context().exit(FAILED)


def streamed(editable: EditableLLM, prompt: Any, options: Mapping[str, Any]) -> Answer:
    """The answer, printed while it is made."""
    stream = editable.stream(prompt, **options)
    for piece in stream:
        write(piece)
    write("\n")
    assert stream.answer is not None
    return stream.answer


def answer_values(answer: Answer) -> dict[str, Any]:
    """An answer as JSON values."""
    return {
        "text": answer.text,
        "edited": answer.edited,
        "citations": [edit.to_dict() for edit in answer.citations],
        "revision": answer.revision,
        "usage": dict(answer.reply.usage),
        "finish_reason": answer.reply.finish_reason,
    }


def show_citations(answer: Answer) -> None:
    """The edits an answer rests on, on stderr."""
    for edit in answer.citations:
        say((f"  by edit {cited(edit)}", "dim"), err=True)


def _show_lookup(trace: Trace, hits: Hits, *, numbers: bool) -> None:
    further = trace.further(hits)
    say(("on the way " if further else "looked up  ", "bold"), f"“{trace.shown(hits.query)}”")
    if further:
        say(("           to an answer over several facts; what passes here need not be used", "dim"))
    for part in hits.parts:
        passed = "".join(f"  {short(verdict.edit.id)}" for verdict in part.passed)
        say(("   by itself", "dim"), f"  “{trace.shown(part.query)}”", (passed, "cyan"))
    say((f"           in {trace.namespace} at revision {hits.revision}, index {hits.index}", "dim"))
    rows: list[Sequence[Piece]] = [
        [
            (verdict.mark, MARKS[verdict.mark]),
            f"{verdict.probability:.2f}",
            (short(verdict.edit.id), "cyan"),
            trace.shown(verdict.edit.text),
            trace.shown("; ".join(verdict.reasons)),
        ]
        for verdict in hits.verdicts[:SHOWN]
    ]
    if rows:
        say()
        table(["", "prob.", "id", "edit", "why"], rows, wrap=["edit", "why"])
        if any(verdict.mark == "?" for verdict in hits.verdicts[:SHOWN]):
            say((f"?  {DOUBT}", "dim"))
    for verdict in hits.verdicts[:SHOWN] if numbers else ():
        measured = ", ".join(f"{name} {value:.2f}" for name, value in verdict.numbers.items())
        say((short(verdict.edit.id), "cyan"), (f"  {measured}", "dim"))
    if len(hits.verdicts) > SHOWN:
        say((f"and {len(hits.verdicts) - SHOWN} less probable ones; --json lists them", "dim"))


def show_explanation(explanation: Explanation, model: str, *, numbers: bool = False) -> None:
    """An explanation for people; with numbers, also what was measured."""
    trace = explanation.trace
    for hits in trace.lookups:
        _show_lookup(trace, hits, numbers=numbers)
    if not trace.lookups:
        say("Nothing is asked, so nothing was looked up.")
    for spoke in explanation.spoke:
        say((short(spoke.edit.id), "cyan"), f"  {spoke}")
    say()
    for place, hop in enumerate(map(trace.shown_hop, trace.hops), 1):
        say((f"hop {place}  ", "bold"), str(hop))
    for note in map(trace.shown, trace.notes):
        say((note, "dim"))
    if explanation.request is None:
        answered = f": {trace.shown(trace.hops[-1].answer)}" if trace.hops else "."
        say(f"The memory would answer alone{answered}")
        return
    how = "unchanged" if explanation.untouched else f"by method {trace.method}"
    say(("would send ", "bold"), f"to {model}, {how}:")
    _show_request(explanation.request)


def _show_request(request: Request) -> None:
    for role, text in request.turns:
        label = "to be continued" if request.form == "raw" else role
        say((f"  [{label}]", "cyan"))
        for line in printable(text[:LONGEST]).split("\n"):
            say(f"  {line}")
        if len(text) > LONGEST:
            say((f"  and {len(text) - LONGEST:,} characters more; --json shows them", "dim"))
    if request.options:
        say((f"  options: {', '.join(f'{name}={value!r}' for name, value in request.options.items())}", "dim"))


def _show_verification(verification: Verification) -> None:
    say(cited(verification.edit))
    if not verification.checks:
        say(("✗ ", "red"), "No check could be made: give the edit probes, or a subject, prompt and object.")
        say("  A Patch is measured by `memedit patches evaluate`.")
        return
    say()
    rows: list[Sequence[Piece]] = [
        [("✓", "green") if check.passed else ("✗", "red"), check.kind, check.prompt, check.before, check.after]
        for check in verification.checks
    ]
    table(["", "kind", "prompt", "before", "after"], rows, wrap=["prompt", "before", "after"])
    for check in verification.checks:
        if not check.passed and check.expected:
            say(("  expected: ", "dim"), " or ".join(check.expected), ("  of: ", "dim"), check.prompt)
    say()
    for step in verification.steps:
        say(("✓ ", "green") if step.passed else ("✗ ", "red"), (step.by, "bold"), f"  {step.why}")
    counts = ", ".join(f"{passed} of {made} {kind}" for kind, (passed, made) in verification.counts().items())
    say(("✓ ", "green") if verification.passed else ("✗ ", "red"), f"passed: {counts}")
    if not verification.counts()["in scope"][1]:
        say(("  nothing in scope was asked, so this proves no answer: give the edit a `question` or probes", "yellow"))
