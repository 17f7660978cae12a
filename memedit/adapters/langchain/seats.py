"""Putting an editable model into the seat of the wrapped one, within what LangChain builds around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import (
    Runnable,
    RunnableAssign,
    RunnableBranch,
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnableSequence,
    RunnableWithFallbacks,
)
from langchain_core.runnables.base import RunnableBindingBase, RunnableEachBase
from langchain_core.runnables.configurable import DynamicRunnable

Seat = Callable[[BaseChatModel], BaseChatModel]

PARTS: Mapping[type[Any], tuple[str, ...]] = {
    RunnableBindingBase: ("bound",),  # bind, bind_tools, with_config, with_retry
    RunnableEachBase: ("bound",),
    RunnableSequence: ("first", "middle", "last"),
    RunnableParallel: ("steps__",),
    RunnableAssign: ("mapper",),
    RunnableBranch: ("branches", "default"),
    RunnableWithFallbacks: ("runnable", "fallbacks"),
}
"""The fields in which LangChain's own Runnables hold others."""


def reseated(step: Any, seat: Seat) -> Any:
    """The step with every chat model in it replaced by what `seat` makes of it; the step itself where it has none.

    Where the model is made when it is called (`init_chat_model` with configurable fields), so is the seat.
    """
    if isinstance(step, BaseChatModel):
        return seat(step)
    if isinstance(step, Mapping):
        return _if_changed(step, {name: reseated(one, seat) for name, one in step.items()})
    if isinstance(step, (list, tuple)):
        return _if_changed(step, type(step)(reseated(one, seat) for one in step))
    if make := _maker(step):
        return RunnableLambda(lambda _, config, **bound: _with(reseated(make(config), seat), bound))
    names = next((names for kind, names in PARTS.items() if isinstance(step, kind)), ())
    parts = {name: reseated(getattr(step, name), seat) for name in names}
    changed = {name: part for name, part in parts.items() if part is not getattr(step, name)}
    return step.model_copy(update=changed) if changed else step


def _maker(step: Any) -> Callable[[RunnableConfig], Runnable[Any, Any]] | None:
    """What makes the model of a call from its config."""
    if isinstance(step, DynamicRunnable):
        return lambda config: step.prepare(config)[0]
    if isinstance(step, Runnable) and type(step).__name__ == "_ConfigurableModel":  # of `init_chat_model`
        return step._model  # type: ignore[attr-defined, no-any-return]
    return None


def _with(made: Runnable[Any, Any], bound: dict[str, Any]) -> Runnable[Any, Any]:
    return made.bind(**bound) if bound else made


def _if_changed(old: Any, new: Any) -> Any:
    before, after = (old.values(), new.values()) if isinstance(old, Mapping) else (old, new)
    return old if all(one is other for one, other in zip(before, after, strict=True)) else new
