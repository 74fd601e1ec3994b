"""The LDL factorization with pivots chosen within supernodes: L D L^H against the matrix."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from elimax._structure import _native
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import analyze

from ..helpers import COMPLEX, SCALARS, WELL_CONDITIONED, spd, stored, tolerance

NOT_FINITE, PERTURBED, UNSTABLE = -1, -3, -4
SYMMETRIC, HERMITIAN = 1, 2
TARGET = "elimax_ldl"
KINDS = [(dtype, HERMITIAN) for dtype in SCALARS] + [(dtype, SYMMETRIC) for dtype in COMPLEX]
jax.ffi.register_ffi_target(
    f"{TARGET}_test", jax.ffi.pycapsule(getattr(_native.library, TARGET)), platform="cpu"
)


class Factor:
    """The factor of A, of one storage."""

    def __init__(self, A, storage, values=None, ordering="amd", method="supernodal"):
        pattern = Pattern.from_scipy(A, symmetric=True)
        self.symbolic = analyze(pattern, ordering, method)
        self.n, self.size = A.shape[0], self.symbolic.factor_size
        self.conj = np.conj if storage == HERMITIAN else lambda x: x
        a = jnp.asarray(stored(A) if values is None else values)
        lead = a.shape[:-1]
        results = [
            jax.ShapeDtypeStruct((*lead, self.size + 2 * self.n), a.dtype),
            jax.ShapeDtypeStruct((*lead, self.n), jnp.int32),
            jax.ShapeDtypeStruct(lead, jnp.int32),
            jax.ShapeDtypeStruct(lead, jnp.int32),
        ]
        self.values, self.pivots, status, detail = map(
            np.asarray,
            jax.ffi.ffi_call(f"{TARGET}_test", results)(
                a,
                storage=np.int64(storage),
                not_finite_sentence="",
                **self.symbolic.pin("symbolic"),
                **self.symbolic.embedding(pattern).pin("embedding"),
            ),
        )
        self.status = (int(status), int(detail)) if not lead else (status, detail)

    def array(self, name):
        return _native.symbolic_array(self.symbolic._handle, name)

    @property
    def D(self):
        d, coupling = self.values[self.size :].reshape(2, -1)
        assert not coupling[-1:].any()
        return np.diag(d) + np.diag(coupling[:-1], -1) + np.diag(self.conj(coupling[:-1]), 1)

    @property
    def L(self):
        """Rows in the order of the permuted matrix, columns in that of elimination."""
        L = np.zeros((self.n, self.n), self.values.dtype)
        super, panel, row_ptr = (self.array(name) for name in ("super", "panel", "row_ptr"))
        for s, (first, end) in enumerate(itertools.pairwise(super)):
            below = self.array("rows")[row_ptr[s] : row_ptr[s + 1]]
            own, order = np.arange(first, end), self.pivots[first:end]
            assert sorted(order) == list(range(end - first))
            block = self.values[panel[s] : panel[s + 1]].reshape(end - first, -1).T
            assert not np.triu(block[: end - first], 1).any()
            L[np.ix_(np.concatenate([first + order, below]), own)] = block
        return L

    def matrix(self):
        """L D L^H, in the numbering of A."""
        L = self.L.astype(np.promote_types(self.values.dtype, np.float64))
        product = L @ self.D @ self.conj(L).T
        order = np.argsort(self.symbolic.permutation)
        return product[np.ix_(order, order)]

    def growth(self):
        """By how much rounding errors are larger than those of entries up to 1."""
        L = np.abs(self.L)
        return max((L @ np.abs(self.D) @ L.T).max(initial=0), 1)

    def inertia(self):
        eigenvalues = np.linalg.eigvalsh(self.D)
        return (eigenvalues > 0).sum(), (eigenvalues < 0).sum()


def normal(rng, shape, dtype):
    x = rng.standard_normal(shape)
    if np.issubdtype(dtype, complex):
        x = x + 1j * rng.standard_normal(shape)
    return x.astype(dtype)


def symmetrized(X, storage):
    """X + X^T or X + X^H with entries up to 1."""
    A = sp.csc_array(X + (X.conj().T if storage == HERMITIAN else X.T))
    if A.nnz:
        A.data /= np.abs(A.data).max()
    return A


def indefinite(n, density, dtype, storage, rng):
    X = sp.random_array((n, n), density=density, rng=rng).tocsc()
    X = sp.csc_array(X + sp.eye_array(n))
    X = X.astype(dtype)
    X.data = normal(rng, X.nnz, dtype)
    return symmetrized(X, storage)


def saddle_point(n, m, dtype, storage, rng):
    """[H B^H; B 0] with H positive definite."""
    H = sp.csc_array(spd("grid_2d", dtype))[:n, :n] / 8
    B = sp.random_array((m, n), density=4 / n, rng=rng) + sp.eye_array(m, n)
    B = sp.csc_array(B).astype(dtype)
    B.data = normal(rng, B.nnz, dtype) / 4
    BH = B.conj().T if storage == HERMITIAN else B.T
    if storage == SYMMETRIC:
        H = sp.csc_array((H + H.T) / 2)
    return sp.csc_array(sp.block_array([[H, BH], [B, None]])), n


def branches(dtype, storage, rng, leaf=30, leaves=5, root=90):
    """Large fronts below one whose diagonal is positive, but which is not definite."""
    n = leaf * leaves + root
    X = np.zeros((n, n), dtype)
    for first in range(0, n - root, leaf):
        own = slice(first, first + leaf)
        X[own, own] = normal(rng, (leaf, leaf), dtype) / 100
        X[-root:, own] = normal(rng, (root, leaf), dtype) / 100
    X[-root:, -root:] = normal(rng, (root, root), dtype) / 20
    np.fill_diagonal(X, 0.5)
    return symmetrized(sp.csc_array(X), storage)


def gallery(dtype, storage, rng):
    border = np.ones((160, 160)) * (np.arange(160) % 9 == 0) + np.eye(160)
    border[:110, :110] = 1
    border = border.astype(dtype)
    return {
        "empty": sp.csc_array((0, 0), dtype=dtype),
        "one": sp.csc_array(-np.ones((1, 1), dtype)),
        "diagonal": sp.diags_array(normal(rng, 20, np.float64)).astype(dtype).tocsc(),
        "sparse": indefinite(60, 0.02, dtype, storage, rng),
        "denser": indefinite(90, 0.1, dtype, storage, rng),
        "full": indefinite(70, 1.0, dtype, storage, rng),
        "wide": symmetrized(sp.csc_array(border * normal(rng, border.shape, dtype)), storage),
        "branches": branches(dtype, storage, rng),
        "antidiagonal": sp.csc_array(np.eye(30, dtype=dtype)[::-1]),
    }


@pytest.mark.parametrize(("dtype", "storage"), KINDS)
def test_factors_multiply_to_the_matrix(dtype, storage, rng):
    for name, A in gallery(dtype, storage, rng).items():
        F = Factor(A, storage)
        assert F.status[0] in (0, UNSTABLE), name
        growth = F.growth()
        assert np.abs(F.matrix() - A).max(initial=0) < tolerance(dtype) * growth, name
        assert growth < 1e6 or F.status[0] == UNSTABLE, name


@pytest.mark.parametrize("dtype", SCALARS)
@pytest.mark.parametrize("name", WELL_CONDITIONED)
def test_definite_matrix_of_either_sign_takes_cholesky(name, dtype):
    A = spd(name, dtype)
    A = sp.csc_array(A / np.abs(A.data).max()).astype(dtype)
    for sign in (1, -1):
        F = Factor(sign * A, HERMITIAN)
        assert F.status == (0, 0)
        assert np.array_equal(F.D, sign * np.eye(F.n))
        assert np.abs(F.matrix() - sign * A).max() < tolerance(dtype)


@pytest.mark.parametrize(("dtype", "storage"), KINDS)
def test_zero_diagonal_takes_pivots_of_order_two(dtype, storage):
    A = sp.csc_array(np.eye(30, dtype=dtype)[::-1])
    F = Factor(A, storage)
    assert F.status == (0, 0)
    assert np.count_nonzero(np.diag(F.D, -1)) == 15 and not np.diag(F.D).any()


@pytest.mark.parametrize("dtype", SCALARS)
def test_inertia_is_that_of_the_eigenvalues(dtype, rng):
    for name, A in gallery(dtype, HERMITIAN, rng).items():
        F = Factor(A, HERMITIAN)
        eigenvalues = np.linalg.eigvalsh(A.toarray().astype(np.complex128))
        if F.status == (0, 0) and F.n:
            assert np.abs(eigenvalues).min() > 100 * np.finfo(dtype).eps, name
            assert F.inertia() == ((eigenvalues > 0).sum(), (eigenvalues < 0).sum()), name


@pytest.mark.parametrize(("dtype", "storage"), KINDS)
def test_saddle_point_within_one_supernode(dtype, storage, rng):
    """Constraints that are eliminated together with what they constrain: nothing is perturbed."""
    A, n = saddle_point(60, 20, dtype, storage, rng)
    i, j = np.indices(A.shape).reshape(2, -1)
    full = sp.csc_array((A.toarray().ravel(), (i, j)))
    F = Factor(full, storage)
    assert F.status == (0, 0)
    assert np.abs(F.matrix() - A).max() < tolerance(dtype)
    if storage == HERMITIAN:
        assert F.inertia() == (n, A.shape[0] - n)


@pytest.mark.parametrize("size", [0, 0.1, -0.1])
@pytest.mark.parametrize(("dtype", "storage"), KINDS)
def test_pivot_that_is_too_small_is_replaced(dtype, storage, size):
    """An arrow whose shaft comes first, one entry of which is small."""
    n, small, root = 12, 7, np.sqrt(np.finfo(dtype).eps)
    A = sp.lil_array((n, n), dtype=dtype)
    A[n - 1, :], A[:, n - 1] = 1, 1
    A.setdiag(np.where(np.arange(n) == small, size * root, -0.5))
    F = Factor(sp.csc_array(A), storage, ordering="natural", method="simplicial")
    assert F.status == (PERTURBED, small)
    perturbation = F.matrix() - A
    expected = (1 if size >= 0 else -1) * root - size * root
    assert abs(perturbation[small, small] - expected) < 1e-3 * root
    perturbation[small, small] = 0
    assert np.abs(perturbation).max() < 10 * root


@pytest.mark.parametrize(("dtype", "storage"), KINDS)
def test_pivot_of_order_two_that_is_too_small_is_replaced(dtype, storage):
    """Pairs of columns with nothing on the diagonal and little beside it, all coupled to one column."""
    pairs, root = 300, np.sqrt(np.finfo(dtype).eps)
    A = sp.lil_array(sp.block_diag([np.array([[0, 1], [1, 0]]) * root / 10] * pairs + [[[1]]]))
    A[-1, :], A[:, -1] = 1, 1
    F = Factor(sp.csc_array(A).astype(dtype), storage, ordering="natural")
    assert F.status == (PERTURBED, 0)
    coupling = np.abs(np.diag(F.D, -1)[:pairs])
    assert np.allclose(coupling[::2], root) and not coupling[1::2].any()
    perturbation = np.abs(F.matrix() - A)
    assert perturbation[:-1].max() < root
    assert perturbation[-1, -1] < tolerance(dtype) * F.growth()


@pytest.mark.parametrize(("dtype", "storage"), KINDS)
@pytest.mark.parametrize("n", [1, 5, 70, 200])
def test_zero_matrix_is_perturbed(n, dtype, storage):
    zero = 0 * sp.csc_array(np.ones((n, n), dtype) if n != 200 else spd("banded", dtype))
    F = Factor(zero, storage)
    assert F.status[0] == PERTURBED
    root = np.sqrt(np.finfo(dtype).eps).astype(dtype)
    assert np.array_equal(F.D, root * np.eye(F.n, dtype=dtype))
    assert np.isfinite(F.values).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("dtype", "storage"), KINDS)
def test_value_that_is_not_finite_is_found(dtype, storage, bad, rng):
    A = indefinite(40, 0.1, dtype, storage, rng)
    values = stored(A).copy()
    position = int(rng.integers(values.size))
    values[position] = bad
    F = Factor(A, storage, values)
    assert F.status == (NOT_FINITE, position)
    assert np.isnan(F.values).all()
    assert F.pivots.min() >= 0


def test_elements_of_a_batch_are_factorized_one_by_one(rng):
    A = indefinite(50, 0.1, np.float64, HERMITIAN, rng)
    values = rng.uniform(-1, 1, (3, stored(A).size))
    values[1] = np.nan
    batch = Factor(A, HERMITIAN, values)
    for i in range(3):
        alone = Factor(A, HERMITIAN, values[i])
        assert np.array_equal(batch.values[i], alone.values, equal_nan=True)
        assert np.array_equal(batch.pivots[i], alone.pivots)
        assert (batch.status[0][i], batch.status[1][i]) == alone.status


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 24),
    density=st.floats(0, 1),
    zeros=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS[1::2]),
)
def test_factor_of_any_matrix_is_that_of_one_nearby(n, density, zeros, seed, kind):
    dtype, storage = kind
    rng = np.random.default_rng(seed)
    A = indefinite(n, density, dtype, storage, rng)
    A.setdiag(np.where(rng.uniform(size=n) < zeros, 0, A.diagonal()))
    F = Factor(sp.csc_array(A), storage)
    assert F.status[0] in (0, PERTURBED, UNSTABLE)
    assert np.isfinite(F.values).all()
    growth, eps = F.growth(), np.finfo(dtype).eps
    bound = 100 * eps + (10 * np.sqrt(eps) if F.status[0] == PERTURBED else 0)
    assert np.abs(F.matrix() - A).max() < bound * growth
