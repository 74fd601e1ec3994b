"""The numbers of the worked examples: beside RTMB, lme4, and a Markov chain over a dense model.

`test_docs` runs the same pages, as scripts; here their variables are looked at.
"""

import contextlib
import json
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import scipy.sparse as sp

from .references import truth_of

ROOT = pathlib.Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def variables(page, folder):
    """What the blocks of a page define, run in a folder of their own."""
    text = (ROOT / "docs" / "examples" / page).read_text()
    (folder / "examples").symlink_to(ROOT / "examples")
    names = {}
    with contextlib.chdir(folder):
        for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            exec(compile(block, page, "exec"), names)
    pictures = re.findall(r"\]\((\w+\.png)\)", text)
    assert pictures
    for picture in pictures:
        assert (folder / picture).stat().st_size > 10_000
        committed = ROOT / "docs" / "examples" / picture
        assert 10_000 < committed.stat().st_size < 150_000
    return names


@pytest.fixture(scope="module")
def zinc(tmp_path_factory):
    return variables("spatial_map.md", tmp_path_factory.mktemp("zinc"))


def test_map_of_zinc_beside_rtmb(zinc, shared):
    truth = truth_of(shared, "rtmb_spde", "meuse_REML")
    fit = zinc["certified"]
    assert fit.status == "converged"
    np.testing.assert_allclose(fit.log_marginal, -truth["nll_laplace"], rtol=1e-9)
    range_, sigma = jnp.exp(fit.theta["log_range"]), jnp.exp(fit.theta["log_sigma"])
    kappa = np.sqrt(8) / range_
    found = [
        np.log(kappa),
        -np.log(np.sqrt(4 * np.pi) * kappa * sigma),
        -2 * fit.theta["log_noise"],
    ]
    np.testing.assert_allclose(found, list(truth["par"].values()), rtol=1e-5)
    random = truth["random"]
    np.testing.assert_allclose(fit.approximation.mode, random["mode"], atol=1e-5)
    conditional = np.sqrt(fit.approximation.variance())
    np.testing.assert_allclose(conditional, random["cond_sd_given_par"], rtol=1e-5)
    total = np.sqrt(fit.variances()[0])
    np.testing.assert_allclose(total, random["sd_incl_fixed_uncertainty"], rtol=1e-4)


def test_map_of_zinc(zinc):
    """The parameters barely depend on the mesh; predictions are those of SuperLU and the joint precision."""
    fit = zinc["fit"]
    assert fit.status == "converged"
    for name in zinc["start"]:
        distance = fit.theta[name] - zinc["certified"].theta[name]
        assert abs(distance) < 0.5 * fit.standard_errors[name]
    some = np.arange(0, len(zinc["cells"]), 160)
    rows = zinc["new"][some].toarray()
    joint = fit.joint()
    solved = sp.linalg.splu(sp.csc_array(joint.precision.to_scipy())).solve(rows.T)
    np.testing.assert_allclose(zinc["sd"][some] ** 2, np.sum(rows.T * solved, 0), rtol=1e-6)
    np.testing.assert_allclose(np.log(zinc["median"][some]), rows @ joint.mean, rtol=1e-10)


def test_lecturers_beside_lme4(tmp_path):
    page = variables("crossed_mixed_model.md", tmp_path)
    reference = json.loads((ROOT / "examples" / "data" / "reference.json").read_text())["fits"]
    for fit, expected in (
        (page["crossed"], reference["insteval"]["REML"]),
        (page["dept"], reference["insteval-dept"]["ML"]),
        (page["split"], reference["insteval-dept-service"]["REML"]),
    ):
        assert fit.converged and not fit.is_singular
        np.testing.assert_allclose(fit.criterion, expected["criterion"], rtol=1e-9)
        np.testing.assert_allclose(fit.theta, expected["theta"], rtol=1e-4)
        beta, errors = (expected[k].values() for k in ("fixed_effects", "fixed_effects_se"))
        np.testing.assert_allclose(fit.coefficients["estimate"], list(beta), rtol=1e-4)
        np.testing.assert_allclose(fit.coefficients["std_error"], list(errors), rtol=1e-4)
        variances = [row["value"] for row in expected["variances"]]
        np.testing.assert_allclose(fit.variance_components["vcov"], variances, rtol=1e-4)
        modes = fit.conditional_modes.astype({"level": str}).set_index(["grp", "level"])
        for group, levels in expected["conditional"].items():
            own = modes.loc[[(group, level) for level in levels["levels"]]]
            np.testing.assert_allclose(own["mode"], levels["mode"]["(Intercept)"], atol=1e-4)
            np.testing.assert_allclose(own["sd"], levels["sd"]["(Intercept)"], rtol=1e-4)
    assert page["both"].is_singular and page["both"].converged
    table = page["table"]
    np.testing.assert_allclose(table["deviance"].iloc[2], 237721.768774495, rtol=1e-9)
    assert (table["p_value"].iloc[1:] < 0.01).all()


def dense_chain(page):
    """Draws of log risks and hyperparameters by NUTS: dense matrices, the prior of phi by eigenvalues."""
    W = page["neighbors"].toarray()
    n = len(W)
    values, vectors = np.linalg.eigh(np.diag(W.sum(0)) - W)
    inverse = (vectors[:, 1:] / values[1:]) @ vectors[:, 1:].T
    scale = np.exp(np.mean(np.log(np.diagonal(inverse))))
    spread = np.r_[
        0.0, 1 / (scale * values[1:])
    ]  # variances of the scaled structure, per direction

    def distance(phi):
        kld = phi * (spread.sum() - n) - jnp.sum(jnp.log1p(phi * (spread - 1)))
        return jnp.sqrt(kld)

    rate = np.log(3.0) / distance(0.5)

    def model():
        log_tau = numpyro.sample("log_tau", dist.ImproperUniform(dist.constraints.real, (), ()))
        logit_phi = numpyro.sample("logit_phi", dist.Logistic())
        phi = jax.nn.sigmoid(logit_phi)
        sd, tail = jnp.exp(-log_tau / 2), -np.log(0.01)
        numpyro.factor("tau", -log_tau / 2 - tail * sd)
        numpyro.factor("phi", -rate * distance(phi) + jnp.log(jax.grad(distance)(phi)))
        mu = numpyro.sample("mu", dist.Normal(0, np.sqrt(1000)))
        z = numpyro.sample("z", dist.Normal(jnp.zeros(n), 1))
        # (1 - phi) I + phi R^-, in the directions of its eigenvectors
        b = sd * (vectors @ (jnp.sqrt(1 - phi + phi * spread) * z))
        eta = numpyro.deterministic("eta", mu + b)
        numpyro.sample("y", dist.Poisson(page["expected"] * jnp.exp(eta)), obs=page["deaths"])

    kernel = numpyro.infer.NUTS(model)
    chain = numpyro.infer.MCMC(kernel, num_warmup=800, num_samples=6000, progress_bar=False)
    chain.run(jax.random.key(0))
    return chain.get_samples()


def test_disease_mapping_beside_a_markov_chain(tmp_path):
    page = variables("disease_mapping.md", tmp_path)
    assert page["deaths"].sum() == 667
    draws = {name: np.asarray(value) for name, value in dense_chain(page).items()}
    eta, found = draws["eta"], page["log_risk"]
    sd = eta.std(0)
    np.testing.assert_allclose((found.mean - eta.mean(0)) / sd, 0, atol=0.12)
    np.testing.assert_allclose(found.sd / sd, 1, atol=0.1)
    np.testing.assert_allclose(page["risk"], np.exp(eta).mean(0), rtol=0.04)
    np.testing.assert_allclose(page["raised"], (eta > 0).mean(0), atol=0.05)
    # The prior of phi has a tail at 1 that hardly ends in its logit: the grid does, and says nothing beyond.
    end = page["posterior"].theta["logit_phi"].x[-1]
    inside = draws["logit_phi"] < end
    assert 6 < end and 0.8 < inside.mean() < 1
    for name in ("log_tau", "logit_phi"):
        marginal, chain = page["posterior"].theta[name], draws[name][inside]
        for p in (0.1, 0.5, 0.9):
            assert abs(np.mean(chain <= marginal.quantile(p)) - p) < 0.04
