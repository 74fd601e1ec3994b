"""What observations a likelihood can have, and what becomes of others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex
from elimax import stats
from elimax.stats.laplace import status as statuses

COUNTS = stats.Poisson()
NB = stats.NegativeBinomial2()
# likelihood, parameters, observations in the support, observations that are not
ROWS = {
    "gaussian": (stats.Gaussian(), {"sd": 1.0}, [-1.0, 0.0], [np.inf]),
    "poisson": (COUNTS, {}, [0.0, 3.0], [-1.0, 1.5, np.inf]),
    "nbinom": (NB, {"dispersion": 2.0}, [0.0, 3.0], [-1.0, 0.5]),
    "binomial": (stats.Binomial(2.0), {}, [0.0, 2.0], [3.0, -1.0, 0.5]),
    "betabinomial": (stats.BetaBinomial(2.0), {"precision": 2.0}, [0.0, 2.0], [3.0, 0.5]),
    "truncated": (stats.Truncated(COUNTS), {}, [1.0, 4.0], [0.0, 1.5]),
    "inflated": (stats.ZeroInflated(NB), {"zero_logit": 0.0, "dispersion": 2.0}, [0, 2.0], [0.5]),
    "hurdle": (stats.Hurdle(COUNTS), {"zero_logit": 0.0}, [0.0, 2.0], [0.5, -1.0]),
    "gamma": (stats.Gamma(), {"shape": 2.0}, [0.5], [0.0, -1.0]),
    "lognormal": (stats.LogNormal(), {"sd": 2.0}, [0.5], [0.0, -1.0]),
    "beta": (stats.Beta(), {"precision": 2.0}, [0.5], [0.0, 1.0, 2.0]),
    "tweedie": (stats.Tweedie(), {"dispersion": 1.0, "power": 1.5}, [0.0, 0.5], [-0.5]),
    "weibull": (stats.Weibull(), {"shape": 2.0}, [0.5], [0.0, -1.0]),
    "exponential": (stats.Exponential(), {}, [0.5], [0.0, -1.0]),
    "ordinal": (stats.Ordinal(), {"cutpoints": np.array([0.0, 1.0])}, [0.0, 2.0], [0.5, -1.0]),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_density_outside_is_zero(name):
    likelihood, parameters, inside, outside = ROWS[name]
    y = jnp.array([*inside, *outside, np.nan], float)
    eta = jnp.full(len(y), 0.2)
    log_prob = np.asarray(likelihood.log_prob(eta, y, **parameters))
    assert np.isfinite(log_prob[: len(inside)]).all()
    assert (log_prob[len(inside) : -1] == -np.inf).all() and log_prob[-1] == 0
    slope = jax.grad(lambda e: jnp.sum(likelihood.kernel(e, y, **parameters)))(eta)
    assert np.isfinite(slope).all() and (slope[len(inside) :] == 0).all()


@pytest.mark.parametrize("name", ROWS)
def test_a_model_names_the_observation(name):
    likelihood, parameters, inside, outside = ROWS[name]
    Q = ex.SymmetricMatrix.eye(len(inside) + 1)
    for y in outside:
        with pytest.raises(ValueError, match=rf"must be a.*observation {len(inside)} is"):
            stats.LatentGaussianModel(Q, None, likelihood, np.array([*inside, y]), parameters)
    stats.LatentGaussianModel(Q, None, likelihood, np.array([*inside, np.nan]), parameters)


def _status(likelihood, y, parameters=None):
    def found(y):
        model = stats.LatentGaussianModel(
            ex.SymmetricMatrix.eye(2), None, likelihood, y, parameters
        )
        result = stats.laplace(model, None)
        return result.log_marginal, result.status

    value, status = jax.jit(found)(jnp.array(y))
    return float(value), int(status)


@pytest.mark.parametrize(
    ("likelihood", "y", "parameters"),
    [
        (COUNTS, [1.5, 2.0], None),
        (stats.Poisson(exposure=0.0), [1.0, 0.0], None),
        (stats.Ordinal(), [5.0, 0.0], {"cutpoints": np.array([0.0, 1.0])}),
        (stats.Ordinal(), [1.0, 0.0], {"cutpoints": np.array([1.0, 0.0])}),
        (stats.Gaussian(), [1.0, 0.0], {"sd": -1.0}),
    ],
)
def test_what_cannot_be_is_nan_with_a_status(likelihood, y, parameters):
    value, status = _status(likelihood, y, parameters)
    assert np.isnan(value) and status == statuses.NOT_FINITE


def test_what_can_be_is_not():
    value, status = _status(COUNTS, [1.0, np.nan])
    assert np.isfinite(value) and status == 0


class OfTable(stats.Poisson):
    """With data that have nothing to do with the number of observations."""

    table: jax.Array = None

    def __init__(self, table):
        self.table, self.exposure = jnp.asarray(table), 1.0


def test_data_of_a_likelihood_are_one_number_per_observation():
    fields = stats.Poisson(np.ones(1)), OfTable(np.ones(7))
    for likelihood in fields:  # one number, and data of another kind
        stats.LatentGaussianModel(ex.SymmetricMatrix.eye(3), None, likelihood, np.ones(3))
    with pytest.raises(ValueError, match="nonnegative"):
        stats.Weighted(stats.Poisson(), np.array([1.0, -1.0]))
    for wrong, name in (
        (stats.Poisson(np.ones((3, 1))), "`exposure` of Poisson"),
        (stats.ZeroInflated(stats.Binomial(np.ones(2))), "`trials` of Binomial"),
        (stats.Weighted(stats.Poisson(), np.ones(4)), "`weights` of Weighted"),
    ):
        with pytest.raises(ValueError, match=rf"{name} must be a scalar or have shape \(3,\)"):
            stats.LatentGaussianModel(ex.SymmetricMatrix.eye(3), None, wrong, np.ones(3))


def test_truth_values_are_binary_observations():
    for y in (np.array([True, False, True]), [True, False, True]):
        model = stats.LatentGaussianModel(ex.SymmetricMatrix.eye(3), None, stats.Binomial(), y)
        np.testing.assert_array_equal(model.observations, [1.0, 0.0, 1.0])
