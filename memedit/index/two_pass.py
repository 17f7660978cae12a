"""Search in two passes: bounds from a few principal axes over the nearest inverted lists, then exact products.

Inverted lists are those of IVF (Jégou et al. 2011). Nothing is on disk: they are made when a namespace is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memedit.embedders.port import Vectors, dots
from memedit.index.exact import ExactIndex
from memedit.index.inverted import InvertedLists
from memedit.index.port import check_dimension

SMALL = 16_384  # vectors; up to so many one pass over everything is as fast
VISITED = 120_000  # vectors the first pass looks at
FIRST = 128  # best bounds whose exact products come first
MOST = 5_000  # exact products at most, where `k` asks for no more
PARTED = 16


class TwoPassIndex(ExactIndex):
    """The vectors as in `ExactIndex`, and beside them inverted lists that bound their product with a query.

    The first pass takes the bounds. The second takes the exact product of every vector whose bound reaches the `k`-th
    best product, so that an easy query costs little and a hard one more. It differs from exact search where a product
    exceeds its bound (which is rare), and with more than `VISITED` vectors, where the first pass looks at the nearest
    lists only. Up to `SMALL`, and for a `k` that asks for much of what is there, it is the search of `ExactIndex`.
    """

    name = "two-pass"

    def clear(self) -> None:
        super().clear()
        self._lists: InvertedLists | None = None

    def put(self, ids: Sequence[str], vectors: Vectors) -> None:
        if self._lists is not None:
            self.remove(ids)
        before = len(self._ids)
        super().put(ids, vectors)
        if self._lists is not None:
            self._lists.append(before, self._matrix[before : len(self._ids)])

    def remove(self, ids: Sequence[str]) -> None:
        if self._lists is None:
            super().remove(ids)
            return
        for edit_id in ids:
            if (row := self._row.get(edit_id)) is not None:
                super().remove([edit_id])
                self._lists.remove(row, last=len(self._ids))

    def search(self, vector: Vectors, k: int) -> list[tuple[str, float]]:
        wide = max(FIRST, 4 * k)
        if k < 1 or len(self._ids) <= max(SMALL, 8 * wide) or 2 * wide > VISITED:
            return super().search(vector, k)
        check_dimension(self._matrix.shape[1], len(vector))
        rows, bounds = self._current_lists().bounds(vector, VISITED)
        best = _about_the_best(bounds, wide)
        least = np.partition(dots(self._matrix[rows[best]], vector), -k)[-k]
        bounds[best] = np.inf
        chosen = np.flatnonzero(bounds >= least)
        if len(chosen) > (most := max(MOST, 2 * len(best))):
            chosen = chosen[np.argpartition(bounds[chosen], -most)[-most:]]
        places = rows[chosen]
        products = dots(self._matrix[places], vector)
        top = np.argpartition(products, -k)[-k:]
        top = top[np.argsort(-products[top], kind="stable")]
        ids = [self._ids[row] for row in places[top].tolist()]
        return list(zip(ids, products[top].tolist(), strict=True))

    def _current_lists(self) -> InvertedLists:
        """The lists, made anew where half as many vectors again have come since, or half have gone."""
        count = len(self._ids)
        if self._lists is None or not self._lists.learned / 2 <= count <= 1.5 * self._lists.learned:
            self._lists = InvertedLists(self._matrix[:count], one_list_up_to=VISITED)
        return self._lists


def _about_the_best(bounds: Vectors, count: int) -> NDArray[np.intp]:
    """Where the best bounds are, at least `count`. A part of them tells which; parting all takes five times as long."""
    part = bounds[::PARTED]
    place = min(count // PARTED + 8, len(part))
    found = np.flatnonzero(bounds >= np.partition(part, -place)[-place])
    return found if count <= len(found) <= 8 * count else np.argpartition(bounds, -count)[-count:]
