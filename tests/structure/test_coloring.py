"""Colorings: valid by definition, optimal where a closed form says what that is, linear where rows are long."""

import json
import time

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse as sp

from elimax._structure.coloring import Coloring, color_columns, color_diagonal
from elimax._structure.pattern import Pattern

from ..helpers import index, read_matrix


def is_valid(coloring: Coloring, needed: np.ndarray) -> bool:
    """Whether no other column of the color has an entry in the row of a needed one: by definition, slowly."""
    S = coloring.pattern.to_scipy().toarray()
    for i, j in np.argwhere(needed):
        same = np.flatnonzero(coloring.colors == coloring.colors[j])
        if S[i, same].sum() != 1:
            return False
    return set(coloring.colors) == set(range(coloring.num_colors))


patterns = st.builds(
    lambda m, n, density, seed: sp.random_array((m, n), density=density, rng=seed, format="csc"),
    st.integers(0, 12),
    st.integers(0, 12),
    st.floats(0, 1),
    st.integers(0, 2**31),
)


@hypothesis.given(patterns)
def test_all_entries_can_be_read_off(S):
    coloring = color_columns(Pattern.from_scipy(S))
    assert is_valid(coloring, S.toarray() != 0)


@hypothesis.given(patterns)
def test_the_diagonal_can_be_read_off(S):
    n = min(S.shape)
    S = sp.csc_array(S[:n, :n])
    coloring = color_diagonal(Pattern.from_scipy(S))
    whole = Coloring(Pattern.from_scipy(S), coloring.colors, coloring.num_colors)
    assert is_valid(whole, np.diag(S.diagonal() != 0))
    assert coloring.pattern.nnz == np.count_nonzero(S.diagonal())


def test_long_rows_are_colored_as_short_ones(rng):
    """Rows of more than 64 entries keep sets of colors; the result is that of the plain greedy algorithm."""
    S = sp.random_array((90, 200), density=0.1, rng=rng, format="csc") + sp.csc_array(
        (rng.random((90, 200)) < 0.9) * (np.arange(90) % 30 == 0)[:, None]
    )
    S = sp.csc_array(S != 0)
    colors = np.full(200, -1)
    rows = S.toarray()
    for j in range(200):
        meets = rows[rows[:, j]].any(0)
        taken = set(colors[meets & (colors >= 0)])
        colors[j] = next(c for c in range(201) if c not in taken)
    assert np.array_equal(color_columns(Pattern.from_scipy(S)).colors, colors)


@pytest.mark.parametrize("lower, upper", [(0, 0), (1, 1), (2, 0), (0, 3), (3, 2)])
def test_bands_take_as_many_colors_as_they_have_diagonals(lower, upper):
    assert color_columns(Pattern.band((50, 50), lower, upper)).num_colors == lower + upper + 1


def test_the_diagonal_of_a_stencil_takes_two_colors():
    path = sp.diags_array([1.0, 1.0, 1.0], offsets=[-1, 0, 1], shape=(20, 20))
    grid = sp.csc_array(sp.kronsum(path, path))
    assert color_diagonal(Pattern.from_scipy(grid)).num_colors == 2
    assert 5 <= color_columns(Pattern.from_scipy(grid)).num_colors <= 9


def test_symmetric_patterns_are_colored_as_whole_ones():
    S = sp.csc_array(sp.kron(np.eye(3), np.ones((4, 4))))
    whole, half = Pattern.from_scipy(S), Pattern.from_scipy(S, symmetric=True)
    assert np.array_equal(color_columns(whole).colors, color_columns(half).colors)
    assert color_columns(half).pattern == whole


def test_an_arrow_is_colored_in_linear_time():
    n = 100_000
    i = np.arange(n)
    zero = np.zeros(n, int)
    arrow = Pattern.from_coo(np.concatenate([i, zero, i]), np.concatenate([i, i, zero]), (n, n))
    start = time.perf_counter()
    coloring = color_columns(arrow)
    assert coloring.num_colors == n
    assert time.perf_counter() - start < 5  # 0.02 s, and hours if it were quadratic


def test_reference_counts(shared):
    """Greedy coloring in the natural order is determined by the pattern: every count of ColPack is met."""
    counts = json.loads((shared / "matrices" / "colour_refs" / "colpack_counts.json").read_text())
    records = [index()[name] for name in counts if name in index()]
    small = [record["name"] for record in records if record["nnz"] <= 100_000]
    assert len(small) > 80
    for name in small:
        P = Pattern.from_scipy(sp.csc_array(read_matrix(name)))
        found = [color_columns(Q).num_colors for Q in (P, P.transpose()[0])]
        assert found == [counts[name][kind]["NATURAL"] for kind in ("pd2_col", "pd2_row")], name
        assert found[0] >= counts[name]["lower_bound_col"]


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
