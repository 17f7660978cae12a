"""Writing rewrites where the model keeps what it knows of their subjects: what all locate-and-edit methods share.

A method says which value is wanted where (`targets`), and how keys and residuals become a change (`solve`). Here layers
are gone through one after the other, the change of each seen by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import torch

from memedit.errors import EditDiverged
from memedit.parametric.delta import Delta, Factors
from memedit.parametric.halves import Current, Settings, Targets, averaged
from memedit.parametric.method import LEAVE, Local, Stream, Writing
from memedit.parametric.reading import states_at_subjects
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.solving import Solve
from memedit.parametric.stats import Stats


@dataclass(frozen=True, slots=True)
class Located(Writing):
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

    def _written(
        self, local: Local, rewrites: Sequence[Rewrite], stream: Stream, values: Mapping[str, torch.Tensor]
    ) -> Delta:
        if self.spread is not None:
            local.anatomy.require_plain(by=self.name)
        before = local.prefixes.of(each=self.how.each, seed=self.how.seed)
        size = self.how.at_once or len(rewrites)
        turns = [rewrites[start : start + size] for start in range(0, len(rewrites), size)]
        return one_by_one(local, turns, stream, lambda turn, stream: self._turn(local, turn, before, stream, values))

    def _turn(
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
        return self.change(parts, rewrites, norm=norm, kept=wrote | {"values": values.float()})

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


def one_by_one(
    local: Local, turns: Sequence[Sequence[Rewrite]], stream: Stream,
    write: Callable[[Sequence[Rewrite], Stream], Delta],
) -> Delta:  # fmt: skip
    """The change of turns, one after the other, each written over those before it. The model is the same afterwards."""
    found: list[Delta] = []
    with ExitStack() as held:
        for turn in turns:
            found.append(write(turn, stream))
            held.enter_context(local.overlay.over(f"writing {len(found)}", found[-1]))
            stream = stream.behind(found[-1])
            local.told("turns", len(found), len(turns))
    return reduce(joined, found)


def joined(first: Delta, second: Delta) -> Delta:
    """Two changes that were written one after the other, as one."""
    whole = first + second
    kept = dict(first.kept)
    for name, one in second.kept.items():  # what is usual, the second has counted on from the first
        kept[name] = one if name.startswith("usual.") else torch.cat([kept[name], one], dim=1)
    made = dict(first.made)
    made["rewrites"] = [*made["rewrites"], *second.made["rewrites"]]
    return Delta(whole.parts, made, kept)
