"""`SlotBank`: what a method puts beside a layer and leaves the weights as they are. Off is exactly off.

A bank lies at the written matrix of a layer. Token by token it reads what the matrix is given and decides what it gives
instead. A token is decided from itself and those before it, so that it makes no difference whether a text is read
at once, in a batch, or token by token. Where no slot fires, what the matrix gave goes on untouched, bit by bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from memedit.errors import CapabilityMissing, UnsupportedModel
from memedit.parametric.delta import Delta, Overlay
from memedit.parametric.hooks import hidden, with_hidden
from memedit.parametric.layout import Anatomy

FORM = "memedit slots 1"
Slots = Mapping[str, torch.Tensor]


@dataclass(slots=True)
class Pass:
    """A forward pass, as what is attached sees it.

    Args:
        seen: Which tokens are no padding, (rows, tokens).
        kept: What rules keep from one pass to the next of the same sequences.
        length: Of the sequences before this pass, as the rules know them; None where they know them not.
    """

    seen: torch.Tensor = field(default_factory=lambda: torch.ones(0, 0, dtype=torch.bool))
    kept: dict[str, torch.Tensor] = field(default_factory=dict)
    length: int | None = 0

    def begin(self, _model: Any, given: tuple[Any, ...], named: Any) -> None:
        """Called before the model reads anything."""
        ids = given[0] if given else named.get("input_ids")
        read = named["inputs_embeds"] if ids is None else ids
        rows, tokens = read.shape[:2]
        past = named.get("past_key_values")
        before = 0 if past is None else int(past.get_seq_length())
        known = self.length is not None and before == self.length + self.seen.shape[1] and rows == len(self.seen)
        if before == 0:
            self.kept = {}
        self.length = before if known or before == 0 else None
        mask = named.get("attention_mask")
        told = mask is not None and mask.dim() == 2
        self.seen = mask[:, -tokens:].bool() if told else torch.ones(rows, tokens, dtype=torch.bool)

    def carried(self, name: str, like: torch.Tensor) -> torch.Tensor:
        """What was kept of the tokens before this pass; zero where there are none.

        Raises:
            CapabilityMissing: They were read when nothing was attached.
        """
        if self.length is None:
            raise CapabilityMissing(
                "What is attached decides from the whole text, and its beginning was read before.",
                do="let the model read it anew: call `forget_prefix()`, or give no past_key_values",
            )
        return self.kept.get(name, torch.zeros_like(like))

    def largest_so_far(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """For each token the largest of a value over it and those before it, (rows, tokens, width)."""
        largest = torch.maximum(values.cummax(1).values, self.carried(name, values[:, :1]))
        self.kept[name] = largest[:, -1:].detach()
        return largest

    def last_so_far(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """For each token the last value that is not 0, of it and those before it, padding apart, (rows, tokens)."""
        told = values * self.seen.to(values)
        places = torch.arange(1, told.shape[1] + 1, device=told.device) * (told != 0)
        last = places.cummax(1).values
        latest = torch.where(last > 0, told.gather(1, (last - 1).clamp(min=0)), self.carried(name, told[:, :1]))
        self.kept[name] = latest[:, -1:].detach()
        return latest


Answering = Callable[[Slots, torch.Tensor, torch.Tensor, Pass], torch.Tensor]
"""What a layer gives instead: of the slots, what the matrix is given, (rows, tokens, in), and gave, (…, out), and the
pass. It returns what the matrix gave, the very tensor, where no slot fires."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How a method's slots answer.

    Args:
        method: Its name.
        answer: The function.
        parts: Names of the slots of which each row belongs to one edit, so that edits can be taken out one by one.
    """

    method: str
    answer: Answering
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SlotBank:
    """What lies beside a layer.

    Args:
        rule: How it answers.
        layer: Beside which.
        slots: Tensors in float32, by name. `owner` says of each row which of `made["rewrites"]` it belongs to.
        made: Where it is from, as JSON values: rewrites, shape of the matrix, ….
    """

    rule: Rule
    layer: int
    slots: Slots
    made: Mapping[str, Any]

    @property
    def rewrites(self) -> tuple[str, ...]:
        """The ids of what was written, in that order."""
        return tuple(self.made["rewrites"])

    def size(self) -> int:
        """Bytes that it takes."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.slots.values())

    def without(self, ids: Sequence[str]) -> SlotBank:
        """The bank with some rewrites taken out; the slots of all others stay as they are.

        Raises:
            CapabilityMissing: The method's edits share their slots.
        """
        if not self.rule.parts:
            raise CapabilityMissing(
                f"Edits of `{self.rule.method}` share what was learned.", do="write the others anew, without these"
            )
        gone = torch.tensor([one in ids for one in self.rewrites], dtype=torch.bool)
        stays = ~gone[self.slots["owner"]]
        slots = {name: one[stays] if name in self.rule.parts else one for name, one in self.slots.items()}
        return replace(self, slots=slots)

    @contextmanager
    def over(self, anatomy: Anatomy) -> Iterator[None]:
        """Attached while it lasts.

        Raises:
            UnsupportedModel: It was made for a model of other layers or widths.
        """
        shape = tuple(self.made["shape"])
        if self.layer >= len(anatomy) or tuple(anatomy.weight(self.layer).shape) != shape:
            raise UnsupportedModel(
                f"The slots lie beside a {shape} matrix in layer {self.layer}, which this model has not.",
                do="attach them to the model that they were made for",
            )
        slots = {name: tensor.to(anatomy.device) for name, tensor in self.slots.items()}
        with attached(anatomy, self.layer, lambda given, output, now: self.rule.answer(slots, given, output, now)):
            yield

    def save(self, file: str | Path) -> None:
        """Write it as safetensors, with where it is from in the file's metadata."""
        told = {"method": self.rule.method, "layer": self.layer, "made": dict(self.made)}
        tensors = {name: tensor.contiguous().cpu() for name, tensor in self.slots.items()}
        save_file(tensors, Path(file), {"form": FORM, "told": json.dumps(told)})


Change = Delta | SlotBank
"""What a method gives: a change of weights, or what lies beside them."""


@contextmanager
def laid(overlay: Overlay, *changes: Change) -> Iterator[None]:
    """Changes of weights and slots over a model while it lasts; afterwards it is as it was, bit by bit."""
    with ExitStack() as held:
        for place, change in enumerate(changes):
            held.enter_context(overlay.over(f"laid {len(overlay.names)} {place}", change))
        yield


@contextmanager
def attached(
    anatomy: Anatomy, layer: int, change: Callable[[torch.Tensor, torch.Tensor, Pass], torch.Tensor]
) -> Iterator[None]:
    """While it lasts, the written matrix of a layer gives what `change` makes of what it was given and gave.

    Args:
        anatomy: Of the model.
        layer: Whose matrix.
        change: Of (rows, tokens, in) and (rows, tokens, out); where it returns the latter itself, nothing changes.
    """
    now = Pass()

    def hook(_module: Any, given: tuple[Any, ...], output: Any) -> Any:
        rows, tokens = now.seen.shape
        gave = hidden(output)
        shaped = gave.reshape(rows, tokens, -1)
        changed = change(given[0].reshape(rows, tokens, -1), shaped, now)
        return output if changed is shaped else with_hidden(output, changed.reshape(gave.shape))

    with ExitStack() as held:
        held.callback(anatomy.model.register_forward_pre_hook(now.begin, with_kwargs=True).remove)
        held.callback(anatomy.written(layer).register_forward_hook(hook).remove)
        yield
