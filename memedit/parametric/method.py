"""What all methods that write edits have in common: name and settings, the model as they see it, and how they write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch

from memedit.errors import UnsupportedModel
from memedit.parametric.contexts import PrefixBook
from memedit.parametric.delta import Delta, Factors, Overlay
from memedit.parametric.layout import Anatomy
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.stats import StatsBook

Told = Callable[[str, int, int], None]
"""Is told (what is done, how much of it, of how much)."""
LEAVE = "leave the edits in memory, or choose another method"


@dataclass(frozen=True, slots=True)
class Method:
    """A way of writing edits.

    Args:
        name: As it is asked for.
        paper: That it follows.
        how: Its settings, a frozen dataclass.
    """

    name: str
    paper: str
    how: Any

    def with_(self, **changes: Any) -> Self:
        """The method with other settings."""
        return replace(self, how=replace(self.how, **changes))

    def as_set(self, settings: Mapping[str, Any]) -> Self:
        """The method with settings as JSON has them: those that a change was made with, or some of them."""
        return replace(self, how=changed(self.how, settings))


def changed(how: Any, settings: Mapping[str, Any]) -> Any:
    """Settings with some of their values from JSON, which knows no tuples; what is nested is changed likewise."""
    told = {}
    for name, value in settings.items():
        now = getattr(how, name)
        told[name] = changed(now, value) if is_dataclass(now) else tuple(value) if isinstance(value, list) else value
    return replace(how, **told)


@dataclass(frozen=True, slots=True)
class Local:
    """A model as methods see it.

    Args:
        overlay: Of the model: what lies over its weights.
        tokenizer: Of the model.
        stats: Of its base weights.
        prefixes: That they wrote.
        told: Is told how far a method is.
    """

    overlay: Overlay
    tokenizer: Any
    stats: StatsBook
    prefixes: PrefixBook
    told: Told = field(default=lambda what, done, of: None)

    @classmethod
    def of(cls, overlay: Overlay, tokenizer: Any, texts: Sequence[str], *, cache: str | Path | None = None) -> Local:
        """A model whose statistics are taken of these texts, and kept in `cache`."""
        return cls(
            overlay, tokenizer, StatsBook(overlay, tokenizer, texts, cache=cache), PrefixBook(overlay, tokenizer)
        )

    @property
    def anatomy(self) -> Anatomy:
        """The model's parts."""
        return self.overlay.anatomy

    def tell(self, what: str) -> Callable[[int, int], None]:
        """A report of one step of the work."""
        return lambda done, of: self.told(what, done, of)


@dataclass(frozen=True, slots=True)
class Stream:
    """What was written before, which methods for many edits in a row heed.

    Args:
        keys: Of all earlier edits, by layer, (in, m).
        norm: ‖v*‖ of the first edits, which NAS holds later ones to; None before them.
        usual: What UltraEdit has seen so far, by layer.
    """

    keys: Mapping[int, torch.Tensor] = field(default_factory=dict)
    norm: float | None = None
    usual: Mapping[int, torch.Tensor] = field(default_factory=dict)

    def behind(self, delta: Delta) -> Stream:
        """The stream with what a change wrote."""
        keys, usual = dict(self.keys), dict(self.usual)
        for layer in delta.parts:
            wrote = delta.kept[f"keys.{layer}"].double()
            keys[layer] = torch.cat([keys[layer], wrote], dim=1) if layer in keys else wrote
            if f"usual.{layer}" in delta.kept:
                usual[layer] = delta.kept[f"usual.{layer}"]
        return Stream(keys, self.norm if self.norm is not None else delta.made.get("norm"), usual)


@dataclass(frozen=True, slots=True)
class Writing(Method):
    """A method that writes weights."""

    def write(
        self, local: Local, rewrites: Sequence[Rewrite], stream: Stream | None = None, *,
        values: Mapping[str, torch.Tensor] | None = None,
    ) -> Delta:  # fmt: skip
        """The change that writes rewrites. The model is the same afterwards: apply the change, or not.

        Args:
            local: The model.
            rewrites: What is written.
            stream: What was written before; what trains does not heed it.
            values: Values that were searched before, by the rewrite's id; they are not searched again.

        Raises:
            EditDiverged: What was found is no number; the model is unchanged.
            UnsupportedModel: The method cannot write such a model, or its editor was trained for another.
            CapabilityMissing: Its editor has to be trained first.
            FileRejected: The editor that is named is none.
        """
        if not rewrites:
            return self.change({}, rewrites)
        with frozen(local.anatomy.model):
            return self._written(local, rewrites, stream or Stream(), values or {})

    def change(
        self, parts: Mapping[int, Factors], rewrites: Sequence[Rewrite], *, norm: float | None = None,
        kept: Mapping[str, torch.Tensor] | None = None,
    ) -> Delta:  # fmt: skip
        """A change as this method's.

        Args:
            parts: Its factors, by layer.
            rewrites: That it writes.
            norm: Of its values, where it searched some.
            kept: Its keys and values; of a method without them, none for later edits to heed.
        """
        made = {"method": self.name, "rewrites": [one.id for one in rewrites], "norm": norm}
        none = {f"keys.{layer}": torch.zeros(right.shape[1], 0) for layer, (_, right) in parts.items()}
        return Delta(dict(parts), made, {**none, "values": torch.zeros(0, len(rewrites)), **(kept or {})})

    def _written(
        self, local: Local, rewrites: Sequence[Rewrite], stream: Stream, values: Mapping[str, torch.Tensor]
    ) -> Delta:
        """The same for a rewrite or more, no weight of the model taking part in gradients."""
        raise NotImplementedError


def layers_of(
    anatomy: Anatomy, layers: tuple[int, ...] | None, depths: tuple[float, float, int]
) -> tuple[int, ...]:  # fmt: skip
    """The layers that are given, or those between two depths of a model.

    Raises:
        UnsupportedModel: The model is not that deep.
    """
    deepest = len(anatomy) - 1
    if layers is None:
        first, last = (round(depth * deepest) for depth in depths[:2])
        return tuple(range(first, last + 1, depths[2]))
    if not 0 <= min(layers) <= max(layers) <= deepest:
        raise UnsupportedModel(
            f"Layers {', '.join(map(str, layers))} are to be written; the model's are 0 to {deepest}.",
            do="give layers= that it has, or None for those of a usual depth",
        )
    return layers


@contextmanager
def frozen(model: Any) -> Iterator[None]:
    """No weight takes part in gradients while it lasts, and dropout is off."""
    held = [one for one in model.parameters() if one.requires_grad]
    training = model.training
    for one in held:
        one.requires_grad_(False)
    model.eval()
    try:
        yield
    finally:
        model.train(training)
        for one in held:
            one.requires_grad_(True)
