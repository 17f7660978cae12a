"""Methods that leave the weights as they are and put slots beside a layer: one edit after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from memedit.parametric.layout import Anatomy
from memedit.parametric.method import Local, Method, frozen
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.slots import Rule, SlotBank, Slots


class Deep(Protocol):
    """Settings that say how deep in the model the slots lie."""

    layer: int | None
    depth: float


class Start(Protocol):
    """The slots of no edit."""

    def __call__(self, local: Local, layer: int, how: Any) -> Slots: ...


class Add(Protocol):
    """How an edit is added."""

    def __call__(self, local: Local, layer: int, slots: Slots, rewrite: Rewrite, owner: int, how: Any) -> Slots:
        """The slots with those of a rewrite.

        Args:
            local: The model; its weights take no part in gradients.
            layer: Beside which.
            slots: That are there already.
            rewrite: What shall follow.
            owner: Number of the rewrite in the bank.
            how: The settings.
        """
        ...


@dataclass(frozen=True, slots=True)
class Beside(Method):
    """An attached method.

    Args:
        name: As it is asked for.
        paper: That it follows.
        how: Its settings.
        rule: How its slots answer.
        start: The slots of no edit.
        add: How an edit is added.
    """

    rule: Rule
    start: Start
    add: Add

    def empty(self, local: Local) -> SlotBank:
        """The bank of no edit, with which the model is exactly as without it."""
        layer = chosen(local.anatomy, self.how)
        made = {"method": self.name, "rewrites": [], "shape": list(local.anatomy.weight(layer).shape)}
        return SlotBank(self.rule, layer, dict(self.start(local, layer, self.how)), made)

    def write(self, local: Local, rewrites: Sequence[Rewrite], before: SlotBank | None = None) -> SlotBank:
        """The bank with these rewrites. The model is the same afterwards: attach the bank, or not.

        Args:
            local: The model.
            rewrites: What is written.
            before: What was written before.

        Raises:
            EditDiverged: A descent broke down; `before` is as it was.
        """
        bank = before or self.empty(local)
        slots, ids = bank.slots, list(bank.rewrites)
        with frozen(local.anatomy.model):
            for place, rewrite in enumerate(rewrites):
                slots = self.add(local, bank.layer, slots, rewrite, len(ids), self.how)
                ids.append(rewrite.id)
                local.told("edits", place + 1, len(rewrites))
        return replace(bank, slots=slots, made=dict(bank.made) | {"rewrites": ids})


def chosen(anatomy: Anatomy, how: Deep) -> int:
    """The layer beside which slots lie."""
    return how.layer if how.layer is not None else round(how.depth * (len(anatomy) - 1))


def joined(slots: Slots, more: Slots) -> dict[str, torch.Tensor]:
    """Slots with further rows."""
    return {name: torch.cat([one, more[name].to(one.dtype)]) if name in more else one for name, one in slots.items()}
