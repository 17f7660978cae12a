"""What a method is: a generator of effects, registered with one decorator. The whole extension contract.

A method yields what it needs (`Recall`, `Support`, `Generate`, `Score`, `Decode`), receives the result, and returns
`Final` (a last call, which can be streamed) or `Ready` (an answer it has). It knows nothing of async, threads or
batching.

    @method("shout", paper="…")
    def shout(*, mark: str = "!") -> Run:
        def run(task: Task) -> Steps:
            reply = yield Generate(task.request)
            return Ready(Reply(reply.text.upper() + mark), citations=task.hits.edits)
        return run
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from memedit.edits import SCOPED, AnyEdit
from memedit.errors import UnknownMethod
from memedit.gate.conversation import Conversation
from memedit.gate.port import Hits
from memedit.llms import LLM, Capability, Kind, Mixer
from memedit.messages import Reply, Request
from memedit.plumbing.plugins import plugin, plugins
from memedit.trace import Hop


@dataclass(frozen=True, slots=True)
class Recall:
    """Look a query up in the memory and ask the gate. Gives `Hits`.

    Args:
        query: What is asked.
        kinds: Of edit; all that have a scope when left out.
        whole: The conversation that it is of, which is looked up too, and which a judge reads; empty where it is none.
        parts: Where the message asks several things, each of them, which is looked up by itself, too.
        among: Of such a thing, how many there are.
        system: What the system messages of the conversation say.
    """

    query: str
    kinds: tuple[str, ...] = SCOPED
    whole: str = ""
    parts: tuple[Conversation, ...] = ()
    among: int = 1
    system: str = ""

    @classmethod
    def of(cls, said: Conversation, kinds: tuple[str, ...] = SCOPED) -> Recall:
        """The look-up of a conversation."""
        return cls(said.query, kinds, said.whole, said.parts, system=said.system)

    @property
    def each(self) -> tuple[Recall, ...]:
        """Itself, and the look-ups of its parts."""
        alone = (
            Recall(one.query, self.kinds, one.whole, among=len(self.parts), system=self.system) for one in self.parts
        )
        return (replace(self, parts=()), *alone)


@dataclass(frozen=True, slots=True)
class Support:
    """Look up the `k` Demonstrations nearest to a text. Gives a list of them, nearest first; no gate is asked."""

    query: str
    k: int


@dataclass(frozen=True, slots=True)
class Generate:
    """Ask a model. Gives a `Reply`."""

    request: Request
    model: str = "base"


@dataclass(frozen=True, slots=True)
class Score:
    """How likely each continuation is. Gives a list of `Likelihood`. Needs `logprobs`."""

    request: Request
    continuations: Sequence[str]
    model: str = "base"


@dataclass(frozen=True, slots=True)
class Decode:
    """Decode several contexts together, token by token. Gives a `Reply`. Needs `logprobs`.

    Args:
        requests: The contexts.
        mixer: Makes one distribution of theirs.
        model: Reads them, or the first of them.
        others: Read the contexts behind the first, where another model is to; all of one `vocabulary`.
    """

    requests: Sequence[Request]
    mixer: Mixer
    model: str = "base"
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Final:
    """The call whose reply is the answer; it keeps the caller's options and can be streamed.

    Args:
        request: What is sent.
        citations: The edits the answer rests on.
        model: Which of the models answers.
        notes: What the method decided, in words, for the trace.
        hops: The way to the answer, where it lies several facts away.
        understanding: Finds in the reply's text what the model says it was asked for.
        in_doubt: Edits that it shows as such that may not apply.
    """

    request: Request
    citations: tuple[AnyEdit, ...] = ()
    model: str = "base"
    notes: tuple[str, ...] = ()
    hops: tuple[Hop, ...] = ()
    understanding: Callable[[str], str | None] | None = None
    in_doubt: tuple[AnyEdit, ...] = ()


@dataclass(frozen=True, slots=True)
class Ready:
    """An answer that needs no further call.

    Args:
        reply: The answer.
        citations: The edits it rests on.
        notes: What the method decided, in words, for the trace.
        hops: The way to the answer, where it lies several facts away.
        understanding: What the model says it was asked for.
        instead_of: The call that it saves; where answers are scored, this call is.
        untouched: Whether it is what the model answered to the caller's own request.
    """

    reply: Reply
    citations: tuple[AnyEdit, ...] = ()
    notes: tuple[str, ...] = ()
    hops: tuple[Hop, ...] = ()
    understanding: str | None = None
    instead_of: Final | None = None
    untouched: bool = False


Effect = Recall | Support | Generate | Score | Decode
Steps = Generator[Effect, Any, Final | Ready]


@dataclass(frozen=True, slots=True)
class Task:
    """What a method is given.

    Args:
        request: The caller's request.
        hits: The edits in scope of it; at least one, except for a method that is `always` run.
        models: The models it may name in its effects; `base` is the wrapped one.
    """

    request: Request
    hits: Hits
    models: Mapping[str, LLM]

    @property
    def kind(self) -> Kind:
        """Of the wrapped model."""
        return self.models["base"].kind


Run = Callable[[Task], Steps]


@dataclass(frozen=True)
class Method:
    """A method with its configuration.

    Args:
        name: As registered.
        run: Makes the steps for one task.
        paper: What it follows.
        needs: The capability the base model must have.
        config: The arguments it was made with.
        whole_text: Whether the whole of the user's last message is looked up, because its edits speak of properties of
            the text; otherwise the part that asks.
        always: Whether it is run also where no edit is in scope of the request itself.
    """

    name: str
    run: Run
    paper: str
    needs: Capability = Capability.TEXT
    config: Mapping[str, Any] = field(default_factory=dict)
    whole_text: bool = False
    always: bool = False


Factory = Callable[..., Run]


def method(
    name: str, *, paper: str, needs: str = "text", whole_text: bool = False, always: bool = False
) -> Callable[[Factory], Callable[..., Method]]:
    """Make a method of a factory, whose keyword arguments are the method's configuration; `needs`, `whole_text`
    and `always` as for `Method`.

    To be found by name it also needs an entry point in the group `memedit.methods`.
    """
    if name != name.lower() or not name.isidentifier():
        raise ValueError(f"a method's name is a lower-case identifier, not {name!r}")

    def decorate(factory: Factory) -> Callable[..., Method]:
        if not factory.__doc__:
            raise ValueError(f"method {name} needs a docstring: its first line stands in the table of methods")

        def make(**config: Any) -> Method:
            try:
                inspect.signature(factory).bind(**config)
            except TypeError as error:
                raise UnknownMethod(f"Method `{name}`: {error}.", do=f"it takes {inspect.signature(factory)}") from None
            return Method(name, factory(**config), paper, Capability(needs), config, whole_text, always)

        make.__doc__, make.__name__, make.__wrapped__ = factory.__doc__, name, factory  # type: ignore[attr-defined]
        return make

    return decorate


def find_method(name: str | Method, **config: Any) -> Method:
    """The method of this name, configured.

    Raises:
        UnknownMethod: There is none, or it does not take this configuration.
    """
    if isinstance(name, Method):
        return name
    make = plugin("methods", name)
    if make is None:
        known = ", ".join(sorted(plugins("methods")))
        raise UnknownMethod(f"No method `{name}`.", do=f"use one of {known}")
    return make(**config)  # type: ignore[no-any-return]
