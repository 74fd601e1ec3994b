"""Estimates of hyperparameters: optimum, standard errors, functions of them, boundaries, failures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex
from elimax.stats.laplace import LatentGaussianModel, maximize
from elimax.stats.likelihood import Gaussian, Poisson

from . import references

GROUPS, EACH = 12, 5


def one_way(rng, spread: float, prior=None) -> LatentGaussianModel:
    """y = beta + b_group + e; theta is a dictionary."""
    group = np.repeat(np.arange(GROUPS), EACH)
    y = 1.5 + spread * rng.normal(size=GROUPS)[group] + 0.5 * rng.normal(size=group.size)
    if spread == 0:  # less variation between groups than there is by chance
        y = y - 0.999 * np.repeat(y.reshape(GROUPS, EACH).mean(axis=1) - y.mean(), EACH)
    rows = np.arange(group.size)
    return LatentGaussianModel(
        lambda t: jnp.exp(-2 * t["log_sd"]) * ex.SymmetricMatrix.eye(GROUPS),
        ex.SparseMatrix.from_coo(rows, group, np.ones(group.size), (group.size, GROUPS)),
        Gaussian(),
        y,
        parameters=lambda t: {"sd": jnp.exp(t["log_noise"])},
        offset=lambda t: t["beta"],
        prior=prior,
    )


START = {"beta": 0.0, "log_noise": 0.0, "log_sd": 0.0}


def exact(model, flat):
    """The negative log-likelihood of the one-way model, dense; theta sorted by name."""
    beta, log_noise, log_sd = flat
    y = jnp.asarray(model.observations).reshape(GROUPS, EACH)
    V = jnp.exp(2 * log_sd) * jnp.ones((EACH, EACH)) + jnp.exp(2 * log_noise) * jnp.eye(EACH)
    r = y - beta
    form = jnp.einsum("gi,ij,gj->", r, jnp.linalg.inv(V), r)
    return 0.5 * (y.size * jnp.log(2 * jnp.pi) + GROUPS * jnp.linalg.slogdet(V)[1] + form)


def test_one_way_layout(rng):
    model = one_way(rng, 1.0)
    fit = maximize(model, START)
    assert fit.status == "converged" and fit.flat == ()
    flat = jnp.asarray([fit.theta[name] for name in sorted(START)])
    np.testing.assert_allclose(-fit.log_marginal, exact(model, flat), 1e-11)
    np.testing.assert_allclose(jax.grad(exact, 1)(model, flat), 0, atol=1e-4)
    H = jax.hessian(exact, 1)(model, flat)
    np.testing.assert_allclose(fit.information, H, 1e-7, 1e-7)
    errors = np.sqrt(np.diag(np.linalg.inv(H)))
    np.testing.assert_allclose([fit.standard_errors[k] for k in sorted(START)], errors, 1e-6)
    assert "converged" in repr(fit)

    # functions of hyperparameters and field: against the joint distribution
    def f(theta, x):
        return {
            "level": theta["beta"] + x[:2],
            "ratio": jnp.exp(theta["log_sd"] - theta["log_noise"]),
        }

    value, covariance = fit.delta(f)
    joint = fit.joint()
    C = np.linalg.inv(joint.precision.todense())
    J = np.zeros((3, GROUPS + 3))
    J[0, 0] = J[1, 1] = J[0, GROUPS] = J[1, GROUPS] = 1
    J[2, GROUPS + 1], J[2, GROUPS + 2] = -value["ratio"], value["ratio"]
    np.testing.assert_allclose(covariance, J @ C @ J.T, 1e-8)
    of_field, of_predictor = fit.variances()
    np.testing.assert_allclose(of_field, np.diag(C)[:GROUPS], 1e-8)
    A = model.design.todense()
    P = np.hstack([A, np.ones((A.shape[0], 1))])
    np.testing.assert_allclose(of_predictor, np.diag(P @ C[: GROUPS + 1, : GROUPS + 1] @ P.T), 1e-8)


@pytest.mark.slow
def test_a_prior_makes_it_the_posterior_mode(rng):
    model = one_way(rng, 1.0, prior=lambda t: -50 * (t["log_sd"] - 1.0) ** 2)
    fit = maximize(model, START)
    free = maximize(one_way(rng, 1.0), START)
    assert fit.converged and abs(fit.theta["log_sd"] - 1.0) < abs(free.theta["log_sd"] - 1.0)
    value = fit.approximation.log_posterior - fit.approximation.log_marginal
    np.testing.assert_allclose(value, -50 * (fit.theta["log_sd"] - 1.0) ** 2, 1e-10)


def test_a_variance_of_zero_is_reported(rng):
    fit = maximize(one_way(rng, 0.0), START)
    assert fit.status == "boundary" and fit.converged
    assert fit.flat == (2,) and np.isinf(fit.standard_errors["log_sd"])
    assert fit.theta["log_sd"] < -5
    y = np.asarray(fit.model.observations)
    np.testing.assert_allclose(fit.theta["beta"], y.mean(), 1e-6)
    np.testing.assert_allclose(jnp.exp(fit.theta["log_noise"]), y.std(), 1e-5)
    np.testing.assert_allclose(fit.standard_errors["beta"], y.std() / np.sqrt(y.size), 1e-4)


def test_what_has_no_maximum_is_reported(rng):
    model = one_way(rng, 1.0)
    fit = maximize(model, START, max_evaluations=3)
    assert fit.status == "not converged" and not fit.converged
    failed = maximize(model, START | {"log_noise": np.nan})
    assert failed.status == "failed" and np.isnan(failed.log_marginal)
    with pytest.raises(TypeError, match="`model`"):
        maximize(lambda t: t, START)
    with pytest.raises(ValueError, match="no elements"):
        maximize(model, {})


def test_the_same_model_is_compiled_once():
    traced = 0

    def latent(t):
        nonlocal traced
        traced += 1
        return jnp.exp(t[0]) * ex.SymmetricMatrix.eye(3)

    model = LatentGaussianModel(latent, None, Poisson(), np.array([1.0, 2.0, 5.0]))
    maximize(model, jnp.zeros(1))
    before = traced
    maximize(model, jnp.ones(1))
    assert traced == before


@pytest.mark.slow
def test_bym2_goes_to_its_boundary(shared):
    """Scottish lip cancer is all structured: phi -> 1, where BYM2 is the ICAR."""
    r = references.scotland_bym2(shared)
    fit = maximize(r.model, jnp.asarray([0.2, -0.7, 1.0]))
    assert fit.status == "boundary" and fit.flat == (2,)
    np.testing.assert_allclose(-fit.log_marginal, r.nll, 1e-9)
    np.testing.assert_allclose(fit.theta[:2], r.theta[:2], 1e-4)
