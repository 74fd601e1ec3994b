"""Any pattern, any ordering: factor, solve, log-determinant and inverse against dense algebra."""

import jax
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import elimax as ex

from .helpers import assert_close
from .structure.elimination import patterns


@st.composite
def problems(draw) -> tuple[ex.SymmetricMatrix, str | np.ndarray]:
    """A diagonally dominant Hermitian matrix on a random pattern, and an ordering."""
    pattern = draw(patterns(max_n=12)).with_diagonal()
    n = pattern.shape[0]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.uniform(-1, 1, pattern.nnz) + 1j * rng.uniform(-1, 1, pattern.nnz)
    values[pattern.rows == pattern.columns] = rng.uniform(n + 1, 2 * n + 2, n)
    values = values if draw(st.booleans()) else values.real
    named = st.sampled_from(["auto", "amd", "nd", "natural"])
    ordering = draw(st.one_of(named, st.permutations(range(n)).map(lambda p: np.array(p, int))))
    return ex.SymmetricMatrix(pattern, values), ordering


@settings(max_examples=30, deadline=None)
@given(problems())
def test_factor_solve_logdet_and_inverse(problem):
    A, ordering = problem
    X, n = np.asarray(A.todense()), A.shape[0]
    F = ex.cholesky(A, ordering=ordering)
    assert sorted(F.permutation) == list(range(n))

    L = np.asarray(F.L.todense())
    assert np.all(np.triu(L, 1) == 0)
    assert_close(L @ L.conj().T, X[np.ix_(F.permutation, F.permutation)], 1e-13)

    b = np.arange(1.0, 2 * n + 1).reshape(n, 2)
    x = F.solve(b)
    assert_close(X @ x, b, 1e-13)
    assert_close(F.half_solve(F.half_solve(b), transpose=True), x, 1e-13)

    inverse = np.linalg.inv(X)
    on_pattern = inverse[A.pattern.rows, A.pattern.columns]
    assert_close(F.logdet(), np.linalg.slogdet(X)[1], 1e-13)
    assert_close(F.selected_inverse().values, on_pattern, 1e-13)
    assert_close(F.inverse_diagonal(), inverse.diagonal().real, 1e-13)
    gradient = jax.grad(lambda v: ex.cholesky(A.with_values(v), ordering=ordering).logdet())(
        A.values
    )
    twice = np.where(A.pattern.rows == A.pattern.columns, 1, 2)
    assert_close(gradient, twice * on_pattern.conj(), 1e-13)
