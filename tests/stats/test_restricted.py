"""Null spaces, and quadratic forms on subspaces, beside dense algebra on an orthonormal basis."""

import pickle

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex
from elimax.stats import NullSpace, restricted

from ..helpers import assert_close, dense, spd, stored
from . import subspace

# ---------------------------------------------------------------------------------------------
# Null spaces


def test_null_spaces_say_what_they_hold():
    assert NullSpace.constant(4).basis.tolist() == [[1], [1], [1], [1]]
    labels = np.array([3, -1, 0, 3])
    assert NullSpace.components(labels).basis.tolist() == [[0, 1], [0, 0], [1, 0], [0, 1]]
    assert NullSpace.unit(4, [2, 0]).basis.tolist() == [[0, 1], [0, 0], [1, 0], [0, 0]]
    stacked = NullSpace.stack(NullSpace.constant(1), NullSpace.empty(2), NullSpace.unit(2, [1]))
    assert stacked.basis.tolist() == [[1, 0], [0, 0], [0, 0], [0, 0], [0, 1]]
    t = np.array([2000.0, 2003.0, 2010.0, 2011.5])
    line = NullSpace.polynomial(t, 1)
    coefficients = np.linalg.lstsq(line.basis, np.column_stack([np.ones(4), t]), rcond=None)[0]
    assert_close(line.basis @ coefficients, np.column_stack([np.ones(4), t]), 1e-12)
    assert repr(line) == "NullSpace(n=4, rank=2)"


@pytest.mark.parametrize(
    "space",
    [
        NullSpace.constant(9),
        NullSpace.polynomial(np.arange(9.0) ** 2, 2),
        NullSpace.components(np.array([0, 1, 0, 1, 2, 2, 2, -1, 0])),
        NullSpace(np.random.default_rng(0).normal(size=(9, 4))),
    ],
)
def test_bases_and_pins(space):
    N = space.orthonormal
    assert_close(N.T @ N, np.eye(space.rank), 1e-13)
    assert_close(N @ (N.T @ space.basis), space.basis, 1e-13)
    assert_close(space.interpolation[space.pins], np.eye(space.rank), 1e-12)
    assert_close(N @ (N.T @ space.interpolation), space.interpolation, 1e-12)
    assert len(set(space.pins)) == space.rank
    # Column pivoting keeps N_I within 2^(r - 1) sqrt(n) of orthogonal, and here far better.
    assert np.linalg.cond(N[space.pins]) < 10
    assert_close(space.log_volume, -np.linalg.slogdet(N[space.pins].T @ N[space.pins])[1], 1e-12)


def test_null_spaces_are_compared_by_content():
    a, b = NullSpace.constant(5), NullSpace(np.ones((5, 1)))
    assert a == b and hash(a) == hash(b) and a != NullSpace.constant(6)
    assert a != NullSpace(2 * np.ones((5, 1)))
    assert pickle.loads(pickle.dumps(a)) == a
    assert not a.basis.flags.writeable


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: NullSpace(np.ones(3)), ValueError, "one column for each vector, got (3,)"),
        (lambda: NullSpace(np.ones((2, 3))), ValueError, "r <= n"),
        (lambda: NullSpace(np.full((2, 1), np.nan)), ValueError, "`basis` must be finite"),
        (lambda: NullSpace("level"), TypeError, "`basis` must be a real matrix"),
        (lambda: NullSpace(np.ones((3, 2))), ValueError, "column 1 is zero or depends"),
        (lambda: NullSpace(np.zeros((3, 1))), ValueError, "column 0 is zero"),
        (lambda: NullSpace.unit(3, [3]), ValueError, "3 is not an element of a field of size 3"),
    ],
)
def test_null_spaces_refuse(make, error, message):
    with pytest.raises(error) as raised:
        make()
    assert message in str(raised.value)


# ---------------------------------------------------------------------------------------------
# Quadratic forms on subspaces


def _same(r, H, A, rng, rtol):
    logdet, V = subspace.moments(H, A)
    assert r.status == 0
    assert_close(r.logdet(), logdet, rtol)
    assert_close(r.inverse_diagonal(), np.diag(V), rtol)
    S = r.selected_inverse()
    assert_close(S.values, V[S.pattern.rows, S.pattern.columns], rtol)
    b, e = rng.normal(size=len(H)), rng.normal(size=len(A))
    assert_close(r.solve(b, e), subspace.bordered(H, A, b, e), rtol)
    B, E = rng.normal(size=(len(H), 3)), rng.normal(size=(len(A), 3))
    assert_close(r.solve(B, E)[:, 1], r.solve(B[:, 1], E[:, 1]), rtol)
    x = r.sample(jax.random.key(0), (3, 2))
    assert x.shape == (3, 2, len(H))
    if len(A):
        assert_close(A @ x.reshape(6, -1).T + 1, np.ones((len(A), 6)), 1e-10)


def _covariance_of_draws(r):
    """By linearity: draws are a linear function of the normal numbers they are made of."""
    moved = r.factor.half_solve(jnp.eye(r.n), transpose=True)
    moved = moved - r.removed.apply(r.constraints[0] @ moved)
    return moved @ moved.T + r.added.columns @ r.added.columns.T


@hypothesis.settings(max_examples=6)
@hypothesis.given(k=st.sampled_from([1, 3]), components=st.integers(1, 2), seed=st.integers(0, 999))
def test_intrinsic_forms_on_subspaces(k, components, seed):
    n, rng = 11, np.random.default_rng(seed)
    Q, labels = subspace.laplacian(n, rng, components)
    space = NullSpace.components(labels)
    A = rng.normal(size=(max(k, components), n))
    A[:components] = space.basis.T
    r = restricted(ex.SymmetricMatrix.from_dense(Q), (A, None), space, intrinsic=True)
    _same(r, Q, A, rng, 1e-8)
    assert_close(_covariance_of_draws(r), subspace.moments(Q, A)[1], 1e-8)


@hypothesis.settings(max_examples=6)
@hypothesis.given(k=st.sampled_from([1, 3]), seed=st.integers(0, 999))
def test_forms_that_data_or_constraints_settle(k, seed):
    """H = Q + a little, singular or nearly so where the null space of Q is."""
    n, rng = 9, np.random.default_rng(seed)
    Q, _ = subspace.laplacian(n, rng)
    D = np.zeros(n)
    D[: seed % 3] = 0.1  # sometimes no data at all: then the constraints settle the level
    A = rng.normal(size=(k, n))
    A[0] = 1
    r = restricted(ex.SymmetricMatrix.from_dense(Q + np.diag(D)), (A, None), NullSpace.constant(n))
    _same(r, Q + np.diag(D), A, rng, 1e-7)
    assert_close(_covariance_of_draws(r), subspace.moments(Q + np.diag(D), A)[1], 1e-7)


@pytest.mark.parametrize("name", ["one", "small", "disconnected", "grid_2d"])
@pytest.mark.parametrize("k", [0, 1, 3])
def test_proper_forms(name, k, rng):
    H = spd(name)
    n = H.shape[0]
    A = rng.normal(size=(min(k, n - 1), n))
    constraints = (A, None) if len(A) else None
    r = restricted(ex.SymmetricMatrix.from_scipy(H), constraints)
    _same(r, H.toarray(), A, rng, 1e-9)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_pseudo_determinants(k, rng):
    R, space = subspace.difference_structure(30, 2)
    A = rng.normal(size=(k, 30))
    r = restricted(R, (A, None) if k else None, space, intrinsic=True)
    expected = subspace.pseudo_logdet(np.asarray(R.todense()), A, 28)
    assert_close(r.logdet(), expected, 1e-8)
    if k < 2:
        assert r.unresolved == 2 - k
        b = np.ones(30)
        for call in (r.inverse_diagonal, lambda: r.sample(jax.random.key(0)), lambda: r.solve(b)):
            with pytest.raises(ValueError, match=f"{2 - k} of the 2 directions"):
                call()


def test_a_random_walk_in_closed_form():
    """Centered, it is C S z: C subtracts the mean, S sums the n - 1 steps."""
    n, tau = 40, 3.0
    R, space = subspace.difference_structure(n, 1)
    r = restricted(tau * R, (np.ones((1, n)), None), space, intrinsic=True)
    walk = np.tril(np.ones((n, n)))[:, 1:] / np.sqrt(tau)
    walk -= walk.mean(0)
    assert_close(r.inverse_diagonal(), (walk**2).sum(1), 1e-12)
    # The Laplacian of a path has one spanning tree: |R|_+ = n.
    assert_close(r.logdet(), (n - 1) * np.log(tau) + np.log(n), 1e-12)


def test_a_factor_is_used_again():
    H = ex.SymmetricMatrix.from_scipy(spd("grid_2d"))
    A = np.ones((1, H.shape[0]))
    space = NullSpace.constant(H.shape[0])
    first = restricted(H, (A, None), space)

    def criterion(scale):
        r = restricted(scale * H, (A, None), space, values=first.factor.values)
        return r.logdet() + jnp.sum(r.inverse_diagonal())

    def alone(scale):
        r = restricted(scale * H, (A, None), space)
        return r.logdet() + jnp.sum(r.inverse_diagonal())

    for f, g in (
        (jax.value_and_grad(criterion), jax.value_and_grad(alone)),
        (jax.hessian(criterion), jax.hessian(alone)),
    ):
        assert_close(jax.tree.leaves(f(1.0)), jax.tree.leaves(g(1.0)), 1e-12)
    text = str(jax.make_jaxpr(jax.value_and_grad(criterion))(1.0))
    assert "cholesky_factor" not in text and "elimax_cholesky" not in text


def test_derivatives(rng):
    S = spd("small")
    n = S.shape[0]
    M = ex.SymmetricMatrix.from_scipy(S)
    space = NullSpace.constant(n)
    v, A = jnp.asarray(stored(S)), jnp.asarray(rng.normal(size=(2, n)))
    b, e = jnp.asarray(rng.normal(size=n)), jnp.asarray(rng.normal(size=2))
    entries = M.pattern

    def sparse(v, A, b, e):
        r = restricted(M.with_values(v), (A, e), space)
        return jnp.concatenate(
            [r.logdet()[None], r.solve(b), r.inverse_diagonal(), r.selected_inverse().values]
        )

    def oracle(v, A, b, e):
        H = dense(S, v)
        V1 = jnp.linalg.inv(H)
        P = A @ V1 @ A.T
        V = V1 - V1 @ A.T @ jnp.linalg.solve(P, A @ V1)
        x = V @ b + V1 @ A.T @ jnp.linalg.solve(P, e)
        logdet = (
            jnp.linalg.slogdet(H)[1] + jnp.linalg.slogdet(P)[1] - jnp.linalg.slogdet(A @ A.T)[1]
        )
        selected = V[entries.rows, entries.columns]
        return jnp.concatenate([logdet[None], x, jnp.diagonal(V), selected])

    subspace.assert_both_modes(sparse, oracle, (v, A, b, e), rng, 1e-8)


def test_failures_are_values():
    n = 6
    R, space = subspace.difference_structure(n, 1)
    dependent = restricted(R, (np.array([[1.0] * n, [2.0] * n]), None), space)
    assert dependent.status == -40 and np.isnan(dependent.logdet())
    contrast = np.zeros((1, n))
    contrast[0, :2] = 1, -1
    free = restricted(R, (contrast, None), space)  # neither data nor constraint settle the level
    assert (
        free.status == -41 and np.isnan(free.logdet()) and np.isnan(free.inverse_diagonal()).all()
    )
    indefinite = restricted(-1.0 * R, (np.ones((1, n)), None), space)
    assert indefinite.status > 0 and np.isnan(indefinite.logdet())
    assert np.isnan(indefinite.sample(jax.random.key(0))).all()
    with pytest.raises(ex.FactorizationError, match="constraints and data leave a direction free"):
        ex._results.check(int(free.status), 0)
    with pytest.raises(ex.FactorizationError, match="depend on each other"):
        ex._results.check(int(dependent.status), 0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.eye(3),), TypeError, "`H` must be a real SymmetricMatrix"),
        ((ex.SymmetricMatrix.eye(3), np.ones((1, 3))), TypeError, "must be a pair (A, e)"),
        ((ex.SymmetricMatrix.eye(3), (np.ones((1, 2)), None)), ValueError, "shape (k, 3)"),
        (
            (ex.SymmetricMatrix.eye(3), (np.ones((1, 3)), np.ones(2))),
            ValueError,
            "each of the 1 rows",
        ),
        (
            (ex.SymmetricMatrix.eye(3), None, np.ones(3)),
            TypeError,
            "`null_space` must be a NullSpace",
        ),
        ((ex.SymmetricMatrix.eye(3), None, NullSpace.constant(4)), ValueError, "one of 4 elements"),
    ],
)
def test_arguments_are_checked(arguments, error, message):
    with pytest.raises(error) as raised:
        restricted(*arguments)
    assert message in str(raised.value)


def test_single_precision_and_one_element():
    R, space = subspace.difference_structure(20, 1)
    r = restricted(R.astype(np.float32), (np.ones((1, 20)), None), space, intrinsic=True)
    assert r.logdet().dtype == np.float32 and r.inverse_diagonal().dtype == np.float32
    assert_close(r.logdet(), np.float32(np.log(20)), 1e-4)
    one = restricted(ex.SymmetricMatrix.from_scipy(sp.csc_array([[4.0]])))
    assert_close(one.logdet(), np.log(4.0), 1e-14)
    assert_close(one.solve(np.array([2.0])), [0.5], 1e-14)
