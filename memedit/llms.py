"""The LLM port, and `as_llm`, which makes one of nearly anything that answers text."""

from __future__ import annotations

import asyncio
import inspect
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal, get_type_hints

import numpy as np
from numpy.typing import NDArray

from memedit.errors import CapabilityMissing, ProviderError, UnsupportedModel
from memedit.messages import Reply, Request
from memedit.plugins import plugin, plugin_for, schemes

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


class FunctionLLM(LLM):
    """A plain function, sync or async, from text or from chat messages to text, or to pieces of text.

    Args:
        function: The function. It is given text when its first parameter is annotated `str`, a list of chat messages
            when it is annotated as a list or sequence, and otherwise the form the caller used.
        takes: `text` or `messages`, to say so instead.
        name: Shown in traces.
    """

    def __init__(
        self, function: Callable[..., Any], *, takes: Literal["text", "messages"] | None = None, name: str | None = None
    ) -> None:
        self._function = function
        self._takes = takes or _annotated_input(function)
        self._accepts_options = _accepts_options(function)
        self.name = name or f"function {getattr(function, '__name__', type(function).__name__)}"

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        return [join(list(self.stream(request))) for request in requests]

    def stream(self, request: Request) -> Iterator[Reply]:
        result = self._call(request)
        if inspect.isawaitable(result):
            result = run_sync(_awaited(result))
        if isinstance(result, AsyncIterator):
            result = run_sync(_collected(result))
        yield from (as_reply(piece) for piece in _pieces(result))

    async def agenerate(self, requests: Sequence[Request]) -> list[Reply]:
        async def one(request: Request) -> Reply:
            return join([piece async for piece in self.astream(request)])

        return list(await asyncio.gather(*(one(request) for request in requests)))

    async def astream(self, request: Request) -> AsyncIterator[Reply]:
        function = self._function
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            result = self._call(request)
        else:
            result = await asyncio.to_thread(self._call, request)
        if inspect.isawaitable(result):
            result = await result
        if isinstance(result, AsyncIterator):
            async for piece in result:
                yield as_reply(piece)
        else:
            async for piece in in_thread(lambda: _pieces(result)):
                yield as_reply(piece)

    def _call(self, request: Request) -> Any:
        options = request.options if self._accepts_options else {}
        takes = self._takes or ("messages" if request.form == "messages" else "text")
        if takes == "text":
            return self._function(request.text, **options)
        given = request.source if request.untouched and request.form == "messages" else None
        is_list = isinstance(given, list)
        return self._function(given if is_list else [message.to_openai() for message in request.messages], **options)


def as_llm(source: Any, **options: Any) -> LLM:
    """A model from an LLM, `scheme:name`, a LangChain model or Runnable, an OpenAI client, a transformers model, or a
    function.

    Args:
        source: What to make it of. Schemes: `bundled` (SmolLM2-135M-Instruct), `hf:ID_OR_FOLDER`, `gguf:FILE`,
            `openai:MODEL` (with `base_url=` for any compatible server).
        options: Passed to the loader (`model=` for an OpenAI client, `tokenizer=` for a transformers model, …).

    Raises:
        UnsupportedModel: It is none of these.
        MissingExtra: Its package is not installed.
    """
    if isinstance(source, LLM):
        return source
    if isinstance(source, str):
        scheme, _, name = source.partition(":")
        if load := plugin("llms", scheme):
            return load(name, **options)  # type: ignore[no-any-return]
        raise UnsupportedModel(
            f"No model `{source:.80}`.", do=f"use one of {schemes('llms')}, or pass a model or a function"
        )
    if load := plugin_for("llms", source):
        return load(source, **options)  # type: ignore[no-any-return]
    if callable(source):
        return FunctionLLM(source, **options)
    raise UnsupportedModel(
        f"`{type(source).__name__}` cannot be wrapped as a language model.",
        do=f"pass a function, a LangChain model, an OpenAI client, a transformers model, or one of {schemes('llms')}",
    )


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
    )


async def in_thread(iterate: Callable[[], Iterable[Any]]) -> AsyncIterator[Any]:
    """The items of a blocking iterable, each fetched off the event loop."""
    end = object()
    iterator = iter(await asyncio.to_thread(iterate))
    while (item := await asyncio.to_thread(next, iterator, end)) is not end:
        yield item


def run_sync(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine for a caller that is not async, also from inside a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((asyncio.run(coroutine), None))
        except BaseException as error:  # handed to the caller's thread
            outcome.append((None, error))

    thread = threading.Thread(target=run, name="memedit-async")
    thread.start()
    thread.join()
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


async def _collected(values: AsyncIterator[Any]) -> list[Any]:
    return [value async for value in values]


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


def _pieces(result: Any) -> Iterable[Any]:
    return result if isinstance(result, (Iterator, list)) else [result]


def _annotated_input(function: Callable[..., Any]) -> Literal["text", "messages"] | None:
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        hints, parameters = get_type_hints(target), list(inspect.signature(function).parameters)
    except (TypeError, ValueError, NameError):
        return None
    annotation = hints.get(parameters[0]) if parameters else None
    if annotation is None:
        return None
    if annotation is str:
        return "text"
    origin = getattr(annotation, "__origin__", annotation)
    return "messages" if isinstance(origin, type) and issubclass(origin, Iterable) else None


def _accepts_options(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters) or any(
        parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters
    )
