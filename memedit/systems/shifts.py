"""“Edit at your own risk” (Brown et al. 2023, arXiv:2303.00046): what an edited model gives up under shifted inputs.

Their finding is that editing costs robustness, how much depends on editor and layer, and that interpolating the one
edited layer (1-LI) gives part of it back. The shifts here are of text: character noise, a distractor before the prompt,
another template, upper case. Each is a function of a prompt, with the randomness as an argument.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from string import ascii_lowercase

from memedit.eval.cases import Case, Kind
from memedit.parametric.delta import Delta
from memedit.parametric.methods import find_writer
from memedit.systems.ground import Ground, asked, rewrites_of
from memedit.systems.paint import interpolated
from memedit.systems.registry import Finding

NOISE = 0.1
DISTRACTOR = "The shop on the corner opens at nine and closes at six. "
TEMPLATE = "Complete the sentence. {}"
Shift = Callable[[str, random.Random], str]


def noisy(prompt: str, drawn: random.Random, rate: float = NOISE) -> str:
    """The prompt with this share of its letters replaced by others, at least one, case kept."""
    letters = [place for place, one in enumerate(prompt) if one.isalpha()]
    changed = list(prompt)
    for place in drawn.sample(letters, min(len(letters), max(1, round(rate * len(letters))))):
        other = drawn.choice([one for one in ascii_lowercase if one != prompt[place].lower()])
        changed[place] = other.upper() if prompt[place].isupper() else other
    return "".join(changed)


SHIFTS: Mapping[str, Shift] = {
    "none": lambda prompt, drawn: prompt,
    "noise": noisy,
    "distractor": lambda prompt, drawn: DISTRACTOR + prompt,
    "template": lambda prompt, drawn: TEMPLATE.format(prompt),
    "upper case": lambda prompt, drawn: prompt.upper(),
}


def shifted(triples: Sequence[tuple[str, str, str]], name: str, seed: int = 0) -> list[tuple[str, str, str]]:
    """(prompt, ending, other ending) with every prompt shifted."""
    drawn = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    return [(SHIFTS[name](prompt, drawn), *endings) for prompt, *endings in triples]  # type: ignore[misc]


def one_layer(change: Delta) -> Delta:
    """What of a change is in the layer that it changes most: what 1-LI scales."""
    layer = max(change.parts, key=lambda one: float(change.product(one).norm()))
    return Delta({layer: change.parts[layer]}, change.made, change.kept)


def check(
    ground: Ground, method: str = "rome", edits: int = 4, near: int = 3, alphas: Sequence[float] = (0.0, 0.5, 0.75, 1.0)
) -> Finding:
    """Neighbours' accuracy under every shift before an edit, after it, and with α*; and which edits hold with each."""
    cases = ground.cases[:edits]
    under: dict[str, list[list[float]]] = {name: [] for name in SHIFTS}
    holds: list[list[float]] = []
    for case in cases:
        change = one_layer(find_writer(method).write(ground.local, rewrites_of([case])))  # type: ignore[arg-type]
        _along(ground, case, change, near, alphas, under, holds)
    mean = {name: [sum(column) / edits for column in zip(*rows, strict=True)] for name, rows in under.items()}
    held = [sum(column) / edits for column in zip(*holds, strict=True)]
    whole = [sum(rows[place] for rows in mean.values()) / len(mean) for place in range(len(alphas))]
    best = max(range(1, len(alphas)), key=lambda place: (held[place] + whole[place], -place))
    shown = ", ".join(f"{name} {row[0]:.0%}/{row[-1]:.0%}/{row[best]:.0%}" for name, row in mean.items())
    holding = f"{held[0]:.0%}/{held[-1]:.0%}/{held[best]:.0%}"
    figure = f"neighbours before/after/α* = {alphas[best]:g}: {shown}; edits hold {holding}"
    more = {"alphas": list(alphas), "neighbours": mean, "edits": held}
    return Finding(figure, held[-1] - held[0] >= 0.5 and whole[best] >= whole[-1], more)


def _along(
    ground: Ground, case: Case, change: Delta, near: int, alphas: Sequence[float],
    under: dict[str, list[list[float]]], holds: list[list[float]],
) -> None:  # fmt: skip
    """Adds what one edit does along α."""
    inside, outside = asked([case], Kind.EFFICACY), asked([case], Kind.NEIGHBOURHOOD, near)
    for name in SHIFTS:
        found = interpolated(
            ground.local.overlay, change, lambda name=name: ground.likelier(inside) if name == "none" else 0.0,  # type: ignore[misc]
            lambda name=name: ground.likelier(shifted(outside, name)), alphas,  # type: ignore[misc]
        )  # fmt: skip
        under[name].append(list(found.supported))
        if name == "none":
            holds.append(list(found.patched))
