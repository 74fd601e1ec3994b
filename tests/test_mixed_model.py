"""The demonstration: mixed models on real data, beside lme4 and glmmTMB."""

import functools
import runpy
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mixed_model
from elimax.stats import LinearMixedFit, lmm
from elimax.stats.mixed.criterion import deviance
from elimax.stats.mixed.lmm import evaluate, evaluate_with_gradient
from lmm.datasets import PROBLEMS, REFERENCE
from lmm.report import Line, comparison, table

FITS = [(name, kind) for name, kinds in REFERENCE["fits"].items() for kind in kinds]


@functools.cache
def fitted(name: str, kind: str) -> LinearMixedFit:
    problem = PROBLEMS[name]
    assert problem.name == name
    return lmm(problem.formula, problem.data, kind == "REML")


# --- lme4 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, kind", FITS)
def test_fit_agrees_with_lme4(name, kind):
    reference, fit = REFERENCE["fits"][name][kind], fitted(name, kind)
    lines = comparison(fit, reference)
    judged = [line for line in lines if line.tolerance is not None]
    assert len(judged) > 2 * len(reference["fixed_effects"]) + len(reference["variances"])
    assert all(line.agrees for line in judged), table(lines)
    # lme4's Hessian is from finite differences.
    np.testing.assert_allclose(fit.theta_hessian, reference["hessian"], rtol=2e-3, atol=0.5)
    modes = fit.conditional_modes
    for group, theirs in reference["conditional"].items():
        for effect, their_sd in theirs["sd"].items():
            ours = modes[(modes["grp"] == group) & (modes["effect"] == effect)]
            ours = ours.set_index(ours["level"].astype(str)).loc[theirs["levels"]]
            error = (ours["mode"] - theirs["mode"][effect]) / their_sd
            assert np.abs(error).max() < 1e-4
            np.testing.assert_allclose(ours["sd"], their_sd, rtol=1e-4)


@pytest.mark.parametrize("name", ["insteval", "insteval-dept", "insteval-dept-service"])
def test_criterion_away_from_the_optimum(name):
    ((kind, reference),) = REFERENCE["fits"][name].items()
    assert len(reference["criterion_at"]) == 3
    for point in reference["criterion_at"]:
        value = evaluate(fitted(name, kind).model, jnp.array(point["theta"]), kind == "REML")
        np.testing.assert_allclose(value, point["value"], rtol=1e-12)


def test_gradient_on_insteval_against_differences():
    model = fitted("insteval", "REML").model
    theta = np.array(REFERENCE["fits"]["insteval"]["REML"]["criterion_at"][1]["theta"])
    value, gradient = evaluate_with_gradient(model, jnp.asarray(theta), True)
    assert value == pytest.approx(float(evaluate(model, jnp.asarray(theta), True)), rel=1e-14)
    for k, h in enumerate(1e-4 * np.eye(len(theta))):
        above, below = (float(evaluate(model, jnp.asarray(theta + s * h), True)) for s in (1, -1))
        assert gradient[k] == pytest.approx((above - below) / 2e-4, rel=1e-5)


# --- glmmTMB ---------------------------------------------------------------------------------------


def test_standard_errors_agree_with_glmmtmb():
    """All parameters at once: beta, log residual variance, log sds, correlation parameter."""
    model = fitted("sleepstudy", "ML").model
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
