"""Sparse matrices in PyMC beside dense algebra and Elimax itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.gradient import verify_grad

import elimax as ex
import elimax.stats.pymc as esp
from elimax import stats
from tests.stats.test_numpyro import counts, grid, reference


@pytest.fixture
def matrix():
    """A positive definite matrix on a lattice, as numbers on its pattern."""
    return stats.precision.car(grid(3))(0.8, 1.5)


def test_solve_and_logdet_are_those_of_dense_algebra(matrix):
    b = np.linspace(-1, 1, 9)
    values = pt.vector("values")
    outputs = [esp.solve(matrix, values, b), esp.logdet(matrix.pattern, values)]
    gradients = [
        pt.grad(outputs[0][3] + outputs[1], values),
    ]
    x, logdet, gradient = pytensor.function([values], outputs + gradients)(matrix.values)
    dense = np.asarray(matrix.todense())
    np.testing.assert_allclose(x, np.linalg.solve(dense, b), atol=1e-13)
    np.testing.assert_allclose(logdet, np.linalg.slogdet(dense)[1], rtol=1e-12)

    def of_dense(values):
        A = ex.SymmetricMatrix(matrix.pattern, values).todense()
        return jnp.linalg.solve(A, b)[3] + jnp.linalg.slogdet(A)[1]

    np.testing.assert_allclose(gradient, jax.grad(of_dense)(matrix.values), rtol=1e-10)


def test_gradients_are_verified_by_differences(matrix):
    rng = np.random.default_rng(0)
    b = rng.normal(size=(9, 2))
    point = [np.asarray(matrix.values), b]
    verify_grad(lambda v, b: esp.solve(matrix, v, b), point, rng=rng)
    verify_grad(lambda v: esp.logdet(matrix, v), point[:1], rng=rng)
    car = stats.precision.car(grid(3))
    inputs = [b[:, 0], np.array(0.5), np.array(1.5), np.array(0.3)]
    verify_grad(lambda x, r, t, m: esp.logp(x, car, r, t, mean=m), inputs, rng=rng)


@pytest.mark.parametrize("constrained", [True, False])
def test_logp_is_that_of_the_field(constrained):
    walk = stats.precision.besag(grid(3))
    x = np.asarray(walk.field(2.0).sample(jax.random.key(0)))
    with pm.Model() as model:
        tau = pm.HalfNormal("tau")
        esp.field("x", walk, tau, constrained=constrained)
    free = np.linspace(-1, 1, 8 if constrained else 9)
    evaluate = model.compile_fn([model["x"]], inputs=[model["x_free"]])
    point = {"tau_log__": np.log(2.0), "x_free": free}
    density = model.compile_logp(model["x_free"], jacobian=False)
    got = [*evaluate({"x_free": free}), density(point)]
    field = walk.field(2.0, constrained=constrained)
    np.testing.assert_allclose(got[1], field.log_prob(got[0]), rtol=1e-10)
    if constrained:
        assert abs(got[0].sum()) < 1e-12
        np.testing.assert_allclose(np.linalg.norm(got[0]), np.linalg.norm(free), rtol=1e-12)
    alone = esp.logp(x, walk, 2.0, constrained=constrained).eval()
    np.testing.assert_allclose(alone, field.log_prob(x), rtol=1e-10)


def test_prior_draws_are_those_of_the_field():
    walk = stats.precision.besag(grid(3))
    mean = np.linspace(-1, 1, 9)
    with pm.Model():
        tau = pm.Gamma("tau", 2, 1)
        x = esp.field("x", walk, tau, mean=mean)
        pm.Poisson("y", pm.math.exp(x), observed=np.ones(9))
        prior = pm.sample_prior_predictive(1000, random_seed=1)
    drawn = prior.prior["x"].values[0]
    assert prior.prior_predictive["y"].shape == (1, 1000, 9)
    np.testing.assert_allclose(drawn.sum(1), 0, atol=1e-12)
    scaled = np.sqrt(prior.prior["tau"].values[0])[:, None] * (drawn - mean)
    covariance = np.asarray(walk.field(1.0).covariance().todense())
    variance = np.asarray(walk.field(1.0).variance())
    np.testing.assert_allclose(scaled.mean(0), 0, atol=5 * np.sqrt(variance.max() / 1000))
    known = covariance != 0
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / 1000)
    assert np.max(np.abs(np.cov(scaled.T) - covariance)[known] / error[known]) < 5
    with pm.Model() as model:
        level = pm.Normal("level")
        esp.field("x", stats.precision.iid(9), 2.0, mean=level)
        drawn = pm.sample_prior_predictive(300, random_seed=1).prior
    z = np.sqrt(2.0) * (drawn["x"].values[0] - drawn["level"].values[0][:, None])
    assert abs(z.mean()) < 0.1 and abs(z.std() - 1) < 0.1
    point = {"level": 0.3, "x_free": np.zeros(9)}
    expected = stats.precision.iid(9).field(2.0, mean=0.3).log_prob(np.zeros(9))
    np.testing.assert_allclose(model.compile_logp(model["x_free"])(point), expected, rtol=1e-12)
    with pm.Model():
        esp.field("x", walk, 2.0, constrained=False)
        with pytest.raises(ValueError, match="improper"):
            pm.sample_prior_predictive(2)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["pymc", "numpyro"])
def test_nuts_finds_the_posterior(sampler):
    walk, y, _ = counts()
    with pm.Model():
        level = pm.Normal("level", 0, 5)
        log_tau = pm.Normal("log_tau", 0.5, 0.7)
        x = esp.field("x", walk, pm.math.exp(log_tau))
        pm.Poisson("y", pm.math.exp(level + x), observed=y)
        draws = pm.sample(
            800,
            tune=400,
            chains=1,
            cores=1,
            random_seed=1,
            progressbar=False,
            nuts_sampler=sampler,
            compute_convergence_checks=False,
        ).posterior
    mean, sd, expected = reference(walk, y)
    got = draws["x"].values[0]
    np.testing.assert_allclose(got.sum(-1), 0, atol=1e-10)
    assert (np.abs(got.mean(0) - mean) / sd).max() < 0.25
    np.testing.assert_allclose(got.std(0), sd, rtol=0.2)
    assert abs(draws["log_tau"].values.mean() - expected) < 0.2


def test_bad_arguments_are_named(matrix):
    walk = stats.precision.besag(grid(3))
    with pytest.raises(TypeError, match="`matrix` must be a SymmetricMatrix"):
        esp.logdet(np.eye(3), np.ones(3))
    with pytest.raises(ValueError, match="`b` must be a vector or a matrix"):
        esp.solve(matrix, matrix.values, np.ones((2, 2, 2)))
    with pytest.raises(TypeError, match="`family` must be a family of precisions"):
        esp.logp(np.ones(9), matrix)
    with pytest.raises(TypeError, match=r"takes 1 hyperparameters \(tau\), got 2"):
        esp.logp(np.ones(9), walk, 1.0, 2.0)
    with pytest.raises(ValueError, match="`tau` must be a scalar"):
        esp.logp(np.ones(9), walk, np.ones(2))
    with jax.enable_x64(False), pytest.raises(RuntimeError, match="float32"):
        esp.logdet(matrix, np.ones(3))
