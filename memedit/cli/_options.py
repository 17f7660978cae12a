"""Options that several commands share: how the model is asked, and old names that still work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from memedit.editable.fallback import Fallback

Function = TypeVar("Function", bound=Callable[..., Any])
DEFAULT_LLM = "bundled"


@dataclass(frozen=True, slots=True)
class Asking:
    """How the model is asked.

    Args:
        method: How edits change the answer.
        gate: Decides which edits are in scope; None for the default one.
        fallback: Methods to go on with where verify finds that an edit does not hold.
        system: A system message in front of whatever is asked.
        options: Of every request, as the model takes them.
    """

    method: str = "auto"
    gate: str | None = None
    fallback: Fallback | None = None
    system: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def input(self, prompt: Any) -> Any:
        """What is asked, a string or a list of messages: as it is, or behind the system message."""
        from memedit.messages import behind

        return behind(self.system, prompt)


class Renamed(click.Option):
    """An option that also answers to the name it had before, which no help shows.

    Args:
        formerly: That name.
    """

    def __init__(self, *args: Any, formerly: str, **how: Any) -> None:
        super().__init__(*args, **how)
        self.formerly = formerly

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        shown = self.opts
        self.opts = [*shown, self.formerly]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown


class Assignment(click.ParamType):  # type: ignore[type-arg]
    """`NAME=VALUE`, as a pair; a value that is JSON is read as such."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from memedit.plumbing.plugins import read_value

        if not isinstance(value, str):
            return value
        name, equals, text = value.partition("=")
        if not name.isidentifier() or not equals:
            self.fail(f"it takes NAME=VALUE, not `{value:.80}`.", param, ctx)
        return name, read_value(text)


class Ladder(click.ParamType):  # type: ignore[type-arg]
    """Names with commas between them, or `auto`."""

    name = "name,name|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "auto" or not isinstance(value, str):
            return value
        names = tuple(name.strip() for name in value.split(","))
        if not all(names):
            self.fail(f"`{value:.80}` has an empty name: give methods as `ike,grace`, or auto.", param, ctx)
        return names


def _methods(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """The methods whose names begin so, for the shell."""
    from memedit.plumbing.plugins import plugins

    return [name for name in sorted(plugins("methods")) if name.startswith(begun)]


METHOD = click.option(
    "--method", metavar="NAME", default="auto", show_default=True, shell_complete=_methods,
    help="How edits change the answer; see `memedit methods`.",
)  # fmt: skip
GATE = click.option(
    "--gate", metavar="SPEC",
    help="Decides which edits are in scope: a gate's folder or kind; the default one if left out.",
)  # fmt: skip


def asking(*, max_tokens: int | None = None) -> Callable[[Function], Function]:
    """Give a command the options of a request to the model, handed to it as `asking`.

    max_tokens: Of an answer, where the command line says nothing.
    """
    options = (
        METHOD,
        GATE,
        click.option(
            "--fallback", type=Ladder(), envvar="MEMEDIT_FALLBACK", metavar="NAME,…|auto",
            help="Methods to go on with where verify finds that an edit does not hold, the least invasive first; what "
            "it found answers the edit wherever this is given. [env MEMEDIT_FALLBACK]",
        ),
        click.option("--system", metavar="TEXT", help="A system message in front of what is asked."),
        click.option("--max-tokens", type=click.IntRange(1), metavar="N", default=max_tokens,
                     show_default=max_tokens is not None, help="Of an answer, at most."),
        click.option("--option", "given_options", type=Assignment(), multiple=True, metavar="NAME=VALUE",
                     help="Of the request, as the model takes it: temperature=0.7, seed=1; repeatable."),
    )  # fmt: skip

    def with_options(command: Function) -> Function:
        @wraps(command)
        def run(
            *args: Any, method: str, gate: str | None, fallback: Fallback | None, system: str | None,
            max_tokens: int | None, given_options: Sequence[tuple[str, Any]], **rest: Any,
        ) -> Any:  # fmt: skip
            limit = {} if max_tokens is None else {"max_tokens": max_tokens}
            how = Asking(method, gate, fallback, system, {**limit, **dict(given_options)})
            return command(*args, asking=how, **rest)

        made: Any = run
        for option in reversed(options):
            made = option(made)
        return made  # type: ignore[no-any-return]

    return with_options


def common_options() -> list[click.Option]:
    """Where the memory and the model are, and how it is told: of every command."""

    def option(*names: str, **how: Any) -> click.Option:
        return click.Option(names, **how)

    return [
        option("--memory", envvar="MEMEDIT_MEMORY", default=".memedit", metavar="PLACE", show_default=True,
               help="Where the memory lies: a folder, or postgresql://USER@HOST/DATABASE. [env MEMEDIT_MEMORY]"),
        option("--namespace", envvar="MEMEDIT_NAMESPACE", default="default", metavar="NAME", show_default=True,
               help="Whose edits. [env MEMEDIT_NAMESPACE]"),
        Renamed(["--llm"], formerly="--model", envvar=["MEMEDIT_LLM", "MEMEDIT_MODEL"], default=DEFAULT_LLM,
               metavar="SPEC", show_default=True,
               help="bundled, hf:ID_OR_FOLDER, gguf:FILE or openai:MODEL; options of its loader behind it: "
                    "'hf:FOLDER?device=cuda&dtype=bfloat16'. [env MEMEDIT_LLM]"),
        option("--base-url", metavar="URL", help="The server of an openai: model."),
        option("--embedder", envvar="MEMEDIT_EMBEDDER", metavar="SPEC",
               help="minilm, bundled, st:ID_OR_FOLDER, openai:MODEL, or onnx:, int8:, static:bundled. "
                    "[env MEMEDIT_EMBEDDER]"),
        option("--index", envvar="MEMEDIT_INDEX", default="auto", metavar="NAME", show_default=True,
               help="exact, two-pass or chroma; or a store of large namespaces: pgvector (of the database that the "
                    "memory lies in), pgvector:ADDRESS, chroma:URL, qdrant:URL. [env MEMEDIT_INDEX]"),
        option("--threads", type=click.IntRange(1), metavar="N", help="Threads of a local model."),
        option("--json", "as_json", is_flag=True, help="One JSON value on stdout, also for an error."),
    ]  # fmt: skip
