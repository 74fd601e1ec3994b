"""Elimination played on sets: the slow, obvious definition of everything the symbolic analysis computes."""

import dataclasses

import numpy as np
from hypothesis import strategies as st

from elimax._structure.pattern import Pattern


@dataclasses.dataclass
class Elimination:
    """The filled columns of L, the elimination tree and the counts, for a given pivot sequence."""

    columns: list[set[int]]
    parent: list[int]

    @property
    def counts(self) -> list[int]:
        return [len(column) for column in self.columns]


def eliminate(pattern: Pattern, permutation) -> Elimination:
    """Column k, without k, is passed on to its first row below the diagonal."""
    n = pattern.shape[0]
    number = np.empty(n, int)
    number[permutation] = np.arange(n)
    columns = [{k} for k in range(n)]
    for i, j in zip(pattern.rows, pattern.columns, strict=True):
        columns[min(number[i], number[j])].add(int(max(number[i], number[j])))
    parent = []
    for k in range(n):
        below = columns[k] - {k}
        parent.append(min(below, default=-1))
        if below:
            columns[parent[k]] |= below
    return Elimination(columns, parent)


@st.composite
def patterns(draw, max_n: int = 16) -> Pattern:
    """Symmetric patterns from empty to dense, with and without (parts of) the diagonal."""
    n = draw(st.integers(0, max_n))
    index = st.integers(0, max(0, n - 1))
    entries = draw(st.lists(st.tuples(index, index), max_size=4 * n)) if n else []
    if draw(st.booleans()):
        entries += [(k, k) for k in range(n)]
    i, j = np.array(entries, int).reshape(-1, 2).T
    return Pattern.from_coo(np.maximum(i, j), np.minimum(i, j), (n, n), symmetric=True)


@st.composite
def permuted_patterns(draw) -> tuple[Pattern, np.ndarray]:
    """A pattern and some pivot sequence."""
    pattern = draw(patterns())
    return pattern, np.array(draw(st.permutations(range(pattern.shape[0]))), np.int32)


def from_edges(n: int, edges) -> Pattern:
    """The symmetric pattern of a graph, with its diagonal."""
    i, j = np.array(list(edges), int).reshape(-1, 2).T
    pattern = Pattern.from_coo(np.maximum(i, j), np.minimum(i, j), (n, n), symmetric=True)
    return pattern.with_diagonal()


def path(n: int) -> Pattern:
    return from_edges(n, ((k, k + 1) for k in range(n - 1)))


def star(n: int, center: int) -> Pattern:
    return from_edges(n, ((center, k) for k in range(n) if k != center))


def grid(*shape: int) -> Pattern:
    """Neighbors along every axis."""
    index = np.arange(np.prod(shape)).reshape(shape)
    edges = [
        pair
        for axis in range(len(shape))
        for pair in zip(
            np.delete(index, -1, axis).ravel(), np.delete(index, 0, axis).ravel(), strict=True
        )
    ]
    return from_edges(index.size, edges)
