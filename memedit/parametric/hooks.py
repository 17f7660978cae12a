"""Reading and replacing activations, whether a module gives a tensor or a tuple that begins with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

Change = Callable[[torch.Tensor], torch.Tensor]


def hidden(output: Any) -> torch.Tensor:
    """The hidden states in what a module gave, (rows, tokens, width). OPT's feed-forward parts give two dimensions."""
    found: torch.Tensor = output if isinstance(output, torch.Tensor) else output[0]
    return found


def with_hidden(output: Any, states: torch.Tensor) -> Any:
    """What a module gave, with other hidden states in it."""
    return states if isinstance(output, torch.Tensor) else (states, *output[1:])


@contextmanager
def replacing(module: Any, change: Change) -> Iterator[None]:
    """While it lasts, the module gives what `change` makes of its hidden states."""
    handle = module.register_forward_hook(lambda _module, _given, output: with_hidden(output, change(hidden(output))))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def recording(modules: Sequence[Any], *, inputs: bool = False) -> Iterator[list[torch.Tensor]]:
    """A list that holds, after a forward pass, the hidden states that each module gave (or was given)."""
    found: list[torch.Tensor] = [torch.empty(0)] * len(modules)

    def keep(place: int) -> Callable[..., None]:
        def hook(_module: Any, given: Any, output: Any) -> None:
            found[place] = (given[0] if inputs else hidden(output)).clone()  # Falcon goes on to add to it in place

        return hook

    with ExitStack() as held:
        for place, module in enumerate(modules):
            held.callback(module.register_forward_hook(keep(place)).remove)
        yield found


class _Reached(Exception):
    """No error: how a forward pass ends early."""


@contextmanager
def ending_at(module: Any) -> Iterator[None]:
    """A forward pass within ends where the module is done; what lies behind it is not computed."""

    def stop(*_: Any) -> None:
        raise _Reached

    handle = module.register_forward_hook(stop)
    try:
        yield
    except _Reached:
        pass
    finally:
        handle.remove()


@contextmanager
def beginning_behind(blocks: Sequence[Any], output: Any) -> Iterator[None]:
    """A forward pass within begins behind these blocks, which are not computed.

    Args:
        blocks: The first ones of the model; where there are none, the pass is whole.
        output: What the last of them gave for the same tokens.
    """
    with ExitStack() as held:
        for block in blocks:
            block.forward = lambda *_given, **_named: with_hidden(output, hidden(output).clone())  # some add in place
            held.callback(delattr, block, "forward")
        yield


def output_of(module: Any, run: Callable[[], Any]) -> Any:
    """What a module gave in a forward pass, which ends there; without gradients."""
    kept: list[Any] = []
    handle = module.register_forward_hook(lambda _module, _given, output: kept.append(output))
    try:
        with torch.no_grad(), ending_at(module):
            run()
    finally:
        handle.remove()
    return kept[0]
