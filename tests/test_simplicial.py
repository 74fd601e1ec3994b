"""The simplicial method beside the supernodal one: the same answers, the same failures."""

import jax
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import elimax as ex

from .helpers import SCALARS, assert_close, spd, tolerance

METHODS = ("supernodal", "simplicial")


def factors(A: ex.SymmetricMatrix, ordering="amd", **options) -> list[ex.Cholesky]:
    """By both methods."""
    return [
        ex.cholesky(A, symbolic=ex.analyze(A, ordering=ordering, method=method), **options)
        for method in METHODS
    ]


@st.composite
def sparse_graphs(draw) -> tuple[int, list[tuple[int, int]]]:
    """Forests, bands and arrows: graphs whose factors have few entries per column, or a few long columns."""
    n = draw(st.integers(1, 40))
    kind = draw(st.sampled_from(["forest", "band", "arrow", "forest with chords"]))
    if kind == "band":
        width = draw(st.integers(0, 6))
        return n, [(i, j) for i in range(n) for j in range(max(0, i - width), i)]
    if kind == "arrow":
        heads = draw(st.integers(0, 3))
        return n, [(i, j) for i in range(n) for j in range(min(i, heads))]
    above = [draw(st.integers(-1, i - 1)) for i in range(n)]
    edges = [(i, j) for i, j in enumerate(above) if j >= 0]
    if kind == "forest with chords":
        vertex = st.integers(0, n - 1)
        chords = draw(st.lists(st.tuples(vertex, vertex), max_size=5))
        edges += [(max(chord), min(chord)) for chord in chords if chord[0] != chord[1]]
    return n, sorted(set(edges))


@st.composite
def problems(draw) -> tuple[ex.SymmetricMatrix, str]:
    n, edges = draw(sparse_graphs())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    i, j = np.array(edges, int).reshape(-1, 2).T
    pattern = ex.Pattern.from_coo(i, j, (n, n), symmetric=True).with_diagonal()
    values = rng.uniform(-1, 1, pattern.nnz) + 1j * rng.uniform(-1, 1, pattern.nnz)
    values[pattern.rows == pattern.columns] = rng.uniform(n + 1, 2 * n + 2, n)
    values = values if draw(st.booleans()) else values.real
    return ex.SymmetricMatrix(pattern, values), draw(st.sampled_from(["amd", "natural"]))


@settings(max_examples=40, deadline=None)
@given(problems(), st.sampled_from([1, 2, 5]))
def test_both_methods_agree(problem, k):
    A, ordering = problem
    n = A.shape[0]
    other, F = factors(A, ordering)
    assert (other.symbolic.method, F.symbolic.method) == METHODS
    X = np.asarray(A.todense())
    b = np.arange(1.0, n * k + 1).reshape(n, k)
    assert F.symbolic.factor_size == F.symbolic.nnz  # no padding
    assert_close(F.logdet(), other.logdet(), 1e-13)
    assert_close(F.solve(b), other.solve(b), 1e-13)
    L = np.asarray(F.L.todense())
    assert_close(L @ L.conj().T, X[np.ix_(F.permutation, F.permutation)], 1e-14)
    assert_close(L @ np.asarray(F.half_solve(b)), b[F.permutation], 1e-13)
    half = np.asarray(F.half_solve(b, transpose=True))
    assert_close(L.conj().T @ half[F.permutation], b, 1e-13)
    assert_close(F.selected_inverse().values, other.selected_inverse().values, 1e-13)


@pytest.mark.parametrize("dtype", SCALARS)
@pytest.mark.parametrize("name", ["tridiagonal", "grid_2d", "arrow_first", "wide"])
def test_right_hand_sides_one_by_one_and_together(name, dtype, rng):
    """One has a kernel of its own; many columns go through dense kernels."""
    A = ex.SymmetricMatrix.from_scipy(spd(name, dtype))
    _, F = factors(A)
    B = rng.normal(size=(A.shape[0], 70)).astype(dtype)
    for function in (F.solve, F.half_solve, lambda b: F.half_solve(b, transpose=True)):
        together = np.asarray(function(B))
        for r in (0, 69):
            assert_close(function(B[:, r]), together[:, r], tolerance(dtype))


@pytest.mark.parametrize("dtype", SCALARS)
@pytest.mark.parametrize("column", [0, 17, 39])
def test_an_indefinite_matrix_has_the_same_status(column, dtype):
    A = sp.lil_array(spd("tridiagonal", dtype))
    A[column, column] = -1.0
    S = ex.SymmetricMatrix.from_scipy(sp.csc_array(A))
    for F in factors(S, "natural", throw=False):
        assert int(F.status) == 1 + column
        assert np.all(np.isnan(F.values)) and np.all(np.isnan(F.solve(np.ones(40, dtype))))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["tridiagonal", "random"])
def test_a_value_that_is_not_finite_has_the_same_status(name, bad):
    A = ex.SymmetricMatrix.from_scipy(spd(name))
    for entry in (0, A.nnz // 2, A.nnz - 1):
        for F in factors(A.with_values(A.values.at[entry].set(bad)), throw=False):
            assert (int(F.status), int(F.detail)) == (-1, entry)
            assert np.all(np.isnan(F.values))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [300, 30_000])
def test_a_numerically_semidefinite_matrix_has_the_same_status(n, dtype):
    """The normalized Laplacian of a path: its last pivot is a rounding error."""
    scale = np.r_[1.0, np.full(n - 2, 0.5**0.5), 1.0]
    off = -scale[1:] * scale[:-1]
    A = sp.csc_array(sp.diags_array([off, np.ones(n), off], offsets=[-1, 0, 1]).astype(dtype))
    statuses = {
        int(F.status) for F in factors(ex.SymmetricMatrix.from_scipy(A), "natural", throw=False)
    }
    assert statuses == {n}


@pytest.mark.parametrize("n", [0, 1])
def test_next_to_nothing(n):
    A = ex.SymmetricMatrix.from_scipy(sp.csc_array(4.0 * np.eye(n)))
    _, F = factors(A)
    assert_close(F.logdet(), n * np.log(4), 1e-15)
    assert F.solve(np.ones((n, 3))).shape == (n, 3)
    assert_close(F.inverse_diagonal(), np.full(n, 0.25), 1e-15)
    assert (
        jax.grad(lambda v: ex.cholesky(A.with_values(v), symbolic=F.symbolic).logdet())(
            A.values
        ).size
        == n
    )


def test_a_chain_and_a_star_of_many_columns():
    """No recursion, and no workspace beyond what waits."""
    n = 100_000
    rim, hub = np.arange(n - 1), np.full(n - 1, n - 1)
    for i, j in ((rim + 1, rim), (hub, rim)):
        off = sp.coo_array((np.full(n - 1, -0.3 / n), (i, j)), (n, n))
        A = ex.SymmetricMatrix.from_scipy(sp.csc_array(off + off.T + sp.eye_array(n)))
        _, F = factors(A, "natural")
        assert F.symbolic.supernodes == n
        assert_close(A @ F.solve(np.ones(n)), np.ones(n), 1e-11)
