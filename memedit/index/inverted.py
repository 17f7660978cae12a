"""Inverted lists (IVF, Jégou et al. 2011) that bound the products of a query with very many vectors, read in part."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from memedit.embedders.port import Vectors, dots

Rows = NDArray[np.int32]
A = TypeVar("A", bound=NDArray[Any])

AXES = 79  # principal axes that are read; with the length of the rest 80 numbers
SLACK = 0.65  # share of the longest possible product of what lies off these axes that a bound allows for
PER_LIST = 1_000  # vectors, on average
SAMPLE = 65_536  # vectors that axes and centres are learned from
ROUNDS = 6  # of k-means
BLOCK = 8_192  # vectors a matrix product is taken of
FEW = 64  # vectors up to which that product is taken without BLAS (see `dots`)


class InvertedLists:
    """The rows of a matrix in lists, each in that of its nearest centre.

    A product with a query is that with the centre, and that of what both have along the axes beyond it, and that of
    what lies off the axes. The last is at most the product of two lengths, and nearly always within `SLACK` of it.

    Args:
        matrix: The first vectors, (n, dimension), of unit length; axes and centres are learned from them.
        one_list_up_to: So many vectors stay in one list.
    """

    def __init__(self, matrix: Vectors, *, one_list_up_to: int) -> None:
        self.learned = len(matrix)
        rng = np.random.default_rng(0)
        sample = matrix if len(matrix) <= SAMPLE else matrix[np.sort(rng.choice(len(matrix), SAMPLE, replace=False))]
        mean = sample.mean(axis=0)
        self._axes: Vectors = _principal(sample - mean, AXES)  # (AXES, dimension)
        lists = 1 if len(matrix) <= one_list_up_to else max(len(matrix) // PER_LIST, 1)
        self._centres: Vectors = mean[None] if lists == 1 else _centres(sample, sample @ self._axes.T, lists, rng)
        self._along = self._centres @ self._axes.T  # (lists, AXES)
        self._sizes = np.zeros(lists, np.int64)
        self._rows: list[Rows] = [np.empty(0, np.int32)] * lists
        self._parts: list[Vectors] = [np.empty((0, self._axes.shape[0] + 1), np.float32)] * lists
        self._list_of: Rows = np.empty(0, np.int32)  # by row: its list
        self._place_of: Rows = np.empty(0, np.int32)  # and its place there
        self.append(0, matrix)

    def bounds(self, query: Vectors, enough: int) -> tuple[Rows, Vectors]:
        """The rows of the nearest lists, as many as hold `enough` rows, and a bound of each row's product."""
        along = dots(self._axes, query)
        off = SLACK * np.sqrt(max(1.0 - float(along @ along), 0.0))
        wanted = np.append(along, np.float32(off))
        near = dots(self._centres, query)
        order = np.argsort(-near)
        ends = np.cumsum(self._sizes[order])
        order = order[: np.searchsorted(ends, enough) + 1]
        bounds = np.empty(ends[len(order) - 1], np.float32)
        rows = np.empty(len(bounds), np.int32)
        start = 0
        for place, end in zip(order.tolist(), ends.tolist(), strict=False):
            size = end - start
            here = bounds[start:end]
            np.einsum("nd,d->n", self._parts[place][:size], wanted, out=here)
            here += near[place]
            rows[start:end] = self._rows[place][:size]
            start = end
        return rows, bounds

    def append(self, first: int, vectors: Vectors) -> None:
        """Take in the vectors of the rows from `first` on."""
        self._list_of = _room(self._list_of, first, first + len(vectors))
        self._place_of = _room(self._place_of, first, first + len(vectors))
        lists, parts = self._read(vectors)
        order = np.argsort(lists, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(lists[order])) + 1) if len(order) else []:
            place = int(lists[group[0]])
            start = int(self._sizes[place])
            end = start + len(group)
            self._rows[place] = _room(self._rows[place], start, end)
            self._parts[place] = _room(self._parts[place], start, end)
            self._rows[place][start:end] = first + group
            self._parts[place][start:end] = parts[group]
            self._list_of[first + group] = place
            self._place_of[first + group] = np.arange(start, end)
            self._sizes[place] = end

    def remove(self, row: int, *, last: int) -> None:
        """Take a row out, whose vector in the matrix the `last` row's has replaced."""
        place, here = int(self._list_of[row]), int(self._place_of[row])
        rows, parts = self._rows[place], self._parts[place]
        end = int(self._sizes[place]) - 1
        self._sizes[place] = end
        if here != end:
            rows[here], parts[here] = rows[end], parts[end]
            self._place_of[rows[here]] = here
        if row != last:
            self._list_of[row], self._place_of[row] = self._list_of[last], self._place_of[last]
            self._rows[self._list_of[row]][self._place_of[row]] = row

    def _read(self, vectors: Vectors) -> tuple[Rows, Vectors]:
        """Of each vector its list, and what it has along the axes beyond the centre with the length of the rest."""
        lists = np.empty(len(vectors), np.int32)
        parts = np.empty((len(vectors), len(self._axes) + 1), np.float32)
        for start in range(0, len(vectors), BLOCK):
            block = vectors[start : start + BLOCK]
            along = dots(block, self._axes) if len(block) <= FEW else block @ self._axes.T
            mine = _nearest(along, self._along)
            beyond, within = block - self._centres[mine], along - self._along[mine]
            rest = np.einsum("nd,nd->n", beyond, beyond) - np.einsum("nd,nd->n", within, within)
            lists[start : start + BLOCK] = mine
            parts[start : start + BLOCK, :-1] = within
            parts[start : start + BLOCK, -1] = np.sqrt(np.maximum(rest, 0.0))
        return lists, parts


def _principal(vectors: Vectors, count: int) -> Vectors:
    """The first principal axes of centred vectors, (count, dimension)."""
    axes: Vectors = np.linalg.eigh(vectors.T @ vectors)[1].T[::-1][:count]
    return np.ascontiguousarray(axes)


def _centres(sample: Vectors, along: Vectors, count: int, rng: np.random.Generator) -> Vectors:
    """Centres by k-means along the axes, (count, dimension). sample (n, dimension); along (n, AXES)."""
    centres = along[np.sort(rng.choice(len(along), count, replace=False))]
    for _ in range(ROUNDS):
        lists = np.concatenate([_nearest(along[at : at + BLOCK], centres) for at in range(0, len(along), BLOCK)])
        centres = _means(along, lists, centres)
    return _means(sample, lists, np.zeros((count, sample.shape[1]), np.float32))


def _means(vectors: Vectors, lists: Rows, instead: Vectors) -> Vectors:
    """The mean of the vectors of each list; of an empty one what is given `instead`."""
    order = np.argsort(lists, kind="stable")
    filled, starts = np.unique(lists[order], return_index=True)
    sums = np.add.reduceat(vectors[order], starts, axis=0)
    means = instead.copy()
    means[filled] = sums / np.diff(np.append(starts, len(order)))[:, None]
    return means


def _nearest(along: Vectors, centres: Vectors) -> Rows:
    """The nearest centre of each vector."""
    if len(centres) == 1:
        return np.zeros(len(along), np.int32)
    products = dots(along, centres) if len(along) <= FEW else along @ centres.T
    nearest: Rows = (products - (centres**2).sum(axis=1) / 2).argmax(axis=1).astype(np.int32)
    return nearest


def _room(held: A, used: int, needed: int) -> A:
    """An array with the first `used` entries of `held`, and room for `needed`."""
    if needed <= len(held):
        return held
    grown = np.empty((needed + needed // 8, *held.shape[1:]), held.dtype)
    grown[:used] = held[:used]
    return grown  # type: ignore[return-value]
