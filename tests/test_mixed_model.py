"""The demonstration: mixed models on real data, beside lme4, glmmTMB and dense algebra."""

import functools
import runpy
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lmm.fitting import Fit, evaluate, evaluate_hessian, evaluate_with_gradient, fit
from lmm.model import (
    MixedModel,
    RandomTerm,
    conditional_covariances,
    deviance,
    estimates,
    templates,
)

import mixed_model
from lmm.datasets import PROBLEMS, REFERENCE, Problem
from lmm.report import Line, comparison, table

FITS = [(name, kind) for name, kinds in REFERENCE["fits"].items() for kind in kinds]


@functools.cache
def problem_and_model(name: str) -> tuple[Problem, MixedModel]:
    problem = PROBLEMS[name]()
    assert problem.name == name
    return problem, problem.model()


# --- lme4 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, kind", FITS)
def test_fit_agrees_with_lme4(name, kind):
    problem, model = problem_and_model(name)
    reference = REFERENCE["fits"][name][kind]
    reports: list[tuple] = []
    result = fit(model, kind == "REML", lambda *report: reports.append(report))

    lines = comparison(problem, result, reference)
    judged = [line for line in lines if line.tolerance is not None]
    assert len(judged) > 2 * len(reference["fixed_effects"]) + len(reference["variances"])
    assert all(line.agrees for line in judged), table(lines)
    # lme4's Hessian is from finite differences.
    np.testing.assert_allclose(result.hessian, reference["hessian"], rtol=2e-3, atol=0.5)
    _check_random_effects(problem, result, reference)

    values = [value for _, _, value, _ in reports]
    assert [iteration for _, iteration, _, _ in reports] == list(range(1, len(reports) + 1))
    assert values[-1] == min(values) and result.criterion <= values[-1]


def _check_random_effects(problem: Problem, result: Fit, reference: dict) -> None:
    for term, modes, sd in zip(problem.terms, result.modes, result.conditional_sd, strict=True):
        theirs = reference["conditional"][term.name]
        row = {str(level): i for i, level in enumerate(term.levels)}
        rows = [row[level] for level in theirs["levels"]]
        for column, name in enumerate(term.columns):
            their_sd = np.array(theirs["sd"][name])
            error = (modes[rows, column] - theirs["mode"][name]) / their_sd
            assert np.abs(error).max() < 1e-4
            np.testing.assert_allclose(sd[rows, column], their_sd, rtol=1e-4)


@pytest.mark.parametrize("name", ["insteval", "insteval-dept", "insteval-dept-service"])
def test_criterion_away_from_the_optimum(name):
    _, model = problem_and_model(name)
    ((kind, reference),) = REFERENCE["fits"][name].items()
    assert len(reference["criterion_at"]) == 3
    for point in reference["criterion_at"]:
        value = evaluate(model, jnp.array(point["theta"]), reml=kind == "REML")
        np.testing.assert_allclose(value, point["value"], rtol=1e-12)


def test_gradient_on_insteval_against_differences():
    _, model = problem_and_model("insteval")
    theta = np.array(REFERENCE["fits"]["insteval"]["REML"]["criterion_at"][1]["theta"])
    value, gradient = evaluate_with_gradient(model, jnp.asarray(theta), reml=True)
    assert value == pytest.approx(float(evaluate(model, jnp.asarray(theta), reml=True)), rel=1e-14)
    for k, h in enumerate(1e-4 * np.eye(len(theta))):
        above, below = (
            float(evaluate(model, jnp.asarray(theta + s * h), reml=True)) for s in (1, -1)
        )
        assert gradient[k] == pytest.approx((above - below) / 2e-4, rel=1e-5)


# --- glmmTMB ---------------------------------------------------------------------------------------


def test_standard_errors_agree_with_glmmtmb():
    """All parameters at once: beta, log residual variance, log sds, correlation parameter."""
    _, model = problem_and_model("sleepstudy")
    theirs = REFERENCE["glmmTMB"]["fits"]["ML"]

    def objective(parameters):
        beta, log_variance, log_sd, c = jnp.split(parameters, [2, 3, 5])
        sigma, correlation = jnp.exp(log_variance[0] / 2), c[0] / jnp.sqrt(1 + c[0] ** 2)
        first, second = jnp.exp(log_sd) / sigma
        slope = second * jnp.sqrt(1 - correlation**2)
        theta = jnp.stack([first, second * correlation, slope])
        return deviance(model, theta, beta, sigma)

    hessian = jax.jit(jax.hessian(objective))(jnp.array(theirs["estimate"]))
    standard_errors = np.sqrt(np.diag(2 * np.linalg.inv(hessian)))
    np.testing.assert_allclose(standard_errors, theirs["standard_error"], rtol=1e-5)


# --- dense algebra ---------------------------------------------------------------------------------


@pytest.fixture
def small(rng) -> tuple[np.ndarray, np.ndarray, list[RandomTerm]]:
    """Unbalanced: correlated slopes, crossed intercepts, and a second term of the first group."""
    n = 60
    x = rng.normal(size=n)
    one, both = np.ones((n, 1)), np.column_stack([np.ones(n), x])
    g, h = np.append(np.arange(7), rng.integers(0, 7, n - 7)), rng.integers(0, 5, n)
    terms = [
        RandomTerm("g", g, both, ("(Intercept)", "x")),
        RandomTerm("h", h, one),
        RandomTerm("g", g, rng.normal(size=(n, 1)), ("z",)),
    ]
    y = 1 + 2 * x + rng.normal(size=7)[g] + rng.normal(size=5)[h] + 0.5 * rng.normal(size=n)
    return y, both, terms


THETA = np.array([0.8, -0.3, 0.6, 1.1, 0.4])


def _dense_Z_Lambda(model: MixedModel, terms: list[RandomTerm], theta: jax.Array) -> jax.Array:
    parts = []
    for term, T in zip(terms, templates(model, theta), strict=True):
        indicator = np.eye(len(term.levels))[term.codes]
        Z = jnp.einsum("nl,na->nla", indicator, term.design)
        parts.append((Z @ T).reshape(len(term.group), -1))
    return jnp.concatenate(parts, axis=1)


def _dense_criterion(model: MixedModel, y, X, terms, theta: jax.Array, reml: bool) -> jax.Array:
    """From the marginal covariance of y, which knows nothing of b: generalized least squares.

    The weighted residual sum of squares is |G| / |G_XX| with G = [X y]^T V^-1 [X y].
    """
    ZL, Xy = _dense_Z_Lambda(model, terms, theta), jnp.column_stack([X, y])
    V = jnp.eye(len(y)) + ZL @ ZL.T
    G = Xy.T @ jnp.linalg.solve(V, Xy)
    logdet_V, logdet_G, logdet_XX = (jnp.linalg.slogdet(A)[1] for A in (V, G, G[:-1, :-1]))
    freedom = len(y) - X.shape[1] if reml else len(y)
    log_variance = logdet_G - logdet_XX - jnp.log(freedom)
    value = logdet_V + freedom * (1 + jnp.log(2 * jnp.pi) + log_variance)
    return value + logdet_XX if reml else value


@pytest.mark.parametrize("reml", [False, True])
def test_criterion_and_derivatives_against_dense(small, reml):
    y, X, terms = small
    model, theta = MixedModel.from_data(*small), jnp.array(THETA)

    def dense(theta):
        return _dense_criterion(model, y, X, terms, theta, reml)

    @jax.jit
    def oracle(theta):
        return dense(theta), jax.grad(dense)(theta), jax.hessian(dense)(theta)

    expected, expected_gradient, expected_hessian = oracle(theta)
    value, gradient = evaluate_with_gradient(model, theta, reml=reml)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-9)
    hessian = evaluate_hessian(model, theta, reml=reml)
    np.testing.assert_allclose(hessian, expected_hessian, rtol=1e-7, atol=1e-8)


def test_deviance_profiles_to_the_criterion(small):
    model, theta = MixedModel.from_data(*small), jnp.array(THETA)
    beta, sigma, _ = jax.jit(estimates)(model, theta, reml=False)
    profiled = evaluate(model, theta, reml=False)
    value_and_slopes = jax.jit(jax.value_and_grad(deviance, argnums=(2, 3)))
    value, slopes = value_and_slopes(model, theta, beta, sigma)
    np.testing.assert_allclose(value, profiled, rtol=1e-13)
    np.testing.assert_allclose(jnp.hstack(slopes), 0, atol=1e-9)


def test_random_effects_against_dense(small):
    y, X, terms = small
    model, theta = MixedModel.from_data(*small), jnp.array(THETA)
    ZL = _dense_Z_Lambda(model, terms, theta)
    H = ZL.T @ ZL + jnp.eye(model.q)
    beta, _, modes = jax.jit(estimates)(model, theta, reml=True)
    u = jnp.linalg.solve(H, ZL.T @ (y - X @ beta))
    inverse, start = jnp.linalg.inv(H), 0
    covariances = jax.jit(conditional_covariances)(model, theta)
    for (levels, k), T, b, C in zip(
        model.sizes, templates(model, theta), modes, covariances, strict=True
    ):
        for level in range(levels):
            own = slice(start, start := start + k)
            np.testing.assert_allclose(b[level], T @ u[own], rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(C[level], T @ inverse[own, own] @ T.T, rtol=1e-9, atol=1e-12)


def test_no_variance_between_groups():
    """Groups of equal means: theta = 0, and the deviance is that of the mean alone."""
    y = np.tile([1.0, 2.0, 4.0], 5)
    one = np.ones((15, 1))
    model = MixedModel.from_data(y, one, [RandomTerm("g", np.repeat(np.arange(5), 3), one)])
    result = fit(model, reml=False)
    assert result.theta == pytest.approx(0, abs=1e-5)
    assert result.criterion == pytest.approx(15 * (1 + np.log(2 * np.pi * np.var(y))), rel=1e-10)
    assert result.beta == pytest.approx(np.mean(y))


# --- the script ------------------------------------------------------------------------------------


def test_script(tmp_path, capsys):
    assert mixed_model.main(["--data", "sleepstudy", "--reml", "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "L-BFGS-B   1" in printed and "REML criterion" in printed and "BEYOND" not in printed
    (picture,) = tmp_path.iterdir()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_script_without_a_reference(monkeypatch, capsys):
    monkeypatch.setitem(REFERENCE["fits"], "penicillin", {})
    assert mixed_model.main(["--data", "penicillin", "--ml", "--no-plots"]) == 0
    printed = capsys.readouterr().out
    assert "deviance (ML)" in printed and "no lme4 result" in printed


def test_script_help(capsys):
    with pytest.raises(SystemExit) as stop:
        mixed_model.main(["--help"])
    assert stop.value.code == 0
    assert "--reml" in capsys.readouterr().out


def test_script_names_a_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "lmm.plots", None)
    monkeypatch.delattr("lmm.plots", raising=False)
    with pytest.raises(SystemExit, match="needs the package 'lmm.plots'.*make demo"):
        runpy.run_path(mixed_model.__file__)


def test_a_difference_beyond_its_tolerance_shows():
    line = Line("beta", 1.0, 1.1, 1e-3)
    assert not line.agrees and "BEYOND 1e-03" in table([line])
