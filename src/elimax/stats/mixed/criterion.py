"""The criteria of a linear mixed model, and what has a closed form given theta.

y = X beta + Z b + e with b = Lambda(theta) u, u ~ N(0, sigma^2 I) and e ~ N(0, sigma^2 W^-1). For given
theta everything else is linear algebra (Henderson 1950; Bates, Maechler, Bolker and Walker, JSS 67(1), 2015,
sections 2 and 3): after the rows have been multiplied by the square roots of the weights,

    H(theta) = Lambda^T Z^T Z Lambda + I = P^T L L^T P        sparse, positive definite, q x q
    S(theta) = [X y]^T [X y] - B^T H^-1 B,  B = Lambda^T Z^T [X y]     dense, (p + 1) x (p + 1)
    S        = R^T R,  R = [R_X  c; 0  r]

the fixed effects solve R_X beta = c, and r^2 is the minimum of the penalized least squares problem
|y - X beta - Z Lambda u|^2 + |u|^2. With sigma^2 = r^2 / n profiled out,

    ML:    -2 log likelihood = log|H| - log|W| + n (1 + log(2 pi r^2 / n))
    REML:  log|H| - log|W| + log|R_X|^2 + (n - p) (1 + log(2 pi r^2 / (n - p)))

The pattern of H never changes, and y and Z enter through cross products: one evaluation is one sparse
factorization, one solve with p + 1 right-hand sides, and arithmetic on the values of Z^T Z. Its gradient
comes from `jax.grad` and reuses the factor. A factorization that fails (theta out of all proportion) makes
everything NaN.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

import elimax as ex
from elimax.stats.mixed.cross_products import CrossProducts, pairs_of_terms, stored
from elimax.stats.mixed.random_term import Sizes, starts, templates, triangle

Theta = Float[Array, " t"]


def _scaled_templates(model: CrossProducts, theta: Theta) -> list[Float[Array, "k k"]]:
    """M T: the templates for the scaled columns, whose cross products the model has."""
    return [M @ T for M, T in zip(model.scales, templates(model.sizes, theta), strict=True)]


def factorize(model: CrossProducts, theta: Theta) -> ex.Cholesky:
    """The Cholesky factorization of H(theta)."""
    T, entries = _scaled_templates(model, theta), []
    for (i, j), block in zip(pairs_of_terms(len(T)), model.blocks, strict=True):
        scaled = jnp.einsum("nab,ac,bd->ncd", block, T[i], T[j])
        if i == j:
            scaled = scaled + jnp.eye(block.shape[1])
        entries.append(stored(scaled, i == j))
    # Said to be unique, the transpose of this gather need not add.
    order = jnp.concatenate(entries).at[model.order]
    values = order.get(unique_indices=True, mode="promise_in_bounds")
    return ex.cholesky(model.system.with_values(values), model.symbolic, throw=False)


def right_hand_sides(model: CrossProducts, theta: Theta) -> Float[Array, "q p1"]:
    """B = Lambda^T Z^T [Q y]."""
    parts = [
        jnp.einsum("lax,ab->lbx", cross, T).reshape(-1, model.p + 1)
        for cross, T in zip(model.cross, _scaled_templates(model, theta), strict=True)
    ]
    return jnp.concatenate(parts)


def reduced(model: CrossProducts, theta: Theta) -> tuple[Float[Array, ""], Float[Array, "p1 p1"]]:
    """log|H| and S in the basis Q, what is left of [Q y]^T [Q y] when u has been eliminated."""
    F, B = factorize(model, theta), right_hand_sides(model, theta)
    return F.logdet(), model.gram - B.T @ F.solve(B)


def criterion(model: CrossProducts, theta: Theta, reml: bool | Bool[Array, ""]) -> Float[Array, ""]:
    """The profiled deviance or, with `reml`, the profiled REML criterion: constants included.

    **Derivative:** in theta, and in the cross products, every order and mode.

    **Cost:** a sparse factorization; the gradient one selected inverse more.
    """
    logdet, S = reduced(model, theta)
    R = jnp.diagonal(jnp.linalg.cholesky(S))
    freedom = model.n - reml * model.p
    logdet += reml * 2 * jnp.sum(jnp.log(R[:-1] * jnp.abs(jnp.diagonal(model.basis))))
    return logdet - model.log_weights + freedom * (1 + jnp.log(2 * jnp.pi * R[-1] ** 2 / freedom))


def deviance(
    model: CrossProducts, theta: Theta, beta: Float[Array, " p"], sigma: Float[Array, ""]
) -> Float[Array, ""]:
    """-2 log likelihood of all parameters, nothing profiled out. **Derivative:** in all of them."""
    logdet, S = reduced(model, theta)
    contrast = jnp.append(model.projection - model.basis @ beta, 1.0)
    constant = model.n * jnp.log(2 * jnp.pi * sigma**2) - model.log_weights
    return logdet + constant + contrast @ S @ contrast / sigma**2


def estimates(
    model: CrossProducts, theta: Theta, reml: bool | Bool[Array, ""]
) -> tuple[
    Float[Array, " p"], Float[Array, "p p"], Float[Array, ""], list[Float[Array, "levels k"]]
]:
    """beta, its covariance, sigma, and the conditional modes of b per term, given theta.

    The covariance of beta is sigma^2 (R_X^T R_X)^-1: it takes theta as known, as lme4's does.
    """
    F, B = factorize(model, theta), right_hand_sides(model, theta)
    W = F.solve(B)
    R = jnp.linalg.cholesky(model.gram - B.T @ W).T
    in_basis = jax.scipy.linalg.solve_triangular(R[:-1, :-1], R[:-1, -1])
    beta = jax.scipy.linalg.solve_triangular(model.basis, model.projection + in_basis)
    sigma = R[-1, -1] / jnp.sqrt(model.n - reml * model.p)
    root = jax.scipy.linalg.solve_triangular(R[:-1, :-1] @ model.basis, jnp.eye(model.p))
    u = W @ jnp.append(-in_basis, 1.0)
    modes = [
        part.reshape(-1, k) @ T.T
        for part, (_, k), T in zip(
            jnp.split(u, starts(model.sizes)[1:-1]),
            model.sizes,
            templates(model.sizes, theta),
            strict=True,
        )
    ]
    return beta, sigma**2 * root @ root.T, sigma, modes


def conditional_covariances(model: CrossProducts, theta: Theta) -> list[Float[Array, "levels k k"]]:
    """Var(b | y) / sigma^2 = Lambda H^-1 Lambda^T, its diagonal blocks per term.

    The diagonal blocks of H^-1 lie within the pattern of H: they are a selected inverse. The uncertainty of
    beta is not included, as it is not in lme4's condVar.
    """
    F = factorize(model, theta)
    return relative_covariances(model.sizes, theta, F)


def relative_covariances(
    sizes: Sizes, theta: Theta, F: ex.Cholesky
) -> list[Float[Array, "levels k k"]]:
    """The diagonal blocks of Lambda H^-1 Lambda^T, one per level, from the factor of H."""
    selected = F.selected_inverse(_diagonal_blocks(sizes)).values
    covariances = []
    for (levels, k), T in zip(sizes, templates(sizes, theta), strict=True):
        row, column = triangle(k)
        part, selected = jnp.split(selected, [levels * len(row)])
        part = part.reshape(levels, -1)
        blocks = jnp.zeros((levels, k, k), part.dtype)
        blocks = blocks.at[:, row, column].set(part).at[:, column, row].set(part)
        covariances.append(jnp.einsum("ab,nbc,dc->nad", T, blocks, T))
    return covariances


def _diagonal_blocks(sizes: Sizes) -> ex.Pattern:
    """The lower triangles of one k x k block per level; entries come level after level."""
    rows, columns = [], []
    for start, (levels, k) in zip(starts(sizes), sizes, strict=False):
        row, column = triangle(k)
        first = start + k * np.arange(levels)[:, None]
        rows.append((first + row).ravel())
        columns.append((first + column).ravel())
    q = int(starts(sizes)[-1])
    return ex.Pattern.from_coo(
        np.concatenate(rows), np.concatenate(columns), (q, q), symmetric=True
    )
