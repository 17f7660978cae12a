"""The options of a request to a local model, under their names in transformers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from memedit.adapters._stops import stops_of
from memedit.errors import RequestRejected
from memedit.messages import Request

MAX_NEW_TOKENS = 128
LENGTHS = ("max_tokens", "max_completion_tokens", "max_new_tokens")
SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p")
GENERATION = ("repetition_penalty", "no_repeat_ngram_size", "min_new_tokens")
RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0, inf), "top_p": (0, 1), "top_k": (0, inf), "min_p": (0, 1), "typical_p": (0, 1),
    "repetition_penalty": (0, inf), "no_repeat_ngram_size": (0, inf), "min_new_tokens": (0, inf),
}  # fmt: skip
"""The least and the greatest value of numbers; transformers says of others only what it does not like."""
WHOLE = ("top_k", "no_repeat_ngram_size", "min_new_tokens")
POSITIVE = ("typical_p", "repetition_penalty")
OTHERS = ("stop", "seed", "n", "tools", "tool_choice", "chat_template_kwargs")
KNOWN = (*LENGTHS, *SAMPLING, *GENERATION, *OTHERS)


@dataclass(frozen=True, slots=True)
class Options:
    """What a request asks for besides its text.

    Args:
        max_new_tokens: At most so many.
        stop: The text ends before any of these.
        sampling: Temperature and what else narrows the draw; empty for the likeliest text.
        generation: What else transformers is told.
        seed: Of the draw.
        n: How many answers.
        tools: That the model may call.
        template: Further variables of the chat template.
    """

    max_new_tokens: int = MAX_NEW_TOKENS
    stop: tuple[str, ...] = ()
    sampling: dict[str, Any] = field(default_factory=dict)
    generation: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    n: int = 1
    tools: tuple[Any, ...] = ()
    template: dict[str, Any] = field(default_factory=dict)

    @property
    def alone(self) -> bool:
        """Whether it may share no pass: a seed counts for one request."""
        return self.seed is not None and bool(self.sampling)

    def for_transformers(self) -> dict[str, Any]:
        """What `generate` is told of the draw. A greedy one forgets what the model's files say."""
        if not self.sampling:
            return {"do_sample": False, **dict.fromkeys(("temperature", "top_p", "top_k")), **self.generation}
        return {"do_sample": True, **self.sampling, **self.generation, "num_return_sequences": self.n}


def read_options(request: Request) -> Options:
    """The options of a request. None counts as not given.

    A temperature above 0 asks for sampling, and so does, without a temperature, any other option of the draw, or
    `n` above 1. A temperature of 0 asks for the likeliest text, whatever else is given.

    Raises:
        RequestRejected: One of them is not known or cannot be had, so that it would be lost without a word.
    """
    given = {name: value for name, value in request.options.items() if value is not None}
    for name in given:
        if name not in KNOWN:
            raise RequestRejected(f"A local model knows no option `{name}`.", do=f"use {', '.join(KNOWN)}")
    # A limit of memedit's own stands in the place of the caller's.
    lengths = {
        given[name] for name in LENGTHS if name in given and (name in request.own or not request.own & {*LENGTHS})
    }
    if len(lengths) > 1:
        raise RequestRejected(f"The answer's length is given as {_listed(sorted(lengths))}.", do="give one of them")
    for name in RANGES.keys() & given.keys():
        _check_number(name, given[name])
    n = _whole(given, "n", 1)
    sampling = {name: given[name] for name in SAMPLING if name in given}
    greedy = sampling.get("temperature", 1) == 0 or (not sampling and n == 1)
    if greedy and n > 1:
        raise RequestRejected(f"At temperature 0 all {n} answers are one.", do="give a temperature above 0, or n=1")
    return Options(
        _whole({"max_tokens": next(iter(lengths), MAX_NEW_TOKENS)}, "max_tokens", MAX_NEW_TOKENS),
        stops_of(given.get("stop")),
        {} if greedy else {"temperature": 1.0} | sampling,
        {name: given[name] for name in GENERATION if name in given},
        None if "seed" not in given else _whole(given, "seed", 0, least=0),
        n,
        _tools(given),
        dict(given.get("chat_template_kwargs", {})),
    )


def refuse(request: Request, names: Iterable[str], *, why: str, do: str, unless: Any = None) -> None:
    """Raise `RequestRejected` where one of these options was given.

    Args:
        request: What was asked.
        names: The options.
        why: The sentence, with a place for the name.
        do: What to do instead.
        unless: A value that asks for nothing.
    """
    for name in names:
        if request.options.get(name) not in (None, unless):
            raise RequestRejected(why.format(name), do=do)


def check_greedy(request: Request) -> None:
    """Raise `RequestRejected` where something else is asked for than the likeliest text."""
    options = read_options(request)
    draws = ("n", *SAMPLING) if options.sampling else ()
    refuse(
        request, (*draws, *GENERATION), why="This method mixes distributions token by token, without `{}`.",
        do="leave it out, or choose a method that does not mix",
    )  # fmt: skip


def _whole(given: dict[str, Any], name: str, default: int, *, least: int = 1) -> int:
    value = given.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise RequestRejected(f"`{name}` is {value!r}.", do=f"give a whole number of {least} or more")
    return value


def _check_number(name: str, value: Any) -> None:
    """Refuse what is not between the ends of its range."""
    least, most = RANGES[name]
    number = isinstance(value, int if name in WHOLE else (int, float)) and not isinstance(value, bool)
    if not number or not least <= value <= most or value == inf or (name in POSITIVE and value == 0):
        kind = "a whole number" if name in WHOLE else "a number"
        above = f"above {least}" if name in POSITIVE else f"of {least} or more"
        raise RequestRejected(
            f"`{name}` is {value!r}.", do=f"give {kind} {above}" + ("" if most == inf else f", up to {most}")
        )


def _tools(given: dict[str, Any]) -> tuple[Any, ...]:
    choice = given.get("tool_choice", "auto")
    if choice not in ("auto", "none"):
        raise RequestRejected(
            f"A local model cannot be held to the `tool_choice` {choice!r}.", do="give auto or none, or leave it out"
        )
    return () if choice == "none" else tuple(given.get("tools", ()))


def _listed(values: Iterable[Any]) -> str:
    return " and ".join(map(str, values))
