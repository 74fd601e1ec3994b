"""Likelihoods: distributions of observations given their linear predictors."""

from elimax.stats.likelihood.base import Likelihood as Likelihood
from elimax.stats.likelihood.continuous import Beta as Beta
from elimax.stats.likelihood.continuous import Gamma as Gamma
from elimax.stats.likelihood.continuous import Gaussian as Gaussian
from elimax.stats.likelihood.continuous import LogNormal as LogNormal
from elimax.stats.likelihood.continuous import StudentT as StudentT
from elimax.stats.likelihood.counts import BetaBinomial as BetaBinomial
from elimax.stats.likelihood.counts import Binomial as Binomial
from elimax.stats.likelihood.counts import NegativeBinomial1 as NegativeBinomial1
from elimax.stats.likelihood.counts import NegativeBinomial2 as NegativeBinomial2
from elimax.stats.likelihood.counts import Poisson as Poisson
from elimax.stats.likelihood.custom import FromLogDensity as FromLogDensity
from elimax.stats.likelihood.inflated import Hurdle as Hurdle
from elimax.stats.likelihood.inflated import Truncated as Truncated
from elimax.stats.likelihood.inflated import ZeroInflated as ZeroInflated
from elimax.stats.likelihood.ordinal import Ordinal as Ordinal
from elimax.stats.likelihood.survival import Exponential as Exponential
from elimax.stats.likelihood.survival import Weibull as Weibull
from elimax.stats.likelihood.tweedie import Tweedie as Tweedie
from elimax.stats.likelihood.weighted import Weighted as Weighted
