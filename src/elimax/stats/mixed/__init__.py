"""Mixed models by formula; they need pandas and formulaic, which the extra `stats` installs."""

from elimax.stats.mixed.compare import compare as compare
from elimax.stats.mixed.design import Design as Design
from elimax.stats.mixed.design import design_of as design_of
from elimax.stats.mixed.fit import MixedFit as MixedFit
from elimax.stats.mixed.generalized_fit import GeneralizedMixedFit as GeneralizedMixedFit
from elimax.stats.mixed.glmm import glmm as glmm
from elimax.stats.mixed.lmm import LinearMixedFit as LinearMixedFit
from elimax.stats.mixed.lmm import fit_design as fit_design
from elimax.stats.mixed.lmm import lmm as lmm
from elimax.stats.mixed.random_design import RandomDesign as RandomDesign
from elimax.stats.mixed.random_term import RandomTerm as RandomTerm
