"""The field and the linear predictors given the data and one point of the hyperparameters.

`at_point` is what is evaluated at every integration point: Laplace's approximation, the variances from one
selected inverse, and a correction of the mean.
"""

import functools
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

import elimax as ex
from elimax.stats.gaussian import Restricted
from elimax.stats.inference.correction import Smoothed
from elimax.stats.inference.density import LogPosterior
from elimax.stats.laplace import LaplaceApproximation
from elimax.stats.laplace.joint import Joint
from elimax.stats.laplace.mode import Options, find_mode

Correction = Literal["vb", "simplified", "gaussian"]
CORRECTIONS: tuple[Correction, ...] = ("vb", "simplified", "gaussian")
_OPTIONS = {"float64": Options(1e-10, 50), "float32": Options(1e-5, 50)}
_Array = Any  # of JAX at a point, of NumPy where points are stacked
_BLOCK = 16  # right-hand sides that are solved at once


class Conditional(NamedTuple):
    """The densities given theta; of K points, with a leading dimension K, as NumPy arrays.

    - `log_posterior`: of theta, up to a constant.
    - `status`: int32, 0, or why the rest is NaN, as of `LaplaceApproximation`.
    - `mode` (n,): of the field, to start from nearby.
    - `mean`, `sd` (n,): of the field; `skew` (n,) or None.
    - `predictor`, `predictor_sd` (m,), `predictor_skew` (m,) or None.
    - `precision` (m,): what each observation adds to the precision of its linear predictor, -l''.
    """

    log_posterior: Float[_Array, ""]
    status: Int[_Array, ""]
    mode: Float[_Array, " n"]
    mean: Float[_Array, " n"]
    sd: Float[_Array, " n"]
    skew: Float[_Array, " n"] | None
    predictor: Float[_Array, " m"]
    predictor_sd: Float[_Array, " m"]
    predictor_skew: Float[_Array, " m"] | None
    precision: Float[_Array, " m"]


def at_point(
    target: LogPosterior, theta: Float[Array, " d"], correction: Correction
) -> Conditional:
    """Everything at theta. **Cost:** `laplace`, a selected inverse, and for the correction

    - "vb": two to five factorizations;
    - "simplified": n + m solves.
    """
    fit = target.laplace(theta)
    joint, form = fit.joint, fit.restricted()
    hessian = joint.hessian()
    inverse = form.selected_inverse(hessian.structure.pattern)
    sd = _root(inverse.diagonal())
    predictor_sd = _root(hessian.quadratic_forms(inverse))
    mean, status = fit.mode, fit.status
    skew = predictor_skew = None
    if correction == "vb":
        mean, corrected = _variational_mean(fit, predictor_sd)
        status = jnp.where(status == 0, corrected, status)
    elif correction == "simplified":
        third = _third(joint, fit.mode)
        mean = mean + _shift(joint, form, 0.5 * third * predictor_sd**2)
        skew = _skews(joint, form, third, None, sd)
        predictor_skew = (
            skew if joint.design is None else _skews(joint, form, third, joint.design, predictor_sd)
        )
    failed = status != 0
    return Conditional(
        log_posterior=fit.log_posterior,
        status=status,
        mode=fit.mode,
        mean=jnp.where(failed, jnp.nan, mean),
        sd=sd,
        skew=skew,
        predictor=joint.predictor(mean),
        predictor_sd=predictor_sd,
        predictor_skew=predictor_skew,
        precision=-joint.slopes(fit.predictor).second,
    )


def _root(variance: Float[Array, " n"]) -> Float[Array, " n"]:
    return jnp.sqrt(jnp.maximum(variance, 0.0))


def _solve(joint: Joint, form: Restricted, b: Float[Array, " n"]) -> Float[Array, " n"]:
    """The solution on {A x = 0}."""
    if joint.field.constraints is None:
        return form.solve(b)
    return form.solve(b, jnp.zeros_like(joint.field.constraints[1]))


def _variational_mean(
    fit: LaplaceApproximation, sd: Float[Array, " m"]
) -> tuple[Float[Array, " n"], Int[Array, ""]]:
    if fit.joint.likelihood.quadratic:
        return fit.mode, jnp.zeros((), jnp.int32)
    smoothed = eqx.tree_at(
        lambda joint: joint.likelihood, fit.joint, Smoothed(fit.joint.likelihood, sd)
    )
    options = _OPTIONS[jnp.dtype(fit.mode.dtype).name]
    mean, _, record = find_mode(smoothed, fit.mode, options=options)
    return mean, record.status


def _third(joint: Joint, x: Float[Array, " n"]) -> Float[Array, " m"]:
    """l''' at the linear predictors."""
    eta = joint.predictor(x)
    return jax.jvp(lambda e: joint.slopes(e).second, (eta,), (jnp.ones_like(eta),))[1]


def _shift(joint: Joint, form: Restricted, slope: Float[Array, " m"]) -> Float[Array, " n"]:
    b = slope if joint.design is None else slope @ joint.design
    return _solve(joint, form, b)


def _skews(
    joint: Joint,
    form: Restricted,
    third: Float[Array, " m"],
    rows: ex.SparseMatrix | None,
    sd: Float[Array, " k"],
) -> Float[Array, " k"]:
    """The skewness of the elements, or of the combinations of them with these rows."""
    n = joint.field.n

    def skew(pair: tuple[Array, Array]) -> Float[Array, ""]:
        i, scale = pair
        unit = jnp.zeros(n if rows is None else rows.shape[0], third.dtype).at[i].set(1.0)
        b = unit if rows is None else unit @ rows
        c = joint.apply(_solve(joint, form, b)) / jnp.where(scale > 0, scale, 1.0)
        return jnp.where(scale > 0, third @ c**3, 0.0)

    return jax.lax.map(skew, (jnp.arange(sd.shape[0]), sd), batch_size=_BLOCK)


AT_POINT = {c: functools.partial(at_point, correction=c) for c in CORRECTIONS}
