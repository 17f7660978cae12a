"""`chat`: talk with the model, and edit it as you go."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from memedit.cli import INTERNAL, WRONG, fault_of
from memedit.cli._common import Command, Session, cited
from memedit.cli._options import Asking, asking
from memedit.cli._print import busy, say, show_json
from memedit.cli.ask import answer_values, show_citations, show_explanation, streamed

if TYPE_CHECKING:
    from memedit.editable import EditableLLM

HELP = "/edit STATEMENT   /undo   /explain [PROMPT]   /quit"


@click.command(cls=Command)
@asking()
@click.option("--propose", is_flag=True, help="What /edit says waits until `memedit review` accepts it.")
@click.pass_obj
def chat(session: Session, propose: bool, asking: Asking) -> None:
    """Talk with the model, and edit it as you go. The memory is made when there is none.

    Lines that begin with a slash are commands: /edit STATEMENT puts an edit in force, /undo takes the last change
    back, /explain shows why the last answer came out so (or what a prompt would look up), /quit ends, as the end of
    the input does. A terminal is not needed: of what is piped in, a line that cannot be taken is told, the others are
    heeded, and the exit code is 2.

    Example:
        memedit chat
        memedit chat --json < questions.txt
    """
    at_terminal = sys.stdin.isatty() and not session.as_json
    llm = session.llm()  # where there is none of that name, no memory is made
    with session.memory(create=True) as memory:
        talk = Talk(session, session.editable(memory, asking, llm=llm), asking, propose)
        if at_terminal:
            say((f"{talk.editable.llm.name}, namespace {session.namespace}.  {HELP}", "dim"))
        for line in _lines(at_terminal):
            if line in ("/quit", "/exit"):
                break
            talk.heed(line, at_terminal)
    if session.as_json:
        show_json(talk.done)
    if talk.refused and not at_terminal:
        sys.exit(WRONG)


@dataclass
class Talk:
    """A conversation under way.

    Args:
        asking: How the model is asked.
        propose: Whether what is edited waits for approval.
        messages: What was said, as chat messages.
        done: What happened, as JSON values.
        refused: Whether a line could not be taken.
    """

    session: Session
    editable: EditableLLM
    asking: Asking
    propose: bool = False
    messages: list[dict[str, str]] = field(default_factory=list)
    done: list[dict[str, Any]] = field(default_factory=list)
    refused: bool = False

    def heed(self, line: str, at_terminal: bool) -> None:
        """Take one line; tell why one that is none cannot be taken, and at a terminal whatever else goes wrong."""
        try:
            self.take(line)
        except click.UsageError as error:
            self.refused = True
            self.done.append({"line": line, "error": error.message})
            say(("! ", "yellow"), error.message, err=True)
        except Exception as error:
            fault = fault_of(error)
            if not at_terminal or fault.code == INTERNAL:
                raise
            say(("! ", "yellow"), fault.message, (f"  {fault.do or ''}", "dim"), err=True)
        except KeyboardInterrupt:
            if not at_terminal:
                raise
            say(("stopped", "dim"))

    def take(self, line: str) -> None:
        """One line of input: a command, or something said to the model."""
        if not line.startswith("/"):
            return self._answer(line)
        name, _, rest = line.partition(" ")
        commands: dict[str, Callable[[str], None]] = {
            "/edit": self._edit, "/undo": self._undo, "/explain": self._explain, "/help": self._help,
        }  # fmt: skip
        if name not in commands:
            raise click.UsageError(f"There is no command `{name:.40}`; there are {HELP}")
        return commands[name](rest.strip())

    def _answer(self, prompt: str) -> None:
        said = [*self.messages, {"role": "user", "content": prompt}]
        asked = self.asking.input(said)
        if self.session.as_json:
            answer = self.editable.invoke(asked, **self.asking.options)
        else:
            answer = streamed(self.editable, asked, self.asking.options)
            show_citations(answer)
        self.messages = [*said, {"role": "assistant", "content": answer.text}]
        self.done.append({"prompt": prompt, **answer_values(answer)})

    def _edit(self, statement: str) -> None:
        if not statement:
            raise click.UsageError("What shall hold? Write /edit STATEMENT.")
        with busy("loading the embedder…"):
            _ = self.editable.memory.embedder
        receipt = self.editable.edit(statement, source="memedit chat", propose=self.propose)
        self._note(
            f"{receipt.status} {cited(receipt.edit)}", {"edit": receipt.edit.to_dict(), "status": receipt.status}
        )

    def _undo(self, _: str) -> None:
        change = self.editable.undo()
        self._note(f"took back revision {change.target}", {"undo": change.target, "revision": change.revision})

    def _explain(self, prompt: str) -> None:
        asked: Any = prompt or self.messages[:-1]
        if not asked:
            raise click.UsageError("Nothing was asked yet; write /explain PROMPT.")
        explanation = self.editable.explain(self.asking.input(asked), **self.asking.options)
        if not self.session.as_json:
            show_explanation(explanation, self.editable.llm.name)
        self.done.append({"explain": explanation.to_dict()})

    def _help(self, _: str) -> None:
        self._note(HELP, {"help": HELP})

    def _note(self, text: str, values: dict[str, Any]) -> None:
        if not self.session.as_json:
            say((text, "dim"))
        self.done.append(values)


def _lines(at_terminal: bool) -> Iterator[str]:
    """What is typed or piped in, without empty lines."""
    if at_terminal:
        import readline  # noqa: F401 — gives `input` its line editing and history
    while True:
        try:
            line = input("› ") if at_terminal else sys.stdin.readline()
        except (EOFError, KeyboardInterrupt) as ended:
            if isinstance(ended, KeyboardInterrupt) and not at_terminal:
                raise
            say()
            return
        if not line and not at_terminal:
            return
        if line.strip():
            yield line.strip()
