"""PAINT (Ilharco et al. 2022, arXiv:2208.05592): a model is patched by a part of what fine-tuning changed.

θ_α = (1 − α) θ₀ + α θ₁; α is picked where supported and patched task together are best. `parametric.curve` measures it
for edits and `bake --strength auto` picks it; here it is checked on a task of several facts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from memedit.eval.cases import Kind
from memedit.parametric.delta import Delta, Overlay
from memedit.systems.arithmetic import taught
from memedit.systems.ground import Ground, asked, rewrites_of
from memedit.systems.registry import Finding

ALPHAS = tuple(round(0.1 * step, 1) for step in range(11))


@dataclass(frozen=True, slots=True)
class Patched:
    """What was gained and what was kept with each α; the first is without the patch.

    Args:
        alphas: What the change was multiplied by, beginning with 0.
        patched: Of the task that was patched, in [0, 1].
        supported: Of what was to stay, in [0, 1].
    """

    alphas: tuple[float, ...]
    patched: tuple[float, ...]
    supported: tuple[float, ...]

    def best(self) -> int:
        """The place of the α whose mean of both is the largest; of several the least."""
        means = [round(one + other, 9) for one, other in zip(self.patched, self.supported, strict=True)]
        return means.index(max(means))

    def worth(self, place: int) -> tuple[float, float]:
        """The shares of the whole change's gain, and of its loss, that an α has."""
        gain, loss = self.patched[-1] - self.patched[0], self.supported[0] - self.supported[-1]
        now = self.patched[place] - self.patched[0], self.supported[0] - self.supported[place]
        return now[0] / gain if gain else 0.0, now[1] / loss if loss else 0.0


def interpolated(
    overlay: Overlay, change: Delta, patched: Callable[[], float], supported: Callable[[], float],
    alphas: Sequence[float] = ALPHAS,
) -> Patched:  # fmt: skip
    """Both figures along θ₀ + αΔ; the model is the same afterwards."""
    found = []
    for alpha in alphas:
        with overlay.over("patch", change * alpha):
            found.append((patched(), supported()))
    return Patched(tuple(alphas), tuple(one for one, _ in found), tuple(other for _, other in found))


def check(ground: Ground, relation: str = "P103", facts: int = 8, steps: int = 60) -> Finding:
    """A relation patched; what is supported are the edits' neighbours."""
    cases = ground.of_relation(relation, facts)
    change = taught(ground, rewrites_of(cases), steps=steps)
    inside = asked(cases, Kind.EFFICACY) + asked(cases, Kind.PARAPHRASE)
    near = asked(cases, Kind.NEIGHBOURHOOD, 3)
    found = interpolated(
        ground.local.overlay, change, lambda: ground.likelier(inside), lambda: ground.likelier(near)
    )  # fmt: skip
    place = found.best()
    gain, loss = found.worth(place)
    figure = (
        f"α = {found.alphas[place]:g}: edits {found.patched[0]:.0%} → {found.patched[place]:.0%} (whole change "
        f"{found.patched[-1]:.0%}), neighbours {found.supported[0]:.0%} → {found.supported[place]:.0%} (whole "
        f"{found.supported[-1]:.0%}): {gain:.0%} of the gain at {loss:.0%} of the loss"
    )
    reached = any(one >= 0.75 and other <= 0.25 for one, other in map(found.worth, range(1, len(found.alphas))))
    more = {"alphas": found.alphas, "patched": found.patched, "supported": found.supported}
    return Finding(figure, reached, more)
