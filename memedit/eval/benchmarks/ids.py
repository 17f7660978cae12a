"""Files that list the ids of cases, such as the 2,002 of MQuAKE-CF-3k that contradict no other."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from memedit.errors import FileRejected
from memedit.eval.cases import Case


def read_ids(file: str | Path, cases: Iterable[Case]) -> frozenset[str]:
    """The cases that a file lists: a JSON array, or lines, of ids or of objects with `case_id`.

    Raises:
        FileRejected: It cannot be read, or less than half of what it lists are cases.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig").strip()
        listed = json.loads(text) if text.startswith("[") else list(map(json.loads, text.splitlines()))
        ids = {_id(one["case_id"] if isinstance(one, dict) else one) for one in listed}
    except OSError as error:
        raise FileRejected(f"{file} cannot be read: {error.strerror}.", do="check the name") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FileRejected(f"{file} lists no case ids: {error}", do="give a JSON array of case ids") from error
    found = frozenset(case.id for case in cases if case.id.rpartition(":")[2] in ids or case.id in ids)
    if not found or len(found) * 2 < len(ids):
        raise FileRejected(
            f"Of the {len(ids)} ids in {file} only {len(found)} are cases of these files.",
            do="give the ids of the same benchmark",
        )
    return found


def _id(value: object) -> str:
    if not isinstance(value, int | str):
        raise TypeError(f"{value!r} is no id")
    return str(value)
