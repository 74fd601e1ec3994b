"""Gaussian Markov random fields."""

from elimax.stats.gaussian.gmrf import GMRF as GMRF
from elimax.stats.gaussian.gmrf import independent as independent
from elimax.stats.gaussian.null_space import NullSpace as NullSpace
from elimax.stats.gaussian.restricted import Restricted as Restricted
from elimax.stats.gaussian.restricted import restricted as restricted
