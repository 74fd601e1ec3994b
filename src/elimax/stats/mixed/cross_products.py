"""The cross products of a linear mixed model, taken once on the host.

The response and the columns enter the criteria through [X y]^T [X y], Z^T [X y] and Z^T Z only. X is replaced
by an orthonormal basis Q of its columns, X = Q R, y by its least-squares residual, and the columns of each
random term by scaled ones. That changes nothing but the conditioning: a large mean of y or an unscaled
covariate costs no digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float, Int

import elimax as ex
from elimax.stats.mixed.random_term import RandomTerm, Sizes, starts, triangle
from elimax.stats.mixed.scaling import Scaling, scale_of


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False, repr=False)
class CrossProducts:
    """What the criteria of a linear mixed model need to know of its data: a pytree.

    Z^T Z is kept in blocks: term i with k_i columns meets term j <= i in blocks of k_i x k_j, one for every
    pair of levels that occur together. `order` sorts the entries of the lower triangle, block after block,
    into the columns of `system`. All that is static is the pattern of `system`, its analysis and `sizes`:
    another response, other weights, other values of X and Z run the same compiled program.

    **Attributes:**

    - `scales`: M of each term, (k, k): the columns of Z are replaced by those of Z M^-1; see `scaling`.
    - `blocks`: Z^T Z, per pair of terms j <= i: (pairs of levels, k_i, k_j).
    - `order`: (nnz,).
    - `cross`: Z^T [Q y], per term: (levels, k, p + 1).
    - `gram`: [Q y]^T [Q y], (p + 1, p + 1).
    - `basis`: R, (p, p), upper triangular.
    - `projection`: the coefficients Q^T y of the part of the response that was taken out of y, (p,).
    - `log_weights`: the sum of the logarithms of the weights.
    - `n`: the number of observations.
    - `system`: H at Lambda = I, Z^T Z + I.
    - `symbolic`: how H is factorized.
    - `sizes`: per term: levels, k.
    """

    scales: tuple[Float[Array, "k k"], ...]
    blocks: tuple[Float[Array, "pairs k_i k_j"], ...]
    order: Int[Array, " nnz"]
    cross: tuple[Float[Array, "levels k p1"], ...]
    gram: Float[Array, "p1 p1"]
    basis: Float[Array, "p p"]
    projection: Float[Array, " p"]
    log_weights: Float[Array, ""]
    n: Float[Array, ""]
    system: ex.SymmetricMatrix
    symbolic: ex.Symbolic = field(metadata={"static": True})
    sizes: Sizes = field(metadata={"static": True})

    @classmethod
    def from_data(
        cls,
        y: np.ndarray,
        X: np.ndarray,
        terms: Sequence[RandomTerm],
        weights: np.ndarray | None = None,
    ) -> CrossProducts:
        """Takes the cross products and finds the pattern of H, once, on the host.

        **Arguments:**

        - `y`: the response less its offset, (n,).
        - `X`: the columns of the fixed effects, (n, p), of full rank.
        - `terms`: the random terms.
        - `weights`: positive, (n,); the residual variances are sigma^2 / weights. Ones if None.

        **Raises:** `ValueError` if the response is a linear combination of the columns of X.

        **Cost:** n (p^2 + sum_ij k_i k_j) flops and a sort of n integers per pair of terms.
        """
        scale = np.ones(len(y)) if weights is None else np.sqrt(weights)
        y, X = y * scale, X * scale[:, None]
        designs = [term.design * scale[:, None] for term in terms]
        scales = [scale_of(design) for design in designs]
        designs = [
            scipy.linalg.solve_triangular(M, design.T, lower=True, trans="T").T
            for M, design in zip(scales, designs, strict=True)
        ]
        Q, R = scipy.linalg.qr(X, mode="economic")
        projection = Q.T @ y
        residual = y - Q @ projection
        correction = Q.T @ residual
        projection, residual = projection + correction, residual - Q @ correction
        if not np.linalg.norm(residual) > 1e-12 * np.linalg.norm(y):
            raise ValueError(
                "the response is fitted without error by the fixed effects (is it constant?): there is "
                "nothing left to be random"
            )
        Qy = np.column_stack([Q, residual])
        sizes = tuple(term.size for term in terms)
        blocks, order, system = _gram_of(terms, designs, sizes)
        cross = [
            _sum_by(term.codes, levels, design[:, :, None] * Qy[:, None, :])
            for term, design, (levels, _) in zip(terms, designs, sizes, strict=True)
        ]
        return cls(
            scales=tuple(map(jnp.asarray, scales)),
            blocks=tuple(map(jnp.asarray, blocks)),
            order=jnp.asarray(order),
            cross=tuple(map(jnp.asarray, cross)),
            gram=jnp.asarray(Qy.T @ Qy),
            basis=jnp.asarray(R),
            projection=jnp.asarray(projection),
            log_weights=jnp.asarray(2 * np.sum(np.log(scale))),
            n=jnp.asarray(len(y), Qy.dtype),
            system=system,
            symbolic=_analyzed(system),
            sizes=sizes,
        )

    @property
    def scaling(self) -> Scaling:
        """The coordinates in which to search for theta."""
        return Scaling.of(self.sizes, [np.asarray(M) for M in self.scales])

    @property
    def p(self) -> int:
        return self.gram.shape[0] - 1

    @property
    def q(self) -> int:
        return sum(levels * k for levels, k in self.sizes)


def _gram_of(
    terms: Sequence[RandomTerm], designs: Sequence[np.ndarray], sizes: Sizes
) -> tuple[list[np.ndarray], np.ndarray, ex.SymmetricMatrix]:
    """The blocks of Z^T Z, the order of their entries in the columns of H, and Z^T Z + I."""
    start = starts(sizes)
    blocks, entries, rows, columns = [], [], [], []
    for i, j in pairs_of_terms(len(terms)):
        levels, (k_i, k_j) = len(terms[j].levels), (sizes[i][1], sizes[j][1])
        together = terms[i].codes.astype(np.int64) * levels + terms[j].codes
        pairs, member = np.unique(together, return_inverse=True)
        block = _sum_by(member, len(pairs), designs[i][:, :, None] * designs[j][:, None, :])
        row = start[i] + (pairs // levels)[:, None, None] * k_i + np.arange(k_i)[:, None]
        column = start[j] + (pairs % levels)[:, None, None] * k_j + np.arange(k_j)
        blocks.append(block)
        entries.append(stored(block + np.eye(k_i) if i == j else block, i == j))
        rows.append(stored(np.broadcast_to(row, block.shape), i == j))
        columns.append(stored(np.broadcast_to(column, block.shape), i == j))
    value, row, column = map(np.concatenate, (entries, rows, columns))
    order = np.lexsort((row, column))
    shape = (start[-1], start[-1])
    return (
        blocks,
        order,
        ex.SymmetricMatrix.from_coo(row[order], column[order], value[order], shape),
    )


def _analyzed(system: ex.SymmetricMatrix) -> ex.Symbolic:
    """By minimum degree or nested dissection, whichever makes factorizations faster.

    Both are tried, since a search takes tens of factorizations: it was found to halve the time of InstEval.
    """
    candidates = [ex.analyze(system.pattern, "cholesky", ordering=o) for o in ("amd", "nd")]
    return min(candidates, key=lambda symbolic: symbolic.predicted_time)


def pairs_of_terms(terms: int) -> list[tuple[int, int]]:
    """The terms i and j <= i of each block of Z^T Z."""
    return [(i, j) for i in range(terms) for j in range(i + 1)]


def stored(blocks, diagonal: bool):
    """The entries that a symmetric matrix stores: of diagonal blocks, the lower triangle."""
    if not diagonal:
        return blocks.reshape(-1)
    row, column = triangle(blocks.shape[1])
    return blocks[:, row, column].reshape(-1)


def _sum_by(member: np.ndarray, groups: int, values: np.ndarray) -> np.ndarray:
    """Sums values (n, ...) over the members of each group."""
    flat = values.reshape(len(values), -1)
    sums = [np.bincount(member, weights=column, minlength=groups) for column in flat.T]
    return np.stack(sums, axis=-1).reshape(groups, *values.shape[1:])
