"""Reading data for the patch gate and the interpreter: labelled pairs of one's own, or the published files.

A row of one's own: `text`, `condition`, `applies` (true or false), for the gate; `text`, `consequence`, `label`, for
the interpreter; a row may have all. The published files (Murty et al. 2022) have `instance`, `explanation` and
`label`: which conditions apply, and which sentiment a text has where a consequence holds. They list no condition that
does not apply; such ones are made here by pairing each text with conditions of other texts (section 3.2 there).
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memedit.errors import FileRejected
from memedit.gate.learning.patch_templates import Pair

DESCRIBED = " is described as "
SENTIMENTS = ("negative", "positive")
NEGATIVES = 6  # conditions that do not apply, a text of the published files
SPOKEN = (
    re.compile(
        r"\bthe (?P<noun>\w+)(?: at the restaurant)? was (?:really |surprisingly | ?quite )*"
        r"(?P<said>(?:not )?[\w ]+)",
        re.I,
    ),
    re.compile(r"\brestaurant ha[sd] (?:really |surprisingly | ?quite )*(?P<said>[\w ]+?) (?P<noun>\w+)$", re.I),
)
ASPECTS = {"waiter": "service"}


@dataclass(frozen=True, slots=True)
class Told:
    """A text, a consequence, and the label that the text has where the consequence holds.

    Args:
        text, consequence, label: The three.
        condition: Of what the consequence follows, where it is known.
        labels: All labels there are.
    """

    text: str
    consequence: str
    label: str
    condition: str | None = None
    labels: tuple[str, ...] = SENTIMENTS


@dataclass(frozen=True, slots=True)
class PatchData:
    """What files hold.

    Args:
        pairs: For the gate.
        told: For the interpreter.
    """

    pairs: tuple[Pair, ...] = ()
    told: tuple[Told, ...] = ()


def read_patch_data(files: Iterable[str | Path], *, limit: int | None = None, seed: int = 0) -> PatchData:
    """The rows of files, one JSON object a line.

    Args:
        files: Where they are.
        limit: How many texts are taken at most for the gate, and how many rows for the interpreter, drawn by `seed`.
        seed: Of that draw, and of the conditions that do not apply.

    Raises:
        FileRejected: A file cannot be read, or a row is of neither form; the message names the line.
    """
    pairs: list[Pair] = []
    told: list[Told] = []
    published: list[Mapping[str, Any]] = []
    for file in map(Path, files):
        for place, row in _rows(file):
            try:
                if "instance" in row:
                    published.append({name: row[name] for name in ("instance", "explanation", "label")})
                else:
                    _own(row, pairs, told)
            except (KeyError, TypeError, ValueError) as error:
                raise FileRejected(
                    f"{file}, line {place}: {error}.",
                    do="give text, condition and applies (true or false), or text, consequence and label",
                ) from error
    labels = tuple(sorted({one.label for one in told}))
    told = [Told(one.text, one.consequence, one.label, one.condition, labels) for one in told]
    draw = random.Random(seed)  # noqa: S311 - a sample, no secrets
    made, felt = _published(published, draw)
    pairs, told = [*pairs, *made], [*told, *felt]
    if limit is not None:
        texts = sorted({pair.text for pair in pairs})
        kept = set(draw.sample(texts, min(limit, len(texts))))
        pairs = [pair for pair in pairs if pair.text in kept]
        told = draw.sample(told, min(limit, len(told)))
    return PatchData(tuple(pairs), tuple(told))


def spoken(text: str) -> frozenset[str]:
    """What a text of the published templates describes, as conditions; empty for any other text."""
    found = set()
    for part in re.split(r", | but | even though ", " ".join(text.split())):
        for form in SPOKEN:
            if one := form.search(part):
                noun = one["noun"].lower()
                said = re.sub(r"^(?:not )?(?:really|surprisingly|quite) ", "", one["said"].strip())
                found.add(f"{ASPECTS.get(noun, noun)}{DESCRIBED}{said}")
                break
    return frozenset(found)


def _published(rows: Sequence[Mapping[str, Any]], draw: random.Random) -> tuple[list[Pair], list[Told]]:
    applying: dict[str, set[str]] = {}
    told = []
    for row in rows:
        text = " ".join(row["instance"].split())
        if DESCRIBED in row["explanation"]:
            applying.setdefault(text, set()).add(row["explanation"])
    for row in rows:
        text = " ".join(row["instance"].split())
        if DESCRIBED not in row["explanation"]:
            topic = row["explanation"].partition(" is ")[0]
            conditions = [one for one in sorted(applying.get(text, spoken(text))) if one.startswith(f"{topic} ")]
            told.append(Told(text, row["explanation"], SENTIMENTS[row["label"]], conditions[0] if conditions else None))
    every = sorted({one for conditions in applying.values() for one in conditions})
    pairs = []
    for text, listed in applying.items():
        true = listed | spoken(text)
        pairs += [Pair(text, one, True, _word(one)) for one in sorted(listed)]
        near = {_denied(one) for one in true} | {
            f"{topic}{DESCRIBED}{_said(one)}" for one in true for topic in ("food", "service", "ambience")
        }
        wrong = [one for one in sorted(near) if one in set(every) and one not in true]
        wrong = draw.sample(wrong, min(len(wrong), NEGATIVES // 2))
        others = [one for one in draw.sample(every, min(len(every), 2 * NEGATIVES)) if one not in true]
        wrong = list(dict.fromkeys([*wrong, *others]))[:NEGATIVES]
        pairs += [Pair(text, one, False, _word(one)) for one in wrong]
    return pairs, told


def _own(row: Mapping[str, Any], pairs: list[Pair], told: list[Told]) -> None:
    text = row["text"]
    if not isinstance(text, str) or not text.strip():
        raise ValueError("text is empty")
    if "applies" in row:
        if not isinstance(row["applies"], bool):
            raise ValueError(f"applies is true or false, not {row['applies']!r}")
        pairs.append(Pair(text, str(row["condition"]), row["applies"], str(row.get("group", row["condition"]))))
    if "consequence" in row:
        told.append(Told(text, str(row["consequence"]), str(row["label"]), row.get("condition")))
    if not {"applies", "consequence"} & set(row):
        raise ValueError("it has neither applies nor consequence")


def _rows(file: Path) -> Iterable[tuple[int, Mapping[str, Any]]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileRejected(f"{file} cannot be read: {error}.", do="give a file of JSON lines") from error
    for place, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise FileRejected(f"{file}, line {place}: no JSON: {error}.", do="give one object a line") from error
            if not isinstance(row, dict):
                raise FileRejected(f"{file}, line {place}: a {type(row).__name__}.", do="give one object a line")
            yield place, row


def _said(condition: str) -> str:
    return condition.partition(DESCRIBED)[2]


def _word(condition: str) -> str:
    """The describing word without its denial: what a split keeps together."""
    return _said(condition).removeprefix("not ")


def _denied(condition: str) -> str:
    topic, _, said = condition.partition(DESCRIBED)
    return f"{topic}{DESCRIBED}{said.removeprefix('not ') if said.startswith('not ') else f'not {said}'}"
