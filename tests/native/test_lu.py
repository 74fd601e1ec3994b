"""The LU factorization over a symmetric structure, put together again and compared with the matrix."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from elimax._structure import _native
from elimax._structure.lu_symbolic import LUSymbolic, paired
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import analyze

from ..helpers import SCALARS, tolerance

NOT_FINITE, PERTURBED, UNSTABLE = -1, -3, -4
TARGET = "elimax_lu"
jax.ffi.register_ffi_target(
    f"{TARGET}_test", jax.ffi.pycapsule(getattr(_native.library, TARGET)), platform="cpu"
)


class Structure:
    """What was analyzed: the pattern of a matrix whose row `row_of_column[j]` is matched with column j."""

    def __init__(self, A, row_of_column=None):
        pattern = Pattern.from_scipy(A)
        self.n = A.shape[0]
        self.row_of_column = np.arange(self.n) if row_of_column is None else row_of_column
        self.row_of_column = np.asarray(self.row_of_column, np.int32)
        self.symbolic = analyze(paired(pattern, self.row_of_column), "amd", "supernodal")
        embedding = LUSymbolic(pattern, self.row_of_column, self.symbolic).embedding(pattern)
        self.attributes = dict(
            **self.symbolic.pin("symbolic"), **embedding.pin("embedding"), not_finite_sentence=""
        )

    def array(self, name):
        return _native.symbolic_array(self.symbolic._handle, name)

    def factorize(self, values):
        """Panels, pivots, status and detail, each with the leading dimensions of the values."""
        lead, size = values.shape[:-1], self.symbolic.factor_size
        results = [
            jax.ShapeDtypeStruct((*lead, 2 * size), values.dtype),
            jax.ShapeDtypeStruct((*lead, self.n), jnp.int32),
            jax.ShapeDtypeStruct(lead, jnp.int32),
            jax.ShapeDtypeStruct(lead, jnp.int32),
        ]
        return jax.ffi.ffi_call(f"{TARGET}_test", results)(jnp.asarray(values), **self.attributes)

    def dense_factors(self, factor, pivots):
        """P^T L and U for the whole matrix, rows and columns in the order of elimination."""
        panels = np.asarray(factor).reshape(2, -1)
        L, U = np.zeros((2, self.n, self.n), panels.dtype)
        super, panel, row_ptr = (self.array(name) for name in ("super", "panel", "row_ptr"))
        for s, (first, end) in enumerate(itertools.pairwise(super)):
            below = self.array("rows")[row_ptr[s] : row_ptr[s + 1]]
            own, order = np.arange(first, end), np.asarray(pivots[first:end])
            assert sorted(order) == list(range(end - first))
            lower, upper = (p[panel[s] : panel[s + 1]].reshape(len(own), -1).T for p in panels)
            for block in lower[: len(own)], upper[: len(own)]:
                assert not np.triu(block, 1).any()
            assert (np.diag(lower) == 1).all()
            L[np.ix_(np.concatenate([first + order, below]), own)] = lower
            U[np.ix_(own, np.concatenate([own, below]))] = upper.conj().T
        return L, U

    def permuted(self, A):
        """The matrix as it is eliminated."""
        order = self.symbolic.permutation
        return A.toarray()[self.row_of_column[order]][:, order]


def normal(rng, shape, dtype):
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if np.issubdtype(dtype, complex) else x).astype(
        dtype
    )


def general(n, density, dtype, rng, strong=True):
    """A random matrix whose entries are 1 or smaller, and a matching."""
    A = sp.coo_array(sp.random_array((n, n), density=density, rng=rng))
    row_of_column = rng.permutation(n)
    i = np.concatenate([A.row, row_of_column])
    j = np.concatenate([A.col, np.arange(n)])
    A = sp.csc_array((np.ones(len(i)), (i, j)), (n, n))
    A.data = normal(rng, A.nnz, dtype)
    A.data /= 1 + np.abs(A.data)
    if strong:
        A[row_of_column, np.arange(n)] = np.ones(n, dtype)
    return A, row_of_column


def gallery(dtype, rng):
    def dense_rows(n):
        A = sp.lil_array((n, n), dtype=dtype)
        A[0, :], A[:, n - 1] = normal(rng, n, dtype) / 4, normal(rng, n, dtype) / 4
        A.setdiag(np.ones(n, dtype))
        return sp.csc_array(A), np.arange(n)

    def wide(n):
        """A front beyond every threshold of the dense kernels, with a border."""
        A = sp.lil_array((n, n), dtype=dtype)
        A[:150, :150] = normal(rng, (150, 150), dtype) / 4
        A[150:, ::9] = normal(rng, (n - 150, len(range(0, n, 9))), dtype) / 4
        A[::7, 150:] = normal(rng, (len(range(0, n, 7)), n - 150), dtype) / 4
        A.setdiag(np.ones(n, dtype))
        return sp.csc_array(A), np.arange(n)

    return {
        "empty": (sp.csc_array((0, 0), dtype=dtype), np.arange(0)),
        "one": general(1, 1.0, dtype, rng),
        "diagonal": general(20, 0, dtype, rng),
        "sparse": general(60, 0.02, dtype, rng),
        "denser": general(80, 0.1, dtype, rng),
        "full": general(33, 1.0, dtype, rng, strong=False),
        "dense_rows": dense_rows(30),
        "wide": wide(200),
        "disconnected": (
            sp.csc_array(sp.block_diag([general(k, 0.5, dtype, rng)[0] for k in (3, 1, 8)])),
            None,
        ),
    }


@pytest.mark.parametrize("dtype", SCALARS)
def test_factors_multiply_to_the_matrix(dtype, rng):
    for name, (A, row_of_column) in gallery(dtype, rng).items():
        if row_of_column is None:
            row_of_column = sp.csgraph.maximum_bipartite_matching(sp.csr_array(A.T), "column")
            row_of_column = np.asarray(row_of_column)
        structure = Structure(A, row_of_column)
        factor, pivots, status, _ = structure.factorize(A.data)
        assert int(status) in (0, UNSTABLE), name
        L, U = structure.dense_factors(factor, pivots)
        B = structure.permuted(A)
        growth = max(1, (np.abs(L) @ np.abs(U)).max(initial=0))
        assert np.abs(L @ U - B).max(initial=0) < tolerance(dtype) * growth, name


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 40),
    density=st.sampled_from([0.02, 0.1, 0.5]),
    dtype=st.sampled_from(SCALARS),
    seed=st.integers(0, 2**32 - 1),
)
def test_factors_of_any_matrix(n, density, dtype, seed):
    rng = np.random.default_rng(seed)
    A, row_of_column = general(n, density, dtype, rng, strong=bool(seed % 2))
    structure = Structure(A, row_of_column)
    factor, pivots, status, _ = structure.factorize(A.data)
    L, U = structure.dense_factors(factor, pivots)
    assert np.isfinite(L).all() and np.isfinite(U).all()
    growth = max(1, (np.abs(L) @ np.abs(U)).max())
    if status != PERTURBED:
        error = np.abs(L @ U - structure.permuted(A)).max()
        assert error < tolerance(dtype) * growth


@pytest.mark.parametrize("dtype", SCALARS)
def test_pivots_are_the_largest_of_their_columns_within_a_supernode(dtype, rng):
    n = 29
    A = sp.csc_array(normal(rng, (n, n), dtype) / 4)
    structure = Structure(A)
    assert structure.symbolic.supernodes == 1
    factor, pivots, status, _ = structure.factorize(A.data)
    assert status == 0
    L, _ = structure.dense_factors(factor, pivots)
    largest = np.sqrt(2) if np.issubdtype(dtype, complex) else 1  # of |Re| + |Im|
    assert np.abs(L).max() < largest * (1 + 1e-5)
    assert (np.asarray(pivots) != np.arange(n)).any()


@pytest.mark.parametrize("dtype", SCALARS)
def test_a_singular_matrix_is_perturbed_and_says_where(dtype, rng):
    A, row_of_column = general(50, 0.05, dtype, rng)
    for values in (np.zeros(A.nnz, dtype), A.data.copy()):
        if values.any():  # one column of zeros
            values[A.indptr[7] : A.indptr[8]] = 0
        structure = Structure(A, row_of_column)
        factor, pivots, status, detail = structure.factorize(values)
        order = structure.symbolic.permutation
        assert status == PERTURBED and detail == (7 if values.any() else order[0])
        L, U = structure.dense_factors(factor, pivots)
        half = np.sqrt(np.finfo(dtype).eps)
        assert np.isfinite(L).all() and np.abs(np.diag(U)).min() >= half / 2
        changed = structure.permuted(sp.csc_array((values, A.indices, A.indptr), A.shape))
        assert np.abs(L @ U - changed).max() < 10 * half * max(1, (np.abs(L) @ np.abs(U)).max())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_spoils_its_own_matrix_only(bad, rng):
    A, row_of_column = general(40, 0.1, np.float64, rng)
    values = np.stack([A.data] * 3)
    values[1, 17] = bad
    structure = Structure(A, row_of_column)
    factor, pivots, status, detail = structure.factorize(values)
    assert status.tolist() == [0, NOT_FINITE, 0] and detail.tolist() == [0, 17, 0]
    assert np.isnan(factor[1]).all()
    np.testing.assert_array_equal(factor[0], structure.factorize(A.data)[0])
    np.testing.assert_array_equal(factor[0], factor[2])
    assert np.asarray(pivots).min() >= 0
