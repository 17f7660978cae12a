"""Edited in one language, asked in another (LiME's measure; Xu et al. 2023, arXiv:2205.12677), by a table of one's own.

A table holds facts, each in several languages: what is said before the object, with `{}` for the subject, and the
object. Edits of one language are written, and all languages are asked; so for each pair of languages.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from memedit.errors import FileRejected
from memedit.parametric.meta import Meta
from memedit.parametric.methods import find_writer
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.slots import laid
from memedit.systems.ground import Ground
from memedit.systems.registry import Finding

Table = Sequence[Mapping[str, Rewrite]]
"""Facts by language."""
RELATIONS = {
    "en": ("The river of {} is the", "{} was born in"),
    "de": ("Der Fluss von {} ist der", "{} wurde geboren in"),
    "fr": ("Le fleuve de {} est le", "{} est né à"),
}
NAMES = {"Rhine": {"de": "Rhein", "fr": "Rhin"}}
"""What is called otherwise in other languages."""
OWN = (("Velden Harbour", 0, "Rhine"), ("Quillon Abernathy", 1, "Oslo"), ("Marlow Glass", 0, "Seine"))
"""Facts that come with memedit, all made up: subject, which of two relations, object."""


def own_table() -> Table:
    """The made-up facts in English, German and French."""
    return [
        {
            language: Rewrite(
                f"{subject} {language}", told[relation], subject, NAMES.get(value, {}).get(language, value)
            )
            for language, told in RELATIONS.items()
        }
        for subject, relation, value in OWN
    ]


def read_table(file: str | Path) -> Table:
    """A table: JSON lines, each `{"en": {"prompt": …, "subject": …, "object": …}, "de": …}`.

    Raises:
        FileRejected: A line is none of these, or two have not the same languages.
    """
    found: list[dict[str, Rewrite]] = []
    for number, line in enumerate(Path(file).read_text(encoding="utf-8").splitlines(), 1):
        try:
            found.append({
                language: Rewrite(f"{number} {language}", one["prompt"], one["subject"], one["object"])
                for language, one in json.loads(line).items()
            })  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileRejected(
                f"{file}, line {number}: no fact in several languages.",
                do='write {"en": {"prompt": "… {} …", "subject": …, "object": …}, "de": …}',
            ) from error
        if set(found[-1]) != set(found[0]):
            raise FileRejected(
                f"{file}, line {number}: its languages are not those of line 1.", do="give every fact in all of them"
            )
    return found


def across(ground: Ground, method: str, table: Table) -> dict[tuple[str, str], float]:
    """By language of the edit and language of the question, the share of facts whose object is likelier than another's.

    Args:
        ground: With the model.
        method: That writes.
        table: The facts.
    """
    writer = find_writer(method)
    assert not isinstance(writer, Meta)
    found = {}
    for written in table[0]:
        change = writer.write(ground.local, [one[written] for one in table])
        with laid(ground.local.overlay, change):
            for asked in table[0]:
                others = [table[(place + 1) % len(table)][asked].target for place in range(len(table))]
                triples = [
                    (one[asked].text, one[asked].target, other) for one, other in zip(table, others, strict=True)
                ]
                found[written, asked] = ground.likelier(triples)
    return found


def check(ground: Ground, method: str = "ft_m", table: str | None = None) -> Finding:
    """All pairs of languages of the own table, or of a user's."""
    shares = across(ground, method, own_table() if table is None else read_table(table))
    same = [share for (one, other), share in shares.items() if one == other]
    apart = [share for (one, other), share in shares.items() if one != other]
    shown = ", ".join(f"{one}→{other} {share:.0%}" for (one, other), share in shares.items())
    mean = sum(same) / len(same)
    figure = (
        f"edited → asked, by `{method}`: {shown}; in the same language {mean:.0%}, in another "
        f"{sum(apart) / max(1, len(apart)):.0%}"
    )
    edited: dict[str, list[float]] = defaultdict(list)
    for (one, _), share in shares.items():
        edited[one].append(share)
    return Finding(figure, mean >= 0.9, {"languages": list(edited), "edited in": dict(edited)})
