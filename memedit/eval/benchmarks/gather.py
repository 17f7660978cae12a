"""What readers share: probes numbered anew, records of one edit made one case, and cuts of a text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from memedit.eval.cases import Case, Probe

OPENING = 8
"""Words of a running text that are the prompt; the rest is scored."""


def numbered(probes: Iterable[Probe]) -> tuple[Probe, ...]:
    """The probes with new ids, counted within their kind."""
    seen: Counter[str] = Counter()
    counted = []
    for probe in probes:
        name = str(probe.kind).replace(" ", "-")
        counted.append(replace(probe, id=f"{name}-{seen[name]}"))
        seen[name] += 1
    return tuple(counted)


def together(cases: Iterable[Case]) -> Iterator[Case]:
    """Cases of one id as one: the edits of the first, the probes of all.

    One whose probes all stand there already comes behind it, so that it is counted as repeated.
    """
    same: dict[str, list[Case]] = {}
    for case in cases:
        same.setdefault(case.id, []).append(case)
    for first, *others in same.values():
        probes = {replace(probe, id=""): None for probe in first.probes}
        repeated = []
        for case in others:
            more = {replace(probe, id=""): None for probe in case.probes}
            if more.keys() <= probes.keys():
                repeated.append(case)
            probes |= more
        yield replace(first, probes=numbered(probes))
        yield from repeated


def opening(text: str, words: int = OPENING) -> tuple[str, str]:
    """The first words of a text, and the rest with the blank before it.

    Raises:
        ValueError: Nothing is left behind the opening.
    """
    cut = re.match(rf"\s*(\S+(?:\s+\S+){{{words - 1}}})(\s+\S.*)", text.rstrip(), re.DOTALL)
    if not cut:
        raise ValueError(f"the text has {len(text.split())} words, which is too few for {words} and a rest")
    return cut[1], cut[2]
