"""The `memedit` command: its commands, each imported only when it is run, and what an error looks like."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

import click

from memedit.cli._faults import FAILED, FINE, INTERNAL, INTERRUPTED, PIPE_CLOSED, WRONG, Fault, fault_of

__all__ = ["COMMANDS", "FAILED", "INTERNAL", "WHERE", "WRONG", "fault_of", "main"]

COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Begin": {
        "demo": ("demo:demo", "See an edit take effect, step by step."),
        "init": ("care:init", "Make a memory."),
    },
    "Edit": {
        "add": ("edits:add", "Put an edit in force."),
        "list": ("edits:list_edits", "List the edits in force, now or as of a revision or time."),
        "show": ("edits:show", "Show all of one edit, with its history."),
        "graph": ("graph:graph", "Print or draw the facts as a graph."),
        "search": ("edits:search", "Find the edits nearest to a text."),
        "retract": ("edits:retract", "Take edits out of force."),
        "review": ("review:review", "Accept or reject edits that wait for approval."),
        "undo": ("changes:undo", "Take back the last change."),
        "history": ("changes:history", "List the changes, or those of one edit."),
        "revert": ("changes:revert", "Go back to the state of a revision."),
    },
    "Ask": {
        "ask": ("ask:ask", "Ask the model, with the memory in front of it."),
        "chat": ("chat:chat", "Talk with the model, and edit it as you go."),
        "explain": ("ask:explain", "Show what would be looked up and sent, and why."),
        "verify": ("ask:verify", "Prove an edit: ask with and without the memory."),
    },
    "Bake": {
        "bake": ("bake:bake", "Write edits into the weights of a local model."),
        "unbake": ("bake:unbake", "Take edits out of the weights again."),
        "baked": ("bake:baked", "List the edits in the weights."),
        "delta": ("delta:delta", "Add, scale, negate and apply saved changes of weights."),
        "parametric": ("parametric:parametric", "Find settings, and train editors, that write edits into weights."),
    },
    "Serve": {
        "serve": ("serve:serve", "Serve OpenAI's API with the memory in front of a model."),
        "mcp": ("mcp:mcp", "Serve the memory to assistants that speak MCP."),
    },
    "Files": {
        "export": ("files:export", "Write the edits in force to a file."),
        "import": ("files:import_file", "Add the edits of a file."),
        "apply": ("apply:apply", "Make the memory hold what a file says; shows a plan first."),
        "documents": ("documents:documents", "Bring documents in line with the memory."),
        "test": ("files:test", "Run the probes of a file of edits; for CI."),
    },
    "Measure": {
        "eval": ("eval:evaluate", "Measure methods on a benchmark of the field."),
        "report": ("eval:report", "Write a page about runs: tables, plots, cases."),
        "gate": ("gate:gate", "Measure, train and calibrate what decides which edits are in scope."),
        "serac": ("serac:serac", "Train a small model that answers by the edit it is shown."),
        "multihop": ("multihop:multihop", "Train a small model that takes questions apart."),
        "patches": ("patches:patches", "Measure and train what decides where a patch's condition holds."),
        "systems": ("systems:systems", "List the systems of the field, and show that each works."),
    },
    "Care": {
        "doctor": ("doctor:doctor", "Check the installation and the memory."),
        "backup": ("backup:backup", "Write the whole memory, with its history, to one file."),
        "restore": ("backup:restore", "Make the memory hold what a backup holds."),
        "purge": ("purge:purge", "Take edits out of the memory for good."),
        "repair": ("repair:repair", "Save what is whole of a damaged ledger."),
        "reindex": ("care:reindex", "Build the index again from the ledger."),
        "namespaces": ("care:namespaces", "List the namespaces."),
        "methods": ("care:methods", "List the methods that can answer."),
    },
}
WHERE = {name: place for group in COMMANDS.values() for name, (place, _) in group.items()}


class Commands(click.Group):
    """A group that imports a command when it is run, and says every error in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(WHERE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in WHERE:
            return None
        module, _, name = WHERE[cmd_name].partition(":")
        command = getattr(import_module(f"memedit.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in WHERE and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], WHERE, n=1)
            ctx.fail(f"There is no command `{args[0]:.40}`." + (f" Did you mean `{near[0]}`?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, group in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<10}", line) for name, (_, line) in group.items()])

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **how: Any) -> NoReturn:  # type: ignore[override]
        """Run the command line and exit.

        The exit codes stand in `_faults.CODES`.
        """
        name, given = "memedit", list(sys.argv[1:] if args is None else args)
        if "_MEMEDIT_COMPLETE" in os.environ:  # the shell asks how a word may end
            super().main(given, name)
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, ValueError):
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        try:
            with self.make_context(name, given) as context:
                self.invoke(context)
            sys.stdout.flush()
        except click.exceptions.Exit as done:
            code = done.exit_code
        except BrokenPipeError:
            code = PIPE_CLOSED
        except (KeyboardInterrupt, click.Abort):
            code = _tell(Fault(INTERRUPTED, "Interrupted", "Stopped."), given)
        except Exception as error:
            code = _tell(fault_of(error), given)
        else:
            code = FINE
        sys.exit(_end(code))


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="memedit", message="%(prog)s %(version)s")
def main() -> None:
    """Correct a language model at once, without training it.

    An edit memory stands in front of the model: where an edit is in scope, the model answers as if the edit were true;
    everywhere else it answers as before.

    \b
        memedit add "The capital of Australia is Sydney."
        memedit ask "What is the capital of Australia?"
        memedit undo
    """  # noqa: D301 — click's mark for lines that stay as they are


def _tell(fault: Fault, given: Sequence[str]) -> int:
    """Say what is wrong: on stderr, or as JSON on stdout when that was asked for."""
    from memedit.cli._print import say, show_json

    if os.environ.get("MEMEDIT_TRACEBACK"):
        import traceback

        traceback.print_exc()
    if "--json" in given[: given.index("--")] if "--" in given else "--json" in given:
        with suppress(OSError):  # where stdout cannot be written, it is told on stderr
            show_json({"error": {"type": fault.type, "message": fault.message, "do": fault.do}})
            return fault.code
    with suppress(OSError):
        if fault.message.startswith("Usage:"):
            say(fault.message, err=True)
        else:
            say(("memedit: ", "bold red"), fault.message, err=True)
            if fault.do:
                say((f"  → {fault.do}", "dim"), err=True)
    return fault.code


def _end(code: int) -> int:
    """The exit code; nothing more is written to a pipe that was closed or where no space is left, so that Python does
    not complain at its end.
    """
    is_open = code != PIPE_CLOSED
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code, is_open = PIPE_CLOSED, False
    except OSError:
        is_open = False
    if not is_open:
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code
