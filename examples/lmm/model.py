"""Linear mixed models by sparse Cholesky factorization: y = X beta + Z b + e.

The random effects are b = Lambda(theta) u with u ~ N(0, sigma^2 I), e ~ N(0, sigma^2 I). For given
relative covariance parameters theta, everything else has a closed form (Henderson 1950; Bates,
Maechler, Bolker and Walker, JSS 67(1), 2015, sections 2 and 3): with

    H(theta) = Lambda^T Z^T Z Lambda + I = P^T L L^T P        sparse, positive definite, q x q
    S(theta) = [X y]^T [X y] - B^T H^-1 B,  B = Lambda^T Z^T [X y]     dense, (p + 1) x (p + 1)
    S        = R^T R,  R = [R_X  c; 0  r]

the fixed effects solve R_X beta = c, and r^2 is the minimum of the penalized least squares problem
|y - X beta - Z Lambda u|^2 + |u|^2. With sigma^2 = r^2 / n profiled out,

    ML:    -2 log likelihood = log|H| + n (1 + log(2 pi r^2 / n))
    REML:  log|H| + log|R_X|^2 + (n - p) (1 + log(2 pi r^2 / (n - p)))

The pattern of H never changes, and y and Z enter through cross products that are taken once: one
evaluation is one sparse factorization, one solve with p + 1 right-hand sides, and arithmetic on
the values of Z^T Z. Its gradient comes from `jax.grad` and reuses the factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import elimax as ex


@dataclass(frozen=True, eq=False)
class RandomTerm:
    """A random-effects term (columns | group): every level has one coefficient per column."""

    name: str
    group: np.ndarray  # (n,) labels
    design: np.ndarray  # (n, k)
    columns: tuple[str, ...] = ("(Intercept)",)
    levels: np.ndarray = field(init=False)  # sorted distinct labels
    codes: np.ndarray = field(init=False)  # group == levels[codes]

    def __post_init__(self) -> None:
        levels, codes = np.unique(self.group, return_inverse=True)
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "codes", codes)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class MixedModel:
    """The cross products of a linear mixed model, and the pattern of H.

    Z^T Z is kept in blocks: term i with k_i columns meets term j <= i in blocks of k_i x k_j, one
    for every pair of levels that occur together. `order` sorts the entries of the lower triangle,
    block after block, into the columns of `system`.
    """

    blocks: tuple[Array, ...]  # per pair of terms j <= i: (pairs of levels, k_i, k_j)
    order: Array  # (nnz,)
    cross: tuple[Array, ...]  # Z^T [X y], per term: (levels, k, p + 1)
    gram: Array  # [X y]^T [X y]
    system: ex.SymmetricMatrix  # H at Lambda = I: Z^T Z + I
    sizes: tuple[tuple[int, int], ...] = field(metadata={"static": True})  # per term: levels, k
    n: int = field(metadata={"static": True})

    @classmethod
    def from_data(cls, y: np.ndarray, X: np.ndarray, terms: Sequence[RandomTerm]) -> MixedModel:
        """Takes the cross products and finds the pattern of H, once, on the host."""
        Xy = np.column_stack([X, y])
        sizes = tuple((len(term.levels), term.design.shape[1]) for term in terms)
        starts = _starts(sizes)
        blocks, entries, rows, columns = [], [], [], []
        for i, j in _pairs(len(terms)):
            a, b = terms[i], terms[j]
            levels, (k_i, k_j) = len(b.levels), (sizes[i][1], sizes[j][1])
            together = a.codes.astype(np.int64) * levels + b.codes
            pairs, member = np.unique(together, return_inverse=True)
            block = _sum_by(member, len(pairs), a.design[:, :, None] * b.design[:, None, :])
            row = starts[i] + (pairs // levels)[:, None, None] * k_i + np.arange(k_i)[:, None]
            column = starts[j] + (pairs % levels)[:, None, None] * k_j + np.arange(k_j)
            blocks.append(block)
            entries.append(_stored(block + np.eye(k_i) if i == j else block, i == j))
            rows.append(_stored(np.broadcast_to(row, block.shape), i == j))
            columns.append(_stored(np.broadcast_to(column, block.shape), i == j))
        value, row, column = map(np.concatenate, (entries, rows, columns))
        order = np.lexsort((row, column))
        system = ex.SymmetricMatrix.from_coo(
            row[order], column[order], value[order], (starts[-1], starts[-1])
        )
        cross = [
            _sum_by(term.codes, levels, term.design[:, :, None] * Xy[:, None, :])
            for term, (levels, _) in zip(terms, sizes, strict=True)
        ]
        return cls(
            blocks=tuple(map(jnp.asarray, blocks)),
            order=jnp.asarray(order),
            cross=tuple(map(jnp.asarray, cross)),
            gram=jnp.asarray(Xy.T @ Xy),
            system=system,
            sizes=sizes,
            n=len(y),
        )

    @property
    def p(self) -> int:
        return self.gram.shape[0] - 1

    @property
    def q(self) -> int:
        return sum(levels * k for levels, k in self.sizes)


def _starts(sizes: Sequence[tuple[int, int]]) -> np.ndarray:
    """Where the coefficients of each term start in b, and where the last one ends."""
    return np.cumsum([0] + [levels * k for levels, k in sizes])


def _pairs(terms: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(terms) for j in range(i + 1)]


def _sum_by(member: np.ndarray, groups: int, values: np.ndarray) -> np.ndarray:
    """Sums values (n, ...) over the members of each group."""
    flat = values.reshape(len(values), -1)
    sums = [np.bincount(member, weights=column, minlength=groups) for column in flat.T]
    return np.stack(sums, axis=-1).reshape(groups, *values.shape[1:])


def _stored(blocks: Array | np.ndarray, diagonal: bool) -> Array | np.ndarray:
    """The entries that a symmetric matrix stores: of diagonal blocks, the lower triangle."""
    if not diagonal:
        return blocks.reshape(-1)
    row, column = np.tril_indices(blocks.shape[1])
    return blocks[:, row, column].reshape(-1)


def _entries(blocks: Sequence[Array], T: Sequence[Array]) -> Array:
    """Lambda^T Z^T Z Lambda + I, block by block: T_i^T (Z_i^T Z_j) T_j."""
    entries = []
    for (i, j), block in zip(_pairs(len(T)), blocks, strict=True):
        scaled = jnp.einsum("nab,ac,bd->ncd", block, T[i], T[j])
        if i == j:
            scaled = scaled + jnp.eye(block.shape[1])
        entries.append(_stored(scaled, i == j))
    return jnp.concatenate(entries)


# ---------------------------------------------------------------------------------------------
# theta: the lower triangles of the templates T_i, column by column, term after term (as in lme4);
# Lambda is block diagonal with one copy of T_i per level of term i.


def _triangle(k: int) -> tuple[np.ndarray, np.ndarray]:
    column, row = np.triu_indices(k)
    return row, column


def templates(model: MixedModel, theta: Array) -> list[Array]:
    """The Cholesky factors T_i of the relative covariances of the terms."""
    result, start = [], 0
    for _, k in model.sizes:
        row, column = _triangle(k)
        part = theta[start : start + len(row)]
        result.append(jnp.zeros((k, k), theta.dtype).at[row, column].set(part))
        start += len(row)
    return result


def on_diagonal(model: MixedModel) -> np.ndarray:
    """Which components of theta are diagonal entries: those are bounded below by zero."""
    triangles = [_triangle(k) for _, k in model.sizes]
    return np.concatenate([row == column for row, column in triangles])


# ---------------------------------------------------------------------------------------------
# The criteria


def factorize(model: MixedModel, theta: Array) -> ex.Cholesky:
    """The Cholesky factorization of H(theta)."""
    values = _entries(model.blocks, templates(model, theta))[model.order]
    return ex.cholesky(model.system.with_values(values))


def _right_hand_sides(model: MixedModel, theta: Array) -> Array:
    """B = Lambda^T Z^T [X y]."""
    parts = [
        jnp.einsum("lax,ab->lbx", cross, T).reshape(-1, model.p + 1)
        for cross, T in zip(model.cross, templates(model, theta), strict=True)
    ]
    return jnp.concatenate(parts)


def reduced(model: MixedModel, theta: Array) -> tuple[Array, Array]:
    """log|H| and S, what is left of [X y]^T [X y] when u has been eliminated."""
    F, B = factorize(model, theta), _right_hand_sides(model, theta)
    return F.logdet(), model.gram - B.T @ F.solve(B)


def criterion(model: MixedModel, theta: Array, reml: bool | Array) -> Array:
    """The profiled deviance or, with `reml`, the profiled REML criterion."""
    logdet, S = reduced(model, theta)
    R = jnp.diagonal(jnp.linalg.cholesky(S))
    freedom = model.n - reml * model.p
    logdet += reml * 2 * jnp.sum(jnp.log(R[:-1]))
    return logdet + freedom * (1 + jnp.log(2 * jnp.pi * R[-1] ** 2 / freedom))


def deviance(model: MixedModel, theta: Array, beta: Array, sigma: Array) -> Array:
    """-2 log likelihood of all parameters, nothing profiled out."""
    logdet, S = reduced(model, theta)
    contrast = jnp.append(-beta, 1.0)
    return logdet + model.n * jnp.log(2 * jnp.pi * sigma**2) + contrast @ S @ contrast / sigma**2


def estimates(
    model: MixedModel, theta: Array, reml: bool | Array
) -> tuple[Array, Array, list[Array]]:
    """The estimates of beta and sigma, and the conditional modes of b per term (levels, k)."""
    F, B = factorize(model, theta), _right_hand_sides(model, theta)
    W = F.solve(B)
    R = jnp.linalg.cholesky(model.gram - B.T @ W).T
    beta = jax.scipy.linalg.solve_triangular(R[:-1, :-1], R[:-1, -1])
    sigma = R[-1, -1] / jnp.sqrt(model.n - reml * model.p)
    u = W @ jnp.append(-beta, 1.0)
    modes = [
        part.reshape(-1, k) @ T.T
        for part, (_, k), T in zip(
            jnp.split(u, _starts(model.sizes)[1:-1]),
            model.sizes,
            templates(model, theta),
            strict=True,
        )
    ]
    return beta, sigma, modes


def conditional_covariances(model: MixedModel, theta: Array) -> list[Array]:
    """Var(b | y) / sigma^2 = Lambda H^-1 Lambda^T, its diagonal blocks per term (levels, k, k).

    The diagonal blocks of H^-1 lie within the pattern of H: they are a selected inverse. The
    uncertainty of beta is not included.
    """
    selected = factorize(model, theta).selected_inverse(_diagonal_blocks(model.sizes)).values
    covariances = []
    for (levels, k), T in zip(model.sizes, templates(model, theta), strict=True):
        row, column = _triangle(k)
        part, selected = jnp.split(selected, [levels * len(row)])
        part = part.reshape(levels, -1)
        blocks = jnp.zeros((levels, k, k), part.dtype)
        blocks = blocks.at[:, row, column].set(part).at[:, column, row].set(part)
        covariances.append(jnp.einsum("ab,nbc,dc->nad", T, blocks, T))
    return covariances


def _diagonal_blocks(sizes: Sequence[tuple[int, int]]) -> ex.Pattern:
    """The lower triangles of one k x k block per level; entries come level after level."""
    rows, columns = [], []
    for start, (levels, k) in zip(_starts(sizes), sizes, strict=False):
        row, column = _triangle(k)
        first = start + k * np.arange(levels)[:, None]
        rows.append((first + row).ravel())
        columns.append((first + column).ravel())
    q = int(_starts(sizes)[-1])
    return ex.Pattern.from_coo(
        np.concatenate(rows), np.concatenate(columns), (q, q), symmetric=True
    )
