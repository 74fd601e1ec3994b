"""Precision matrices of Gaussian Markov random fields, with values that are functions of parameters."""

from elimax.stats.precision.anisotropic import DirectionalElements as DirectionalElements
from elimax.stats.precision.anisotropic import diffusion_tensor as diffusion_tensor
from elimax.stats.precision.barrier import BarrierElements as BarrierElements
from elimax.stats.precision.finite_elements import FiniteElements as FiniteElements
from elimax.stats.precision.fractional import matern_fractional as matern_fractional
from elimax.stats.precision.matern import matern as matern
from elimax.stats.precision.matern_parameters import matern_parameters as matern_parameters
from elimax.stats.precision.matern_parameters import matern_range as matern_range
from elimax.stats.precision.matern_parameters import pc_matern_prior as pc_matern_prior
