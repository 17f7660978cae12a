"""The LLM port, and `as_llm`, which makes one of nearly anything that answers text."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from memedit.errors import CapabilityMissing, ProviderError, UnsupportedModel
from memedit.messages import Reply, Request
from memedit.plugins import check_options, plugin, plugin_for, read_spec, schemes
from memedit.threads import in_thread

Kind = Literal["base", "instruct", "chat", "counterfactual", "planner"]
CHARACTERS = 4  # of a token of English, about
Mixer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From next-token log-probabilities of several contexts (contexts, vocabulary) to one row of scores (vocabulary,)."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a model finds a continuation, every token given the true ones before it (teacher forcing).

    Args:
        logprob: Summed over its tokens, in nats.
        matched: For each token whether it is the model's first choice.
    """

    logprob: float
    matched: tuple[bool, ...]

    @property
    def tokens(self) -> int:
        """How many tokens it has, at least 1."""
        return len(self.matched)


class Capability(StrEnum):
    """What a model can do, which decides which methods it can be used with."""

    TEXT = "text"
    LOGPROBS = "logprobs"
    WEIGHTS = "weights"


class LLM(ABC):
    """A language model as memedit sees it. Subclasses give `generate`, and what else they do better than its default.

    An untouched request (`request.source` is set) is to be sent exactly as the caller gave it.
    """

    name: str
    """Shown in traces."""

    kind: Kind = "chat"
    """`base` continues text; `instruct` is small and has a chat template; `chat` follows instructions well;
    `counterfactual` was trained to answer by an edit it is shown (`memedit serac train`), `planner` to take questions
    apart (`memedit multihop train`)."""

    capabilities: frozenset[Capability] = frozenset({Capability.TEXT})

    @property
    def vocabulary(self) -> str | None:
        """Of its log-probabilities, as a name; models of one vocabulary can be mixed. None where that is not known."""
        return None

    @abstractmethod
    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request. What the model's own client raises is passed through unchanged."""

    def stream(self, request: Request) -> Iterator[Reply]:
        """The reply in pieces; one piece where the model cannot stream."""
        yield from self.generate([request])

    async def agenerate(self, requests: Sequence[Request]) -> list[Reply]:
        """As `generate`, off the event loop."""
        return await asyncio.to_thread(self.generate, requests)

    async def astream(self, request: Request) -> AsyncIterator[Reply]:
        """As `stream`, off the event loop."""
        async for piece in in_thread(lambda: self.stream(request)):
            yield piece

    def close(self) -> None:  # noqa: B027
        """Let go of connections that it opened itself. Closing twice is fine."""

    async def aclose(self) -> None:
        """As `close`, for those of the running event loop, too."""
        await asyncio.to_thread(self.close)

    def score(self, requests: Sequence[Request], continuations: Sequence[Sequence[str]]) -> list[list[Likelihood]]:
        """How likely each continuation is behind its request: for every request one value a continuation.

        A continuation is put behind the request as it is, with its own leading blank.

        Raises:
            CapabilityMissing: The model gives no log-probabilities.
        """
        raise self._cannot(Capability.LOGPROBS)

    def decode(self, requests: Sequence[Request], mixer: Mixer) -> Reply:
        """Greedy decoding of several contexts at once, each token chosen from their mixed distribution.

        Raises:
            CapabilityMissing: The model gives no log-probabilities.
        """
        raise self._cannot(Capability.LOGPROBS)

    def decode_with(self, others: Sequence[LLM], requests: Sequence[Request], mixer: Mixer) -> Reply:
        """As `decode`, each context read by a model of its own: the first by this one, the next by the others.

        Args:
            others: One for each request but the first; of this one's `vocabulary`.
            requests: The contexts; the options of the first count.
            mixer: Is given a row of log-probabilities for each.

        Raises:
            CapabilityMissing: One of them gives no log-probabilities, or is of another vocabulary.
        """
        raise self._cannot(Capability.LOGPROBS)

    def spell(self, tokens: Sequence[int]) -> str:
        """The text of tokens, as they are numbered in its log-probabilities.

        Raises:
            CapabilityMissing: The model gives no log-probabilities.
        """
        raise self._cannot(Capability.LOGPROBS)

    def count_tokens(self, text: str) -> int:
        """How many tokens a text takes; where no tokenizer is at hand, a guess of four characters each."""
        return -(-len(text) // CHARACTERS)

    def require(self, capability: Capability, *, by: str) -> None:
        """Raise `CapabilityMissing` unless the model has this capability."""
        if capability not in self.capabilities:
            raise self._cannot(capability, by=by)

    def _cannot(self, capability: Capability, *, by: str = "This") -> CapabilityMissing:
        has = ", ".join(sorted(self.capabilities))
        return CapabilityMissing(
            f"{by} needs `{capability}`, and the model `{self.name}` has {has}.",
            do="wrap a local model (hf:FOLDER, gguf:FILE), or choose another method",
        )


def as_llm(source: Any, **options: Any) -> LLM:
    """A model from an LLM, `scheme:name`, a LangChain model or Runnable, a client of OpenAI or Anthropic, a
    transformers model, or a function.

    Args:
        source: What to make it of. Schemes: `bundled` (SmolLM2-135M-Instruct), `hf:ID_OR_FOLDER`, `gguf:FILE`,
            `openai:MODEL` (with `base_url=` for any compatible server), `anthropic:MODEL`. Options may stand behind the
            name: `hf:FOLDER?device=cuda&dtype=bfloat16`.
        options: Passed to the loader (`model=` for a client, `tokenizer=` for a transformers model, …).

    Raises:
        UnsupportedModel: It is none of these, or an option is not known.
        MissingExtra: Its package is not installed.
    """
    if isinstance(source, LLM):
        return source
    if isinstance(source, str):
        load, name, spelled = named(source)
        given = {**spelled, **_not_twice(options, spelled)}
        check_options(load, given, source.partition("?")[0], UnsupportedModel)
        return load(name, **given)  # type: ignore[no-any-return]
    if load := plugin_for("llms", source):
        check_options(load, options, type(source).__name__, UnsupportedModel)
        return load(source, **options)  # type: ignore[no-any-return]
    if callable(source):
        from memedit.functions import FunctionLLM

        check_options(FunctionLLM, options, getattr(source, "__name__", type(source).__name__), UnsupportedModel)
        return FunctionLLM(source, **options)
    raise UnsupportedModel(
        f"`{type(source).__name__}` cannot be wrapped as a language model.",
        do="pass a function, a LangChain or transformers model, a client of OpenAI or Anthropic, or one of "
        f"{schemes('llms')}",
    )


def named(spec: str) -> tuple[Any, str, dict[str, Any]]:
    """What loads a model that is named as text, the name that it is given, and the options behind that.

    Raises:
        UnsupportedModel: The scheme is not known.
    """
    scheme, name, spelled = read_spec(spec)
    if load := plugin("llms", scheme):
        return load, name, spelled
    raise UnsupportedModel(f"No model `{spec:.80}`.", do=f"use one of {schemes('llms')}, or pass a model or a function")


def _not_twice(options: Mapping[str, Any], spelled: Mapping[str, Any]) -> Mapping[str, Any]:
    if twice := sorted(options.keys() & spelled.keys()):
        raise UnsupportedModel(f"`{twice[0]}` was given twice.", do="give it behind the name, or as an argument")
    return options


def as_reply(value: Any) -> Reply:
    """A Reply from what a function gave back: text, a Reply, or an object or mapping with `content` or `text`.

    Raises:
        ProviderError: It is none of these.
    """
    if isinstance(value, Reply):
        return value
    if isinstance(value, str):
        return Reply(value, raw=value)
    for name in ("content", "text"):
        text = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
        if isinstance(text, str):
            return Reply(text, raw=value)
    raise ProviderError(
        f"The model's function gave back a {type(value).__name__}, not text.",
        do="return a string, an iterator of strings, or an object with `content`",
    )


def join(pieces: Sequence[Reply]) -> Reply:
    """The whole reply from its pieces; `raw` becomes the list of theirs when there are several."""
    calls = _whole_calls(call for piece in pieces for call in piece.tool_calls)
    if len(pieces) == 1:
        return pieces[0] if calls == pieces[0].tool_calls else replace(pieces[0], tool_calls=calls)
    usage: dict[str, int] = {}
    for piece in pieces:
        usage.update(piece.usage)
    return Reply(
        "".join(piece.text for piece in pieces),
        calls,
        next((piece.finish_reason for piece in reversed(pieces) if piece.finish_reason), None),
        usage,
        [piece.raw for piece in pieces],
        pieces[0].lead,
    )


def _whole_calls(calls: Iterable[Any]) -> tuple[Any, ...]:
    """Tool calls from the deltas of a stream, told apart by `index`; one without an index is whole already."""
    whole: list[Any] = []
    latest: dict[Any, dict[str, Any]] = {}
    for call in calls:
        place = call.get("index") if isinstance(call, Mapping) else None
        if place is None:
            whole.append(call)
            continue
        # Some servers number every call 0: another id is another call.
        if place not in latest or (call.get("id") or latest[place]["id"]) != latest[place]["id"]:
            latest[place] = {"id": call.get("id"), "type": "function", "function": {"name": "", "arguments": ""}}
            whole.append(latest[place])
        function = latest[place]["function"]
        for name, text in (call.get("function") or {}).items():
            function[name] = function.get(name, "") + (text or "")
    return tuple(whole)
