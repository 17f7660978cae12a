"""What fires how often: the edits that were applied to the calls of each namespace, counted since the server began."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fires:
    """Counts by namespace. Only ids are kept, of edits that were in scope, and nothing of what was asked."""

    _asked: Counter[str] = field(default_factory=Counter)
    _applied: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def note(self, namespace: str, applied: Iterable[str]) -> None:
        """One call that was answered, and the ids of the edits that were applied to it."""
        self._asked[namespace] += 1
        self._applied[namespace].update(applied)

    def asked(self, namespace: str) -> int:
        """How many calls were answered."""
        return self._asked.get(namespace, 0)

    def applied(self, namespace: str) -> dict[str, int]:
        """How often each edit was applied, by id."""
        return dict(self._applied.get(namespace, {}))  # a copy: other calls are counted meanwhile
