"""Derivatives of the approximation, every order and mode, against dense JAX."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex
from elimax.stats.gaussian import GMRF, NullSpace
from elimax.stats.laplace import LatentGaussianModel, laplace
from elimax.stats.likelihood import FromLogDensity, Gaussian, NegativeBinomial2, Poisson, StudentT

N, M = 7, 12


def close(a, b, tolerance=1e-8):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def chain(n: int) -> np.ndarray:
    D = np.diff(np.eye(n), axis=0)
    return D.T @ D


def setting(rng, kind: str):
    """A model, and the same densities by dense algebra: theta -> (mean, Q, A, offset, parameters, constraints)."""
    R = ex.SymmetricMatrix.from_scipy(sp.csc_array(chain(N)))
    A = np.where(rng.uniform(size=(M, N)) < 0.4, rng.normal(size=(M, N)), 0.0)
    A[:, 0] += 0.3
    S = ex.SparseMatrix.from_dense(A)
    y = rng.poisson(3.0, M).astype(float)
    y[3] = np.nan
    likelihood, parameters = {
        "poisson": (Poisson(jnp.asarray(rng.uniform(0.5, 2, M))), lambda t: {}),
        "nbinom2": (NegativeBinomial2(), lambda t: {"dispersion": jnp.exp(t[2])}),
        "gaussian": (Gaussian(), lambda t: {"sd": jnp.exp(t[2])}),
        "student": (StudentT(), lambda t: {"scale": jnp.exp(t[2]), "df": 4.0}),
    }[kind]
    eye = ex.SymmetricMatrix.eye(N)
    x1 = jnp.asarray(rng.normal(size=M))

    def precision(t):
        return jnp.exp(t[0]) * R + jnp.exp(t[1]) * eye

    def mean(t):
        return jnp.sin(t[1]) * jnp.arange(N) / N

    model = LatentGaussianModel(
        lambda t: GMRF(mean(t), precision(t)),
        lambda t: S.with_values(S.values * (1 + 0.1 * t[0])),
        likelihood,
        y,
        parameters=parameters,
        offset=lambda t: t[2] * x1,
        prior=lambda t: -0.5 * jnp.sum(t**2),
    )
    theta = jnp.asarray([0.4, -0.3, 0.2])
    return model, theta


def dense_log_marginal(model, theta, constrained=None):
    """By dense algebra, the mode by 40 Newton steps that are differentiated through."""
    joint = model.at(theta)
    Q, m = joint.field.precision.todense(), joint.field.mean
    A = jnp.eye(joint.field.n) if joint.design is None else joint.design.todense()
    B = jnp.eye(joint.field.n)
    anchor = m
    if joint.field.constraints is not None:
        C, e = joint.field.constraints
        B = jnp.asarray(np.linalg.svd(np.asarray(C))[2][C.shape[0] :].T)
        anchor = jnp.linalg.pinv(C) @ e
    y, lik, par = joint.observations, joint.likelihood, joint.parameters

    def log_joint(z):
        x = anchor + B @ z
        r = x - m
        return jnp.sum(lik.log_prob(joint.offset + A @ x, y, **par)) - 0.5 * r @ Q @ r

    def newton(_, z):
        step = -jnp.linalg.solve(jax.hessian(log_joint)(z), jax.grad(log_joint)(z))
        return z + step / jnp.maximum(1.0, jnp.max(jnp.abs(step)))

    z = jax.lax.fori_loop(0, 40, newton, jnp.zeros(B.shape[1]))
    H = -jax.hessian(log_joint)(z)
    QB = B.T @ Q @ B
    return log_joint(z) + 0.5 * jnp.linalg.slogdet(QB)[1] - 0.5 * jnp.linalg.slogdet(H)[1]


def log_marginal(model, theta):
    return laplace(model, theta, throw=False).log_marginal


KINDS = ["poisson", "nbinom2", "gaussian", "student"]


@pytest.mark.parametrize("kind", KINDS)
def test_value_and_first_derivatives(kind, rng):
    model, theta = setting(rng, kind)
    f, dense = jax.jit(functools.partial(log_marginal, model)), functools.partial(dense_log_marginal, model)
    close(f(theta), dense(theta))
    expected = jax.jit(jax.jacfwd(dense))(theta)
    close(jax.jit(jax.grad(f))(theta), expected)
    close(jax.jit(jax.jacfwd(f))(theta), expected)


@pytest.mark.parametrize("kind", ["poisson", "student"])
def test_second_and_third_derivatives(kind, rng):
    model, theta = setting(rng, kind)
    f, dense = functools.partial(log_marginal, model), functools.partial(dense_log_marginal, model)
    expected = jax.jit(jax.jacfwd(jax.jacfwd(dense)))(theta)
    close(jax.jit(jax.hessian(f))(theta), expected, 1e-7)
    close(jax.jit(jax.jacrev(jax.jacrev(f)))(theta), expected, 1e-7)
    close(jax.jit(jax.jacrev(jax.jacfwd(f)))(theta), expected, 1e-7)
    v = jnp.asarray([0.3, -1.0, 0.5])

    def along(g, t):
        return g(theta + t * v)

    def third(g):
        return jax.jit(jax.jacfwd(jax.jacfwd(jax.jacfwd(functools.partial(along, g)))))(0.0)

    close(third(f), third(dense), 1e-6)
    reverse = jax.grad(lambda t: v @ jax.hessian(f)(t) @ v)
    forward = jax.grad(lambda t: v @ jax.jacfwd(jax.jacfwd(dense))(t) @ v)
    close(jax.jit(reverse)(theta), jax.jit(forward)(theta), 1e-6)
