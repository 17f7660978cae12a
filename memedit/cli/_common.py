"""What all commands share: their common options, opening the memory and the model, and finding edits by id."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

import click

from memedit.cli._options import DEFAULT_LLM, Asking, common_options
from memedit.cli._print import busy, say, short

if TYPE_CHECKING:
    from memedit.editable import EditableLLM
    from memedit.edits import AnyEdit
    from memedit.llms import LLM
    from memedit.memory import Change, EditMemory
    from memedit.memory.storage import Storage

BUNDLED = "SmolLM2-135M-Instruct"
EXAMPLE = re.compile(r"\n\n(?=Example:\n)")
QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "ANONYMIZED_TELEMETRY": "false",
    "ORT_DISABLE_TELEMETRY": "1",
}


@dataclass(frozen=True)
class Session:
    """The common options of one run.

    Args:
        place: Where the memory lies: a folder, or the address of a database, which may hold a password.
        place_given: Whether it stands on the command line.
        namespace: Whose edits.
        namespace_given: Whether it was named, on the command line or in the environment.
        model: As `as_llm` takes it.
        base_url: Of an OpenAI-compatible server.
        embedder: As `as_embedder` takes it; None for the default.
        index: As `EditMemory` takes it by name; may hold a password, too.
        as_json: Whether stdout gets one JSON value and nothing else.
    """

    place: str = field(repr=False)
    place_given: bool
    namespace: str
    namespace_given: bool
    model: str
    base_url: str | None
    embedder: str | None
    index: str = field(repr=False)
    as_json: bool

    @cached_property
    def storage(self) -> Storage:
        """Where the memory lies, not opened.

        Raises:
            LedgerError: It is an address that cannot be read.
        """
        from memedit.memory.storage import storage_of

        return storage_of(self.place)

    @property
    def shown(self) -> str:
        """Where the memory lies, as it may be written: the whole path of a folder, an address without its password."""
        folder = self.storage.folder
        return self.storage.shown if folder is None else str(folder.absolute())

    @contextmanager
    def memory(self, *, create: bool = False, note: bool = True) -> Iterator[EditMemory]:
        """The memory, opened; made first where `create` is set, which a `note` on stderr says.

        Raises:
            EditRejected: The namespace cannot be one.
            LedgerError: There is none, or it cannot be opened.
        """
        from memedit.memory.checks import checked_namespace

        checked_namespace(self.namespace)
        is_new = not self.storage.exists()
        if is_new and not create:
            from memedit.errors import LedgerMissing

            raise LedgerMissing(
                f"There is no memory in {self.storage.shown}.",
                do="make one with `memedit init` or `memedit add`, or name its folder with --memory",
            )
        with open_memory(self.place, self.embedder, self.index) as memory:
            if is_new and note:
                say((f"made a new memory in {self.storage.shown}", "dim"), err=True)
            yield memory

    def throw_away(self) -> EditMemory:
        """A memory that ends with this run."""
        return open_memory(None, self.embedder)

    def llm(self) -> LLM:
        """The model, loaded."""
        if self.base_url and not self.model.startswith("openai:"):
            raise click.UsageError("--base-url goes with --llm openai:MODEL.")
        with busy(f"loading {BUNDLED if self.model == 'bundled' else self.model}…"):
            return open_model(self.model, self.base_url)

    def unloaded(self, asking: Asking) -> LLM:
        """The model for what asks it nothing: not loaded, where its files alone say of what kind it is."""
        from memedit.adapters.unloaded import unloaded
        from memedit.plumbing.plugins import plugins

        shows = asking.fallback in (None, "auto") or all(name in plugins("methods") for name in asking.fallback)
        return (unloaded(self.model) if shows and not self.base_url else None) or self.llm()

    def waiting(self, asking: Asking) -> LLM:
        """The model for a single question, which is loaded once it is asked: an edit may answer by itself."""
        from memedit.adapters.unloaded import unloaded
        from memedit.llms import Capability
        from memedit.methods.base import find_method

        of_text = find_method(asking.method).needs == Capability.TEXT and asking.fallback is None
        load = partial(open_model, self.model, self.base_url)
        return (unloaded(self.model, load) if of_text and not self.base_url else None) or self.llm()

    def editable(self, memory: EditMemory, asking: Asking | None = None, *, llm: LLM | None = None) -> EditableLLM:
        """The model with the memory in front of it; embedder and model are loaded now, if it was not."""
        from memedit.editable import EditableLLM
        from memedit.methods.base import find_method

        how = asking or Asking()
        find_method(how.method)  # a mistyped one is said before the model is loaded
        llm = llm or self.llm()
        self.load_embedder(memory)
        return EditableLLM(
            llm, memory, namespace=self.namespace, gate=how.gate, method=how.method, fallback=how.fallback
        )

    def load_embedder(self, memory: EditMemory) -> None:
        """Load the embedder, saying so, unless the namespace is empty and does not need it."""
        if memory.revision(namespace=self.namespace):
            with busy("loading the embedder…"):
                _ = memory.embedder


def open_memory(place: str | None, embedder: str | None, index: str = "auto") -> EditMemory:
    """The memory in a folder or a database, or one that ends with the process."""
    from memedit.memory import EditMemory

    try:
        return EditMemory(place, embedder=embedder, index=index)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--index") from error


def open_model(spec: str, base_url: str | None) -> LLM:
    """The model of this name."""
    from memedit.llms import as_llm

    return as_llm(spec, **({"base_url": base_url} if base_url else {}))


class Command(click.Command):
    """A command with the common options, which it hands to its function as a `Session` (`@click.pass_obj`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = {name for param in self.params for name in param.opts}
        shared = [option for option in common_options() if own.isdisjoint(option.opts)]
        self.params += shared
        self._shared = [option.name for option in shared if option.name]
        # Behind a line with nothing but a backspace, click leaves the lines of a paragraph as they are.
        self.help = EXAMPLE.sub("\n\n\b\n", cleandoc(self.help or ""))

    def invoke(self, ctx: click.Context) -> Any:
        place_from = ctx.get_parameter_source("memory")
        given = {name: ctx.params.pop(name) for name in self._shared}
        named = ctx.get_parameter_source("namespace") is not click.core.ParameterSource.DEFAULT
        ctx.obj = Session(
            given["memory"],
            place_from is click.core.ParameterSource.COMMANDLINE,
            given["namespace"],
            named,
            given.get("llm", DEFAULT_LLM),
            given["base_url"],
            given["embedder"],
            given["index"],
            given["as_json"],
        )
        quiet_libraries()
        if given["threads"] is not None:
            use_threads(given["threads"])
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {"Options": [], "Common options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                groups["Common options" if param.name in self._shared else "Options"].append(record)
        for title, records in groups.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def quiet_libraries() -> None:
    """Libraries that are imported later print no progress bars, warnings or log lines."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())


def use_threads(count: int) -> None:
    """How many threads torch uses, whether it is imported already or not."""
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(count)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(count)


def read_text(given: str, *, what: str) -> str:
    """What was given as an argument; `-` reads stdin."""
    from memedit.text import decoded

    try:
        text = decoded(sys.stdin.buffer.read()) if given == "-" else given
    except UnicodeDecodeError as error:
        raise click.UsageError(f"What stands on stdin is not UTF-8: {error.reason}.") from None
    if not text.strip():
        raise click.UsageError(f"The {what} is empty.")
    return text.strip() if given == "-" else text


def find_edits(memory: EditMemory, beginnings: Sequence[str], namespace: str) -> list[AnyEdit]:
    """The edits in force of these ids, or of ids that begin so.

    Raises:
        UnknownEdit: For one of them there is none, or more than one.
    """
    return [memory.get(beginning, namespace=namespace) for beginning in beginnings]


def recorded_id(changes: Sequence[Change], beginning: str, namespace: str) -> str:
    """The id that is, or begins, so, of an edit that was ever in force.

    Raises:
        UnknownEdit: There is none, or more than one.
    """
    from memedit.errors import UnknownEdit
    from memedit.memory.checks import several

    known = dict.fromkeys(event.edit_id for change in changes for event in change.events)
    found = [beginning] if beginning in known else [edit_id for edit_id in known if edit_id.startswith(beginning)]
    if len(found) > 1 and beginning:
        raise several(beginning, found, namespace)
    if len(found) != 1 or not beginning:
        what = f"`{beginning:.40}` was never in force in namespace `{namespace}`"
        raise UnknownEdit(f"{what}.", do="see `memedit history`")
    return found[0]


def agreed() -> bool:
    """Whether somebody at the terminal says yes.

    Raises:
        click.UsageError: Nobody is there.
    """
    try:
        return click.confirm("Do this?", err=True)
    except click.Abort:
        raise click.UsageError("Nobody answered, so nothing was done: add --yes, or --plan to look only.") from None


def texts_of(memory: EditMemory, changes: Sequence[Change], namespace: str) -> dict[str, str]:
    """The text of every edit that these change sets put in or took out of force."""
    ids = [event.edit_id for change in changes for event in change.events]
    return {edit_id: edit.text for edit_id, edit in memory.recorded(ids, namespace=namespace).items()}


def revision_or_time(given: str | None) -> int | datetime | None:
    """A revision's number, or a date or time (UTC where it names no zone).

    Raises:
        click.BadParameter: It is neither.
    """
    if given is not None and given.isdecimal():
        return int(given)
    return point_in_time(
        given, hint="--as-of", instead="neither a revision such as 3 nor a time such as 2026-03-01T12:00"
    )


def point_in_time(given: str | None, *, hint: str, instead: str = "no time such as 2026-03-01") -> datetime | None:
    """A date or time (UTC where it names no zone).

    Raises:
        click.BadParameter: It is none.
    """
    if given is None:
        return None
    try:
        when = datetime.fromisoformat(given)
    except ValueError:
        raise click.BadParameter(f"`{given}` is {instead}.", param_hint=hint) from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def day(when: datetime | None) -> str:
    """A time as people read it, in this machine's zone."""
    return "" if when is None else when.astimezone().strftime("%Y-%m-%d %H:%M")


def cited(edit: AnyEdit) -> str:
    """An edit on one line."""
    return f"{short(edit.id)}  {' '.join(edit.text.split())}"
