"""Matchings by brute force, by SciPy, and on real matrices."""

import itertools
import re

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csgraph

from elimax._structure.matching import (
    Matching,
    dulmage_mendelsohn,
    maximum_product_matching,
    perfect_matching,
)
from elimax._structure.pattern import Pattern

from ..helpers import index, read_matrix

STEP = 2.0**-16  # costs are multiples of it


@st.composite
def general_patterns(draw, max_n: int = 12, square: bool = False) -> Pattern:
    """From empty to dense, rectangular unless `square`."""
    m = draw(st.integers(0, max_n))
    n = m if square else draw(st.integers(0, max_n))
    cell = st.tuples(st.integers(0, max(0, m - 1)), st.integers(0, max(0, n - 1)))
    entries = draw(st.lists(cell, max_size=3 * max_n)) if m and n else []
    i, j = np.array(entries, int).reshape(-1, 2).T
    return Pattern.from_coo(i, j, (m, n))


@st.composite
def with_magnitudes(draw, **kind) -> tuple[Pattern, np.ndarray]:
    """Few distinct sizes, so that ties are frequent, or any, of every order."""
    pattern = draw(general_patterns(**kind))
    sizes = draw(
        st.sampled_from(
            [
                st.sampled_from([0.5, 1.0, 2.0]),
                st.floats(1e-300, 1e300),
                st.floats(0.1, 10.0),
            ]
        )
    )
    values = draw(st.lists(sizes, min_size=pattern.nnz, max_size=pattern.nnz))
    return pattern, np.array(values, float)


def chosen(pattern: Pattern, row_of_column: np.ndarray) -> np.ndarray:
    """The entries of a matching, once they are known to be entries and no two to share a row."""
    matched = row_of_column[row_of_column >= 0]
    assert np.unique(matched).size == matched.size
    entries = np.flatnonzero(row_of_column[pattern.columns] == pattern.rows)
    assert entries.size == matched.size
    return entries


def test_example():
    """The diagonal has the product 1, the other diagonal 6."""
    matching = maximum_product_matching(Pattern.dense((2, 2)), np.array([1.0, 2.0, 3.0, 1.0]))
    assert matching.row_of_column.tolist() == [1, 0] and matching.rank == 2
    assert not matching.row_of_column.flags.writeable


@given(general_patterns())
def test_rank_is_that_of_scipy(pattern):
    matching = maximum_product_matching(pattern)
    if pattern.nnz:
        assert matching.rank == csgraph.structural_rank(sp.csr_array(pattern.to_scipy()))
    assert chosen(pattern, matching.row_of_column).size == matching.rank


@given(with_magnitudes(max_n=6, square=True))
def test_product_is_the_largest_of_all_permutations(case):
    pattern, magnitudes = case
    n = pattern.shape[0]
    dense = np.full((n, n), -np.inf)
    dense[pattern.rows, pattern.columns] = np.log2(magnitudes)
    best = max(sum(dense[i, j] for j, i in enumerate(p)) for p in itertools.permutations(range(n)))
    matching = maximum_product_matching(pattern, magnitudes)
    assert (matching.rank == n) == np.isfinite(best)
    if matching.rank == n:
        entries = chosen(pattern, matching.row_of_column)
        assert np.log2(magnitudes[entries]).sum() >= best - 2 * n * STEP


def check_optimal(pattern: Pattern, magnitudes: np.ndarray, matching: Matching) -> None:
    """By duality: chosen entries are scaled to 1, no other entry to more."""
    scale = matching.row_scale[pattern.rows] + matching.column_scale[pattern.columns]
    size = np.log2(magnitudes) + scale
    assert (size <= 2 * STEP).all()
    assert (np.abs(size[chosen(pattern, matching.row_of_column)]) <= 2 * STEP).all()


@given(with_magnitudes())
def test_scaling_proves_the_matching_optimal(case):
    matching = maximum_product_matching(*case)
    if matching.rank == case[0].shape[1]:
        check_optimal(*case, matching)


@given(general_patterns(max_n=6, square=True))
def test_without_magnitudes_it_keeps_most_of_the_diagonal(pattern):
    n = pattern.shape[0]
    entries = set(zip(pattern.rows.tolist(), pattern.columns.tolist(), strict=True))

    def quality(permutation):
        kept = [(i, j) in entries for j, i in enumerate(permutation)]
        fixed = [k for k, (j, i) in zip(kept, enumerate(permutation), strict=True) if i == j]
        return sum(kept), sum(fixed)

    best = max(map(quality, itertools.permutations(range(n))))
    row_of_column = maximum_product_matching(pattern).row_of_column
    assert (np.sum(row_of_column >= 0), np.sum(row_of_column == np.arange(n))) == best


def test_noise_does_not_move_the_diagonal(rng):
    pattern = Pattern.dense((30, 30))
    magnitudes = rng.uniform(1 - 1e-9, 1, pattern.nnz)
    assert np.array_equal(maximum_product_matching(pattern, magnitudes).row_of_column, range(30))


def test_a_zero_is_chosen_last():
    """Rather the smallest number; and in a column of zeros, where the others leave a row."""
    A = np.array([[0.0, 1e-300, 0.0], [1e300, 1e300, 0.0], [0.0, 0.0, 0.0]])
    matching = maximum_product_matching(Pattern.dense((3, 3)), A.T.ravel())
    assert matching.rank == 3 and matching.row_of_column.tolist() == [1, 0, 2]


def test_zeros_that_are_not_chosen_have_no_part_in_scaling(rng):
    pattern = Pattern.dense((20, 20))
    magnitudes = rng.lognormal(size=400) * (rng.uniform(size=400) < 0.4)
    kept = np.flatnonzero(magnitudes)
    nonzero = Pattern.from_coo(pattern.rows[kept], pattern.columns[kept], (20, 20))
    ours, theirs = (
        maximum_product_matching(pattern, magnitudes),
        maximum_product_matching(nonzero, magnitudes[kept]),
    )
    for mine, its in zip(ours, theirs, strict=True):
        assert np.array_equal(mine, its)


@given(general_patterns())
def test_dulmage_mendelsohn_confines(pattern):
    matching = maximum_product_matching(pattern)
    rows, columns = dulmage_mendelsohn(pattern, matching.row_of_column)
    m, n = pattern.shape
    assert (rows[pattern.rows[columns[pattern.columns] == 1]] == 1).all()
    assert (columns[pattern.columns[rows[pattern.rows] == 2]] == 2).all()
    assert np.sum(columns == 1) - np.sum(rows == 1) == n - matching.rank
    assert np.sum(rows == 2) - np.sum(columns == 2) == m - matching.rank
    assert np.sum(rows == 0) == np.sum(columns == 0)


def test_structurally_singular():
    pattern = Pattern.from_coo([0, 0, 0, 1, 2], [0, 1, 2, 3, 3], (4, 4))
    message = (
        "structurally singular: its structural rank is 2 of 4, whatever its values are, because all entries "
        "of the 3 columns 0, 1, 2 lie in row 0, and all entries of the 3 rows 1, 2, 3 lie in column 3"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        perfect_matching(pattern)
    with pytest.raises(ValueError, match="no entries in the 9 columns 0, 1, 2, 3, 4, 5, ..., and"):
        perfect_matching(Pattern.from_coo([], [], (9, 9)))
    with pytest.raises(
        ValueError, match="no entries in column 1, and there are no entries in row 0"
    ):
        perfect_matching(Pattern.from_coo([1], [0], (2, 2)))


@pytest.mark.parametrize(
    ("pattern", "magnitudes", "message"),
    [
        (Pattern.dense((2, 3)), None, r"must be square, got shape \(2, 3\)"),
        (Pattern.eye(2, symmetric=True), None, "call to_general"),
        (Pattern.eye(2), [1.0], r"each of the 2 entries of the pattern, got shape \(1,\)"),
        (Pattern.eye(2), [1.0, np.nan], r"that of the entry \(1, 1\) is nan"),
        (Pattern.eye(2), [-1.0, np.inf], r"that of the entry \(0, 0\) is -1"),
    ],
)
def test_refuses(pattern, magnitudes, message):
    with pytest.raises(ValueError, match=message):
        perfect_matching(pattern, magnitudes)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing(shape):
    matching = maximum_product_matching(Pattern.from_coo([], [], shape))
    assert matching.rank == 0 and matching.row_of_column.tolist() == [-1] * shape[1]


def test_long_paths():
    """Upper bidiagonal, with all rows moved by one: the last column's path leads through all others."""
    n = 100_000
    k = np.arange(n)
    pattern = Pattern.from_coo(np.r_[k, k[1:]], np.r_[k, k[:-1]], (n, n))
    magnitudes = np.where(pattern.rows == pattern.columns, 1.0, 2.0)
    magnitudes[pattern.nnz - 1] = 2.0
    corner = pattern.union(Pattern.from_coo([0], [n - 1], (n, n)))
    sizes = np.ones(corner.nnz)
    sizes[pattern.embedding(corner).indices] = magnitudes
    assert np.array_equal(maximum_product_matching(corner, sizes).row_of_column, np.roll(k, -1))


def square(entry: dict) -> bool:
    return entry["rows"] == entry["cols"] and entry["nnz"] <= 300_000


@pytest.mark.parametrize("name", [name for name, entry in index().items() if square(entry)])
def test_real_matrices(shared, name):
    A = sp.csc_array(read_matrix(name))
    A.eliminate_zeros()
    pattern, magnitudes = Pattern.from_scipy(A), np.abs(A.data).astype(float)
    matching = maximum_product_matching(pattern, magnitudes)
    if matching.rank == A.shape[0]:
        check_optimal(pattern, magnitudes, matching)
    structure = Pattern.from_scipy(read_matrix(name))
    rank = maximum_product_matching(structure).rank
    assert rank == index()[name]["facts"].get("structural_rank_incl_zeros", rank)
    assert matching.rank == maximum_product_matching(pattern).rank <= rank
