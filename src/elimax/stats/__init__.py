"""Gaussian Markov random fields, and what is built on them."""

from elimax.stats.mesh import Mesh as Mesh
from elimax.stats.precision import BarrierElements as BarrierElements
from elimax.stats.precision import DirectionalElements as DirectionalElements
from elimax.stats.precision import FiniteElements as FiniteElements
from elimax.stats.precision import diffusion_tensor as diffusion_tensor
from elimax.stats.precision import matern as matern
from elimax.stats.precision import matern_fractional as matern_fractional
from elimax.stats.precision import matern_parameters as matern_parameters
from elimax.stats.precision import matern_range as matern_range
from elimax.stats.precision import pc_matern_prior as pc_matern_prior
