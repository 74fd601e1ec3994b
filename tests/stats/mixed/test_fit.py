"""What a fit says and does, beside direct computations; invariances; the boundary; comparison."""

import logging

import jax
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.optimize
import scipy.stats

from elimax.stats import compare, lmm

from . import dense


@pytest.fixture
def data(rng) -> pd.DataFrame:
    n = 90
    g, h = np.resize(np.arange(9), n), rng.permutation(np.resize(np.arange(6), n))
    x, z = rng.normal(size=(2, n))
    y = 2 + x + rng.normal(size=9)[g] + 0.7 * rng.normal(size=9)[g] * x + rng.normal(size=6)[h]
    frame = {"y": y + 0.5 * rng.normal(size=n), "x": x, "z": z, "g": g, "h": h}
    return pd.DataFrame(frame | {"w": rng.uniform(0.3, 3, n), "o": rng.normal(size=n)})


FORMULA = "y ~ x + (x | g) + (1 | h)"


@pytest.mark.parametrize("reml", [False, True])
def test_weights_and_offsets_against_a_dense_search(data, reml):
    fit = lmm(
        "y ~ x + offset(o / 2) + (1 | g) + (1 | h)", data, reml, weights="w", offset=data["o"] / 2
    )
    terms, X = list(fit.design.terms), fit.design.X

    def criterion(theta):
        y = data["y"].to_numpy() - data["o"].to_numpy()
        return dense.criterion(y, X, terms, theta, reml, data["w"].to_numpy(), np)

    found = scipy.optimize.minimize(criterion, np.ones(2), method="L-BFGS-B", tol=1e-12)
    np.testing.assert_allclose(fit.criterion, found.fun, rtol=1e-10)
    np.testing.assert_allclose(fit.theta, found.x, rtol=1e-4)
    assert fit.converged and not fit.is_singular
    np.testing.assert_allclose(fit.fitted + fit.residuals, data["y"])
    scaled = fit.residuals * np.sqrt(data["w"]) / fit.sigma
    np.testing.assert_allclose(fit.scaled_residuals, scaled)


def test_no_fixed_effects(data):
    fit = lmm("y ~ 0 + (1 | g)", data)
    assert len(fit.fixed_effects) == 0 and fit.converged and "Fixed effects" not in fit.summary()
    centered = lmm("y ~ 1 + (1 | g)", data.assign(y=data["y"] - data["y"].mean()), reml=False)
    assert centered.criterion < fit.criterion


def test_rows_and_labels_have_no_order(data, rng):
    fit = lmm(FORMULA, data)
    order = rng.permutation(len(data))
    moved = lmm(FORMULA, data.iloc[order])
    np.testing.assert_allclose(moved.criterion, fit.criterion, rtol=1e-12)
    np.testing.assert_allclose(moved.fitted, fit.fitted[order], rtol=1e-6)
    names = np.array(list("qwertyuio"))
    labelled = lmm(FORMULA, data.assign(g=names[data["g"]]))
    np.testing.assert_allclose(labelled.criterion, fit.criterion, rtol=1e-12)
    modes, own = labelled.random_effects["g"], fit.random_effects["g"]
    np.testing.assert_allclose(modes.loc[names[own.index]], own, atol=1e-6)
    terms = lmm("y ~ (1 | h) + x + (x | g)", data)
    np.testing.assert_allclose(terms.criterion, fit.criterion, rtol=1e-12)


def test_tables(data):
    fit = lmm(FORMULA, data)
    table, modes = fit.variance_components, fit.conditional_modes
    assert list(table["grp"]) == ["g", "g", "g", "h", "Residual"]
    covariance = fit.covariances[0]
    np.testing.assert_allclose(table["vcov"][:2], np.diagonal(covariance))
    correlation = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    np.testing.assert_allclose(table["sdcor"][2], correlation)
    assert list(fit.theta.index) == ["g.(Intercept)", "g.x.(Intercept)", "g.x", "h.(Intercept)"]
    assert list(modes.columns) == ["grp", "effect", "level", "mode", "sd"] and len(modes) == 24
    x_by_g = modes[(modes["grp"] == "g") & (modes["effect"] == "x")]
    np.testing.assert_array_equal(x_by_g["mode"], fit.random_effects["g"]["x"])
    ratio = fit.fixed_effects / np.sqrt(np.diagonal(fit.vcov))
    np.testing.assert_allclose(fit.coefficients["t_value"], ratio)
    assert fit.aic == pytest.approx(fit.criterion + 2 * 7)
    assert fit.bic == pytest.approx(fit.criterion + np.log(90) * 7)
    twice = lmm("y ~ x + (x || g)", data)
    assert list(twice.variance_components["grp"]) == ["g", "g.1", "Residual"]
    assert list(twice.random_effects["g"].columns) == ["(Intercept)", "x"]


def test_summary(data):
    text = repr(lmm(FORMULA, data))
    for words in (
        "fit by REML", FORMULA, "REML criterion at convergence", "Scaled residuals", "Corr",
        "Number of obs: 90, groups: g, 9; h, 6", "Std. Error", "Correlation of fixed effects",
    ):  # fmt: skip
        assert words in text
    assert "singular" not in text and "NOT converge" not in text and "missing" not in text
    assert "maximum likelihood" in lmm(FORMULA, data, reml=False).summary()


def test_standard_errors_of_theta_are_those_of_the_hessian(data):
    fit = lmm("y ~ x + (1 | g) + (1 | h)", data)

    def criterion(theta):
        return dense.criterion(
            fit.design.y, fit.design.X, fit.design.terms, theta, True, np.ones(90)
        )

    theta = jax.numpy.asarray(fit.estimates.theta)
    hessian = jax.jit(jax.hessian(criterion))(theta)
    np.testing.assert_allclose(fit.theta_hessian, hessian, rtol=1e-6, atol=1e-7)
    expected = np.sqrt(np.diag(2 * np.linalg.inv(hessian)))
    np.testing.assert_allclose(fit.theta_standard_errors, expected, rtol=1e-6)


# --- predictions and simulations -------------------------------------------------------------------


def test_predictions(data):
    fit = lmm("y ~ scale(x) + offset(o) + (x | g) + (1 | g:h)", data)
    np.testing.assert_allclose(fit.predict(data), fit.fitted, rtol=1e-12)
    np.testing.assert_allclose(fit.predict(), fit.fitted)
    alone = fit.predict(data, include_random=False)
    expected = fit.design.X @ fit.fixed_effects + data["o"]
    np.testing.assert_allclose(alone, expected, rtol=1e-12)
    np.testing.assert_allclose(fit.predict(include_random=False), expected, rtol=1e-12)
    few = data.iloc[[5, 50]].drop(columns=["y", "g", "h"])
    np.testing.assert_allclose(fit.predict(few, include_random=False), expected.iloc[[5, 50]])
    texts = data.assign(g=data["g"].astype(str)).iloc[::-1]
    np.testing.assert_allclose(fit.predict(texts), fit.fitted[::-1], rtol=1e-12)
    for kind in (pl.DataFrame({n: data[n].to_list() for n in data}), dict(data)):
        np.testing.assert_allclose(fit.predict(kind), fit.fitted, rtol=1e-12)
    holes = data.head(3).assign(x=[0.0, np.nan, 1.0])
    assert np.isnan(fit.predict(holes)).tolist() == [False, True, False]


def test_new_levels(data):
    fit = lmm(FORMULA, data)
    new = data.head(4).assign(g=[0, 99, 98, 1])
    with pytest.raises(ValueError, match=r"levels of 'g' that the fit does not know: 99, 98"):
        fit.predict(new)
    predicted = fit.predict(new, allow_new_levels=True)
    known = fit.predict(data.head(4).assign(g=[0, 0, 0, 1]))
    np.testing.assert_allclose(predicted[[0, 3]], known[[0, 3]])
    h = fit.random_effects["h"].loc[new["h"], "(Intercept)"].to_numpy()
    expected = fit.predict(new, include_random=False) + h
    np.testing.assert_allclose(predicted[1:3], expected[1:3])


def test_predictions_of_what_is_not_known(data):
    fit = lmm("y ~ f + (1 | g)", data.assign(f=np.resize(["a", "b"], 90)))
    with pytest.raises(ValueError, match="'f' cannot be evaluated.*'c'"):
        fit.predict(data.assign(f="c"))
    with pytest.raises(ValueError, match="no column 'f'"):
        fit.predict(data)
    with pytest.raises(ValueError, match="no column 'g'"):
        fit.predict(pd.DataFrame({"f": ["a"]}))
    offset = lmm("y ~ 1 + (1 | g)", data, offset="o")
    np.testing.assert_allclose(offset.predict(data, offset=data["o"]), offset.fitted)
    np.testing.assert_allclose(offset.predict(data), offset.fitted)
    np.testing.assert_allclose(offset.predict(data, offset=np.zeros(90)), offset.fitted - data["o"])
    by_array = lmm("y ~ 1 + (1 | g)", data, offset=data["o"])
    with pytest.raises(ValueError, match="given an `offset`; give that of `newdata`"):
        by_array.predict(data)
    holes = data.head(3).assign(y=np.nan)  # is not used
    assert np.all(np.isfinite(lmm("y ~ 1 + (1 | g)", data).predict(holes, include_random=False)))


def test_simulations_have_the_moments_of_the_model(data):
    fit = lmm(FORMULA, data, weights="w")
    draws = fit.simulate(jax.random.key(0), (2, 4000))
    assert draws.shape == (2, 4000, 90) and draws.dtype == np.float64
    draws = draws.reshape(-1, 90)
    ZL = np.asarray(dense.Z_Lambda(fit.design.terms, fit.estimates.theta, np))
    covariance = fit.sigma**2 * (np.diag(1 / data["w"]) + ZL @ ZL.T)
    sd = np.sqrt(np.diagonal(covariance))
    score = (draws.mean(0) - fit.predict(include_random=False)) / sd * np.sqrt(len(draws))
    assert np.abs(score).max() < 4.5
    error = (np.cov(draws.T) - covariance) / np.outer(sd, sd) * np.sqrt(len(draws))
    assert np.abs(error).max() < 8
    given = fit.simulate(jax.random.key(1), (4000,), conditional=True)
    residual_sd = fit.sigma / np.sqrt(data["w"].to_numpy())
    assert np.abs((given.mean(0) - fit.fitted) / residual_sd * np.sqrt(4000)).max() < 4.5
    np.testing.assert_allclose(given.std(0), residual_sd, rtol=0.06)
    np.testing.assert_array_equal(fit.simulate(jax.random.key(1), (4000,), conditional=True), given)


def compiled(caplog) -> list[str]:
    """The programs of fits that JAX reports to compile."""
    messages = [record.getMessage() for record in caplog.records]
    names = ("jit(criterion)", "jit(estimates)")
    return [m for m in messages if m.startswith("Compiling") and any(name in m for name in names)]


def test_another_response_compiles_nothing(data, caplog):
    fit = lmm(FORMULA, data)
    response = fit.simulate(jax.random.key(0))
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        again = fit.refit(response)
        weighted = lmm(FORMULA, data.assign(y=response), reml=False, weights="w")
        assert not compiled(caplog)
        lmm("y ~ z + (x | g)", data)
        assert compiled(caplog)
    expected = lmm(FORMULA, data.assign(y=response))
    assert again.criterion == expected.criterion and weighted.criterion != again.criterion
    with pytest.raises(ValueError, match=r"shape \(90,\), got \(3,\)"):
        fit.refit(np.ones(3))


def test_single_precision_elsewhere_does_not_matter(data):
    expected = lmm(FORMULA, data)
    with jax.enable_x64(False):
        fit = lmm(FORMULA, data)
        modes = fit.conditional_modes
        assert fit.simulate(jax.random.key(0)).dtype == np.float64
    assert fit.criterion == expected.criterion
    np.testing.assert_array_equal(modes["sd"], expected.conditional_modes["sd"])


# --- the boundary ----------------------------------------------------------------------------------


def test_groups_without_variation():
    """Groups of equal means: theta = 0, and the deviance is that of the mean alone."""
    y = np.tile([1.0, 2.0, 4.0], 5)
    fit = lmm("y ~ (1 | g)", {"y": y, "g": np.repeat(np.arange(5), 3)}, reml=False)
    assert fit.theta.tolist() == [0.0] and fit.is_singular and fit.converged
    assert fit.criterion == pytest.approx(15 * (1 + np.log(2 * np.pi * np.var(y))), rel=1e-12)
    assert fit.fixed_effects["(Intercept)"] == pytest.approx(np.mean(y))
    assert np.all(fit.conditional_modes[["mode", "sd"]] == 0)


def test_a_correlation_of_one(rng):
    g = np.repeat(np.arange(12), 8)
    x, b = rng.normal(size=96), rng.normal(size=12)
    frame = {"y": b[g] * (1 + x) + 0.3 * rng.normal(size=96), "x": x, "g": g}
    fit = lmm("y ~ x + (x | g)", frame)
    assert fit.converged and fit.variance_components["sdcor"][2] > 0.95
    if fit.is_singular:
        assert fit.theta["g.x"] == 0 and "singular" in fit.summary()
    free = scipy.optimize.minimize(
        lambda theta: dense.criterion(
            fit.design.y, fit.design.X, fit.design.terms, theta, True, np.ones(96), np
        ),
        np.array([1.0, 0.5, 0.5]),
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 4000},
    )
    assert fit.criterion <= free.fun + 1e-6


def test_a_slope_without_an_intercept_varies(rng):
    """The first diagonal of the template is zero, the entry below is not free to say why."""
    g = np.repeat(np.arange(20), 6)
    x = rng.normal(size=120)
    frame = {"y": rng.normal(size=20)[g] * x + rng.normal(size=120), "x": x, "g": g}
    fit = lmm("y ~ 1 + (x | g)", frame)
    alone = lmm("y ~ 1 + (0 + x | g)", frame)
    assert fit.converged and fit.criterion <= alone.criterion + 1e-8


def test_residuals_of_zero_are_no_convergence(rng):
    b, g = rng.normal(size=6), np.repeat(np.arange(6), 5)
    fit = lmm("y ~ (1 | g)", {"y": b[g], "g": g})
    assert not fit.converged and "NOT converge" in fit.summary()


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units_of_covariates_do_not_matter(data, unit):
    """... nor where they are counted from: slopes on years, or on concentrations in moles."""
    expected = lmm("y ~ x + (x | g)", data, reml=False)
    scaled = lmm("y ~ x + (x | g)", data.assign(x=data["x"] * unit), reml=False)
    np.testing.assert_allclose(scaled.criterion, expected.criterion, rtol=1e-11)
    np.testing.assert_allclose(scaled.theta["g.x"] * unit, expected.theta["g.x"], rtol=1e-6)
    assert scaled.converged and scaled.is_singular == expected.is_singular
    years = lmm("y ~ x + (x | g)", data.assign(x=data["x"] + 2000), reml=False)
    np.testing.assert_allclose(years.criterion, expected.criterion, rtol=1e-9)
    np.testing.assert_allclose(years.fitted, expected.fitted, atol=1e-5)


# --- comparison ------------------------------------------------------------------------------------


def test_comparison(data):
    given = (("x + z", True), ("1", False), ("x", True))
    fits = [lmm(f"y ~ {fixed} + (1 | g)", data, reml=reml) for fixed, reml in given]
    table = compare(*fits)
    ml = [lmm(f"y ~ {fixed} + (1 | g)", data, reml=False) for fixed in ("1", "x", "x + z")]
    assert list(table["npar"]) == [3, 4, 5]
    np.testing.assert_allclose(table["deviance"], [fit.criterion for fit in ml], rtol=1e-12)
    chisq = -np.diff([fit.criterion for fit in ml])
    np.testing.assert_allclose(table["chisq"].iloc[1:], chisq, rtol=1e-6)
    np.testing.assert_allclose(table["p_value"].iloc[1:], scipy.stats.chi2.sf(chisq, 1), rtol=1e-6)
    assert np.isnan(table["p_value"].iloc[0])


def test_what_is_not_compared(data):
    fit = lmm("y ~ x + (1 | g)", data)
    with pytest.raises(ValueError, match="two fits at least"):
        compare(fit)
    with pytest.raises(ValueError, match="not to the same response"):
        compare(fit, lmm("y ~ x + (1 | g)", data.head(60)))
    with pytest.raises(TypeError, match="got int"):
        compare(fit, 3)


def test_levels_that_are_floats_are_known_in_other_data(rng):
    """Whole ones among them are the same level where all others are whole, too."""
    levels = np.array([0.5, 1.0, 2.0, 3.0])
    codes = np.repeat(np.arange(4), 10)
    x = rng.normal(size=40)
    y = x + rng.normal(size=4)[codes] + 0.3 * rng.normal(size=40)
    data = pd.DataFrame({"y": y, "x": x, "g": levels[codes]})
    fit = lmm("y ~ x + (1 | g)", data)
    np.testing.assert_allclose(fit.predict(data[data.g >= 1]), fit.fitted[10:], rtol=1e-12)
    whole = lmm("y ~ x + (1 | g)", data.assign(g=codes))
    mixed = pd.DataFrame({"x": [0.0, 0.0], "g": [1.0, 1.5]})
    known = whole.predict(mixed.assign(g=[1, 2]))[0]
    assert whole.predict(mixed, allow_new_levels=True)[0] == pytest.approx(known, rel=1e-12)


def test_a_series_goes_by_its_labels(rng):
    data = pd.DataFrame({"x": rng.normal(size=40), "g": np.repeat(np.arange(8), 5)})
    data["y"] = data.x + rng.normal(size=8)[data.g] + 0.3 * rng.normal(size=40)
    weights = pd.Series(rng.uniform(1, 3, 40))
    wanted = lmm("y ~ x + (1 | g)", data, weights=weights.to_numpy()).criterion
    shuffled = weights.sample(frac=1, random_state=0)
    assert lmm("y ~ x + (1 | g)", data, weights=shuffled).criterion == wanted
    with pytest.raises(ValueError, match="other labels"):
        lmm("y ~ x + (1 | g)", data, weights=weights.set_axis(weights.index + 1))


def test_models_that_are_not_nested_are_not_compared(rng):
    data = pd.DataFrame({"x": rng.normal(size=60), "g": np.repeat(np.arange(12), 5)})
    data["a"], data["b"] = rng.normal(size=60), rng.normal(size=60)
    data["y"] = data.x + rng.normal(size=12)[data.g] + 0.3 * rng.normal(size=60)
    good, wider = lmm("y ~ x + (1 | g)", data), lmm("y ~ a + b + (1 | g)", data)
    with pytest.raises(ValueError, match="not nested"):
        compare(good, wider)
