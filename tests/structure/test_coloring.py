"""Colorings: valid by definition, greedy by definition, and enough to read a matrix off its products."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex
from elimax._structure import _native_coloring as native
from elimax._structure.color import color_diagonal
from elimax._structure.colorable import KINDS, colorable
from elimax._structure.greedy import ORDERS
from elimax._structure.index_map import ZERO
from elimax._structure.pattern import Pattern

from .colorings import (
    arrow,
    greedy_by_definition,
    has_stars,
    is_acyclic,
    is_distance_2,
    is_proper,
    is_star,
    read_from_products,
)

SYMMETRIC = ("star", "acyclic")
seeds = st.integers(0, 2**31)
sizes = st.integers(0, 12)
orders = st.sampled_from(("auto", "permutation", *ORDERS))


def random_matrix(m: int, n: int, density: float, seed: int) -> np.ndarray:
    """Integers, so that sums and differences of them are exact; some rows and columns are full."""
    rng = np.random.default_rng(seed)
    kept = rng.random((m, n)) < density
    kept |= (rng.random((m, 1)) < 0.1) | (rng.random((1, n)) < 0.1)
    return kept * rng.integers(1, 1000, (m, n)).astype(float)


def order_of(order: str, kind: str, m: int, n: int, seed: int):
    size = {"row": m, "bidirectional": m + n}.get(kind, n)
    return np.random.default_rng(seed).permutation(size) if order == "permutation" else order


@hypothesis.given(sizes, sizes, st.floats(0, 1), seeds, orders)
def test_all_entries_are_read_off_the_products(m, n, density, seed, order):
    for kind in KINDS:
        A = random_matrix(m, n, density, seed)
        if kind in SYMMETRIC:
            A = random_matrix(n, n, density, seed)
            A = A + A.T
        P = Pattern.from_scipy(sp.csc_array(A))
        coloring = ex.color(P, kind, order_of(order, kind, *A.shape, seed))
        assert coloring.pattern == (P.lower()[0] if kind in SYMMETRIC else P)
        where = coloring.pattern.rows, coloring.pattern.columns
        assert np.array_equal(read_from_products(coloring, A), A[where])
        assert (coloring.num_colors == 0) == (P.nnz == 0)
        assert set(coloring.color_of_entry) == set(range(coloring.num_colors))


@hypothesis.given(sizes, st.floats(0, 1), seeds, orders)
def test_colorings_are_what_they_are_called(n, density, seed, order):
    A = random_matrix(n, n, density, seed) + np.eye(n)
    P, S = Pattern.from_scipy(sp.csc_array(A)), A != 0
    choose = {kind: order_of(order, kind, n, n, seed) for kind in KINDS}
    assert is_distance_2(S, ex.color(P, "column", choose["column"]).colors)
    assert is_distance_2(S.T, ex.color(P, "row", choose["row"]).colors)
    Q = Pattern.from_scipy(sp.csc_array(A + A.T), symmetric=True)
    S = S | S.T
    star, acyclic = (ex.color(Q, kind, choose[kind]) for kind in SYMMETRIC)
    assert is_star(S, star.colors) and has_stars(S, star.colors)
    assert is_acyclic(S, acyclic.colors)
    for coloring in (star, acyclic):
        assert set(coloring.colors) == set(range(coloring.num_colors))


@hypothesis.given(sizes, sizes, st.floats(0, 1), seeds)
def test_every_entry_is_alone_of_its_color_on_one_side(m, n, density, seed):
    S = random_matrix(m, n, density, seed) != 0
    coloring = ex.color(Pattern.from_scipy(sp.csc_array(S)), "bidirectional")
    row_colors, column_colors = coloring.colors
    for i, j in np.argwhere(S):
        by_column = column_colors[j] >= 0 and (column_colors[S[i]] == column_colors[j]).sum() == 1
        by_row = row_colors[i] >= 0 and (row_colors[S[:, j]] == row_colors[i]).sum() == 1
        assert by_column or by_row


@hypothesis.given(st.integers(0, 9), st.floats(0, 1), seeds)
def test_each_vertex_gets_the_smallest_color_that_is_valid(n, density, seed):
    S = random_matrix(n, n, density, seed) + np.eye(n) != 0
    order = np.random.default_rng(seed).permutation(n)
    for kind, is_valid in (("star", is_star), ("acyclic", is_acyclic)):
        P = Pattern.from_scipy(sp.csc_array(S | S.T))
        expected = greedy_by_definition(S | S.T, order, is_valid)
        found = ex.color(P, kind, order)
        assert found.num_colors == expected.max(initial=-1) + 1
        if found.num_colors < n:  # else each has its own, whichever
            assert np.array_equal(found.colors, expected)


def test_long_rows_are_colored_as_short_ones(rng):
    """Rows of more than 64 entries keep sets of colors; the result is that of the plain greedy algorithm."""
    rows = rng.random((90, 200)) < 0.1
    rows |= (rng.random((90, 200)) < 0.9) & (np.arange(90) % 30 == 0)[:, None]
    rows[:, ~rows.any(0)] = True
    colors = np.full(200, -1)
    for j in range(200):
        meets = rows[rows[:, j]].any(0)
        taken = set(colors[meets & (colors >= 0)])
        colors[j] = next(c for c in range(201) if c not in taken)
    P = Pattern.from_scipy(sp.csc_array(rows))
    assert np.array_equal(ex.color(P, order="natural").colors, colors)


@hypothesis.given(st.integers(1, 12), st.floats(0, 1), seeds)
def test_orders_are_what_they_are_called(n, density, seed):
    S = random_matrix(n, n, density, seed) != 0
    for of_columns in (False, True):
        near = S.T.astype(int) @ S > 0 if of_columns else S | S.T
        near &= ~np.eye(n, dtype=bool)
        graph = colorable(
            Pattern.from_scipy(sp.csc_array(S if of_columns else S | S.T)),
            "column" if of_columns else "star",
        ).vertices
        find = {name: native.vertex_order(graph, name, of_columns) for name in ORDERS[1:-1]}
        for order in find.values():
            assert sorted(order) == list(range(n))
        assert (np.diff(near.sum(0)[find["largest_first"]]) <= 0).all()
        for k in range(n):
            v, rest = find["smallest_last"][k], find["smallest_last"][: k + 1]
            assert near[v, rest].sum() == near[np.ix_(rest, rest)].sum(0).min()
            v, rest = find["dynamic_largest_first"][k], find["dynamic_largest_first"][k:]
            assert near[v, rest].sum() == near[np.ix_(rest, rest)].sum(0).max()
            done, rest = find["incidence_degree"][:k], find["incidence_degree"][k:]
            assert near[rest[0], done].sum() == near[np.ix_(rest, done)].sum(1).max()


@hypothesis.given(sizes, st.floats(0, 1), seeds)
def test_the_diagonal_can_be_read_off(n, density, seed):
    S = random_matrix(n, n, density, seed) != 0
    coloring = color_diagonal(Pattern.from_scipy(sp.csc_array(S)))
    assert is_proper(S | S.T, coloring.colors)
    assert coloring.pattern.nnz == np.count_nonzero(S.diagonal())
    A = S * np.arange(1.0, n + 1)
    assert np.array_equal(read_from_products(coloring, A), A.diagonal()[S.diagonal()])


def test_symmetric_patterns_are_colored_as_whole_ones():
    S = sp.csc_array(sp.kron(np.eye(3), np.ones((4, 4))))
    whole, half = Pattern.from_scipy(S), Pattern.from_scipy(S, symmetric=True)
    for kind in KINDS:
        one, other = ex.color(whole, kind), ex.color(half, kind)
        assert np.array_equal(one.colors, other.colors)
        assert one.pattern == other.pattern == (half if kind in SYMMETRIC else whole)
        assert one.num_colors == 4


def test_seeds():
    arrowhead = ex.color(arrow(6), "bidirectional")
    assert (arrowhead.num_row_colors, arrowhead.num_column_colors) == (1, 2)
    row_colors, column_colors = arrowhead.colors
    for seed, colors in ((arrowhead.row_seed, row_colors), (arrowhead.column_seed, column_colors)):
        assert np.array_equal(seed.indices, np.where(colors < 0, ZERO, colors))
    assert np.count_nonzero(row_colors >= 0) == 1
    with pytest.raises(ValueError, match="two seeds"):
        _ = arrowhead.seed
    columns, rows = ex.color(arrow(6)), ex.color(arrow(6), "row")
    assert columns.seed == columns.column_seed and rows.seed == rows.row_seed
    with pytest.raises(ValueError, match="no colors of rows"):
        _ = columns.row_seed
    assert repr(arrowhead).startswith(
        "Coloring('bidirectional', num_row_colors=1, num_column_colors=2, Pattern("
    )
    assert repr(columns).startswith("Coloring('column', num_colors=6, Pattern(")


def test_nothing_to_read_takes_no_product():
    for shape in [(0, 0), (0, 3), (3, 0), (4, 4)]:
        empty = Pattern.from_coo([], [], shape)
        for kind in KINDS if shape[0] == shape[1] else ("column", "row", "bidirectional"):
            for order in ("auto", "natural", "smallest_last"):
                coloring = ex.color(empty, kind, order)
                assert coloring.num_colors == 0
                assert coloring.entries.output_size == 0
    for kind in KINDS:
        assert ex.color(Pattern.eye(5), kind).num_colors == 1


def test_neutral_vertices_take_part_in_no_product():
    """Of a star without a diagonal, one product with its hub tells all, and the leaves need none."""
    i = np.arange(1, 9)
    P = Pattern.from_coo(i, 0 * i, (9, 9), symmetric=True)
    coloring = ex.color(P, "star")
    assert coloring.num_colors == 1
    assert np.array_equal(coloring.colors >= 0, np.arange(9) == 0)
    assert coloring.column_seed.indices[1] == ZERO


def test_a_path_is_solved_from_both_ends():
    n = 1001
    coloring = ex.color(Pattern.band((n, n), 1, 1), "acyclic")
    assert coloring.num_colors == 2
    T = coloring.substitution.pattern
    assert (
        T.nnz == n - 3
    )  # the edges but the last of the substitution and those that it starts from
    depth = np.zeros(T.shape[0], int)
    for i, j in zip(T.rows, T.columns, strict=True):
        depth[i] = max(depth[i], depth[j] + 1)
    assert depth.max() <= n // 2


def test_mistakes_are_named():
    P = Pattern.band((4, 4), 1, 1)
    with pytest.raises(TypeError, match=r"`pattern` must be a Pattern, got list"):
        ex.color([[1]])
    with pytest.raises(ValueError, match=r"`kind` must be one of column, row.*got 'rows'"):
        ex.color(P, "rows")
    with pytest.raises(ValueError, match=r"`order` must be auto, natural.*got 'amd'"):
        ex.color(P, order="amd")
    with pytest.raises(
        ValueError, match=r"`order` must hold each of 0 .. 3 once, but holds 1 2 times"
    ):
        ex.color(P, order=[0, 1, 1, 3])
    with pytest.raises(ValueError, match=r"`order`: entry 0 is 4, outside of 0 .. 3"):
        ex.color(P, order=[4, 1, 2, 3])
    with pytest.raises(ValueError, match=r"not symmetric: it holds the entry \(1, 0\) but not"):
        ex.color(Pattern.band((4, 4), 1, 0), "star")
    with pytest.raises(ValueError, match="must be square"):
        ex.color(Pattern.band((4, 5), 1, 0), "acyclic")


def test_products_too_large_to_be_counted():
    n = 50_000
    rows = np.concatenate([np.arange(n), np.zeros(n, int)])
    columns = np.concatenate([np.arange(n), np.arange(n)])
    coloring = ex.color(Pattern.from_coo(rows, columns, (n, n)))
    assert coloring.num_colors == n
    with pytest.raises(ValueError, match="more than 2147483647 elements"):
        _ = coloring.entries


def test_band_patterns():
    for shape in [(5, 5), (4, 7), (7, 4), (0, 3), (3, 0), (1, 1)]:
        for lower, upper in [(0, 0), (1, 2), (9, 9), (-1, 2), (2, -1), (-3, -3)]:
            i, j = np.indices(shape)
            expected = (i - j <= lower) & (j - i <= upper)
            P = Pattern.band(shape, lower, upper)
            assert np.array_equal(P.to_scipy().toarray(), expected)
            if expected.any():
                offsets = (i - j)[expected]
                assert P.bandwidths == (offsets.max(), -offsets.min())
    assert Pattern.band((4, 4), 1, 1).lower()[0].bandwidths == (1, 1)
