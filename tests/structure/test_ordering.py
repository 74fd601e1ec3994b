"""Orderings: permutations, their fill, and what they refuse."""

import jax
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given

from elimax._structure.ordering import order
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import Symbolic

from ..helpers import index, read_matrix
from .elimination import from_edges, grid, path, patterns, star

GALLERY = {
    "nothing": Pattern.from_coo([], [], (0, 0), symmetric=True),
    "one": Pattern.eye(1, symmetric=True),
    "one without entry": Pattern.from_coo([], [], (1, 1), symmetric=True),
    "empty": Pattern.from_coo([], [], (40, 40), symmetric=True),
    "diagonal": Pattern.eye(40, symmetric=True),
    "dense": Pattern.dense((40, 40)).lower()[0],
    "arrow first": star(300, 0),
    "arrow last": star(300, 299),
    "star": star(300, 120),
    "path": path(300),
    "cycle": from_edges(300, ((k, (k + 1) % 300) for k in range(300))),
    "pairs": from_edges(60, ((k, k + 30) for k in range(30))),
    "disconnected": from_edges(90, ((k, k + 3) for k in range(0, 80) if k % 7)),
    "complete bipartite": from_edges(40, ((i, j) for i in range(30) for j in range(30, 40))),
    "two arrows": from_edges(900, ((k % 2, k) for k in range(2, 900))),
    "grid 2-D": grid(30, 25),
    "grid 3-D": grid(9, 8, 7),
}
ORDERINGS = ("natural", "amd", "nd")


def fill(pattern: Pattern, ordering) -> int:
    return Symbolic(pattern, order(pattern, ordering), "").nnz


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize("name", GALLERY)
def test_is_a_permutation(name, ordering):
    pattern = GALLERY[name]
    permutation = order(pattern, ordering)
    assert permutation.dtype == np.int32
    assert not permutation.flags.writeable
    assert sorted(permutation) == list(range(pattern.shape[0]))
    assert np.array_equal(permutation, order(pattern, ordering))  # deterministic


@pytest.mark.parametrize("name", GALLERY)
def test_minimum_degree_fills_no_more_than_the_natural_ordering(name):
    assert fill(GALLERY[name], "amd") <= fill(GALLERY[name], "natural")


@pytest.mark.parametrize("name", ["arrow first", "arrow last", "star", "path", "pairs", "diagonal"])
def test_minimum_degree_of_a_forest_makes_no_fill(name):
    assert fill(GALLERY[name], "amd") == GALLERY[name].nnz


def test_minimum_degree_of_a_cycle():
    """Every elimination order of a cycle of n vertices makes at least n - 3 fill-ins."""
    assert fill(GALLERY["cycle"], "amd") == 2 * 300 + 300 - 3


def test_minimum_degree_leaves_dense_rows_for_the_end():
    assert set(order(GALLERY["two arrows"], "amd")[-2:]) == {0, 1}


@given(patterns())
def test_minimum_degree_of_random_patterns(pattern):
    assert sorted(order(pattern, "amd")) == list(range(pattern.shape[0]))


@given(patterns(max_n=9))
def test_minimum_degree_is_near_exact_minimum_degree(pattern):
    """Approximate degrees are bounds: on small graphs the fill stays near the greedy choice's."""
    graph: dict[int, set[int]] = {i: set() for i in range(pattern.shape[0])}
    for i, j in zip(pattern.rows.tolist(), pattern.columns.tolist(), strict=True):
        if i != j:
            graph[i].add(j)
            graph[j].add(i)
    greedy = 0
    while graph:
        pivot = min(graph, key=lambda i: (len(graph[i]), i))
        neighbors = graph.pop(pivot)
        greedy += 1 + len(neighbors)
        for i in neighbors:
            graph[i] |= neighbors
            graph[i] -= {i, pivot}
    assert fill(pattern, "amd") <= greedy + 3


def test_nested_dissection_beats_minimum_degree_on_a_cube():
    pattern = grid(16, 16, 16)
    amd, nd = (Symbolic(pattern, order(pattern, name), name).flops for name in ("amd", "nd"))
    assert nd < amd


@pytest.mark.parametrize(
    ("name", "nnz"),
    # nnz(L) of SuiteSparse AMD 5.12 (default controls) on A + A^T
    [("bcsstk16", 812183), ("4elt", 368416), ("pose_torus3D", 3137397), ("kkt_CONT-201", 3659115)],
)
def test_fill_is_that_of_suitesparse(shared, name, nnz):
    assert name in index()
    A = scipy.sparse.csc_array(read_matrix(name)).astype(bool)
    pattern = Pattern.from_scipy(A + A.T, symmetric=True)
    assert fill(pattern, "amd") <= 1.05 * nnz


def test_a_given_permutation_is_taken_as_it_is():
    sequence = np.random.default_rng(0).permutation(40)
    assert np.array_equal(order(GALLERY["dense"], sequence), sequence)
    assert np.array_equal(order(GALLERY["dense"], sequence.tolist()), sequence)


@pytest.mark.parametrize(
    ("ordering", "error", "message"),
    [
        ("colamd", ValueError, "LU"),
        ("metis", ValueError, '"amd", "nd", "natural" or a permutation, got \'metis\''),
        ([0, 1], ValueError, "permutation of the 3 rows of the pattern, got 2 entries"),
        ([0, 1, 3], ValueError, r"entry 2 is 3, outside of 0 \.\. 2"),
        ([0, -1, 2], ValueError, r"entry 1 is -1, outside of 0 \.\. 2"),
        ([0, 2, 2], ValueError, "1 does not occur"),
        ([[0, 1, 2]], ValueError, "one-dimensional"),
        ([0.0, 1.0, 2.0], TypeError, "integers, got dtype float64"),
    ],
)
def test_refuses(ordering, error, message):
    with pytest.raises(error, match=message):
        order(path(3), ordering)


def test_refuses_a_traced_permutation():
    with pytest.raises(TypeError, match="`ordering` must be concrete integers"):
        jax.jit(lambda p: order(path(3), p).size)(np.arange(3))
