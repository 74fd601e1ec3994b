"""The elimination tree and the column counts: brute force, and closed forms."""

import numpy as np
import pytest
from hypothesis import given

from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import Symbolic

from .elimination import eliminate, from_edges, path, permuted_patterns, star


def natural(pattern: Pattern) -> Symbolic:
    return Symbolic(pattern, np.arange(pattern.shape[0], dtype=np.int32), "natural")


@given(permuted_patterns())
def test_tree_and_counts_are_those_of_elimination(case):
    pattern, sequence = case
    symbolic = Symbolic(pattern, sequence, "given")
    expected = eliminate(pattern, symbolic.permutation)
    assert symbolic.parent.tolist() == expected.parent
    assert symbolic.column_counts.tolist() == expected.counts
    assert symbolic.nnz == sum(expected.counts)
    assert symbolic.flops == sum(count**2 for count in expected.counts)


@given(permuted_patterns())
def test_renumbering_keeps_the_fill(case):
    """The given sequence and the final one eliminate the same graph: counts agree pivot by pivot."""
    pattern, sequence = case
    symbolic = Symbolic(pattern, sequence, "given")
    before = dict(zip(sequence.tolist(), eliminate(pattern, sequence).counts, strict=True))
    after = symbolic.column_counts.tolist()
    assert [before[pivot] for pivot in symbolic.permutation.tolist()] == after


@given(permuted_patterns())
def test_descendants_come_before_ancestors(case):
    symbolic = Symbolic(case[0], case[1], "given")
    parent = symbolic.parent
    assert ((parent > np.arange(symbolic.n)) | (parent == -1)).all()


@pytest.mark.parametrize("n", [1, 2, 3, 100, 100_000])
def test_tridiagonal(n):
    """A path has no fill; its tree is a chain of depth n, which nothing may recurse over."""
    symbolic = natural(path(n))
    assert symbolic.nnz == 2 * n - 1
    assert symbolic.flops == 4 * (n - 1) + 1
    assert symbolic.parent.tolist() == [*range(1, n), -1]


def test_arrow():
    """A dense last row makes no fill; a dense first row fills everything."""
    n = 50
    assert natural(star(n, n - 1)).nnz == 2 * n - 1
    assert natural(star(n, 0)).nnz == n * (n + 1) // 2


def test_band():
    """Neighbors at distance 1 and `width` only: every row fills from its first entry to the diagonal."""
    n, width = 60, 7
    edges = [(k, k + 1) for k in range(n - 1)] + [(k, k + width) for k in range(n - width)]
    symbolic = natural(from_edges(n, edges))
    assert symbolic.column_counts.tolist() == [min(k + 3, width + 1, n - k) for k in range(n)]


def test_dense():
    n = 20
    symbolic = natural(Pattern.dense((n, n)).lower()[0])
    assert symbolic.column_counts.tolist() == [*range(n, 0, -1)]
    assert symbolic.supernodes == 1


@pytest.mark.parametrize("n", [0, 1, 5])
def test_no_entries(n):
    """A missing diagonal is taken to be there."""
    symbolic = natural(Pattern.from_coo([], [], (n, n), symmetric=True))
    assert symbolic.column_counts.tolist() == [1] * n
    assert symbolic.parent.tolist() == [-1] * n
