"""Inference on hyperparameters: integration over them, Markov chains, importance sampling; and criticism."""

from elimax.stats.inference.criticism import Criticism as Criticism
from elimax.stats.inference.density import LogPosterior as LogPosterior
from elimax.stats.inference.density import log_posterior as log_posterior
from elimax.stats.inference.draws import Draws as Draws
from elimax.stats.inference.explore import HyperparameterError as HyperparameterError
from elimax.stats.inference.importance import ImportanceSample as ImportanceSample
from elimax.stats.inference.importance import importance_sample as importance_sample
from elimax.stats.inference.inla import Inla as Inla
from elimax.stats.inference.inla import inla as inla
from elimax.stats.inference.marginal import Marginal as Marginal
from elimax.stats.inference.marginal import Marginals as Marginals
