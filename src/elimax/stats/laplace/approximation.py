r"""Laplace's approximation of the marginal likelihood of a latent Gaussian model.

    log p(y | theta) ~ log p(y | x) + log p(x | theta) - log p_G(x | y, theta)    at the mode x,

where p_G is the Gaussian with the mode as mean and the Hessian H there as precision; all three densities are
those of the subspace of the constraints. It is exact for a Gaussian likelihood.

The value depends on theta through the mode, too; the factor of H at the mode is reused by everything:
a gradient costs, beyond the factorizations, a selected inverse of H (and one of Q), a reverse sweep of the
values of H, and one solve, as in TMB (Kristensen, Nielsen, Berg, Skaug and Bell, JSS 70(5), 2016, section 2).
"""

import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from elimax._primitive.define import is_traced
from elimax.stats.gaussian import GMRF, Restricted
from elimax.stats.laplace import status as _status
from elimax.stats.laplace.joint import LOG_2PI, Joint
from elimax.stats.laplace.mode import Options, Record, find_mode
from elimax.stats.laplace.model import LatentGaussianModel, Theta

_TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


class LaplaceApproximation(eqx.Module):
    """Laplace's approximation at one point of the hyperparameters; made by `laplace`. A pytree.

    **Attributes:**

    - `log_marginal`: log p(y | theta), approximated, every constant included; NaN if `status` is not 0.
    - `log_prior`: of theta; 0 without a prior.
    - `mode`: of the field given the data (n,).
    - `record`: how Newton's iteration went.
    - `joint`: the model at theta.
    """

    log_marginal: Float[Array, ""]
    log_prior: Float[Array, ""]
    mode: Float[Array, " n"]
    record: Record
    joint: Joint
    factor_values: Float[Array, " size"]

    @property
    def log_posterior(self) -> Float[Array, ""]:
        """log p(y | theta) + log p(theta): the posterior of theta up to a constant."""
        return self.log_marginal + self.log_prior

    @property
    def status(self) -> Int[Array, ""]:
        """int32: 0, or why the results are NaN, a code of `elimax.stats.laplace.status`."""
        return self.record.status

    @property
    def predictor(self) -> Float[Array, " m"]:
        """The linear predictors at the mode, of missing observations, too."""
        return self.joint.predictor(self.mode)

    def restricted(self) -> Restricted:
        """H at the mode, on the constraints, with the factor that Newton's iteration ended with."""
        return self.joint.restrict(self.joint.hessian_at(self.mode), self.factor_values)

    def posterior(self) -> GMRF:
        """The Gaussian approximation of the field given the data and theta.

        **Cost:** none until it is asked for something; what it is asked for factorizes anew. `variance`,
        `predictor_variance` and `restricted` share the factor that is there.
        """
        H = self.joint.hessian_at(self.mode)
        return posterior_field(self.joint, self.mode, H)

    def variance(self) -> Float[Array, " n"]:
        """The variances of the field given the data and theta. **Cost:** one selected inverse."""
        return self.restricted().inverse_diagonal()

    def predictor_variance(self) -> Float[Array, " m"]:
        """The variances of the linear predictors given the data and theta: diag(A H^-1 A^T).

        **Cost:** one selected inverse: an observation sees elements whose pairs are in the pattern of H.
        """
        hessian = self.joint.hessian()
        S = self.restricted().selected_inverse(hessian.structure.pattern)
        return hessian.quadratic_forms(S)


def posterior_field(joint: Joint, mode: Float[Array, " n"], H: Any) -> GMRF:
    """The field with the mode as mean and H as precision, under the constraints of the prior."""
    prior = joint.field
    return GMRF._made(mode, H, prior.constraints, None, joint.settling)


def laplace(
    model: LatentGaussianModel,
    theta: Theta,
    start: Float[ArrayLike, " n"] | None = None,
    *,
    tolerance: float | None = None,
    max_iterations: int = 100,
    throw: bool = True,
) -> LaplaceApproximation:
    """Laplace's approximation of a latent Gaussian model at given hyperparameters.

    **Arguments:**

    - `model`: the model.
    - `theta`: the hyperparameters, as the functions of the model take them.
    - `start`: of Newton's iteration (n,); the prior mean if None. A mode at hyperparameters nearby saves
      iterations and changes nothing else.
    - `tolerance`: of the Newton decrement g^T H^-1 g / 2, in units of the log density: 1e-12, in float32
      1e-5, by default. The iteration converges quadratically, so that what is reached is mostly far below it.
    - `max_iterations`: the limit of factorizations.
    - `throw`: whether a failure is an error. Where values are abstract, as under `jit` and `vmap`, it never
      is: the results are NaN, and `status` says why.

    **Returns:** `LaplaceApproximation`.

    **Raises:** `LaplaceError` if Newton's iteration fails; `ValueError` and `TypeError` for arguments that do
    not fit.

    **Derivative:** of everything but `record`, in theta and in all that the functions of the model close
    over; every order and mode. A gradient costs one selected inverse of H, one of Q, a reverse sweep and a
    solve.

    **Cost:** one factorization of Q, and one of H per iteration (3 to 8 from a cold start).
    """
    if not isinstance(model, LatentGaussianModel):
        raise TypeError(f"`model` must be a LatentGaussianModel, got {type(model).__name__}")
    joint = model.at(theta)
    options = _options(joint, tolerance, max_iterations)
    x = _start(joint, start)
    mode, values, record = find_mode(joint, x, options=options)
    form = joint.restrict(joint.hessian_at(mode), values)
    # At a point without NaN, so that a NaN is the fault of the prior.
    log_field = joint.field.log_prob(jnp.where(jnp.isfinite(mode), mode, joint.field.mean))
    free = joint.field.n - joint.field.n_constraints
    log_gaussian = 0.5 * (form.logdet() - free * LOG_2PI)
    log_marginal = joint.log_likelihood(mode) + log_field - log_gaussian
    status = jnp.where(jnp.isnan(log_field), _status.PRIOR_FAILED, record.status)
    impossible = (status == _status.CONVERGED) & ~jnp.isfinite(log_marginal)
    status = jnp.where(impossible, _status.NOT_FINITE, status)
    record = record._replace(status=status.astype(jnp.int32))
    # A factor, where a choice would have the gradient 0.
    sound = jnp.where(record.status == _status.CONVERGED, 1.0, jnp.nan).astype(mode.dtype)
    result = LaplaceApproximation(
        log_marginal=sound * log_marginal,
        log_prior=model.log_prior(theta),
        mode=sound * mode,
        record=record,
        joint=joint,
        factor_values=values,
    )
    if throw and not is_traced(status):
        _status.check(int(status))
    return result


def _options(joint: Joint, tolerance: float | None, max_iterations: int) -> Options:
    limit = operator.index(max_iterations)
    if limit < 1:
        raise ValueError(f"`max_iterations` must be at least 1, got {limit}")
    chosen = (
        _TOLERANCE[jnp.dtype(joint.field.dtype).name] if tolerance is None else float(tolerance)
    )
    if not chosen > 0:
        raise ValueError(f"`tolerance` must be positive, got {tolerance}")
    return Options(chosen, limit)


def _start(joint: Joint, start: Any) -> Float[Array, " n"]:
    if start is None:
        return jax.lax.stop_gradient(joint.field.mean)
    x = jnp.asarray(start, joint.field.dtype)
    if x.shape != (joint.field.n,):
        raise ValueError(f"`start` must have shape ({joint.field.n},), got {x.shape}")
    return jax.lax.stop_gradient(x)
