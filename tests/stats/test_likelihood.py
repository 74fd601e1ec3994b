"""Likelihoods against scipy.stats; their tails, derivatives, missing values and draws."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st
from scipy.special import expit, gammaln, logsumexp

from elimax.stats.likelihood import (
    Beta,
    BetaBinomial,
    Binomial,
    Exponential,
    FromLogDensity,
    Gamma,
    Gaussian,
    Hurdle,
    LogNormal,
    NegativeBinomial1,
    NegativeBinomial2,
    Ordinal,
    Poisson,
    StudentT,
    Truncated,
    Tweedie,
    Weibull,
    Weighted,
    ZeroInflated,
)


@eqx.filter_jit
def call(method, *arguments, **parameters):
    """As one program: a function of many small steps compiles each of them otherwise."""
    return method(*arguments, **parameters)


ETA = np.linspace(-2.5, 2.5, 9)
COUNTS = np.array([0, 1, 0, 2, 3, 1, 0, 7, 11.0])
POSITIVE = np.array([0.05, 0.2, 1.0, 0.7, 3.0, 2.0, 0.4, 6.0, 20.0])
UNIT = POSITIVE / 21


def mu(eta):
    return np.exp(eta)


def beta_of(eta, phi):
    return st.beta(phi * expit(eta), phi * expit(-eta))


# likelihood, parameters, observations, the distribution by SciPy as a function of eta
TABLE = {
    "gaussian": (Gaussian(), {"sd": 0.7}, POSITIVE, lambda e: st.norm(e, 0.7)),
    "lognormal": (LogNormal(), {"sd": 0.7}, POSITIVE, lambda e: st.lognorm(0.7, scale=mu(e))),
    "student": (StudentT(), {"scale": 0.7, "df": 4.5}, POSITIVE, lambda e: st.t(4.5, e, 0.7)),
    "gamma": (Gamma(), {"shape": 2.5}, POSITIVE, lambda e: st.gamma(2.5, scale=mu(e) / 2.5)),
    "gamma_large": (Gamma(), {"shape": 60.0}, POSITIVE, lambda e: st.gamma(60, scale=mu(e) / 60)),
    "beta": (Beta(), {"precision": 3.0}, UNIT, lambda e: beta_of(e, 3.0)),
    "weibull": (
        Weibull(),
        {"shape": 1.7},
        POSITIVE,
        lambda e: st.weibull_min(1.7, scale=mu(-e / 1.7)),
    ),
    "exponential": (Exponential(), {}, POSITIVE, lambda e: st.expon(scale=mu(-e))),
    "poisson": (Poisson(2.0), {}, COUNTS, lambda e: st.poisson(2 * mu(e))),
    "logit": (Binomial(12.0), {}, COUNTS, lambda e: st.binom(12, expit(e))),
    "probit": (Binomial(12.0, "probit"), {}, COUNTS, lambda e: st.binom(12, st.norm.cdf(e))),
    "cloglog": (
        Binomial(12.0, "cloglog"),
        {},
        COUNTS,
        lambda e: st.binom(12, -np.expm1(-mu(e))),
    ),
    "nbinom2": (
        NegativeBinomial2(),
        {"dispersion": 1.7},
        COUNTS,
        lambda e: st.nbinom(1.7, 1.7 / (1.7 + mu(e))),
    ),
    "nbinom1": (
        NegativeBinomial1(),
        {"dispersion": 1.7},
        COUNTS,
        lambda e: st.nbinom(mu(e) / 1.7, 1 / 2.7),
    ),
}
DISCRETE = ("poisson", "logit", "probit", "cloglog", "nbinom1", "nbinom2")


@pytest.fixture(params=TABLE)
def row(request):
    return request.param, *TABLE[request.param]


def test_density_mean_variance_and_distribution_function(row):
    name, likelihood, parameters, y, reference = row
    frozen = reference(ETA)
    density = frozen.logpmf(y) if name in DISCRETE else frozen.logpdf(y)
    tolerance = 1e-7 if name == "cloglog" else 1e-11  # SciPy's own 1 - p
    np.testing.assert_allclose(
        call(likelihood.log_prob, ETA, y, **parameters), density, tolerance, 1e-11
    )
    np.testing.assert_allclose(call(likelihood.mean, ETA, **parameters), frozen.mean(), 1e-10)
    np.testing.assert_allclose(call(likelihood.variance, ETA, **parameters), frozen.var(), 1e-9)
    np.testing.assert_allclose(
        call(likelihood.cdf, y, ETA, **parameters), frozen.cdf(y), 1e-7, 1e-9
    )


def test_parameters_may_be_one_number_per_observation(row):
    _, likelihood, parameters, y, _ = row
    many = {name: jnp.full(y.shape, value) for name, value in parameters.items()}
    np.testing.assert_allclose(
        call(likelihood.log_prob, ETA, y, **many),
        call(likelihood.log_prob, ETA, y, **parameters),
        1e-13,
    )


def test_missing_observations_contribute_nothing(row):
    _, likelihood, parameters, y, _ = row
    gone = np.where(np.arange(y.size) % 2, y, np.nan)

    def total(eta, parameters, y):
        return jnp.sum(call(likelihood.log_prob, eta, y, **parameters))

    gradient = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))
    value, slopes = gradient(jnp.asarray(ETA), parameters, gone)
    kept = gradient(jnp.asarray(ETA[1::2]), parameters, y[1::2])
    np.testing.assert_allclose(value, kept[0], 1e-13)
    assert not np.asarray(slopes[0])[::2].any()
    np.testing.assert_allclose(slopes[0][1::2], kept[1][0], 1e-13)
    for name in parameters:
        np.testing.assert_allclose(slopes[1][name], kept[1][1][name], 1e-12)


def test_draws_have_the_moments(row, getkey):
    _, likelihood, parameters, _, _ = row
    eta = jnp.full(40_000, 0.3)
    draws = np.asarray(call(likelihood.sample, getkey(), eta, **parameters))
    mean, variance = (
        call(f, 0.3 * jnp.ones(1), **parameters)[0] for f in (likelihood.mean, likelihood.variance)
    )
    assert abs(draws.mean() - mean) < 5 * np.sqrt(variance / draws.size)
    if not isinstance(likelihood, LogNormal | StudentT):  # of which the fourth moment is large
        np.testing.assert_allclose(draws.var(), variance, 0.08)


def test_derivatives_in_eta_and_parameters(row):
    """Against central differences, one order at a time."""
    _, likelihood, parameters, y, _ = row
    parameters = {name: jnp.asarray(value) for name, value in parameters.items()}

    def f(eta, shift):
        moved = {name: value * jnp.exp(shift) for name, value in parameters.items()}
        return call(likelihood.log_prob, eta, y, **moved)

    def by_eta(g):
        return lambda e, s: jax.jvp(lambda e: g(e, s), (e,), (jnp.ones_like(e),))[1]

    def by_shift(g):
        return lambda e, s: jax.jvp(lambda s: g(e, s), (s,), (jnp.ones_like(s),))[1]

    h, eta = 1e-5, jnp.asarray(ETA)
    orders = (f, by_eta(f), by_eta(by_eta(f)))

    @jax.jit
    def derivatives(eta, shift):
        exact = [(g(eta, shift), by_eta(g)(eta, shift), by_shift(g)(eta, shift)) for g in orders]
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, eta.shape), exact)

    here = derivatives(eta, 0.0)
    up, down = derivatives(eta + h, 0.0), derivatives(eta - h, 0.0)
    more, less = derivatives(eta, h), derivatives(eta, -h)
    for k in range(3):
        expected = (up[k][0] - down[k][0]) / (2 * h)
        np.testing.assert_allclose(here[k][1], expected, 1e-6, 1e-6)
        expected = (more[k][0] - less[k][0]) / (2 * h)
        np.testing.assert_allclose(here[k][2], expected, 1e-6, 1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tails_are_finite_with_their_derivatives(row, dtype):
    name, likelihood, parameters, y, _ = row
    far = 40.0 if dtype == np.float32 else 300.0
    if name == "probit":
        far = 30.0
    eta = jnp.asarray([-far, -20.0, -1.0, 0.0, 1.0, 20.0, far], dtype)
    y = jnp.asarray(y[:7], dtype)
    one = jnp.ones_like(eta)
    parameters = {key: jnp.asarray(value, dtype) for key, value in parameters.items()}

    def f(e):
        return call(likelihood.log_prob, e, y, **parameters)

    def first(e):
        return jax.jvp(f, (e,), (one,))[1]

    value, slope, curvature = jax.jit(lambda e: (f(e), first(e), jax.jvp(first, (e,), (one,))[1]))(
        eta
    )
    assert value.dtype == slope.dtype == curvature.dtype == dtype
    for part in (value, slope, curvature):
        assert not jnp.isnan(part).any()
    log_concave = name not in ("student",)
    assert not log_concave or bool((curvature <= 1e-6).all())


def test_the_tails_are_right():
    # log(1 - exp(-exp(eta))) ~ eta; log Phi(x) ~ -x^2/2 - log(-x) - log(2 pi)/2; both far beyond underflow
    one = np.array([1.0])
    assert float(call(Binomial(1.0, "cloglog").log_prob, np.array([-800.0]), one)[0]) == -800.0
    x = np.array([-40.0])
    np.testing.assert_allclose(
        call(Binomial(1.0, "probit").log_prob, x, one), st.norm.logcdf(x), 1e-13
    )
    np.testing.assert_allclose(call(Binomial(1.0).log_prob, np.array([-800.0]), one), -800.0, 1e-15)
    # a Poisson distribution, where a difference of log-gammas would have lost all digits
    huge = call(NegativeBinomial2().log_prob, ETA, COUNTS, dispersion=1e14)
    np.testing.assert_allclose(huge, st.poisson(mu(ETA)).logpmf(COUNTS), 1e-12)


def test_censoring():
    y, event = POSITIVE, np.array([0, 1, 2, 3, 0, 1, 2, 3, 1])
    upper = np.where(event == 3, 1.5 * y, 0.0)
    shape = 1.7
    d = st.weibull_min(shape, scale=mu(-ETA / shape))
    inside = np.where(event == 3, d.sf(upper), -1.0)
    expected = np.select(
        [event == 0, event == 1, event == 2, event == 3],
        [d.logsf(y), d.logpdf(y), d.logcdf(y), np.log(d.sf(y) - inside)],
    )
    weibull = Weibull(event=event, upper=upper)
    np.testing.assert_allclose(call(weibull.log_prob, ETA, y, shape=shape), expected, 1e-8)
    exponential = Exponential(event=event, upper=upper)
    np.testing.assert_allclose(
        call(exponential.log_prob, ETA, y), call(weibull.log_prob, ETA, y, shape=1.0), 1e-14
    )
    slopes = jax.jit(jax.jacfwd(lambda e: weibull.log_prob(e, y, shape=shape)))(jnp.asarray(ETA))
    assert np.isfinite(slopes).all()


def test_beta_binomial(getkey):
    likelihood = BetaBinomial(12.0)
    d = st.betabinom(12, 3 * expit(ETA), 3 * expit(-ETA))
    np.testing.assert_allclose(
        call(likelihood.log_prob, ETA, COUNTS, precision=3.0), d.logpmf(COUNTS), 1e-12
    )
    np.testing.assert_allclose(call(likelihood.mean, ETA, precision=3.0), d.mean(), 1e-12)
    np.testing.assert_allclose(call(likelihood.variance, ETA, precision=3.0), d.var(), 1e-12)
    draws = call(likelihood.sample, getkey(), jnp.full(40_000, 0.3), precision=3.0)
    np.testing.assert_allclose(draws.mean(), 12 * expit(0.3), 0.02)


@pytest.mark.parametrize(
    "counts, parameters",
    [
        (Poisson(1.3), {}),
        pytest.param(NegativeBinomial1(), {"dispersion": 0.8}, marks=pytest.mark.slow),
        pytest.param(NegativeBinomial2(), {"dispersion": 0.8}, marks=pytest.mark.slow),
    ],
)
def test_zeros_of_their_own(counts, parameters, getkey):
    """The probabilities of all counts sum to one, and have the moments that are told and drawn."""
    eta = 0.4
    ks = np.arange(400.0)
    with_zeros = {"zero_logit": -0.6, **parameters}
    for likelihood, named in [
        (Truncated(counts), parameters),
        (Hurdle(counts), with_zeros),
        (ZeroInflated(counts), with_zeros),
    ]:
        k = ks[1:] if isinstance(likelihood, Truncated) else ks
        p = np.exp(call(likelihood.log_prob, jnp.full(k.shape, eta), k, **named))
        np.testing.assert_allclose(p.sum(), 1.0, 1e-12)
        mean, variance = (
            float(call(f, eta, **named)) for f in (likelihood.mean, likelihood.variance)
        )
        np.testing.assert_allclose(p @ k, mean, 1e-10)
        np.testing.assert_allclose(p @ k**2 - (p @ k) ** 2, variance, 1e-9)
        np.testing.assert_allclose(
            call(likelihood.cdf, k[:9], eta, **named), np.cumsum(p)[:9], 1e-10
        )
        draws = np.asarray(call(likelihood.sample, getkey(), jnp.full(40_000, eta), **named))
        assert abs(draws.mean() - mean) < 5 * np.sqrt(variance / draws.size)
        np.testing.assert_allclose((draws == 1).mean(), p[k == 1][0], 0.1)
    base = np.exp(call(counts.log_prob, jnp.full(ks.shape, eta), ks, **parameters))
    inflated = np.exp(
        call(ZeroInflated(counts).log_prob, jnp.full(ks.shape, eta), ks, **with_zeros)
    )
    zero = expit(-0.6)
    np.testing.assert_allclose(inflated, zero * (ks == 0) + (1 - zero) * base, 1e-11)


@pytest.mark.parametrize("power", [1.01, 1.05, 1.2, 1.5, 1.8, 1.95, 1.99])
@pytest.mark.parametrize("dispersion", [5.0, 0.5, 1e-2, 1e-4])
def test_tweedie_series(power, dispersion):
    """Against the sum over every number of events that matters, with derivatives in both parameters."""
    y = np.append(POSITIVE, 0.0)
    eta = np.append(ETA, 0.3)

    def brute(eta, y, phi, p):
        rate = np.exp((2 - p) * eta) / (phi * (2 - p))
        if y == 0:
            return -rate
        shape, scale = (2 - p) / (p - 1), phi * (p - 1) * np.exp((p - 1) * eta)
        top = y ** (2 - p) / (phi * (2 - p))
        j = np.arange(
            max(1, int(top - 40 * np.sqrt(top) - 60)), int(top + 40 * np.sqrt(top) + 120.0)
        )
        terms = j * np.log(rate) - gammaln(j + 1) - gammaln(j * shape)
        terms = terms + j * shape * np.log(y / scale)
        return logsumexp(terms) - rate - y / scale - np.log(y)

    expected = [brute(e, k, dispersion, power) for e, k in zip(eta, y, strict=True)]
    actual = call(Tweedie().log_prob, eta, y, dispersion=dispersion, power=power)
    np.testing.assert_allclose(actual, expected, 2e-9, 2e-9)


def test_tweedie_derivatives_and_draws(getkey):
    y, eta = jnp.asarray([0.0, 0.3, 2.0, 9.0]), jnp.asarray([0.1, -0.2, 1.0, 1.5])

    def f(t):
        return jnp.sum(call(Tweedie().log_prob, eta, y, dispersion=t[0], power=t[1]))

    t, h = jnp.asarray([0.8, 1.6]), 1e-5
    value = jax.jit(f)
    expected = [(value(t.at[i].add(h)) - value(t.at[i].add(-h))) / (2 * h) for i in range(2)]
    np.testing.assert_allclose(jax.jit(jax.grad(f))(t), expected, 1e-7)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(f))(t), expected, 1e-7)
    draws = call(Tweedie().sample, getkey(), jnp.full(40_000, 0.5), dispersion=0.8, power=1.6)
    mean, variance = np.exp(0.5), 0.8 * np.exp(0.5 * 1.6)
    assert abs(draws.mean() - mean) < 5 * np.sqrt(variance / draws.size)
    np.testing.assert_allclose(draws.var(), variance, 0.1)


def test_ordinal(getkey):
    c, eta = np.array([-1.0, 0.5, 0.6, 3.0]), ETA
    y = np.array([0, 1, 2, 3, 4, 0, 1, 2, 4.0])
    below = expit(np.append(c, np.inf)[None] - eta[:, None])
    p = np.diff(below, axis=1, prepend=0.0)
    likelihood = Ordinal()
    k = y.astype(int)
    np.testing.assert_allclose(
        call(likelihood.log_prob, eta, y, cutpoints=c), np.log(p[np.arange(9), k]), 1e-12
    )
    np.testing.assert_allclose(call(likelihood.mean, eta, cutpoints=c), p @ np.arange(5), 1e-12)
    np.testing.assert_allclose(
        call(likelihood.cdf, y, eta, cutpoints=c), below[np.arange(9), k], 1e-12
    )
    far = call(likelihood.log_prob, np.array([500.0, -500.0]), np.array([2.0, 2.0]), cutpoints=c)
    assert np.isfinite(far).all()
    draws = call(likelihood.sample, getkey(), jnp.full(40_000, 0.3), cutpoints=c)
    np.testing.assert_allclose(draws.mean(), call(likelihood.mean, 0.3, cutpoints=c), 0.03)
    with pytest.raises(ValueError, match="cutpoints"):
        likelihood.log_prob(eta, y, cutpoints=1.0)


def test_any_log_density():
    def laplace_density(eta, y, scale):
        return -jnp.sqrt((y - eta) ** 2 + 1e-3) / scale

    likelihood = FromLogDensity(laplace_density, ("scale",), mean=lambda eta, scale: eta)
    expected = -np.sqrt((POSITIVE - ETA) ** 2 + 1e-3) / 0.5
    np.testing.assert_allclose(call(likelihood.log_prob, ETA, POSITIVE, scale=0.5), expected, 1e-14)
    np.testing.assert_allclose(call(likelihood.mean, ETA, scale=0.5), ETA)
    with pytest.raises(NotImplementedError, match="variance"):
        call(likelihood.variance, ETA, scale=0.5)
    with pytest.raises(TypeError, match="scale; got sd"):
        call(likelihood.log_prob, ETA, POSITIVE, sd=0.5)
    with pytest.raises(TypeError, match="log_density"):
        FromLogDensity(3.0)


def test_what_is_wrong_is_told():
    with pytest.raises(ValueError, match="link"):
        Binomial(1.0, "log")
    with pytest.raises(TypeError, match="takes sd; got none"):
        Gaussian().log_prob(ETA, POSITIVE)
    with pytest.raises(TypeError, match="counts"):
        ZeroInflated(3.0)
    with pytest.raises(NotImplementedError, match="Tweedie"):
        call(Tweedie().cdf, POSITIVE, ETA, dispersion=1.0, power=1.5)
    with pytest.raises(NotImplementedError, match="Binomial"):
        Truncated(Binomial(3.0)).sample(jax.random.key(0), ETA)


def test_weights_multiply_the_log_density(row):
    _, likelihood, parameters, y, _ = row
    w = np.linspace(0.0, 3.0, y.size)
    gone = np.where(np.arange(y.size) == 3, np.nan, y)
    weighted = Weighted(likelihood, w)
    np.testing.assert_allclose(
        call(weighted.log_prob, ETA, gone, **parameters),
        w * call(likelihood.log_prob, ETA, gone, **parameters),
        1e-13,
    )
    assert weighted.names == likelihood.names and weighted.quadratic == likelihood.quadratic
    np.testing.assert_array_equal(
        call(weighted.mean, ETA, **parameters), call(likelihood.mean, ETA, **parameters)
    )
    with pytest.raises(ValueError, match=f"an observation of {type(likelihood).__name__} must"):
        weighted.check_observations(np.array([1.0, np.inf]))
