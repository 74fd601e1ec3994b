"""Integration over hyperparameters, criticism, draws, importance weights: closed forms and quadrature."""

import itertools

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.infer
import pytest
import scipy.integrate
import scipy.stats

import elimax as ex
from elimax import stats
from elimax.stats.inference.conditional import AT_POINT
from elimax.stats.inference.design import _WALSH, composite
from elimax.stats.inference.evaluate import evaluate

COUNTS = np.array([3.0, 1.0, 0.0, 4.0, 2.0, 6.0, 3.0, 5.0, 1.0, 2.0])


_D = np.eye(COUNTS.size) - 0.7 * np.eye(COUNTS.size, k=-1)
CHAIN = ex.SymmetricMatrix.from_dense(_D.T @ _D)


def chain_field(theta):
    return stats.GMRF(0.3, jnp.exp(theta["log_tau"]) * CHAIN)


def chain_prior(theta):
    return -0.5 * (theta["log_tau"] - 1.0) ** 2


def poisson(observations=COUNTS):
    """Counts on an AR(1)-like chain of known correlation, unknown precision; theta its logarithm.

    The functions are the same in every model, so that all are compiled once.
    """
    return stats.LatentGaussianModel(
        chain_field, None, stats.Poisson(), observations, prior=chain_prior
    )


def normal(n=12, seed=0):
    """Observations of sd 1/2 of independent effects: everything is known given the log precision."""
    y = np.random.default_rng(seed).normal(0.5, 1.0, n)
    model = stats.LatentGaussianModel(
        lambda theta: ex.SymmetricMatrix.diags(jnp.full(n, jnp.exp(theta[0]))),
        None,
        stats.Gaussian(),
        y,
        parameters={"sd": 0.5},
        prior=lambda theta: -0.5 * theta[0] ** 2,
    )
    return model, y


@pytest.fixture(scope="module")
def fitted():
    return stats.inla(poisson(), {"log_tau": jnp.zeros(())})


def test_marginal_of_a_gamma_distribution():
    reference = scipy.stats.gamma(3.0)
    x = np.linspace(0.0, 25.0, 400)
    marginal = stats.Marginal(x, 5.0 * reference.pdf(x))
    np.testing.assert_allclose((marginal.mean, marginal.sd), (3.0, 3**0.5), rtol=1e-4)
    np.testing.assert_allclose(
        marginal.quantile([0.025, 0.5, 0.9]), reference.ppf([0.025, 0.5, 0.9]), rtol=1e-3
    )
    np.testing.assert_allclose(marginal.cdf(2.0), reference.cdf(2.0), atol=1e-4)
    np.testing.assert_allclose(marginal.mode, 2.0, atol=0.02)
    root = marginal.transform(jnp.sqrt)
    np.testing.assert_allclose(root.mean, scipy.special.gamma(3.5) / 2, rtol=1e-3)
    np.testing.assert_allclose(root.quantile(0.3), reference.ppf(0.3) ** 0.5, rtol=1e-3)
    with pytest.raises(ValueError, match="monotone"):
        marginal.transform(lambda v: (v - 3.0) ** 2)
    with pytest.raises(ValueError, match="increase"):
        stats.Marginal(x[::-1], x)


def test_mixtures_of_skew_normal_densities():
    weights, rng = np.array([0.3, 0.7]), np.random.default_rng(1)
    means, sds, skews = (
        rng.normal(size=(2, 3)),
        rng.uniform(0.5, 2.0, (2, 3)),
        rng.uniform(-0.8, 0.8, (2, 3)),
    )
    mixed = stats.Marginals(weights, means, sds, skews)
    for i in range(3):
        one = mixed[i]
        np.testing.assert_allclose(
            (one.mean, one.sd), (mixed.mean[i], mixed.sd[i]), rtol=1e-3, atol=1e-3
        )
        third = one.expect(lambda x: (x - one.mean) ** 3)  # noqa: B023
        m, d = mixed.mean[i], means[:, i] - mixed.mean[i]
        exact = weights @ (d**3 + 3 * d * sds[:, i] ** 2 + skews[:, i] * sds[:, i] ** 3)
        np.testing.assert_allclose(third, exact, atol=0.02)
        np.testing.assert_allclose(one.cdf(m), mixed.cdf(m)[i], atol=1e-3)
        np.testing.assert_allclose(mixed.cdf(mixed.quantile(0.9))[i], 0.9, atol=1e-8)


@pytest.mark.parametrize("d", range(1, 21))
def test_composite_design_integrates_low_moments(d):
    """1 and |z|^2 exactly; main effects and interactions of two factors are apart: resolution V."""
    if d <= 8:
        z, weights = composite(d)
        p = weights * np.exp(-0.5 * np.sum(z * z, axis=1))
        np.testing.assert_allclose(p.sum(), 1.0)
        np.testing.assert_allclose(z.T @ (p[:, None] * z), np.eye(d), atol=1e-12)
    columns = _WALSH[:d]
    effects = [*columns, *(a ^ b for a, b in itertools.combinations(columns, 2))]
    assert len(set(effects)) == len(effects) and 0 not in effects


def test_hyperparameter_of_a_gaussian_model_is_exact():
    """p(tau | y) in closed form, integrated by adaptive quadrature."""
    model, y = normal()
    fit = stats.inla(model, jnp.zeros(1))

    def density(t, power=0.0):
        variance = np.exp(-t) + 0.25
        return np.exp(scipy.stats.norm(0, variance**0.5).logpdf(y).sum() - 0.5 * t * t) * t**power

    total, first = (scipy.integrate.quad(density, -9, 9, args=(k,))[0] for k in (0, 1))
    np.testing.assert_allclose(fit.log_marginal_likelihood, np.log(total), atol=1e-3)
    marginal = fit.theta["theta[0]"]
    np.testing.assert_allclose(marginal.mean, first / total, atol=1e-3)
    np.testing.assert_allclose(
        marginal.cdf(0.5), scipy.integrate.quad(density, -9, 0.5)[0] / total, atol=1e-3
    )
    shrunk = [scipy.integrate.quad(lambda t: density(t) / (1 + 0.25 * np.exp(t)), -9, 9)[0] / total]
    np.testing.assert_allclose(fit.field.mean, y * shrunk[0], rtol=2e-3)
    np.testing.assert_allclose(fit.predictor.mean, fit.field.mean)


@pytest.mark.slow
def test_strategies_agree():
    model, _ = normal(60)
    by_grid, by_design = (
        stats.inla(model, jnp.zeros(1), strategy=strategy) for strategy in ("grid", "ccd")
    )
    at_mode = stats.inla(model, jnp.zeros(1), strategy="eb")
    np.testing.assert_allclose(by_design.field.mean, by_grid.field.mean, atol=2e-2)
    np.testing.assert_allclose(at_mode.field.mean, by_grid.field.mean, atol=5e-2)
    a, b = by_design.theta["theta[0]"], by_grid.theta["theta[0]"]
    np.testing.assert_allclose((a.mean, a.sd), (b.mean, b.sd), atol=0.03)
    np.testing.assert_allclose(
        by_design.log_marginal_likelihood, by_grid.log_marginal_likelihood, atol=0.02
    )


def test_bad_arguments_are_named():
    model, _ = normal(4)
    for bad in ({"strategy": "ccdd"}, {"correction": "vbb"}, {"spacing": 0.0}):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
            stats.inla(model, jnp.zeros(1), **bad)
    with pytest.raises(ValueError, match="`theta`"):
        stats.inla(model, jnp.array([jnp.nan]))


def test_flat_posterior_is_an_error():
    n = 4
    model = stats.LatentGaussianModel(
        lambda theta: ex.SymmetricMatrix.diags(jnp.full(n, jnp.exp(theta[0]))), None,
        stats.Gaussian(), jnp.zeros(n), parameters={"sd": 1.0},
    )  # fmt: skip
    with pytest.raises(stats.HyperparameterError, match="prior"):
        stats.inla(model, jnp.zeros(1))


def test_variational_mean_of_one_observation():
    """The mean of N(m, 1/h) nearest to a posterior in one dimension, by quadrature and a scalar search."""
    y, tau = 0.0, 0.5
    model = stats.LatentGaussianModel(
        lambda theta: ex.SymmetricMatrix.diags(jnp.full(1, tau) + 0 * theta),
        None,
        stats.Poisson(),
        jnp.array([y]),
        prior=lambda theta: -0.5 * theta[0] ** 2,
    )
    fit = stats.inla(model, jnp.zeros(1), strategy="eb")
    mode = scipy.optimize.brentq(lambda x: y - np.exp(x) - tau * x, -9, 9)
    h = tau + np.exp(mode)
    expected = scipy.optimize.brentq(lambda m: y - np.exp(m + 0.5 / h) - tau * m, -9, 9)
    np.testing.assert_allclose(fit.field.mean, expected, atol=1e-7)
    np.testing.assert_allclose(fit.field.sd, h**-0.5)
    simplified = stats.inla(model, jnp.zeros(1), strategy="eb", correction="simplified")
    np.testing.assert_allclose(simplified.field.mean, mode - 0.5 * np.exp(mode) / h**2, atol=1e-8)
    np.testing.assert_allclose(simplified.field.skews, -np.exp(mode) * h**-1.5, atol=1e-8)


def test_left_out_observations_are_those_of_refitted_models(fitted):
    """CPO and PIT beside models fitted without the observation, at the same hyperparameters."""
    theta = {"log_tau": jnp.asarray(fitted.shape.mode[0])}
    at_mode = stats.inla(poisson(), theta, strategy="eb").criticism()
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    for i in (0, 2, 5):
        y = COUNTS.copy()
        y[i] = np.nan
        target = stats.log_posterior(poisson(y), theta)
        refitted = evaluate(AT_POINT["vb"], target, fitted.shape.mode[None])
        eta = refitted.mean[0, i] + nodes * refitted.sd[0, i]
        rate = scipy.stats.poisson(np.exp(eta))
        cpo, pit = (weights @ f(COUNTS[i]) / weights.sum() for f in (rate.pmf, rate.cdf))
        np.testing.assert_allclose(at_mode.cpo[i], cpo, rtol=0.06)
        np.testing.assert_allclose(at_mode.pit[i], pit, atol=0.03)
    assert np.all(at_mode.failure == 0)


def test_criticism_of_a_gaussian_model_in_closed_form():
    model, y = normal()
    fit = stats.inla(model, jnp.zeros(1), strategy="eb")
    found, tau = fit.criticism(), np.exp(fit.shape.mode[0])
    left_out = scipy.stats.norm(
        0, (1 / tau + 0.25) ** 0.5
    )  # nothing but the prior says anything on it
    np.testing.assert_allclose(found.cpo, left_out.pdf(y), rtol=1e-8)
    np.testing.assert_allclose(found.pit, left_out.cdf(y), atol=1e-8)
    v, m = 1 / (tau + 4), y * 4 / (tau + 4)
    deviance = -2 * scipy.stats.norm(m, 0.5).logpdf(y).sum()
    np.testing.assert_allclose(found.deviance_at_mean, deviance)
    np.testing.assert_allclose(found.p_dic, y.size * v * 4)
    np.testing.assert_allclose(found.dic, deviance + 2 * y.size * v * 4)
    variance = 16 * ((y - m) ** 2 * v + v**2 / 2)
    np.testing.assert_allclose(found.p_waic, variance.sum(), rtol=1e-8)
    lppd = scipy.stats.norm(m, (v + 0.25) ** 0.5).logpdf(y).sum()
    np.testing.assert_allclose(found.waic, -2 * (lppd - variance.sum()), rtol=1e-6)


def test_missing_observations_are_predicted_and_not_judged():
    y = COUNTS.copy()
    y[3] = np.nan
    fit = stats.inla(poisson(y), {"log_tau": jnp.zeros(())})
    found = fit.criticism()
    assert np.isnan(found.cpo[3]) and np.isnan(found.pit[3]) and np.isfinite(found.dic)
    assert fit.predictor.sd[3] > fit.predictor.sd[2]


def test_draws_and_predictions(fitted):
    draws = fitted.sample(jax.random.key(0), 4000)
    error = fitted.field.sd / 4000**0.5
    assert np.all(np.abs(draws.field.mean(0) - fitted.field.mean) < 5 * error)
    np.testing.assert_allclose(draws.field.std(0), fitted.field.sd, rtol=0.07)
    np.testing.assert_allclose(draws.predictor, draws.field)
    marginal = fitted.theta["log_tau"]
    assert abs(draws.theta.mean() - marginal.mean) < 5 * marginal.sd / 4000**0.5
    expected = np.exp(draws.predictor).mean(0)
    np.testing.assert_allclose(draws.observations.mean(0), expected, rtol=0.15)
    rows = np.zeros((2, 10))
    rows[0, 4], rows[1, [1, 2]] = 1.0, (1.0, -1.0)
    predicted = fitted.predict(rows, offset=np.array([0.0, 1.0]))
    np.testing.assert_allclose(predicted.mean[0], fitted.field.mean[4])
    np.testing.assert_allclose(predicted.sd[0], fitted.field.sd[4])
    np.testing.assert_allclose(predicted.mean[1], 1 + fitted.field.mean[1] - fitted.field.mean[2])
    contrast = draws.field[:, 1] - draws.field[:, 2]
    np.testing.assert_allclose(predicted.sd[1], contrast.std(), rtol=0.07)
    with pytest.raises(ValueError, match="`rows`"):
        fitted.predict(np.ones((2, 3)))


def test_importance_weights_of_an_exact_approximation():
    """Of a Gaussian model they depend on theta only, and estimate p(y)."""
    model, _ = normal()
    fit = stats.inla(model, jnp.zeros(1))
    sample = stats.importance_sample(fit, jax.random.key(1), 1000)
    np.testing.assert_allclose(
        sample.log_marginal_likelihood, fit.log_marginal_likelihood, atol=0.03
    )
    assert sample.effective_size > 700
    assert stats.pareto_k(sample) < 0.5


def test_importance_weights_correct_the_approximation(fitted):
    sample = stats.importance_sample(fitted, jax.random.key(2), 3000)
    assert stats.pareto_k(sample) < 0.7
    # The variational mean is that of the exact posterior, to what both leave.
    mean = sample.weights @ sample.field
    assert np.all(np.abs(mean - fitted.field.mean) < 0.15 * fitted.field.sd)


def test_everything_sampled_goes_to_arviz(fitted):
    names = fitted.target.names
    data = stats.to_arviz(fitted.sample(jax.random.key(3), 50), names, COUNTS)
    assert data.posterior["field"].shape == (1, 50, 10)
    assert list(data.posterior["hyperparameter"].values) == ["log_tau"]
    assert data.posterior_predictive["observations"].shape == (1, 50, 10)
    np.testing.assert_allclose(data.observed_data["observations"], COUNTS)
    weighted = stats.to_arviz(stats.importance_sample(fitted, jax.random.key(4), 100))
    assert weighted.posterior["theta"].shape == (1, 100, 1)
    with pytest.raises(ValueError, match="`names`"):
        stats.to_arviz({"theta": np.zeros((1, 5, 2))}, ["one"])


def test_log_posterior_is_differentiable_and_minus_infinity_where_it_fails(fitted):
    target = stats.log_posterior(poisson(), {"log_tau": 0.0})
    t, h = jnp.array([0.4]), 1e-5
    slope = (target(t + h) - target(t - h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(target)(t)[0], slope, rtol=1e-6)
    np.testing.assert_allclose(jax.jvp(target, (t,), (jnp.ones(1),))[1], slope, rtol=1e-6)
    assert target(jnp.array([1e4])) == -jnp.inf
    assert target.unravel(t)["log_tau"] == 0.4


@pytest.mark.slow
def test_nuts_over_hyperparameters_with_the_field_marginalized(fitted):
    target = fitted.target
    warmup = blackjax.window_adaptation(blackjax.nuts, target)
    (state, parameters), _ = warmup.run(jax.random.key(5), target.initial, num_steps=150)
    kernel = blackjax.nuts(target, **parameters)

    @jax.jit
    def chain(state, keys):
        return jax.lax.scan(lambda s, k: (kernel.step(k, s)[0],) * 2, state, keys)[1].position

    thetas = chain(state, jax.random.split(jax.random.key(6), 600))
    marginal = fitted.theta["log_tau"]
    assert abs(float(thetas.mean()) - marginal.mean) < 0.25 * marginal.sd
    fields = target.draw_field(jax.random.key(7), thetas[::3])
    assert fields.shape == (200, 10)
    gaussian = stats.inla(poisson(), {"log_tau": 0.0}, correction="gaussian").field
    assert np.all(np.abs(fields.mean(0) - gaussian.mean) < 0.4 * gaussian.sd)


@pytest.mark.slow
def test_numpyro_takes_the_density(fitted):
    target = fitted.target
    kernel = numpyro.infer.NUTS(potential_fn=lambda theta: -target(theta))
    mcmc = numpyro.infer.MCMC(kernel, num_warmup=100, num_samples=300, progress_bar=False)
    mcmc.run(jax.random.key(8), init_params=target.initial)
    marginal = fitted.theta["log_tau"]
    assert abs(float(mcmc.get_samples().mean()) - marginal.mean) < 0.35 * marginal.sd


def test_a_tail_beyond_the_grid_is_told(rng, recwarn):
    """And so is a prior that is missing."""
    y = rng.poisson(np.exp(0.7 * rng.normal(size=30))).astype(float)

    def model(prior):
        return stats.LatentGaussianModel(
            lambda t: jnp.exp(t[0]) * ex.SymmetricMatrix.eye(30),
            None,
            stats.Poisson(),
            y,
            prior=prior,
        )

    stats.inla(model(lambda t: t[0] - 0.1 * jnp.exp(t[0])), jnp.zeros(1))
    assert not [w for w in recwarn if "grid" in str(w.message)]
    with pytest.warns(UserWarning, match="ends of the grid"):
        stats.inla(model(lambda t: -0.02 * jnp.abs(t[0])), jnp.zeros(1))
    with pytest.warns(UserWarning, match="no prior"):
        stats.inla(model(None), jnp.zeros(1))


def test_importance_weights_are_of_an_integration():
    with pytest.raises(TypeError, match="what `inla` returned, got dict"):
        stats.importance_sample({}, jax.random.key(0), 10)
