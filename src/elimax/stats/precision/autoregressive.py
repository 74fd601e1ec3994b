"""Stationary autoregressive processes."""

import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Array, Float

import elimax as ex
from elimax.stats.precision.family import Precision, count, linear_family


def ar1(n: int, by: str = "marginal") -> Precision:
    """AR(1): x_t = rho x_{t-1} + e_t, stationary. Hyperparameters: rho in (-1, 1), and tau.

    **Arguments:**

    - `by`: "marginal": tau is the precision of an element, 1 / sd^2; "innovation": that of e_t, which is
      tau / (1 - rho^2) in terms of the other.

    **Raises:** `TypeError` and `ValueError` for an n below 1 or another `by`.
    """
    n = count("n", n)
    if by not in ("marginal", "innovation"):
        raise ValueError(f'`by` must be "marginal" or "innovation", got {by!r}')
    inner = np.ones(n)
    inner[[0, -1]] = 0 if n > 1 else -1
    off = sp.diags_array([np.ones(n - 1)] * 2, offsets=[-1, 1], shape=(n, n))
    terms = [sp.eye_array(n), sp.diags_array(inner), off]

    def coefficients(rho: Array, tau: Array) -> tuple[Array, ...]:
        innovation = tau / (1 - rho**2) if by == "marginal" else tau
        return innovation, innovation * rho**2, -innovation * rho

    return linear_family("ar1", ("rho", "tau"), terms, coefficients)


def ar(n: int, order: int) -> Precision:
    """AR(p), stationary from its first element on. Hyperparameters: the p partial autocorrelations, and tau.

    Partial autocorrelations, an array (p,), may be any numbers in (-1, 1): every such array is one stationary
    process. tau is the marginal precision of an element.

    **Raises:** `TypeError` and `ValueError` for an n or an order below 1, at a call for another number of
    partial autocorrelations.

    **Cost:** n p^2 at every call.

    **Source:** Durbin-Levinson recursion: Brockwell and Davis, Time Series (1991), section 5.2;
    Barndorff-Nielsen and Schou, J. Multivariate Anal. 3 (1973).
    """
    n, p = count("n", n), count("order", order)
    width = min(p, n - 1)
    pattern = ex.Pattern.band((n, n), width, 0)
    pattern = ex.Pattern.from_coo(pattern.rows, pattern.columns, (n, n), symmetric=True)
    band = (pattern.rows - pattern.columns, pattern.rows)

    def values(partial: Float[Array, " p"], tau: Array) -> Array:
        if partial.shape != (p,):
            raise ValueError(
                f"ar: the partial autocorrelations must have shape ({p},), got {partial.shape}"
            )
        regressions, precisions = _durbin_levinson(partial, tau)
        orders = np.minimum(np.arange(n + width), p)
        # Row t regresses x_t on those before it; rows beyond the last element have no weight.
        C, w = jnp.stack(regressions)[orders], jnp.stack(precisions)[orders]
        w = w * (np.arange(n + width) < n)
        diagonals = []
        for d in range(width + 1):
            rows = [
                C[s : n + s, s] * C[s : n + s, s + d] * w[s : n + s] for s in range(width + 1 - d)
            ]
            diagonals.append(sum(rows[1:], start=rows[0]))
        return jnp.stack(diagonals)[band]

    return Precision("ar", ("partial", "tau"), pattern, values)


def _durbin_levinson(partial: Float[Array, " p"], tau: Array) -> tuple[list[Array], list[Array]]:
    """For k = 0, ..., p: (1, -phi_1, ..., -phi_k, 0, ...), the regression on k elements; its precision."""
    p = partial.shape[0]
    phi = jnp.zeros(0, partial.dtype)
    precision = jnp.asarray(tau, partial.dtype)
    rows, precisions = [], []
    for k in range(p + 1):
        zeros = jnp.zeros(p - k, partial.dtype)
        rows.append(jnp.concatenate([jnp.ones(1, partial.dtype), -phi, zeros]))
        precisions.append(precision)
        if k < p:
            phi = jnp.concatenate([phi - partial[k] * phi[::-1], partial[k : k + 1]])
            precision = precision / (1 - partial[k] ** 2)
    return rows, precisions
