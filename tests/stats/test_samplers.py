"""NUTS over hyperparameters with the field integrated out, and the worked example in PyMC."""

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from examples import pymc_icar

import elimax as ex
from elimax import stats
from tests.stats.test_numpyro import grid


@pytest.mark.slow
def test_blackjax_over_the_exact_marginal_of_a_gaussian_field():
    car = stats.precision.car(grid(4))
    truth = car.field(0.9, 1.0).sample(jax.random.key(3))
    y = truth + 0.5 * jax.random.normal(jax.random.key(4), (16,))

    model = stats.LatentGaussianModel(
        lambda log_tau: car.field(0.9, jnp.exp(log_tau)),
        None,
        stats.Gaussian(),
        y,
        parameters={"sd": 0.5},
        prior=lambda log_tau: dist.Normal(0.0, 1.0).log_prob(log_tau),
    )

    def log_posterior(log_tau):
        return stats.laplace(model, log_tau, throw=False).log_posterior

    def dense(log_tau):
        S = jnp.linalg.inv(car(0.9, jnp.exp(log_tau)).todense()) + jnp.eye(16) / 4
        prior = dist.Normal(0.0, 1.0).log_prob(log_tau)
        return prior + dist.MultivariateNormal(jnp.zeros(16), S).log_prob(y)

    points = jnp.linspace(-4.0, 4.0, 81)
    logs = jax.jit(jax.vmap(dense))(points)
    np.testing.assert_allclose(jax.jit(log_posterior)(points[30]), logs[30], rtol=1e-9)
    w = jax.nn.softmax(logs)
    mean = w @ points
    sd = jnp.sqrt(w @ points**2 - mean**2)

    warmup = blackjax.window_adaptation(blackjax.nuts, log_posterior)
    (state, tuned), _ = warmup.run(jax.random.key(0), jnp.array(0.0), num_steps=200)
    step = blackjax.nuts(log_posterior, **tuned).step

    def one(state, key):
        state, info = step(key, state)
        return state, (state.position, info.is_divergent)

    scan = jax.jit(lambda state, keys: jax.lax.scan(one, state, keys))
    _, (draws, divergent) = scan(state, jax.random.split(jax.random.key(1), 1500))
    assert not divergent.any()
    assert abs(draws.mean() - mean) < 0.2 * sd
    np.testing.assert_allclose(draws.std(), sd, rtol=0.12)


@pytest.mark.slow
def test_the_example_smooths_the_rates_of_the_counties():
    counties = pymc_icar.load()
    assert counties.deaths.sum() == 667 and counties.births.sum() == 329962
    posterior = pymc_icar.sample(counties, draws=800, sampler="numpyro").posterior
    x = posterior["x"].values
    np.testing.assert_allclose(x.sum(-1), 0, atol=1e-9)
    rate = posterior["rate"].values.mean((0, 1))
    crude = counties.deaths / counties.births
    # Smoothed, and centered where the data are: the expected number of deaths is the observed one.
    assert rate.std() < 0.7 * crude.std()
    np.testing.assert_allclose((counties.births * rate).sum(), 667, rtol=0.03)

    # The same posterior from Laplace approximations on a grid of log sd; its last element is the level.
    walk = stats.precision.besag(counties.neighbors)
    A = np.hstack([np.eye(100), np.ones((100, 1))])

    def latent(log_sd):
        level = stats.GMRF(-6.0, stats.precision.iid(1)(0.25))
        return stats.independent(walk.field(jnp.exp(-2 * log_sd)), level)

    model = stats.LatentGaussianModel(
        latent,
        ex.SparseMatrix.from_dense(A),
        stats.Poisson(),
        counties.deaths,
        offset=np.log(counties.births),
        prior=lambda log_sd: dist.HalfNormal(1.0).log_prob(jnp.exp(log_sd)) + log_sd,
    )

    def at(log_sd):
        fit = stats.laplace(model, log_sd, throw=False)
        return fit.log_posterior, fit.mode, fit.variance()

    logs, modes, variances = jax.jit(jax.vmap(at))(jnp.linspace(-2.5, 1.0, 29))
    w = jax.nn.softmax(logs)
    mean = w @ modes
    sd = jnp.sqrt(w @ (variances + modes**2) - mean**2)
    assert (jnp.abs(x.mean((0, 1)) - mean[:100]) / sd[:100]).max() < 0.3
    np.testing.assert_allclose(x.std((0, 1)), sd[:100], rtol=0.25)
    # A mode is no mean: counts are few, and by E exp(x) > exp(E x) the level lies below its mode.
    level = posterior["level"].values
    assert mean[100] - sd[100] < level.mean() < mean[100]
    np.testing.assert_allclose(level.std(), sd[100], rtol=0.15)
