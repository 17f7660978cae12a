"""Writing rewrites where the model keeps what it knows of their subjects: what all locate-and-edit methods share.

A method says which value is wanted where (`targets`), and how keys and residuals become a change (`solve`). Here layers
are gone through one after the other, the change of each seen by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch

from memedit.errors import EditDiverged
from memedit.parametric.delta import Delta, Factors
from memedit.parametric.method import Current, Local, Method, Settings, Stream, Targets, averaged
from memedit.parametric.reading import states_at_subjects
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.solving import Solve
from memedit.parametric.stats import Stats

LEAVE = "leave the edits in memory, or choose another method"


@dataclass(frozen=True, slots=True)
class Located(Method):
    """A locate-and-edit method.

    Args:
        name: As it is asked for.
        paper: That it follows.
        how: Its settings.
        targets: The first half.
        solve: The second.
        current: What stands where a value is wanted.
        spread: What part of the residual a layer takes, of so many that are left; None for a method of one layer.
        weighs: What of `Weight` it heeds; None for an equality.
    """

    how: Settings
    targets: Targets
    solve: Solve
    current: Current
    spread: Callable[[int], float] | None = None
    weighs: Literal["share", "fixed"] | None = "share"

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
        if not rewrites:
            return Delta({}, {"method": self.name, "rewrites": [], "norm": None})
        stream = stream or Stream()
        whole: Delta | None = None
        with frozen(local.anatomy.model):
            before = local.prefixes.of(each=self.how.each, seed=self.how.seed)
            size = self.how.at_once or len(rewrites)
            parts = [rewrites[start : start + size] for start in range(0, len(rewrites), size)]
            names: list[str] = []
            try:
                for place, part in enumerate(parts):
                    one = self._write_part(local, part, before, stream, values or {})
                    names.append(f"writing {place}")
                    local.overlay.put(names[-1], one)
                    stream = stream.behind(one)
                    whole = one if whole is None else joined(whole, one)
            finally:
                for name in names:
                    local.overlay.take(name)
        assert whole is not None  # there was a rewrite
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
                parts[layer] = self._solved(layer, keys, residuals, stats[layer], earlier)
                local.overlay.put(draft, Delta(parts))
                local.told("layers", place + 1, len(layers))
            # On the edited model, as MEMIT-seq's authors read them.
            wrote = {f"keys.{layer}": self._keys(local, rewrites, before, layer).float() for layer in layers}
        finally:
            if draft in local.overlay.names:
                local.overlay.take(draft)
        made = {"method": self.name, "rewrites": [one.id for one in rewrites], "norm": norm}
        return Delta(parts, made, wrote | {"values": values.float()})

    def _solved(
        self, layer: int, keys: torch.Tensor, residuals: torch.Tensor, stats: Stats, earlier: torch.Tensor | None
    ) -> Factors:
        try:
            left, right = self.solve(keys, residuals, stats, earlier, self.how.weight)
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            raise EditDiverged(f"`{self.name}` found no change of layer {layer}: {error}", do=LEAVE) from error
        if not bool(left.isfinite().all() and right.isfinite().all()):
            raise EditDiverged(f"`{self.name}` found no change of layer {layer}.", do=LEAVE)
        return left.float(), right.float()

    def _values(
        self, local: Local, rewrites: Sequence[Rewrite], before: Sequence[str], stream: Stream,
        known: Mapping[str, torch.Tensor],
    ) -> tuple[torch.Tensor, float | None]:  # fmt: skip
        """The wanted values, (width, n), those that are known taken as they are, and the norm of the others."""
        fresh = [one for one in rewrites if one.id not in known]
        found = self.targets(local, fresh, before, self.how, stream.norm if self.how.nas else None) if fresh else None
        searched = {one.id: found.values[:, at] for at, one in enumerate(fresh)} if found else {}
        columns = [searched[one.id] if one.id in searched else known[one.id].double() for one in rewrites]
        return torch.stack(columns, dim=1), found.norm if found else None

    def _keys(self, local: Local, rewrites: Sequence[Rewrite], before: Sequence[str], layer: int) -> torch.Tensor:
        """The key of each subject, (in, n)."""
        module = local.anatomy.written(layer)
        return averaged(
            states_at_subjects(local.anatomy, local.tokenizer, rewrites, before, module, inputs=True), self.how
        ).T


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


def joined(first: Delta, second: Delta) -> Delta:
    """Two changes that were written one after the other, as one."""
    whole = first + second
    kept = dict(first.kept)
    for name, one in second.kept.items():  # what is usual, the second has counted on from the first
        kept[name] = one if name.startswith("usual.") else torch.cat([kept[name], one], dim=1)
    made = dict(first.made)
    made["rewrites"] = [*made["rewrites"], *second.made["rewrites"]]
    return Delta(whole.parts, made, kept)
