"""Exact search in numpy: one matrix product over all vectors, nothing on disk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from memedit.embedders.port import Vectors, dots
from memedit.index.port import Index, check_dimension


class ExactIndex(Index):
    """Vectors in one float32 matrix, grown by doubling; a removed row is filled with the last one."""

    name = "exact"

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.seq = 0
        self._ids: list[str] = []
        self._row: dict[str, int] = {}
        self._matrix: Vectors = np.empty((0, 0), dtype=np.float32)

    def put(self, ids: Sequence[str], vectors: Vectors) -> None:
        if not len(ids):
            return
        self._fit(vectors.shape[1], len(self._ids) + len(ids))
        for edit_id, vector in zip(ids, vectors, strict=True):
            row = self._row.setdefault(edit_id, len(self._ids))
            if row == len(self._ids):
                self._ids.append(edit_id)
            self._matrix[row] = vector

    def remove(self, ids: Sequence[str]) -> None:
        for edit_id in ids:
            row = self._row.pop(edit_id, None)
            if row is None:
                continue
            last = self._ids.pop()
            if last != edit_id:
                self._matrix[row] = self._matrix[len(self._ids)]
                self._ids[row], self._row[last] = last, row

    def search(self, vector: Vectors, k: int) -> list[tuple[str, float]]:
        count = len(self._ids)
        if not count or k < 1:
            return []
        check_dimension(self._matrix.shape[1], len(vector))
        scores = dots(self._matrix[:count], vector)
        best = np.argpartition(scores, count - k)[count - k :] if k < count else np.arange(count)
        best = best[np.argsort(-scores[best], kind="stable")]
        return [(self._ids[row], float(scores[row])) for row in best]

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        known = [edit_id for edit_id in ids if edit_id in self._row]
        return dict(zip(known, self._matrix[[self._row[edit_id] for edit_id in known]], strict=True)) if known else {}

    def __len__(self) -> int:
        return len(self._ids)

    def _fit(self, dimension: int, count: int) -> None:
        if not self._ids:
            self._matrix = np.empty((max(count, 16), dimension), dtype=np.float32)
        check_dimension(self._matrix.shape[1], dimension)
        if count > len(self._matrix):
            grown = np.empty((max(count, 2 * len(self._matrix)), dimension), dtype=np.float32)
            grown[: len(self._ids)] = self._matrix[: len(self._ids)]
            self._matrix = grown
