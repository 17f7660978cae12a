"""Finding the edits whose subject a text names: a dictionary of names, looked up by every run of words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

LONGEST_NAME = 10  # words; a longer subject is found by similarity alone


class MentionIndex:
    """Edit ids by name, a name being a tuple of normalised words."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, ...], set[str]] = {}
        self._names: dict[str, tuple[tuple[str, ...], ...]] = {}

    def put(self, edit_id: str, names: Iterable[Sequence[str]]) -> None:
        """Note the names of an edit's subject."""
        self.remove(edit_id)
        kept = tuple({tuple(name) for name in names if 0 < len(name) <= LONGEST_NAME})
        if kept:
            self._names[edit_id] = kept
        for name in kept:
            self._ids.setdefault(name, set()).add(edit_id)

    def remove(self, edit_id: str) -> None:
        """Forget an edit."""
        for name in self._names.pop(edit_id, ()):
            ids = self._ids[name]
            ids.discard(edit_id)
            if not ids:
                del self._ids[name]

    def find(self, words: Sequence[str], limit: int) -> list[str]:
        """Edits one of whose names stands in `words`, longest names first; at most about `limit`."""
        if not self._ids:
            return []
        found: dict[str, None] = {}
        for length in range(min(LONGEST_NAME, len(words)), 0, -1):
            for start in range(len(words) - length + 1):
                for edit_id in self._ids.get(tuple(words[start : start + length]), ()):
                    found[edit_id] = None
            if len(found) >= limit:
                break
        return list(found)[:limit]
