"""Gaussian Markov random fields."""

from elimax.stats.gaussian.gmrf import GMRF as GMRF
from elimax.stats.gaussian.null_space import NullSpace as NullSpace
from elimax.stats.gaussian.restricted import Restricted as Restricted
from elimax.stats.gaussian.restricted import restricted as restricted
from elimax.stats.gaussian.stacking import as_field as as_field
from elimax.stats.gaussian.stacking import independent as independent
