"""Generalized fits: derivatives beside dense algebra, boundaries, predictions, draws, errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars
import pytest

from elimax import stats
from elimax.stats import compare, glmm
from elimax.stats.mixed.family import FAMILIES
from elimax.stats.mixed.generalized import deviance


@functools.cache
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": rng.integers(0, 12, 150).astype(str), "x": rng.normal(size=150)})
    b = 0.7 * rng.normal(size=12)
    eta = 0.5 + 0.4 * data.x + b[data.g.astype(int)]
    return data.assign(y=rng.poisson(np.exp(eta)), z=rng.poisson(np.exp(1 + 0.2 * data.x)))


@functools.cache
def poisson():
    return glmm("y ~ x + (1 | g)", counts(), "poisson")


def dense_deviance(fit, parameters):
    """With Newton's iteration as a loop: differentiable as it stands."""
    y, X = fit.model.y, fit.model.X
    Z = fit.model.random.Z.todense()
    A, base = Z * parameters[0], X @ parameters[1:]

    def newton(_, u):
        mu = jnp.exp(base + A @ u)
        H = jnp.eye(len(u)) + A.T @ (mu[:, None] * A)
        return u + jnp.linalg.solve(H, A.T @ (y - mu) - u)

    u = jax.lax.fori_loop(0, 15, newton, jnp.zeros(Z.shape[1]))
    eta = base + A @ u
    H = jnp.eye(len(u)) + A.T @ (jnp.exp(eta)[:, None] * A)
    log_density = y * eta - jnp.exp(eta) - jax.scipy.special.gammaln(y + 1)
    return -2 * (jnp.sum(log_density) - u @ u / 2) + jnp.linalg.slogdet(H)[1]


def test_deviance_and_its_derivatives_are_those_of_dense_algebra():
    fit = poisson()
    at = jnp.asarray(fit.parameters) + jnp.array([0.1, -0.2, 0.05])

    def ours(p):
        return deviance(fit.model, p, jnp.zeros(12))[0]

    def dense(p):
        return dense_deviance(fit, p)

    np.testing.assert_allclose(ours(at), dense(at), rtol=1e-11)
    wanted = jax.jit(jax.jacfwd(dense))(at)
    np.testing.assert_allclose(jax.jit(jax.grad(ours))(at), wanted, rtol=1e-8)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(ours))(at), wanted, rtol=1e-8)
    best = jnp.asarray(fit.parameters)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(dense))(best), 0, atol=1e-4)
    information = jax.jit(jax.jacfwd(jax.jacfwd(dense)))(best) / 2
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(information), rtol=1e-4, atol=1e-7)


def test_no_variation_is_a_boundary():
    fit = glmm("z ~ x + (1 | g)", counts(), "poisson")
    assert fit.converged and fit.is_singular and fit.theta.iloc[0] == 0
    assert np.isnan(fit.theta_standard_errors[0])
    assert np.all(np.isfinite(fit.coefficients)) and "singular" in fit.summary()
    mu = fit.fitted  # the score of the ordinary regression vanishes
    np.testing.assert_allclose(fit.design.X.T @ (fit.design.y - mu), 0, atol=1e-3)


def test_predictions_residuals_and_draws():
    fit, data = poisson(), counts()
    np.testing.assert_allclose(fit.predict(data), fit.fitted, rtol=1e-12)
    np.testing.assert_allclose(np.exp(fit.predict(scale="link")), fit.predict(), rtol=1e-12)
    np.testing.assert_allclose(fit.residuals, data["y"] - fit.fitted)
    np.testing.assert_allclose(fit.scaled_residuals, fit.residuals / np.sqrt(fit.fitted))
    draws = fit.simulate(jax.random.key(0), (4000,), conditional=True)
    assert draws.shape == (4000, 150)
    error = np.sqrt(fit.fitted / 4000)
    assert np.max(np.abs(draws.mean(axis=0) - fit.fitted) / error) < 5
    again = fit.refit(data["y"].to_numpy())
    np.testing.assert_allclose(again.parameters, fit.parameters)
    sd = fit.conditional_modes["sd"]
    assert np.all((sd > 0) & (sd < fit.theta.iloc[0])) and "Poisson" in fit.summary()


def test_comparison_of_nested_models():
    simpler = glmm("y ~ 1 + (1 | g)", counts(), "poisson")
    table = compare(poisson(), simpler)
    assert list(table["npar"]) == [2, 3]
    np.testing.assert_allclose(
        table["chisq"].iloc[1], 2 * (poisson().log_likelihood - simpler.log_likelihood)
    )


def test_models_of_other_weights_are_not_compared():
    weighted = glmm("y ~ 1 + (1 | g)", counts(), "poisson", weights=np.full(150, 2.0))
    with pytest.raises(ValueError, match="same weights"):
        compare(poisson(), weighted)


def test_proportions_with_weights_are_pairs():
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": np.repeat(list("abcdefgh"), 5), "n": rng.integers(5, 20, 40)})
    data["s"] = rng.binomial(data.n, 0.3)
    data["p"] = data.s / data.n
    pair = glmm("cbind(s, n - s) ~ 1 + (1 | g)", data)
    weighted = glmm("p ~ 1 + (1 | g)", data, weights="n")
    np.testing.assert_allclose(weighted.log_likelihood, pair.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(pair.fitted, pair.predict(data), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gamma", "beta", "tweedie", "student", "nbinom1", "nbinom2"])
def test_families_find_what_they_were_simulated_with(family):
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(60), 20)
    x = rng.normal(size=1200)
    eta = 0.3 + 0.5 * x + 0.4 * rng.normal(size=60)[g]
    likelihood = FAMILIES[family]()
    own = {"dispersion": 1.5, "shape": 2.0, "precision": 8.0, "scale": 0.7, "df": 5.0, "power": 1.4}
    parameters = {name: own[name] for name in likelihood.names}
    y = likelihood.sample(jax.random.key(1), jnp.asarray(eta), **parameters)
    fit = glmm("y ~ x + (1 | g)", {"y": np.asarray(y), "x": x, "g": g.astype(str)}, family)
    assert fit.converged
    z = (fit.parameters[:3] - [0.4, 0.3, 0.5]) / np.sqrt(np.diagonal(fit.covariance))[:3]
    assert np.max(np.abs(z)) < 4
    for name, value in parameters.items():
        assert abs(np.log(fit.family_parameters[name] / value)) < 0.5


@pytest.mark.parametrize(
    "options, words",
    [
        ({"family": "possion"}, "must be one of"),
        ({"family": "poisson", "link": "probit"}, "binomial"),
        ({"family": "poisson", "dispersion": "~ x"}, "no dispersion"),
        ({"family": "poisson", "dispersion": "x"}, "must be a formula"),
        ({"family": "gamma"}, "positive"),
        ({"family": "binomial"}, "whole number of successes.*cbind"),
        ({"family": "beta", "zero_inflation": "~ 1"}, "are for poisson"),
        ({"family": "poisson", "zero_inflation": "~ 1", "hurdle": "~ 1"}, "not both"),
    ],
)
def test_errors_say_what_to_do(options, words):
    with pytest.raises(ValueError, match=words):
        glmm("y ~ x + (1 | g)", counts(), **options)


def test_a_curvature_that_is_not_finite_is_no_crash():
    """Dispersions that grow without end: counts that are not more than Poisson's."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": rng.integers(0, 8, 80).astype(str), "x": rng.normal(size=80)})
    data["y"] = rng.poisson(np.exp(0.5 + 0.3 * data.x))
    fit = glmm("y ~ x + (1 | g)", data, family="nbinom2", dispersion="~ x")
    assert fit.log_likelihood >= glmm("y ~ x + (1 | g)", data, "poisson").log_likelihood - 1e-3


@pytest.mark.parametrize("trials", [1, 3])
def test_separation_is_told(trials):
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": rng.integers(0, 8, 80).astype(str), "x": rng.normal(size=80)})
    all_or_none = data.assign(z=(data.x > 0).astype(float))
    with pytest.warns(UserWarning, match="separate"):
        glmm("z ~ x + (1 | g)", all_or_none, weights=np.full(80, trials))


def test_rows_without_trials_are_named():
    data = counts().assign(fails=1)
    data.loc[4, ["y", "fails"]] = 0
    with pytest.raises(ValueError, match="row 4 .* has 0 trials"):
        glmm("cbind(y, fails) ~ x + (1 | g)", data, "binomial")


@pytest.mark.parametrize(
    "response, words",
    [
        (np.ones(149), "shape"),
        (np.full(150, np.nan), "finite, got nan for row 0"),
        (-np.ones(150), "count"),
    ],
)
def test_refits_need_a_response_of_the_distribution(response, words):
    with pytest.raises(ValueError, match=words):
        poisson().refit(response)


def test_weights_are_numbers_of_rows():
    data = counts().assign(w=np.arange(150) % 4 + 1)
    weighted = glmm("y ~ x + (1 | g)", data, "poisson", weights="w")
    repeated = glmm("y ~ x + (1 | g)", data.loc[data.index.repeat(data.w)], "poisson")
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-10)
    np.testing.assert_allclose(weighted.parameters, repeated.parameters, rtol=1e-6)
    np.testing.assert_allclose(weighted.covariance, repeated.covariance, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(weighted.predict(data), weighted.fitted, rtol=1e-12)
    np.testing.assert_allclose(
        weighted.scaled_residuals, weighted.residuals * np.sqrt(data.w / weighted.fitted)
    )
    assert "Weighted(Poisson(), weights)" in weighted.summary()


@functools.cache
def grades() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    g, x = rng.integers(0, 20, 300), rng.normal(size=300)
    latent = 0.8 * x + rng.normal(size=20)[g] + rng.logistic(size=300)
    names = np.array(["poor", "fair", "good", "excellent"])
    grade = pd.Categorical(names[np.digitize(latent, [-1, 0.5, 2])], names, ordered=True)
    return pd.DataFrame({"g": g.astype(str), "x": x, "grade": grade, "k": grade.codes + 3.0})


@functools.cache
def ordinal():
    return glmm("grade ~ x + (1 | g)", grades(), "ordinal")


def test_ordered_categories_have_cutpoints_in_place_of_an_intercept():
    fit, data = ordinal(), grades()
    assert fit.converged and fit.design.fixed == ("x",)
    table = fit.family_coefficients
    assert list(table.effect) == ["poor|fair", "fair|good", "good|excellent"]
    truth = np.array([0.8, -1, 0.5, 2])
    estimate = np.r_[fit.fixed_effects["x"], table.estimate]
    error = np.r_[fit.coefficients.std_error["x"], table.std_error]
    assert np.all(np.abs(estimate - truth) < 3 * error) and np.all(error < 0.4)
    probability = fit.predict(data, scale="probability")
    np.testing.assert_allclose(probability.sum(1), 1)
    np.testing.assert_allclose(probability @ np.arange(4), fit.fitted, rtol=1e-12)
    eta, c = fit.predict(scale="link")[0], table.estimate.to_numpy()
    np.testing.assert_allclose(np.cumsum(probability[0])[:3], 1 / (1 + np.exp(eta - c)))
    assert "good|excellent" in fit.summary()


def test_ordered_responses_are_numbers_or_enumerations():
    numbered = glmm("k ~ x + (1 | g)", grades(), "ordinal")
    assert numbered.design.categories == ("3", "4", "5", "6")
    frame = polars.DataFrame({name: grades()[name].to_list() for name in ("g", "x", "grade")})
    names = list(grades().grade.cat.categories)
    typed = frame.with_columns(polars.col("grade").cast(polars.Enum(names)))
    for fit in (numbered, glmm("grade ~ x + (1 | g)", typed, "ordinal")):
        np.testing.assert_array_equal(fit.parameters, ordinal().parameters)
    for data, words in (
        (grades().assign(grade=grades().grade.astype(str)), "no order"),
        (grades().assign(grade=grades().grade.cat.as_unordered()), "no order"),
        (grades().assign(grade=2.0), "single category"),
        (grades().assign(grade=grades().x), "300 categories in 300 rows"),
    ):
        with pytest.raises(ValueError, match=words):
            glmm("grade ~ x + (1 | g)", data, "ordinal")
    with pytest.raises(ValueError, match="is one column"):
        glmm("cbind(k, k) ~ x + (1 | g)", grades(), "ordinal")
    large = glmm("k ~ x + (1 | g)", grades().assign(k=grades().k + 1e6), "ordinal")
    assert large.design.categories == ("1000003", "1000004", "1000005", "1000006")
    with pytest.raises(ValueError, match="span an intercept"):
        glmm("k ~ 0 + C(x > 0) + (1 | g)", grades(), "ordinal")
    with pytest.raises(ValueError, match="response, link, got 'probability'"):
        poisson().predict(scale="probability")


def test_cutpoints_far_from_zero_are_found_as_well():
    """As of years: without an intercept, columns and cutpoints would be nearly one."""
    fit = ordinal()
    shifted = glmm("grade ~ x + (1 | g)", grades().assign(x=grades().x + 1e4), "ordinal")
    assert shifted.converged
    assert shifted.log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-8)
    np.testing.assert_allclose(shifted.coefficients, fit.coefficients, rtol=1e-4)
    moved = shifted.family_coefficients.estimate - 1e4 * shifted.fixed_effects["x"]
    np.testing.assert_allclose(moved, fit.family_coefficients.estimate, atol=1e-3)


@pytest.mark.parametrize(
    "absent, words", [(0, "category 'poor'"), (1, "category 'fair'"), (3, "category 'excellent'")]
)
def test_every_ordered_category_must_occur_in_a_refit(absent, words):
    y = ordinal().design.y
    with pytest.raises(ValueError, match=words):
        ordinal().refit(np.where(y == absent, 2, y))
    with pytest.raises(ValueError, match="numbers 0 to 3 of the categories poor, .*, got 6"):
        ordinal().refit(y + 3)


def test_two_ordered_categories_are_binary():
    data = grades().assign(k=grades().k > 4)
    binary = glmm("k ~ x + (1 | g)", data, "binomial")
    ordered = glmm("k ~ x + (1 | g)", data, "ordinal")
    assert ordered.log_likelihood == pytest.approx(binary.log_likelihood, rel=1e-10)
    flipped = ordered.parameters * [1, 1, -1]
    np.testing.assert_allclose(flipped[[0, 2, 1]], binary.parameters, rtol=1e-5)


def test_exposures_are_offsets():
    exposure = np.linspace(1, 2, 150)
    with pytest.raises(ValueError, match="offset"):
        glmm("y ~ x + (1 | g)", counts(), stats.Poisson(exposure))
    scaled = glmm("y ~ x + (1 | g)", counts(), stats.Poisson(2.0))
    assert scaled.fixed_effects["x"] == pytest.approx(poisson().fixed_effects["x"], abs=1e-5)
