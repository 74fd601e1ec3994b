"""Gaussian Markov random fields and what is built on them.

field = stats.GMRF(mean, precision, constraints, null_space)   log_prob, sample, variance
stats.independent(field, other)                                one behind the other
"""

from elimax.stats.gaussian import GMRF as GMRF
from elimax.stats.gaussian import NullSpace as NullSpace
from elimax.stats.gaussian import Restricted as Restricted
from elimax.stats.gaussian import independent as independent
from elimax.stats.gaussian import restricted as restricted
