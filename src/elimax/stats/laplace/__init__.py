"""Latent Gaussian models and Laplace's approximation."""

from elimax.stats.laplace.approximation import LaplaceApproximation as LaplaceApproximation
from elimax.stats.laplace.approximation import laplace as laplace
from elimax.stats.laplace.mode import Record as Record
from elimax.stats.laplace.model import LatentGaussianModel as LatentGaussianModel
from elimax.stats.laplace.status import LaplaceError as LaplaceError
from elimax.stats.laplace.maximize import Fit as Fit
from elimax.stats.laplace.maximize import maximize as maximize
