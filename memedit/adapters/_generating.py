"""How the text of a local model begins and ends: at a seed; at a stop string, or when nobody waits for it any more."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import torch
from transformers import StoppingCriteria, TextIteratorStreamer

from memedit.adapters._stops import until_stop, without_indent
from memedit.messages import Reply


class Abandoned(StoppingCriteria):  # type: ignore[misc]
    """Ends generation at the next token once nobody waits for its text.

    Args:
        event: Set when that is so.
    """

    def __init__(self, event: Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self._event.is_set(), dtype=torch.bool, device=input_ids.device)


@contextmanager
def seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Draws that begin at a seed, and leave the process's own draws as they were."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def streamed(
    run: Callable[[Any, Event], torch.Tensor], streamer: TextIteratorStreamer, stops: Sequence[str], *, indented: bool
) -> Generator[Reply, None, torch.Tensor]:
    """The pieces of a text that is written in a thread of its own. Closed early, it lets the writing end, too.

    Args:
        run: Writes, given the streamer and what is set once nobody waits any more.
        streamer: Hands the pieces over.
        stops: Where the text ends.
        indented: Whether the blanks before its first word are kept.

    Returns:
        What `run` gave.
    """
    abandoned, done = Event(), list[torch.Tensor]()
    failure: list[BaseException] = []

    def write() -> None:
        try:
            done.append(run(streamer, abandoned))
        except BaseException as error:  # raised again in the caller's thread
            failure.append(error)
            streamer.end()

    thread = Thread(target=write, name="memedit-generate", daemon=True)
    thread.start()
    try:
        pieces = until_stop(streamer, stops)
        yield from pieces if indented else without_indent(pieces)
    finally:
        abandoned.set()
    thread.join()
    if failure:
        raise failure[0]
    return done[0]
