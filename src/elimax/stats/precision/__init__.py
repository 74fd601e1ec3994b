"""Precisions of Gaussian Markov random fields, as functions of their hyperparameters.

    precision.iid(n), ar1(n), ar(n, p)                            (tau), (rho, tau), (partial, tau)
    precision.rw1(n), rw2(positions), seasonal(n, 12)             (tau)
    precision.besag(graph), car, sar, leroux, bym, bym2           (tau), (rho, tau), ..., (phi, tau)
    precision.replicate(p, k), separable(p, q), kronecker_sum     combinations
    precision.pc_precision, pc_ar1, pc_bym2                       penalized complexity priors

A builder takes what is fixed and returns a `Precision`: called, it gives the matrix; `.field(...)` the
`GMRF`.
"""

from elimax.stats.precision.areal import besag as besag
from elimax.stats.precision.areal import bym as bym
from elimax.stats.precision.areal import bym2 as bym2
from elimax.stats.precision.areal import car as car
from elimax.stats.precision.areal import leroux as leroux
from elimax.stats.precision.areal import sar as sar
from elimax.stats.precision.autoregressive import ar as ar
from elimax.stats.precision.autoregressive import ar1 as ar1
from elimax.stats.precision.combine import kronecker_sum as kronecker_sum
from elimax.stats.precision.combine import replicate as replicate
from elimax.stats.precision.combine import separable as separable
from elimax.stats.precision.family import Precision as Precision
from elimax.stats.precision.graph import adjacency as adjacency
from elimax.stats.precision.graph import component_labels as component_labels
from elimax.stats.precision.graph import read_graph as read_graph
from elimax.stats.precision.pc_prior import pc_ar1 as pc_ar1
from elimax.stats.precision.pc_prior import pc_bym2 as pc_bym2
from elimax.stats.precision.pc_prior import pc_precision as pc_precision
from elimax.stats.precision.scaling import marginal_variances as marginal_variances
from elimax.stats.precision.walks import iid as iid
from elimax.stats.precision.walks import rw1 as rw1
from elimax.stats.precision.walks import rw2 as rw2
from elimax.stats.precision.walks import seasonal as seasonal
