"""Derivatives of the approximation, every order and mode, against dense JAX."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp

import elimax as ex
from elimax.stats.gaussian import GMRF, NullSpace
from elimax.stats.laplace import LatentGaussianModel, laplace
from elimax.stats.likelihood import Gaussian, NegativeBinomial2, Poisson, StudentT

N, M = 7, 12


def close(a, b, tolerance=1e-8):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def chain(n: int) -> np.ndarray:
    D = np.diff(np.eye(n), axis=0)
    return D.T @ D


SLOW = pytest.mark.slow
KINDS = [
    "poisson",
    pytest.param("nbinom2", marks=SLOW),
    "gaussian",
    "student",
    "constrained",
    "intrinsic",
]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def setting(rng, kind: str):
    """A model of which every part depends on the hyperparameters."""
    R = ex.SymmetricMatrix.from_scipy(sp.csc_array(chain(N)))
    A = np.where(rng.uniform(size=(M, N)) < 0.4, rng.normal(size=(M, N)), 0.0)
    A[:, 0] += 0.3
    S = ex.SparseMatrix.from_dense(A)
    y = rng.poisson(3.0, M).astype(float)
    y[3] = np.nan
    likelihood, parameters = {
        "nbinom2": (NegativeBinomial2(), lambda t: {"dispersion": jnp.exp(t[2])}),
        "gaussian": (Gaussian(), lambda t: {"sd": jnp.exp(t[2])}),
        "student": (StudentT(), lambda t: {"scale": jnp.exp(t[2]), "df": 4.0}),
    }.get(kind, (Poisson(rng.uniform(0.5, 2, M)), None))
    eye = ex.SymmetricMatrix.eye(N)
    x1, C = jnp.asarray(rng.normal(size=M)), jnp.asarray(rng.normal(size=(2, N)))

    def latent(t):
        mean = jnp.sin(t[1]) * jnp.arange(N) / N
        if kind == "intrinsic":  # R is singular; the constraint holds its null space
            space = NullSpace.constant(N)
            return GMRF(mean, jnp.exp(t[0]) * R, (jnp.ones((1, N)), 0.3 * t[1:2]), space)
        Q = jnp.exp(t[0]) * R + jnp.exp(t[1]) * eye
        if kind == "constrained":
            return GMRF(mean, Q, (C * (1 + 0.1 * t[2]), 0.3 * t[:2]))
        return GMRF(mean, Q)

    model = LatentGaussianModel(
        latent,
        lambda t: S.with_values(S.values * (1 + 0.1 * t[0])),
        likelihood,
        y,
        parameters=parameters,
        offset=lambda t: t[2] * x1,
    )
    return model, jnp.asarray([0.4, -0.3, 0.2])


def dense_log_marginal(model, theta, mode, B):
    """By dense algebra: two Newton steps from the mode, which makes three derivatives exact.

    B is an orthonormal basis of the directions that the constraints leave.
    """
    joint = model.at(theta)
    Q, m = joint.field.precision.todense(), joint.field.mean
    A = jnp.eye(joint.field.n) if joint.design is None else joint.design.todense()
    anchor = jnp.zeros(joint.field.n)
    if joint.field.constraints is not None:
        C, e = joint.field.constraints
        anchor = C.T @ jnp.linalg.solve(C @ C.T, e)
    y, likelihood, parameters = joint.observations, joint.likelihood, joint.parameters

    def log_joint(z):
        x = anchor + B @ z
        r = x - m
        eta = joint.offset + A @ x
        return jnp.sum(likelihood.log_prob(eta, y, **parameters)) - 0.5 * r @ Q @ r

    z = B.T @ (mode - anchor)
    for _ in range(2):
        z = z - jnp.linalg.solve(jax.hessian(log_joint)(z), jax.grad(log_joint)(z))
    H = -jax.hessian(log_joint)(z)
    return log_joint(z) + 0.5 * jnp.linalg.slogdet(B.T @ Q @ B)[1] - 0.5 * jnp.linalg.slogdet(H)[1]


def functions(model, theta):
    """The approximation and its dense oracle, as functions of theta near a given one."""
    result = eqx.filter_jit(laplace)(model, theta)
    mode, constraints = result.mode, result.joint.field.constraints
    B = np.eye(N) if constraints is None else scipy.linalg.null_space(constraints[0])
    return (
        lambda t: laplace(model, t, mode).log_marginal,
        lambda t: dense_log_marginal(model, t, mode, B),
    )


def test_value_and_first_derivatives(kind, rng):
    model, theta = setting(rng, kind)
    f, dense = functions(model, theta)
    value, expected = jax.jit(jax.value_and_grad(dense))(theta)
    (actual, reverse), forward = jax.jit(lambda t: (jax.value_and_grad(f)(t), jax.jacfwd(f)(t)))(
        theta
    )
    close(actual, value)
    close(reverse, expected)
    close(forward, expected)


FORWARD, REVERSE = jax.jacfwd, jax.jacrev


@pytest.mark.parametrize(
    "kind, first, second",
    [
        ("poisson", FORWARD, REVERSE),
        pytest.param("intrinsic", FORWARD, REVERSE, marks=SLOW),
        pytest.param("poisson", REVERSE, REVERSE, marks=SLOW),
        pytest.param("poisson", REVERSE, FORWARD, marks=SLOW),
        pytest.param("poisson", FORWARD, FORWARD, marks=SLOW),
        pytest.param("nbinom2", FORWARD, REVERSE, marks=SLOW),
        pytest.param("gaussian", FORWARD, REVERSE, marks=SLOW),
        pytest.param("student", FORWARD, REVERSE, marks=SLOW),
        pytest.param("constrained", FORWARD, REVERSE, marks=SLOW),
    ],
)
def test_second_derivatives(kind, first, second, rng):
    model, theta = setting(rng, kind)
    f, dense = functions(model, theta)
    expected = jax.jit(jax.hessian(dense))(theta)
    close(jax.jit(first(second(f)))(theta), expected, 1e-7)


@pytest.mark.slow
def test_third_derivatives(kind, rng):
    model, theta = setting(rng, kind)
    f, dense = functions(model, theta)
    v = jnp.asarray(rng.normal(size=theta.size))

    def curvature(g):
        return lambda t: jax.jvp(lambda s: jax.jvp(g, (s,), (v,))[1], (t,), (v,))[1]

    expected = jax.jit(jax.jacfwd(curvature(dense)))(theta)
    close(jax.jit(jax.jacfwd(curvature(f)))(theta), expected, 1e-6)
    close(jax.jit(jax.grad(curvature(f)))(theta), expected, 1e-6)
