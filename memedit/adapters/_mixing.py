"""Decoding of several contexts, or of several models of one vocabulary, whose distributions are mixed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from threading import Lock
from typing import Any, Protocol

import numpy as np
import torch

from memedit.adapters._contexts import Contexts
from memedit.adapters._options import check_greedy, read_options
from memedit.adapters._stops import cut
from memedit.llms import Mixer
from memedit.messages import Reply, Request


class Writer(Protocol):
    """A local model that writes text token by token."""

    tokenizer: Any
    lock: Lock

    @property
    def ends(self) -> set[int]:
        """The tokens that end a text."""

    def spell(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""


def mixed(models: Sequence[Writer], contexts: Sequence[Contexts], most: int, first: Request, mixer: Mixer) -> Reply:
    """Greedy tokens of the mixed distribution, up to the end of any of the models.

    Args:
        models: Whose contexts they are; the first one's tokenizer spells.
        contexts: What is gone on with.
        most: At most so many tokens.
        first: The request whose options count.
        mixer: Is given a row of log-probabilities for each context.

    Raises:
        RequestRejected: The options ask for something else than the likeliest text.
    """
    check_greedy(first)
    llm, stops, ends = models[0], read_options(first).stop, set[int]().union(*(one.ends for one in models))
    width = len(llm.tokenizer)  # behind it the vocabulary is padded, by each model to another size
    written: list[int] = []
    with ExitStack() as locked, torch.inference_mode():
        for one in sorted({id(one): one for one in models}.values(), key=id):
            locked.enter_context(one.lock)
        for _ in range(most):
            rows = [one.step()[:, :width].cpu() for one in contexts]
            token = int(np.argmax(mixer(torch.cat(rows).numpy())))
            if token in ends:
                break
            written.append(token)
            if any(stop in llm.spell(written) for stop in stops):
                break
            for context in contexts:
                context.put(token)
    text = cut(llm.spell(written), stops)[0]
    begin = len(text) - len(text.lstrip()) if first.form == "raw" else 0
    lead = text[:begin] if first.form == "raw" else None
    return Reply(text[begin:], usage={"output": len(written)}, lead=lead)
