r"""Penalized complexity priors: exponential in the distance from a simpler model.

Every function returns a log density, normalized, of the parameter that its name and first argument say: for
that of a transformed parameter add the logarithm of the Jacobian, as `pc_precision` does for log tau.

Source: Simpson, Rue, Riebler, Martins and Sorbye, Statistical Science 32 (2017).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, ArrayLike, Float

import elimax as ex
from elimax.stats.gaussian import NullSpace, restricted
from elimax.stats.precision.areal import besag


def pc_precision(log_tau: Float[ArrayLike, ""], u: float, alpha: float) -> Float[Array, ""]:
    """Log density of log tau, tau a precision, with P(1 / sqrt(tau) > u) = alpha: sd is exponential.

    With rate = -log(alpha) / u and sd = exp(-log_tau / 2): log(rate / 2) + log sd - rate sd; the density of
    tau itself has -log_tau in addition.

    **Raises:** `ValueError` if not u > 0 and 0 < alpha < 1.

    **Source:** Simpson et al. (2017), section 3.3.
    """
    _check_tail(u, alpha, np.inf)
    rate = -np.log(alpha) / u
    half = -0.5 * jnp.asarray(log_tau)
    return np.log(rate / 2) + half - rate * jnp.exp(half)


def pc_ar1(rho: Float[ArrayLike, ""], u: float, alpha: float, base: int = 0) -> Float[Array, ""]:
    """Log density of the correlation rho of an AR(1), in (-1, 1).

    **Arguments:**

    - `base`: the simpler model. 0: no dependence, P(|rho| > u) = alpha. 1: no change in time, P(rho > u) =
      alpha.
    - `u`, `alpha`: for base 1, alpha must be above sqrt((1 - u) / 2).

    **Raises:** `ValueError` for other values of these.

    **Source:** Sorbye and Rue, J. Time Series Analysis 38 (2017), section 3; the distances are
    sqrt(-log(1 - rho^2)) and sqrt(1 - rho).
    """
    rho = jnp.asarray(rho, float)
    if base == 0:
        _check_tail(u, alpha, 1.0)
        rate = -np.log(alpha) / np.sqrt(-np.log1p(-(u**2)))
        square = rho**2
        near = square < 1e-12
        safe = jnp.where(near, 0.25, square)
        distance = jnp.sqrt(-jnp.log1p(-safe))
        slope = jnp.where(near, 0.0, 0.5 * jnp.log(safe) - jnp.log(distance))
        length = jnp.where(near, jnp.abs(rho), distance)
        return np.log(rate / 2) - rate * length + slope - jnp.log1p(-square)
    if base != 1:
        raise ValueError(f"`base` must be 0 or 1, got {base!r}")
    if not (-1 < u < 1 and np.sqrt((1 - u) / 2) < alpha < 1):
        raise ValueError(
            f"`u` must lie between -1 and 1 and `alpha` between sqrt((1 - u) / 2) and 1, got u={u} and "
            f"alpha={alpha}"
        )

    def excess(rate: float) -> float:
        return np.expm1(-rate * np.sqrt(1 - u)) / np.expm1(-rate * np.sqrt(2)) - alpha

    rate = scipy.optimize.brentq(excess, 1e-10, 1e6)
    total = np.log(-np.expm1(-np.sqrt(2) * rate))
    return np.log(rate / 2) - total - rate * jnp.sqrt(1 - rho) - 0.5 * jnp.log(1 - rho)


def pc_bym2(
    graph: object, u: float = 0.5, alpha: float = 2 / 3
) -> Callable[[Float[ArrayLike, ""]], Float[Array, ""]]:
    r"""Log density of phi, the share of the structured part of `bym2` on this graph: P(phi < u) = alpha.

    The distance from phi = 0 is sqrt(2 KLD), with the scaled structure R of n vertices and r null vectors,

        2 KLD(phi) = phi (tr R^- - n) - log|(1 - phi) I + phi R^-|
        log|(1 - phi) I + phi R^-| = log|(1 - phi) R + phi I| + r log((1 - phi) / phi) - log|R|_+

    so that no eigenvalue is needed: the trace is a selected inverse, once, and every phi a sparse
    factorization.

    **Arguments:**

    - `graph`: as for `besag`, connected or not.

    **Returns:** a function of phi in (0, 1): differentiable, jittable. For the density of logit(phi) add
    log(phi) + log(1 - phi).

    **Raises:** as `besag`; `ValueError` if not 0 < u < 1 and 0 < alpha < 1, or if the graph has no edge, or
    this alpha is not reached.

    **Cost:** of a call: one factorization, and a selected inverse for the distance's derivative.

    **Source:** Riebler, Sorbye, Simpson and Rue (2016), section 3.4 and appendix; there by eigenvalues.
    """
    _check_tail(u, alpha, 1.0)
    family = besag(graph, scale=True)
    space, structure, n = family.null_space, family.structure, family.n
    if space is None or structure is None:
        raise ValueError("`graph` has no edge: there is no structured part")
    pattern, rank = family.pattern, space.rank
    diagonal = (pattern.rows == pattern.columns).astype(float)
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        moments = _inverse_moments(ex.SymmetricMatrix(pattern, structure), diagonal, space)
        R = ex.SymmetricMatrix(pattern, structure)
        logdet = float(restricted(R, None, space, intrinsic=True).logdet())
    one, two, three = moments
    squares, cubes = two - 2 * one + n, three - 3 * two + 3 * one - n
    small = 1e-3 / np.cbrt(three)  # below, the cubic is exact to 1e-6, and the difference is not

    def distance(phi: Array) -> Array:
        near = phi < small
        usual = jnp.where(near, 0.5, phi)
        shifted = ex.SymmetricMatrix(pattern, (1 - usual) * structure + usual * diagonal)
        volume = ex.cholesky(shifted, throw=False).logdet() - logdet
        volume = volume + rank * (jnp.log1p(-usual) - jnp.log(usual))
        far = jnp.sqrt(jnp.where(near, 1.0, usual * (one - n) - volume))
        tiny = jnp.where(near, phi, 0.0)
        return jnp.where(near, tiny * jnp.sqrt(squares / 2 - tiny * cubes / 3), far)

    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        # Null vectors make phi = 1 infinitely far away: the exponential needs no truncation.
        rate = -np.log1p(-alpha) / float(distance(jnp.asarray(u, float)))

    def log_density(phi: Float[ArrayLike, ""]) -> Float[Array, ""]:
        length, slope = jax.value_and_grad(distance)(jnp.asarray(phi, float))
        return np.log(rate) - rate * length + jnp.log(jnp.abs(slope))

    return log_density


def _inverse_moments(
    R: ex.SymmetricMatrix, diagonal: np.ndarray, space: NullSpace
) -> tuple[float, float, float]:
    """The sums of 1 / lambda, 1 / lambda^2 and 1 / lambda^3 over the nonzero eigenvalues of R."""

    def trace(shift: Array) -> Array:
        shifted = R.with_values(R.values + shift * diagonal)
        form = restricted(shifted, (space.orthonormal.T, None), space)
        return jnp.sum(form.inverse_diagonal())

    slope = jax.grad(trace)
    zero = jnp.zeros(())
    curvature = jax.jvp(slope, (zero,), (jnp.ones(()),))[1]
    return float(trace(zero)), -float(slope(zero)), float(curvature) / 2


def _check_tail(u: float, alpha: float, largest: float) -> None:
    if not (0 < u < largest and 0 < alpha < 1):
        raise ValueError(f"`u` and `alpha` must be within their range, got u={u}, alpha={alpha}")
