"""Derivatives of log|det A| of every order from LDL and LU factors, against dense formulas.

The factors are computed here, supernode by supernode, in the layout that cpp/numeric.h describes.
"""

import itertools

import jax
import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp

from elimax._structure import _native
from elimax._structure.lu_symbolic import GeneralEmbedding
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import analyze

from ..helpers import COMPLEX, SCALARS, assert_close, tolerance

TARGET = "elimax_pivoted_inverse_gradient"
jax.ffi.register_ffi_target(
    TARGET, jax.ffi.pycapsule(getattr(_native.library, TARGET)), platform="cpu"
)
GENERAL, SYMMETRIC, HERMITIAN = 0, 1, 2
CASES = [(GENERAL, dtype) for dtype in SCALARS]
CASES += [(SYMMETRIC, dtype) for dtype in SCALARS] + [(HERMITIAN, dtype) for dtype in COMPLEX]


# ---------------------------------------------------------------------------------------------
# Matrices


def random_pattern(n, entries, rng):
    return sp.coo_array((np.ones(entries), rng.integers(n, size=(2, entries))), (n, n))


def block(n, size, rng):
    """A dense block and loose vertices: fronts wider than the blocks of the kernels."""
    keep = np.zeros((n, n))
    keep[:size, :size] = 1
    keep[size:, ::40] = 1
    return sp.coo_array(keep)


PATTERNS = {
    "empty": lambda rng: sp.coo_array((0, 0)),
    "one": lambda rng: sp.eye_array(1),
    "dense": lambda rng: sp.coo_array(np.ones((17, 17))),
    "arrow": lambda rng: sp.coo_array(np.eye(25) + np.eye(1, 25).T @ np.ones((1, 25))),
    "sparse": lambda rng: random_pattern(60, 90, rng),
    "denser": lambda rng: random_pattern(60, 200, rng),
    "disconnected": lambda rng: sp.block_diag(
        [random_pattern(12, 30, rng), sp.eye_array(3), random_pattern(20, 40, rng)]
    ),
    "wide": lambda rng: block(190, 140, rng),
}


def normal(rng, shape, dtype):
    x = rng.standard_normal(shape)
    return x + 1j * rng.standard_normal(shape) if np.issubdtype(dtype, np.complexfloating) else x


def matrix(name, storage, dtype, rng):
    """A matrix of this pattern, far from definite and far from singular; a dense array."""
    keep = PATTERNS[name](rng).toarray()
    n = len(keep)
    X = normal(rng, (n, n), dtype) * (keep != 0)
    np.fill_diagonal(X, 0)
    if storage != GENERAL:
        X = np.tril(X) + adjoint(np.tril(X), storage)
    sums = np.abs(X).sum(0) + np.abs(X).sum(1) + 1
    phase = normal(rng, n, np.float64 if storage == HERMITIAN else dtype)
    # Off the wide block the diagonal is strong; in it, pivots are chosen.
    strength = np.where(sums > 100, 0.01, 0.7)
    X = X + np.diag(phase / np.abs(phase) * sums * strength)
    return X / np.abs(X).max(initial=1)


def adjoint(X, storage):
    return X.conj().T if storage != SYMMETRIC else X.T


# ---------------------------------------------------------------------------------------------
# Factors


def pack(A, symbolic, storage, dtype, matching):
    """The factor of a dense matrix, as an array, and the pivots."""
    order = symbolic.permutation
    S = A[matching[order]][:, order].astype(complex)
    size, n = symbolic.factor_size, symbolic.n
    factor = np.zeros(2 * size if storage == GENERAL else size + 2 * n, complex)
    pivots = np.zeros(n, np.int32)
    for s in range(symbolic.supernodes):
        own = np.arange(symbolic.super[s], symbolic.super[s + 1])
        below = symbolic.rows[symbolic.row_ptr[s] : symbolic.row_ptr[s + 1]]
        F11, F21, F12 = S[np.ix_(own, own)], S[np.ix_(below, own)], S[np.ix_(own, below)]
        panel = slice(symbolic.panel[s], symbolic.panel[s + 1])
        if storage == GENERAL:
            P, L, U = scipy.linalg.lu(F11)
            pivots[own] = np.argmax(P, 0)
            L21, U12 = F21 @ np.linalg.inv(U), np.linalg.solve(L, P.T @ F12)
            factor[panel] = np.vstack([L, L21]).ravel("F")
            factor[size:][panel] = np.vstack([U.conj().T, U12.conj().T]).ravel("F")
        else:
            L, D, pivots[own] = ldl(F11, storage)
            M = np.linalg.inv(L)
            L21 = F21[:, pivots[own]] @ adjoint(M, storage) @ np.linalg.inv(D)
            U12 = D @ adjoint(L21, storage)
            factor[panel] = np.vstack([L, L21]).ravel("F")
            factor[size:][own] = np.diag(D)
            factor[size + n :][own[:-1]] = np.diag(D, -1)
        S[np.ix_(below, below)] -= L21 @ U12
    is_complex = np.issubdtype(dtype, np.complexfloating)
    return (factor if is_complex else factor.real).astype(dtype), pivots


def ldl(F11, storage):
    """P F11 P^T = L D L^H: by Cholesky if F11 or -F11 is definite, else by Bunch and Kaufman."""
    if storage == HERMITIAN or not F11.imag.any():
        for sign in (1, -1):
            if np.all(np.linalg.eigvalsh(sign * F11) > 0):
                c = len(F11)
                return np.linalg.cholesky(sign * F11), sign * np.eye(c), np.arange(c)
    F11 = F11 - 1j * np.diag(np.diag(F11).imag) if storage == HERMITIAN else F11
    L, D, order = scipy.linalg.ldl(F11, hermitian=storage == HERMITIAN)
    return L[order], D, order


# ---------------------------------------------------------------------------------------------
# Gradients


class Problem:
    """A matrix on a pattern, its factor, and the values of other matrices on that pattern.

    The pattern is that of the matrix, or all of L + U if `filled`.
    """

    def __init__(self, name, storage, dtype, rng, filled=False):
        self.storage, self.dtype = storage, dtype
        B = matrix(name, storage, dtype, rng)
        n = len(B)
        matching = rng.permutation(n).astype(np.int32) if storage == GENERAL else np.arange(n)
        self.A = np.empty_like(B)
        self.A[matching] = B
        symmetric = Pattern.from_scipy(sp.csc_array(abs(B) + abs(B).T), symmetric=True)
        self.symbolic = analyze(symmetric, "amd", "supernodal")
        if filled:
            L, order = self.symbolic.factor_pattern()[0].to_scipy(), self.symbolic.permutation
            place = np.argsort(order)
            symmetric = Pattern.from_scipy((L + L.T)[place][:, place], symmetric=True)
        if storage == GENERAL:
            whole, _ = symmetric.to_general()
            pattern = Pattern.from_coo(matching[whole.rows], whole.columns, (n, n))
            pattern = pattern if filled else Pattern.from_scipy(sp.csc_array(self.A))
            embedding = GeneralEmbedding(self.symbolic, pattern, matching)
        else:
            pattern = symmetric
            embedding = self.symbolic.embedding(pattern)
        self.rows, self.columns = pattern.rows, pattern.columns
        self.factor, self.pivots = pack(self.A, self.symbolic, storage, dtype, matching)
        self.attributes = embedding.pin("embedding") | self.symbolic.pin("symbolic")
        self.attributes["storage"] = np.int64(storage)

    def dense(self, values):
        X = np.zeros(self.A.shape, np.promote_types(values.dtype, np.float64))
        X[self.rows, self.columns] = values
        if self.storage == GENERAL:
            return X
        if self.storage == HERMITIAN:
            X -= 1j * np.diag(np.diag(X).imag)
        return X + adjoint(np.tril(X, -1), self.storage)

    def gradient(self, *directions, factor=None, pivots=None):
        factor = self.factor if factor is None else factor
        pivots = self.pivots if pivots is None else pivots
        shape = (*factor.shape[:-1], self.rows.size)
        call = jax.ffi.ffi_call(TARGET, jax.ShapeDtypeStruct(shape, self.dtype))
        return np.asarray(call(factor, pivots, *directions, **self.attributes))

    def oracle(self, *directions):
        """The coefficient of e_1 ... e_k of (A + sum e_i V_i)^-1, with the weights of the storage."""
        inverse = np.linalg.inv(self.A.astype(np.promote_types(self.dtype, np.float64)))
        V = [self.dense(v) @ inverse for v in directions]
        Z = sum(
            (-1) ** len(V) * np.linalg.multi_dot([inverse, *path, np.eye(len(inverse))])
            for path in itertools.permutations(V)
        )
        if self.storage == GENERAL:
            return Z[self.columns, self.rows]
        entries = Z[self.rows, self.columns]
        if self.storage == SYMMETRIC:
            return np.where(self.rows == self.columns, entries, 2 * entries)
        return np.where(self.rows == self.columns, entries.real, 2 * entries.conj())

    def directions(self, rng, k):
        return [normal(rng, self.rows.size, self.dtype).astype(self.dtype) for _ in range(k)]


@pytest.mark.parametrize(("storage", "dtype"), CASES)
@pytest.mark.parametrize("name", PATTERNS)
def test_gradients_of_every_order(name, storage, dtype, rng):
    problem = Problem(name, storage, dtype, rng)
    V = problem.directions(rng, 3)
    for k in (0, 1, 3) if np.finfo(dtype).bits == 64 else (0, 1):
        actual = problem.gradient(*V[:k])
        assert actual.dtype == dtype
        assert_close(actual, problem.oracle(*V[:k]), tolerance(dtype, 30))


@pytest.mark.parametrize("storage", [GENERAL, SYMMETRIC, HERMITIAN])
@pytest.mark.parametrize("name", ["arrow", "denser", "disconnected"])
def test_all_entries_of_the_filled_pattern(name, storage, rng):
    problem = Problem(name, storage, np.complex128, rng, filled=True)
    (v,) = problem.directions(rng, 1)
    for V in [], [v]:
        assert_close(problem.gradient(*V), problem.oracle(*V), tolerance(np.complex128, 30))


@pytest.mark.parametrize("storage", [GENERAL, SYMMETRIC])
def test_pivots_and_blocks_of_two_are_there(storage, rng):
    """What the tests above would be worth little without."""
    problem = Problem("wide", storage, np.float64, rng)
    columns = np.arange(problem.symbolic.n) - np.repeat(
        problem.symbolic.super[:-1], np.diff(problem.symbolic.super)
    )
    assert np.mean(problem.pivots != columns) > 0.1
    assert storage == GENERAL or np.count_nonzero(problem.factor[-problem.symbolic.n :]) > 3


@pytest.mark.parametrize("storage", [GENERAL, SYMMETRIC, HERMITIAN])
@pytest.mark.parametrize("name", ["one", "denser", "wide"])
def test_batches(name, storage, rng):
    problem = Problem(name, storage, np.complex128, rng)
    (v,) = problem.directions(rng, 1)
    factors = np.stack([problem.factor, problem.factor * 0 + np.nan, problem.factor])
    pivots = np.stack([problem.pivots] * 3)
    directions = np.stack([v, v, 2 * v])
    batch = problem.gradient(directions, factor=factors, pivots=pivots)
    one = problem.gradient(v)
    assert np.array_equal(batch[0], one) and np.array_equal(batch[2], 2 * one)
    assert np.isnan(batch[1]).all()
