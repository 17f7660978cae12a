"""Finding the edits whose subject a text names: a dictionary of names, looked up by every run of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

LONGEST_NAME = (
    24  # words, which are characters in scripts without blanks; a longer subject is found by similarity alone
)


class MentionIndex:
    """Edit ids by name, a name being normalised words with a blank between them.

    A name of one edit, as nearly all are, takes no more than its entry: a million names, about 160 MB.
    """

    def __init__(self) -> None:
        self._ids: dict[str, str | dict[str, None]] = {}
        self._lengths: Counter[int] = Counter()  # of the names, in words: so only those are looked for

    def put(self, edit_id: str, names: Iterable[str]) -> None:
        """Note the names of an edit's subject."""
        for name in filter(_fits, names):
            if name not in self._ids:
                self._lengths[_length(name)] += 1
            held = self._ids.setdefault(name, edit_id)
            if isinstance(held, dict):
                held[edit_id] = None
            elif held != edit_id:
                self._ids[name] = {held: None, edit_id: None}

    def remove(self, edit_id: str, names: Iterable[str]) -> None:
        """Forget an edit, which was put with these names."""
        for name in filter(_fits, names):
            held = self._ids.get(name)
            if isinstance(held, dict):
                held.pop(edit_id, None)
                if len(held) == 1:
                    self._ids[name] = next(iter(held))
            elif held == edit_id:
                del self._ids[name]
                self._lengths[_length(name)] -= 1

    def find(self, words: Sequence[str], limit: int) -> list[str]:
        """Edits one of whose names stands in `words`, longest names first; at most `limit`."""
        if not self._ids:
            return []
        found: dict[str, None] = {}
        for length in sorted((one for one, count in self._lengths.items() if count), reverse=True):
            for start in range(len(words) - length + 1):
                held = self._ids.get(" ".join(words[start : start + length]))
                if held is not None:
                    found.update(dict.fromkeys(islice(held, limit) if isinstance(held, dict) else (held,)))
            if len(found) >= limit:
                break
        return list(found)[:limit]


def _fits(name: str) -> bool:
    return bool(name) and _length(name) <= LONGEST_NAME


def _length(name: str) -> int:
    return name.count(" ") + 1
