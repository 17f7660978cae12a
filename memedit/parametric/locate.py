"""Writing rewrites where the model keeps what it knows of their subjects: what all locate-and-edit methods share.

A method says which value is wanted where (`targets`), and how keys and residuals become a change (`solve`). Here layers
are gone through one after the other, the change of each seen by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from memedit.errors import EditDiverged
from memedit.parametric.contexts import BARE, PrefixBook
from memedit.parametric.delta import Delta, Factors, Overlay
from memedit.parametric.layout import Anatomy
from memedit.parametric.reading import states_at_subjects
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.searching import Search
from memedit.parametric.solving import Solve
from memedit.parametric.stats import StatsBook

Told = Callable[[str, int, int], None]
"""Is told (what is done, how much of it, of how much)."""


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
    """

    keys: Mapping[int, torch.Tensor] = field(default_factory=dict)
    norm: float | None = None

    def behind(self, delta: Delta) -> Stream:
        """The stream with what a change wrote."""
        keys = dict(self.keys)
        for layer in delta.parts:
            wrote = delta.kept[f"keys.{layer}"].double()
            keys[layer] = torch.cat([keys[layer], wrote], dim=1) if layer in keys else wrote
        return Stream(keys, self.norm if self.norm is not None else delta.made.get("norm"))


@dataclass(frozen=True, slots=True)
class Aim:
    """The values that are wanted.

    Args:
        values: One a rewrite, (width, n), in float64.
        norm: Their common norm, or the mean of theirs, which NAS holds later ones to.
    """

    values: torch.Tensor
    norm: float


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set of a locate-and-edit method.

    Args:
        layers: That are written, first to last; None for `depths` of the model's.
        depths: (first, last, step) as shares of the depth, and in layers.
        search: Of values.
        bare: Weight of the bare prompt in a key; the other prefixes share the rest evenly.
        each: Prefixes of each start, besides the bare one.
        at_once: Rewrites that are solved together; None for all.
        remembers: Whether earlier keys are heeded.
        nas: Whether values are held to one norm (NAS).
        seed: Of the prefixes.
    """

    layers: tuple[int, ...] | None = None
    depths: tuple[float, float, int] = (0.2, 0.34, 2)
    search: Search = field(default_factory=Search)
    bare: float = 0.5
    each: int = 1
    at_once: int | None = None
    remembers: bool = False
    nas: bool = False
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Settings:
        """What `to_dict` gave."""
        layers = None if data["layers"] is None else tuple(data["layers"])
        told = {"layers": layers, "depths": tuple(data["depths"]), "search": Search(**data["search"])}
        return cls(**{**data, **told})

    def chosen(self, anatomy: Anatomy) -> tuple[int, ...]:
        """The layers that are written in a model."""
        if self.layers is not None:
            return self.layers
        first, last, step = self.depths
        deepest = len(anatomy) - 1
        return tuple(range(round(first * deepest), max(round(last * deepest), round(first * deepest)) + 1, step))


class Targets(Protocol):
    """The first half of a method."""

    def __call__(
        self, local: Local, rewrites: Sequence[Rewrite], before: Sequence[str], how: Settings, norm: float | None
    ) -> Aim:
        """The value of each rewrite, for the model as it is now.

        Args:
            local: The model.
            rewrites: What shall follow.
            before: Prefixes, the bare one first.
            how: The settings.
            norm: Of the first values of the stream, where later ones are held to it.
        """
        ...


class Current(Protocol):
    """What stands now where a value is wanted."""

    def __call__(self, local: Local, rewrites: Sequence[Rewrite], before: Sequence[str], how: Settings) -> torch.Tensor:
        """One a rewrite, (width, n)."""
        ...


@dataclass(frozen=True, slots=True)
class Located:
    """A locate-and-edit method.

    Args:
        name: As it is asked for.
        paper: That it follows.
        targets: The first half.
        solve: The second.
        current: What stands where a value is wanted.
        how: Its settings.
        spread: What part of the residual a layer takes, of so many that are left; None for a method of one layer.
    """

    name: str
    paper: str
    targets: Targets
    solve: Solve
    current: Current
    how: Settings
    spread: Callable[[int], float] | None = None

    def with_(self, **changes: Any) -> Located:
        """The method with other settings."""
        return replace(self, how=replace(self.how, **changes))

    def write(
        self, local: Local, rewrites: Sequence[Rewrite], stream: Stream | None = None, *,
        values: Mapping[str, torch.Tensor] | None = None,
    ) -> Delta:  # fmt: skip
        """The change that writes rewrites. The model is the same afterwards: apply the change, or not.

        Args:
            local: The model.
            rewrites: What is written.
            stream: What was written before.
            values: Values that were searched before, by the rewrite's id; they are not searched again.

        Raises:
            EditDiverged: A value or the solution is no number; the model is unchanged.
            UnsupportedModel: The method cannot write such a model.
        """
        if self.spread is not None:
            local.anatomy.require_plain(by=self.name)
        stream = stream or Stream()
        with frozen(local.anatomy.model):
            before = local.prefixes.of(each=self.how.each, seed=self.how.seed)
            size = self.how.at_once or len(rewrites)
            parts = [rewrites[start : start + size] for start in range(0, len(rewrites), size)]
            whole: Delta | None = None
            names: list[str] = []
            try:
                for place, part in enumerate(parts):
                    one = self._write_part(local, part, before, stream, values or {})
                    names.append(f"writing {place}")
                    local.overlay.put(names[-1], one)
                    stream = stream.behind(one)
                    whole = one if whole is None else _joined(whole, one)
            finally:
                for name in names:
                    local.overlay.take(name)
        assert whole is not None
        return whole

    def _write_part(
        self, local: Local, rewrites: Sequence[Rewrite], before: Sequence[str], stream: Stream,
        known: Mapping[str, torch.Tensor],
    ) -> Delta:  # fmt: skip
        layers = self.how.chosen(local.anatomy)
        stats = local.stats.of(layers, local.tell("statistics"))
        values, norm = self._values(local, rewrites, before, stream, known)
        parts: dict[int, Factors] = {}
        draft = f"drafting {self.name}"
        try:
            for place, layer in enumerate(layers):
                keys = self._keys(local, rewrites, before, layer)
                residuals = values - self.current(local, rewrites, before, self.how)
                if self.spread is not None:
                    residuals = residuals * self.spread(len(layers) - place)
                earlier = stream.keys.get(layer) if self.how.remembers else None
                left, right = self.solve(keys, residuals, stats[layer], earlier)
                if not bool(left.isfinite().all() and right.isfinite().all()):
                    raise EditDiverged(
                        f"`{self.name}` found no change of layer {layer}.", do="leave the edits in memory"
                    )
                parts[layer] = left.float(), right.float()
                local.overlay.put(draft, Delta(parts))
                local.told("layers", place + 1, len(layers))
            # On the edited model, as MEMIT-seq's authors read them.
            wrote = {f"keys.{layer}": self._keys(local, rewrites, before, layer).float() for layer in layers}
        finally:
            if draft in local.overlay.names:
                local.overlay.take(draft)
        made = {"method": self.name, "rewrites": [one.id for one in rewrites], "norm": norm}
        return Delta(parts, made, wrote | {"values": values.float()})

    def _values(
        self, local: Local, rewrites: Sequence[Rewrite], before: Sequence[str], stream: Stream,
        known: Mapping[str, torch.Tensor],
    ) -> tuple[torch.Tensor, float]:  # fmt: skip
        """The wanted values, (width, n), those that are known taken as they are."""
        fresh = [one for one in rewrites if one.id not in known]
        found = self.targets(local, fresh, before, self.how, stream.norm if self.how.nas else None) if fresh else None
        searched = {one.id: found.values[:, at] for at, one in enumerate(fresh)} if found else {}
        columns = [searched[one.id] if one.id in searched else known[one.id].double() for one in rewrites]
        return torch.stack(columns, dim=1), found.norm if found else float(torch.stack(columns).norm(dim=1).mean())

    def _keys(self, local: Local, rewrites: Sequence[Rewrite], before: Sequence[str], layer: int) -> torch.Tensor:
        """The key of each subject, (in, n)."""
        module = local.anatomy.written(layer)
        return averaged(
            states_at_subjects(local.anatomy, local.tokenizer, rewrites, before, module, inputs=True), self.how
        ).T


def averaged(states: torch.Tensor, how: Settings) -> torch.Tensor:
    """States behind several prefixes, the bare one first, as one, (rewrites, width)."""
    if states.shape[1] == 1:
        return states[:, 0]
    return how.bare * states[:, 0] + (1 - how.bare) * states[:, 1:].mean(1)


def bare_states(local: Local, rewrites: Sequence[Rewrite], module: Any) -> torch.Tensor:
    """What a module gives at each subject in the bare prompt, (rewrites, width)."""
    return states_at_subjects(local.anatomy, local.tokenizer, rewrites, [BARE], module)[:, 0]


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


def _joined(first: Delta, second: Delta) -> Delta:
    """Two changes that were written one after the other, as one."""
    whole = first + second
    kept = {name: torch.cat([one, second.kept[name]], dim=1) for name, one in first.kept.items()}
    made = dict(first.made)
    made["rewrites"] = [*made["rewrites"], *second.made["rewrites"]]
    return Delta(whole.parts, made, kept)
