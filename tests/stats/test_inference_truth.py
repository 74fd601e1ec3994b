"""Integrated nested Laplace approximations beside R-INLA's results on real data (shared/data/truth)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats

import elimax as ex
from elimax import stats
from elimax.stats import precision
from elimax.stats.inference.conditional import AT_POINT
from elimax.stats.inference.evaluate import evaluate

from .references import indicators, read, truth_of

GLMM, AREAL = "inla_glmm_disease_smoothing", "inla_areal_smoothing"


def loggamma(log_precision, a, b):
    return (
        a * np.log(b)
        - jax.scipy.special.gammaln(a)
        + a * log_precision
        - b * jnp.exp(log_precision)
    )


def fixed_effects(count):
    """R-INLA's defaults: precision 1e-6 of the intercept (in these runs), 1e-3 of the others."""
    return ex.SymmetricMatrix.diags(jnp.asarray(np.r_[1e-6, np.full(count - 1, 1e-3)]))


def iid(n, log_precision):
    return ex.SymmetricMatrix.diags(jnp.full(n, jnp.exp(log_precision)))


def design(X, *parts):
    return ex.SparseMatrix.from_scipy(sp.csc_array(sp.hstack([sp.csr_array(X), *parts])))


def seeds(shared):
    d = read(shared, "csv", "seeds.csv")
    X = np.c_[np.ones(21), d.x1, d.x2]
    return stats.LatentGaussianModel(
        lambda t: stats.independent(fixed_effects(3), iid(21, t[0])),
        design(X, sp.eye_array(21)),
        stats.Binomial(jnp.asarray(d.n.to_numpy(float))),
        d.r.to_numpy(float),
        prior=lambda t: loggamma(t[0], 0.5, 0.0164),
    )


def salamander(shared):
    d = read(shared, "csv", "salamander_mating.csv")
    d = d[d.experiment == 1]
    X = np.c_[np.ones(len(d)), d[["fW", "mW", "WW"]].to_numpy(float)]
    Z = [indicators(d.female), indicators(d.male)]
    return stats.LatentGaussianModel(
        lambda t: stats.independent(
            fixed_effects(4), *(iid(z.shape[1], s) for z, s in zip(Z, t, strict=True))
        ),
        design(X, *Z),
        stats.Binomial(1.0),
        d.y.to_numpy(float),
        prior=lambda t: jnp.sum(loggamma(t, 1.0, 0.622)),
    )


def neighbors(shared, name, n):
    """The graph of a map, with ones."""
    e = read(shared, "csv", f"{name}_edges.csv")
    W = sp.csr_array(sp.coo_array((np.ones(len(e)), (e.i - 1, e.j - 1)), (n, n)))
    return W + W.T


def penalized(W):
    """Of log tau, P(sd > 1) = 0.01, and of the logit of phi, P(phi < 1/2) = 2/3."""
    of_phi = precision.pc_bym2(W, 0.5, 2 / 3)

    def prior(t):
        jacobian = jax.nn.log_sigmoid(t[1]) + jax.nn.log_sigmoid(-t[1])
        of_tau = precision.pc_precision(t[0], 1.0, 0.01)
        return of_tau + of_phi(jax.nn.sigmoid(t[1])) + jacobian

    return prior


def germany(shared, kind):
    """Larynx cancer by a graph, a walk of a covariate and independent effects, or by BYM2; oral cancer."""
    W, eye = neighbors(shared, "germany", 544), sp.eye_array(544)
    d = read(shared, "csv", "germany_oral.csv" if kind == "oral" else "germany_larynx.csv")
    likelihood, y = stats.Poisson(jnp.asarray(d.E.to_numpy(float))), d.Y.to_numpy(float)
    one = np.ones((544, 1))
    if kind == "bym2":
        mixed = precision.bym2(W)
        return stats.LatentGaussianModel(
            lambda t: stats.independent(
                fixed_effects(1), mixed.field(jax.nn.sigmoid(t[1]), jnp.exp(t[0]))
            ),
            design(one, eye, sp.csr_array((544, 544))),
            likelihood,
            y,
            prior=penalized(W),
        )
    if kind == "oral":
        besag = precision.besag(W, scale=True)
        return stats.LatentGaussianModel(
            lambda t: stats.independent(fixed_effects(1), besag.field(jnp.exp(t[0]))),
            design(one, eye),
            likelihood,
            y,
            prior=lambda t: precision.pc_precision(t[0], 1.0, 0.01),
        )
    besag = precision.besag(W)
    walk = precision.rw2(np.unique(d.x).astype(float))
    return stats.LatentGaussianModel(
        lambda t: stats.independent(
            fixed_effects(1),
            besag.field(jnp.exp(t[0])),
            walk.field(jnp.exp(t[1]), constrained="level"),
            iid(544, t[2]),
        ),
        design(one, eye, indicators(d.x), eye),
        likelihood,
        y,
        prior=lambda t: sum(loggamma(t[i], 1.0, b) for i, b in enumerate((1e-3, 5e-5, 1e-3))),
    )


def scotland(shared, kind):
    d = read(shared, "csv", "scotland_lip.csv")
    W, eye = neighbors(shared, "scotland", 56), sp.eye_array(56)
    likelihood, y = stats.Poisson(jnp.asarray(d.E.to_numpy(float))), d.Counts.to_numpy(float)
    if kind == "iid":
        return stats.LatentGaussianModel(
            lambda t: stats.independent(fixed_effects(1), iid(56, t[0])),
            design(np.ones((56, 1)), eye),
            likelihood,
            y,
            prior=lambda t: loggamma(t[0], 1.0, 0.0014),
        )
    if kind == "bym":
        besag = precision.besag(W)
        return stats.LatentGaussianModel(
            lambda t: stats.independent(
                fixed_effects(1), iid(56, t[0]), besag.field(jnp.exp(t[1]))
            ),
            design(np.ones((56, 1)), eye, eye),
            likelihood,
            y,
            prior=lambda t: loggamma(t[0], 1.0, 0.0014) + loggamma(t[1], 1.0, 0.339),
        )
    if kind == "bym2":
        mixed, prior = precision.bym2(W), penalized(W)
        return stats.LatentGaussianModel(
            lambda t: stats.independent(
                fixed_effects(2), mixed.field(jax.nn.sigmoid(t[1]), jnp.exp(t[0]))
            ),
            design(np.c_[np.ones(56), d.X / 10], eye, sp.csr_array((56, 56))),
            likelihood,
            y,
            prior=prior,
        )
    raise AssertionError(kind)


def tokyo(shared):
    d = read(shared, "csv", "tokyo.csv")
    walk = precision.rw2(366, cyclic=True)
    return stats.LatentGaussianModel(
        lambda t: walk.field(jnp.exp(t[0]), constrained=False),
        None,
        stats.Binomial(jnp.asarray(d.n.to_numpy(float))),
        d.y.to_numpy(float),
        prior=lambda t: loggamma(t[0], 1.0, 1e-4),
    )


CASES = {
    "seeds_main": (GLMM, seeds),
    "salamander_exp1": (GLMM, salamander),
    "scotland_m1_iid": (GLMM, lambda shared: scotland(shared, "iid")),
    "scotland_m3_bym": (GLMM, lambda shared: scotland(shared, "bym")),
    "scotland_bym2_pc": (GLMM, lambda shared: scotland(shared, "bym2")),
    "tokyo_rw2_cyclic": (AREAL, tokyo),
    "germany_besag_iid_rw2x": (AREAL, lambda shared: germany(shared, "walk")),
    "germany_bym2_pc": (AREAL, lambda shared: germany(shared, "bym2")),
    "oral_besag_pc": (AREAL, lambda shared: germany(shared, "oral")),
}
# Of log posteriors: some priors are tables of R-INLA's, interpolated, others known to three digits.
LOOSE = {
    "scotland_bym2_pc": 2e-2,
    "germany_bym2_pc": 2e-2,
    "scotland_m3_bym": 5e-3,
    "germany_besag_iid_rw2x": 5e-3,
    "oral_besag_pc": 1e-3,
}


def moments(truth):
    """Means and sds of all elements of the field, and how many of them are fixed effects."""
    fixed = truth["fixed"] or {"mean": [], "sd": []}
    blocks = [fixed, *truth["random"].values()]
    mean, sd = (np.concatenate([np.atleast_1d(b[k]) for b in blocks]) for k in ("mean", "sd"))
    return mean, sd, np.atleast_1d(fixed["mean"]).size


QUICK = ("seeds_main", "tokyo_rw2_cyclic")


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_conditional_densities_at_the_points_of_inla(shared, name):
    """At R-INLA's integration points, with its weights: log posteriors, and the marginals of the field.

    Its prior of the share of BYM2 is a table, interpolated; that of BYM's structured part is known to 1e-3.
    Of fields of more than 30 elements it corrects the fixed effects only.
    """
    file, build = CASES[name]
    truth = truth_of(shared, file, name)
    model = build(shared)
    for variant, correction in (
        ("default_compact_vb", "vb"),
        ("compact_gaussian_novb", "gaussian"),
    ):
        if variant not in truth:
            continue
        expected = truth[variant]
        *theta, log_posterior, weights = (np.asarray(v) for v in expected["joint_hyper"].values())
        points, weights = np.stack(theta, 1), weights / weights.sum()
        target = stats.log_posterior(model, points[np.argmax(log_posterior)])
        found = evaluate(AT_POINT[correction], target, points)
        assert not found.status.any()
        # R-INLA leaves out constants (1/2 log|R|_+, and terms of constraints).
        difference = found.log_posterior - log_posterior
        np.testing.assert_allclose(difference, difference[0], atol=LOOSE.get(name, 1e-4))
        marginals = stats.Marginals(weights, found.mean, found.sd)
        mean, sd, fixed = moments(expected)
        n = fixed or mean.size
        np.testing.assert_allclose((marginals.mean[:n] - mean[:n]) / sd[:n], 0, atol=1e-2)
        np.testing.assert_allclose(marginals.sd[:n] / sd[:n], 1, atol=1e-2)


@pytest.mark.slow
def test_fixed_effect_of_salamanders_is_corrected(shared):
    """The mean of the intercept: Gaussian 1.247, variational 1.472, Laplace's approximation of it 1.500."""
    model = salamander(shared)
    truth = truth_of(shared, GLMM, "salamander_exp1")
    for correction, expected in (("gaussian", 1.247), ("vb", 1.472), ("simplified", 1.500)):
        fit = stats.inla(model, jnp.zeros(2), correction=correction)
        assert abs(fit.field.mean[0] - expected) < 4e-3
    reference = truth["classic_laplace_grid"]
    sd = np.array(reference["fixed"]["sd"])
    np.testing.assert_allclose((fit.field.mean[:4] - reference["fixed"]["mean"]) / sd, 0, atol=1e-2)
    np.testing.assert_allclose(fit.field.sd[:4] / sd, 1, atol=2e-2)
    for marginal, mean in zip(fit.theta.values(), reference["hyper"]["mean"], strict=True):
        np.testing.assert_allclose(marginal.transform(jnp.exp).mean, mean, rtol=1e-2)


def test_seeds(shared):
    """Beside its Laplace approximation on a grid: of the hyperparameter, of every effect, and criticism."""
    truth = truth_of(shared, GLMM, "seeds_main")["classic_laplace_grid"]
    fit = stats.inla(seeds(shared), jnp.ones(1), correction="simplified")
    mean, sd, _ = moments(truth)
    np.testing.assert_allclose((fit.field.mean - mean) / sd, 0, atol=1e-2)
    np.testing.assert_allclose(fit.field.sd / sd, 1, atol=1e-2)
    found = fit.criticism()
    np.testing.assert_allclose(found.dic, truth["DIC"]["dic"], rtol=1e-2)
    np.testing.assert_allclose(found.waic, truth["WAIC"]["waic"], rtol=1e-2)
    np.testing.assert_allclose(found.log_score, truth["CPO_sum_log"], rtol=1e-2)
    tau = fit.theta["theta[0]"].transform(jnp.exp)
    np.testing.assert_allclose(tau.quantile(0.5), truth["hyper"]["0.5quant"], rtol=1e-2)
    np.testing.assert_allclose(fit.log_marginal_likelihood, -76.0, atol=0.5)


@pytest.mark.slow
def test_criticism_of_scotland(shared):
    """DIC and WAIC beside R-INLA's Laplace approximation, and beside its variational one."""
    truth = truth_of(shared, GLMM, "scotland_m1_iid")
    fit = stats.inla(scotland(shared, "iid"), jnp.zeros(1), correction="simplified")
    mean, sd, _ = moments(truth["classic_laplace_grid"])
    np.testing.assert_allclose((fit.field.mean - mean) / sd, 0, atol=1e-2)
    np.testing.assert_allclose(fit.field.sd / sd, 1, atol=2e-2)
    found, expected = fit.criticism(), truth["classic_laplace_grid"]
    np.testing.assert_allclose(found.dic, expected["DIC"]["dic"], rtol=1e-2)
    np.testing.assert_allclose(found.waic, expected["WAIC"]["waic"], rtol=1e-2)
    truth = truth_of(shared, GLMM, "scotland_m3_bym")["default_compact_vb"]
    found = stats.inla(scotland(shared, "bym"), jnp.array([6.6, 0.6])).criticism()
    np.testing.assert_allclose(found.dic, truth["DIC"]["dic"], rtol=1e-3)
    np.testing.assert_allclose(found.waic, truth["WAIC"]["waic"], rtol=1e-3)
    np.testing.assert_allclose(found.p_dic, truth["DIC"]["p_eff"], rtol=1e-2)
    np.testing.assert_allclose(found.p_waic, truth["WAIC"]["p_eff"], rtol=1e-2)


@pytest.mark.slow
def test_left_out_districts_of_scotland_are_those_of_refits(shared):
    """Of each of seven districts, a fit without it; R-INLA's own variants disagree by factors of e."""
    model = scotland(shared, "iid")
    fit = stats.inla(model, jnp.zeros(1))
    found, y = fit.criticism(), np.asarray(model.observations)
    expected = np.asarray(model.likelihood.exposure)
    z = np.linspace(-9, 9, 2001)
    normal = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    for i in range(0, 56, 8):
        without = jnp.asarray(np.where(np.arange(56) == i, np.nan, y))
        refit = stats.inla(eqx.tree_at(lambda m: m.observations, model, without), fit.shape.mode)
        at = refit.conditional
        eta = at.predictor[:, i, None] + at.predictor_sd[:, i, None] * z
        poisson = scipy.stats.poisson(expected[i] * np.exp(eta))
        cpo, pit = (refit.weights @ (f(y[i]) @ normal) for f in (poisson.pmf, poisson.cdf))
        np.testing.assert_allclose(found.cpo[i], cpo, rtol=1e-2)
        np.testing.assert_allclose(found.pit[i], pit, atol=1e-3)
