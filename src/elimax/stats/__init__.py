"""Gaussian Markov random fields and what is built on them.

field = stats.GMRF(mean, precision, constraints, null_space)   log_prob, sample, variance
stats.independent(field, other)                                one behind the other
stats.LatentGaussianModel, stats.laplace, stats.maximize       Laplace's approximation, estimates
stats.inla(model, theta)                                       posterior marginals, criticism, draws
stats.log_posterior(model, theta)                              what Markov chains sample
"""

import importlib as _importlib
import typing as _typing

from elimax.stats import precision as precision
from elimax.stats.gaussian import GMRF as GMRF
from elimax.stats.gaussian import NullSpace as NullSpace
from elimax.stats.gaussian import Restricted as Restricted
from elimax.stats.gaussian import independent as independent
from elimax.stats.gaussian import restricted as restricted
from elimax.stats.inference import Criticism as Criticism
from elimax.stats.inference import Draws as Draws
from elimax.stats.inference import HyperparameterError as HyperparameterError
from elimax.stats.inference import ImportanceSample as ImportanceSample
from elimax.stats.inference import Inla as Inla
from elimax.stats.inference import LogPosterior as LogPosterior
from elimax.stats.inference import Marginal as Marginal
from elimax.stats.inference import Marginals as Marginals
from elimax.stats.inference import importance_sample as importance_sample
from elimax.stats.inference import inla as inla
from elimax.stats.inference import log_posterior as log_posterior
from elimax.stats.laplace import Fit as Fit
from elimax.stats.laplace import LaplaceApproximation as LaplaceApproximation
from elimax.stats.laplace import LaplaceError as LaplaceError
from elimax.stats.laplace import LatentGaussianModel as LatentGaussianModel
from elimax.stats.laplace import laplace as laplace
from elimax.stats.laplace import maximize as maximize
from elimax.stats.likelihood import Beta as Beta
from elimax.stats.likelihood import BetaBinomial as BetaBinomial
from elimax.stats.likelihood import Binomial as Binomial
from elimax.stats.likelihood import Exponential as Exponential
from elimax.stats.likelihood import FromLogDensity as FromLogDensity
from elimax.stats.likelihood import Gamma as Gamma
from elimax.stats.likelihood import Gaussian as Gaussian
from elimax.stats.likelihood import Hurdle as Hurdle
from elimax.stats.likelihood import Likelihood as Likelihood
from elimax.stats.likelihood import LogNormal as LogNormal
from elimax.stats.likelihood import NegativeBinomial1 as NegativeBinomial1
from elimax.stats.likelihood import NegativeBinomial2 as NegativeBinomial2
from elimax.stats.likelihood import Ordinal as Ordinal
from elimax.stats.likelihood import Poisson as Poisson
from elimax.stats.likelihood import StudentT as StudentT
from elimax.stats.likelihood import Truncated as Truncated
from elimax.stats.likelihood import Tweedie as Tweedie
from elimax.stats.likelihood import Weibull as Weibull
from elimax.stats.likelihood import ZeroInflated as ZeroInflated

_ARVIZ = ("pareto_k", "to_arviz")


def __getattr__(name: str) -> _typing.Any:
    """What speaks to ArviZ needs it, and imports it when it is asked for."""
    if name not in _ARVIZ:
        raise AttributeError(f"module 'elimax.stats' has no attribute {name!r}")
    try:
        return getattr(_importlib.import_module("elimax.stats.inference.arviz"), name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"elimax.stats.{name} needs ArviZ: pip install 'elimax[arviz]'", name=error.name
        ) from error
