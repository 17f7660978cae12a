"""`Delta`: a change of weights as a value, and `Overlay`: the changes that lie over a model's base weights now."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from memedit.errors import FileRejected, UnsupportedModel
from memedit.parametric.layout import Anatomy, Layout

Factors = tuple[torch.Tensor, torch.Tensor]
FORM = "memedit delta 1"
KEPT_AS = "_memedit_overlay"


@dataclass(frozen=True, slots=True)
class Delta:
    """A change of some weights, each as the product of two factors.

    `+` and `-` add and subtract products, `* λ` and unary `-` scale them; the factors themselves never mix.

    Args:
        parts: By layer, (out, r) and (r, in) in float32, whatever way round the model keeps the matrix.
        made: Where it is from, as JSON values: method, edits, hash of the base weights, ….
        kept: Further tensors that belong to it (keys and values of what was written), by name.
    """

    parts: Mapping[int, Factors]
    made: Mapping[str, Any] = field(default_factory=dict)
    kept: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def product(self, layer: int) -> torch.Tensor:
        """The change of a layer's weight, (out, in), in float64."""
        left, right = self.parts[layer]
        return left.double() @ right.double()

    def __add__(self, other: Delta) -> Delta:
        parts = dict(self.parts)
        for layer, (left, right) in other.parts.items():
            if layer in parts:
                mine = parts[layer]
                left, right = torch.cat([mine[0], left], dim=1), torch.cat([mine[1], right], dim=0)
            parts[layer] = _smaller(left, right)
        return Delta(parts, {"sum": [dict(self.made), dict(other.made)]})

    def __sub__(self, other: Delta) -> Delta:
        return self + -other

    def __mul__(self, factor: float) -> Delta:
        parts = {layer: (left * factor, right) for layer, (left, right) in self.parts.items()}
        made = dict(self.made)
        return Delta(parts, made | {"scaled": factor * made.get("scaled", 1.0)}, self.kept)

    __rmul__ = __mul__

    def __neg__(self) -> Delta:
        return self * -1.0

    def norm(self) -> float:
        """The Frobenius norm of all its products together."""
        return math.sqrt(sum(float(self.product(layer).square().sum()) for layer in self.parts))

    def save(self, file: str | Path) -> None:
        """Write it as safetensors, with where it is from in the file's metadata."""
        tensors = {f"kept.{name}": tensor.contiguous() for name, tensor in self.kept.items()}
        for layer, (left, right) in self.parts.items():
            tensors |= {f"left.{layer}": left.contiguous(), f"right.{layer}": right.contiguous()}
        save_file(tensors, Path(file), {"form": FORM, "made": json.dumps(dict(self.made))})

    @classmethod
    def load(cls, file: str | Path) -> Delta:
        """What `save` wrote.

        Raises:
            FileRejected: It is missing, damaged, or something else.
        """
        told, tensors = read_tensors(file, FORM, holds="change of weights", made_by="`bake`")
        layers = [int(name.removeprefix("left.")) for name in tensors if name.startswith("left.")]
        parts = {layer: (tensors[f"left.{layer}"], tensors[f"right.{layer}"]) for layer in layers}
        kept = {name.removeprefix("kept."): tensor for name, tensor in tensors.items() if name.startswith("kept.")}
        return cls(parts, json.loads(told["made"]), kept)


class Beside(Protocol):
    """What lies beside the weights and leaves them as they are (`slots.SlotBank`)."""

    def over(self, anatomy: Anatomy) -> AbstractContextManager[None]:
        """Attached while it lasts."""
        ...


def overlay_of(model: Any, layout: Layout | None = None) -> Overlay:
    """The one overlay of a model, kept with it, so that whoever writes into it knows what lies there already."""
    held: Overlay | None = vars(model).get(KEPT_AS)
    if held is None:
        held = vars(model)[KEPT_AS] = Overlay(Anatomy(model, layout))
    return held


class Overlay:
    """The changes that lie over a model's base weights, and what lies beside them.

    A weight is always its base tensor plus the sum of what lies over it, summed in float64 and rounded once to the
    model's dtype. So changes come off in any order, and with the last one every tensor is the base's, bit by bit.

    Args:
        anatomy: Of the model.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self._base: dict[int, torch.Tensor] = {}
        self._over: dict[str, Delta | Beside] = {}
        self._attached: dict[str, ExitStack] = {}

    @property
    def deltas(self) -> tuple[Delta, ...]:
        """The changes that lie over the base, in the order in which they came."""
        return tuple(one for one in self._over.values() if isinstance(one, Delta))

    @property
    def names(self) -> tuple[str, ...]:
        """Of what lies over the base and beside it, in the order in which it came."""
        return tuple(self._over)

    @property
    def beside(self) -> tuple[str, ...]:
        """The names of what lies beside the weights."""
        return tuple(self._attached)

    def put(self, name: str, delta: Delta | Beside) -> None:
        """Lay a change over the weights, or slots beside them, in the place of what has this name.

        Raises:
            UnsupportedModel: It is one of a model of other layers or widths; nothing is changed.
        """
        if not isinstance(delta, Delta):
            held = ExitStack()
            held.enter_context(delta.over(self.anatomy))
            if name in self._over:
                self.take(name)
            self._over[name], self._attached[name] = delta, held
            return
        for layer, (left, right) in delta.parts.items():
            shape = (left.shape[0], right.shape[1])
            if layer >= len(self.anatomy) or self.anatomy.weight(layer).shape != shape:
                raise UnsupportedModel(
                    f"The change is of a {shape} matrix in layer {layer}, which this model has not.",
                    do="apply it to the model it was made for",
                )
        was = self._over.get(name)
        if name in self._attached:
            self.take(name)
        self._over[name] = delta
        self._write({*delta.parts, *(was.parts if isinstance(was, Delta) else ())})

    def take(self, name: str) -> Delta | Beside:
        """Take what has this name off again."""
        delta = self._over.pop(name)
        if isinstance(delta, Delta):
            self._write(delta.parts)
        else:
            self._attached.pop(name).close()
        return delta

    def clear(self) -> None:
        """Take everything off: the base weights, bit by bit."""
        while self._over:
            self.take(next(iter(self._over)))

    @contextmanager
    def over(self, name: str, delta: Delta | Beside) -> Iterator[None]:
        """A change that lies over the weights, or beside them, while it lasts."""
        self.put(name, delta)
        try:
            yield
        finally:
            self.take(name)

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """The base weights while it lasts."""
        held = dict(self._over)
        self.clear()
        try:
            yield
        finally:
            for name, delta in held.items():
                self.put(name, delta)

    def merge(self) -> None:
        """Make what lies over the weights part of them, for good: it cannot be taken off any more."""
        self._over = {name: one for name, one in self._over.items() if name in self._attached}
        self._base.clear()

    def norms(self) -> dict[int, float]:
        """‖W‖ / ‖W₀‖ by layer that is written."""
        return {
            layer: float(self.anatomy.weight(layer).double().norm() / base.double().norm())
            for layer, base in sorted(self._base.items())
        }

    def relative_norms(self) -> dict[int, float]:
        """‖W − W₀‖ / ‖W₀‖ by layer: the earliest sign of a model that breaks."""
        found = {}
        for layer, base in sorted(self._base.items()):
            whole, now = _seen(base, self.anatomy).double(), self.anatomy.weight(layer).double()
            found[layer] = float((now - whole).norm() / whole.norm())
        return found

    def _write(self, layers: Iterable[int]) -> None:
        for layer in layers:
            stored = self.anatomy.written(layer).weight.data
            over = [delta for delta in self.deltas if layer in delta.parts]
            if not over:
                if layer in self._base:
                    stored.copy_(self._base.pop(layer))
                continue
            base = self._base.setdefault(layer, stored.clone())
            change = torch.stack([delta.product(layer) for delta in over]).sum(0)
            whole = _seen(base, self.anatomy).double() + change.to(base.device)
            self.anatomy.weight(layer).copy_(whole.to(base.dtype))


def _seen(stored: torch.Tensor, anatomy: Anatomy) -> torch.Tensor:
    """A stored weight as (out, in)."""
    return stored.T if anatomy.layout.transposed else stored


def _smaller(left: torch.Tensor, right: torch.Tensor) -> Factors:
    """The same product by fewer numbers, where the factors have become larger than it."""
    if left.shape[1] <= min(left.shape[0], right.shape[1]):
        return left, right
    whole = (left.double() @ right.double()).to(left.dtype)
    return whole, torch.eye(right.shape[1], dtype=right.dtype)


def read_tensors(
    file: str | Path, form: str, *, holds: str, made_by: str
) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """What a file of tensors tells of itself, and its tensors.

    Args:
        file: The file.
        form: What it has to say that it is.
        holds, made_by: The same in words, for the error.

    Raises:
        FileRejected: It is missing, damaged, or something else.
    """
    try:
        with safe_open(Path(file), framework="pt") as opened:
            told = opened.metadata() or {}
            if told.get("form") != form:
                raise FileRejected(f"{file} holds no {holds}.", do=f"give a file that {made_by} made")
            return told, {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise FileRejected(
            f"{file} cannot be read: {error}.", do="restore it from a backup, or make it again"
        ) from error


def form_of(file: str | Path) -> str | None:
    """What a file of tensors says that it is; None where it is none, or says nothing."""
    try:
        with safe_open(Path(file), framework="pt") as opened:
            return (opened.metadata() or {}).get("form")
    except (OSError, SafetensorError):
        return None
