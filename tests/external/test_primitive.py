"""Solves on the host inside of jit, scan, vmap and cond, in every dtype and storage, each one call."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex
from elimax._primitive.external import external_setup, external_solve

from ..helpers import SCALARS
from .solvers import Dense, matrix

N = 7


def problem(rng, dtype=np.float64, storage="general"):
    """A matrix of Elimax and a function that makes right-hand sides."""
    if storage == "general":
        A = ex.SparseMatrix.from_scipy(matrix(N, dtype))
    else:
        S = matrix(N, dtype)
        hermitian = storage == "hermitian"
        A = ex.SymmetricMatrix.from_scipy(S + (S.conj() if hermitian else S).T, hermitian)

    def sides(*shape):
        b = rng.normal(size=(*shape, 2)).astype(np.float64).view(np.complex128)[..., 0]
        return jnp.asarray(b if np.issubdtype(dtype, np.complexfloating) else b.real, dtype)

    return A, sides


def bound_to(A, dense, **options):
    return dense.host(**options).bind(A.pattern, A.storage)


def solver(bound, transpose=False):
    def solve(a, b):
        return external_solve(external_setup(a, bound), a, b, bound, transpose)

    return solve


def tolerance(dtype):
    return 1e-3 if np.finfo(dtype).eps > 1e-10 else 1e-10


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("own_transpose", [False, True])
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("dtype", SCALARS)
@pytest.mark.parametrize("storage", ["general", "symmetric", "hermitian"])
def test_solution(rng, storage, dtype, transpose, own_transpose, columns):
    A, sides = problem(rng, dtype, storage)
    dense = Dense(columns)
    solve = solver(bound_to(A, dense, transpose=own_transpose), transpose)
    b = sides(A.shape[0], 3)
    x, status = jax.jit(solve)(A.values, b)
    D = np.asarray(A.todense())
    np.testing.assert_allclose((D.T if transpose else D) @ x, b, atol=tolerance(dtype))
    assert x.dtype == dtype and status.shape == (3,) and not status.any()
    assert dense.shapes == ([(A.shape[0], 3)] if columns else 3 * [(A.shape[0],)])
    is_shared = own_transpose or storage != "general"
    assert dense.called["setup"] == (2 if transpose and not is_shared else 1)


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("mapped", ["b", "a", "both", "a_then_b", "b_then_a", "both_then_b"])
def test_vmap_is_one_call(rng, mapped, columns):
    A, sides = problem(rng)
    dense = Dense(columns)
    bound = bound_to(A, dense)
    solve = solver(bound)
    V = jnp.stack([A.values, 2 * A.values, 3 * A.values])
    b = sides(N, 2)
    cases = {
        "b": (jax.vmap(solve, (None, 0)), A.values, sides(4, N, 2)),
        "a": (jax.vmap(solve, (0, None)), V, b),
        "both": (jax.vmap(solve), V, sides(3, N, 2)),
        "a_then_b": (jax.vmap(jax.vmap(solve, (0, None)), (None, 0)), V, sides(4, N, 2)),
        "b_then_a": (jax.vmap(jax.vmap(solve, (None, 0)), (0, None)), V, sides(4, N, 2)),
        "both_then_b": (jax.vmap(jax.vmap(solve), (None, 0)), V, sides(4, 3, N, 2)),
    }
    f, a, b = cases[mapped]
    x, status = jax.jit(f)(a, b)
    assert bound.host.counts.calls == 2  # a setup and a solve
    lead = x.shape[:-2]
    assert status.shape == (*lead, 2) and not status.any()
    a = {"a_then_b": a[None], "b_then_a": a[:, None], "both_then_b": a[None]}.get(mapped, a)
    b = {"a_then_b": b[:, None], "b_then_a": b[None]}.get(mapped, b)
    values = np.broadcast_to(a, (*lead, a.shape[-1]))
    sides_ = np.broadcast_to(b, x.shape)
    for i in itertools.product(*map(range, lead)):
        D = A.with_values(values[i]).todense()
        np.testing.assert_allclose(D @ x[i], sides_[i], atol=1e-10)
    matrices = 1 if mapped == "b" else 3
    assert dense.called["setup"] == matrices
    assert dense.called["solve"] == (matrices if columns else 2 * int(np.prod(lead)))


def test_scan_sets_up_once(rng):
    A, sides = problem(rng)
    dense = Dense()
    bound = bound_to(A, dense)

    @jax.jit
    def iterate(a, b):
        key = external_setup(a, bound)
        return jax.lax.scan(lambda b, _: (external_solve(key, a, b, bound)[0], None), b, length=5)[
            0
        ]

    b = sides(N, 1)
    x = iterate(A.values, b)
    D = np.asarray(A.todense())
    np.testing.assert_allclose(np.linalg.matrix_power(D, 5) @ x, b, atol=1e-7)
    assert dense.called == {"setup": 1, "solve": 5}


def test_scan_over_matrices(rng):
    A, sides = problem(rng)
    dense = Dense()
    solve = solver(bound_to(A, dense, capacity=2))
    V = jnp.stack([k * A.values for k in range(1, 6)])
    x = jax.jit(lambda V, b: jax.lax.scan(lambda b, a: (solve(a, b)[0], None), b, V)[0])(
        V, sides(N, 1)
    )
    assert np.isfinite(x).all() and dense.called["setup"] == 5 and len(dense.released) == 3


def test_cond_and_disable_jit(rng):
    A, sides = problem(rng)
    dense = Dense()
    solve = solver(bound_to(A, dense))
    b = sides(N, 1)

    @jax.jit
    def maybe(p, a, b):
        return jax.lax.cond(p, lambda a, b: solve(a, b)[0], lambda a, b: b, a, b)

    np.testing.assert_array_equal(maybe(False, A.values, b), b)
    assert dense.called["solve"] == 0
    x = maybe(True, A.values, b)
    with jax.disable_jit():
        np.testing.assert_array_equal(solve(A.values, b)[0], x)


def test_capacity_below_the_batch_is_slow_and_right(rng):
    A, sides = problem(rng)
    dense = Dense()
    solve = solver(bound_to(A, dense, capacity=2))
    V = jnp.stack([k * A.values for k in range(1, 6)])
    b = sides(5, N, 1)
    X, status = jax.vmap(solve)(V, b)
    for k in range(5):
        np.testing.assert_allclose((k + 1) * A.todense() @ X[k], b[k], atol=1e-10)
    assert not status.any() and dense.called["setup"] == 10


@pytest.mark.parametrize("shape", [(0, 1), (N, 0)])
def test_nothing_to_solve(shape):
    dense = Dense()
    A = ex.SparseMatrix.from_scipy(matrix(N)) if shape[0] else ex.SparseMatrix.eye(0)
    x, status = jax.jit(solver(bound_to(A, dense)))(A.values, jnp.zeros(shape))
    assert x.shape == shape and status.shape == shape[1:] and not status.any()


def test_dtypes_must_agree(rng):
    A, sides = problem(rng)
    with pytest.raises(ValueError, match="dtypes of a and b differ, float64 and float32"):
        solver(bound_to(A, Dense()))(A.values, sides(N, 1).astype(np.float32))


def test_hermitian_matrix_has_a_real_diagonal(rng):
    A, sides = problem(rng, np.complex128, "hermitian")
    dense = Dense()
    values = A.values + 0.5j  # on the diagonal it says nothing
    x, _ = solver(bound_to(A, dense))(values, b := sides(A.shape[0], 1))
    np.testing.assert_allclose(A.with_values(values).todense() @ x, b, atol=1e-10)


def test_matrix_is_the_users_own(rng):
    """What `setup` does with the matrix changes nothing for others."""
    A, sides = problem(rng, storage="symmetric")
    dense = Dense()
    given = []

    def setup(S):
        made = {"number": 0, "matrix": S.toarray()}
        given.append(S.copy())
        S.data[:], S.indices[:], S.indptr[:] = 0, 0, 0
        return made

    dense.setup = setup
    solve = solver(bound_to(A, dense))
    b = sides(A.shape[0], 1)
    for factor in (1.0, 2.0):
        x, _ = solve(factor * A.values, b)
        np.testing.assert_allclose(factor * A.todense() @ x, b, atol=1e-10)
    np.testing.assert_array_equal(given[0].toarray(), A.todense())
    assert given[0].has_canonical_format
