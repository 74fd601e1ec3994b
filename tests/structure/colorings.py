"""What colorings are, by definition and slowly; and patterns to color."""

import itertools

import numpy as np
import scipy.sparse as sp

from elimax._structure.coloring import Coloring
from elimax._structure.pattern import Pattern


def indicators(colors: np.ndarray | None, count: int, size: int) -> np.ndarray:
    """One column for each color, of zeros and ones."""
    seed = np.zeros((size, count))
    if colors is not None:
        taking_part = np.flatnonzero(colors >= 0)
        seed[taking_part, colors[taking_part]] = 1
    return seed


def read_from_products(coloring: Coloring, A: np.ndarray) -> np.ndarray:
    """The entries of A, from the products of its colors only."""
    m, n = A.shape
    right = A @ indicators(coloring.column_colors, coloring.num_column_colors, n)
    left = A.T @ indicators(coloring.row_colors, coloring.num_row_colors, m)
    products = np.concatenate([right.T.ravel(), left.T.ravel()])
    values = products[coloring.entries.indices]
    one_by_one = [
        right[p, c] if c < right.shape[1] else left[p, c - right.shape[1]]
        for c, p in zip(coloring.color_of_entry, coloring.place_of_entry, strict=True)
    ]
    assert np.array_equal(values, one_by_one)
    if coloring.substitution is not None:
        T = coloring.substitution.pattern.to_scipy().toarray().astype(float)
        assert np.array_equal(T, np.tril(T, -1))
        assert T.sum() <= values.size
        solution = np.linalg.solve(T + np.eye(values.size), values)
        values = solution[coloring.substitution.order.indices]
    return values


def is_distance_2(S: np.ndarray, colors: np.ndarray) -> bool:
    """Whether columns with an entry in a common row differ."""
    return all(len(set(colors[row])) == row.sum() for row in S)


def is_proper(S: np.ndarray, colors: np.ndarray) -> bool:
    i, j = np.nonzero(S & ~np.eye(len(S), dtype=bool))
    return bool((colors[i] != colors[j]).all())


def is_star(S: np.ndarray, colors: np.ndarray) -> bool:
    """Whether neighbors differ and no path of four vertices has two colors."""
    neighbors = [np.flatnonzero(row & (np.arange(len(S)) != v)) for v, row in enumerate(S)]
    paths = (
        (u, v, w, x)
        for v in range(len(S))
        for w in neighbors[v]
        for u, x in itertools.product(neighbors[v], neighbors[w])
        if len({u, v, w, x}) == 4
    )
    return is_proper(S, colors) and all(len({*colors[list(path)]}) > 2 for path in paths)


def has_stars(S: np.ndarray, colors: np.ndarray) -> bool:
    """The same as `is_star`, faster: whether every component of two colors is a star."""
    for a, b in itertools.combinations(range(colors.max(initial=-1) + 1), 2):
        chosen = np.flatnonzero((colors == a) | (colors == b))
        part = S[np.ix_(chosen, chosen)] & ~np.eye(chosen.size, dtype=bool)
        count, label = sp.csgraph.connected_components(sp.csr_array(part), directed=False)
        largest = np.zeros(count, int)
        np.maximum.at(largest, label, part.sum(0))
        if part.sum() != 2 * (chosen.size - count) or (largest != np.bincount(label) - 1).any():
            return False
    return is_proper(S, colors)


def is_acyclic(S: np.ndarray, colors: np.ndarray) -> bool:
    """Whether neighbors differ and the vertices of two colors span a forest."""
    for a, b in itertools.combinations(range(colors.max(initial=-1) + 1), 2):
        chosen = np.flatnonzero((colors == a) | (colors == b))
        part = sp.csr_array(np.tril(S[np.ix_(chosen, chosen)], -1))
        trees, _ = sp.csgraph.connected_components(part, directed=False)
        if part.nnz != chosen.size - trees:
            return False
    return is_proper(S, colors)


def greedy_by_definition(S: np.ndarray, order: np.ndarray, is_valid) -> np.ndarray:
    """Vertex by vertex the smallest color with which those that are colored are validly so."""
    colors = np.full(len(S), -1)
    for k, v in enumerate(order):
        done = order[: k + 1]
        while True:
            colors[v] += 1
            if is_valid(S[np.ix_(done, done)], colors[done]):
                break
    return colors


# ---------------------------------------------------------------------------------------------
# Patterns


def stencil(*shape: int, periodic: bool = False, box: bool = False) -> Pattern:
    """The neighbors along the axes of a lattice, or with `box` also those across corners."""
    index = np.arange(np.prod(shape)).reshape(shape)
    rows, columns = [], []
    for offset in itertools.product((-1, 0, 1), repeat=len(shape)):
        if not box and np.abs(offset).sum() > 1:
            continue
        there = np.roll(index, offset, range(len(shape)))
        inside = np.ones(shape, bool)
        for axis, step in enumerate(offset):
            if step and not periodic:
                edge = np.take(np.arange(shape[axis]), -1 if step < 0 else 0)
                inside &= np.indices(shape)[axis] != edge
        rows.append(index[inside])
        columns.append(there[inside])
    return Pattern.from_coo(np.concatenate(rows), np.concatenate(columns), (index.size,) * 2)


def two_species(n: int, periodic: bool, blocked: bool) -> Pattern:
    """Two unknowns at each point of an n x n grid, each with its neighbors and with the other one."""
    grid, size = stencil(n, n, periodic=periodic), n * n
    point, rows, columns = np.arange(size), [], []
    for s in range(2):
        for i, j, t in ((grid.rows, grid.columns, s), (point, point, 1 - s)):
            rows.append(s * size + i if blocked else 2 * i + s)
            columns.append(t * size + j if blocked else 2 * j + t)
    return Pattern.from_coo(np.concatenate(rows), np.concatenate(columns), (2 * size,) * 2)


def arrow(n: int, width: int = 1) -> Pattern:
    """The diagonal, and the first `width` rows and columns."""
    i = np.arange(n)
    first = np.repeat(np.arange(width), n)
    rows = np.concatenate([i, first, np.tile(i, width)])
    return Pattern.from_coo(rows, np.concatenate([i, np.tile(i, width), first]), (n, n))
