"""Matrices that are not positive definite, and what is computed from their factors, sparse and dense.

problem = Problem("grid_2d", "lu", np.complex128)    # or "ldl", or "symmetric" for a complex symmetric one
problem.outputs(v, b), problem.expected(v, b)        # of stored values and a right-hand side
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp

import elimax as ex

from ..helpers import GALLERY, coordinates, lower_triangle

KINDS = ("ldl", "symmetric", "lu")


def _general(A: sp.csc_array, rng: np.random.Generator) -> sp.csc_array:
    """Some entries of A dropped, none equal to its mirror, and the rows in another order: a diagonal with
    zeros, and none of the strongest entries on it."""
    rows, columns = coordinates(A)
    kept = (rng.uniform(size=rows.size) < 0.8) | (rows == columns)
    data = A.data[kept] * rng.uniform(0.5, 2.0, kept.sum())
    B = sp.csc_array((data, (rows[kept], columns[kept])), A.shape)
    order = np.arange(A.shape[0])
    swapped = rng.permutation(A.shape[0])[: A.shape[0] // 4]
    order[swapped] = order[np.roll(swapped, 1)]
    return sp.csc_array(B[order])


def _indefinite(A: sp.csc_array, rng: np.random.Generator) -> sp.csc_array:
    """The diagonal of A with random signs, and zeros at one end of every third edge of a matching."""
    n = A.shape[0]
    diagonal = A.diagonal() * rng.choice([-1.0, 1.0], size=n)
    matched = np.zeros(n, bool)
    for i, j in zip(*coordinates(sp.csc_array(sp.tril(A, -1))), strict=True):
        if not (matched[i] or matched[j]):
            matched[[i, j]] = True
            if np.count_nonzero(matched) % 6 == 0:
                diagonal[i] = 0
    return sp.csc_array(A - sp.diags_array(A.diagonal()) + sp.diags_array(diagonal))


@dataclasses.dataclass(frozen=True)
class Problem:
    name: str
    kind: str = "lu"
    dtype: Any = np.float64

    @functools.cached_property
    def scipy(self) -> sp.csc_array:
        """The matrix, all entries stored."""
        rng = np.random.default_rng(sum(map(ord, self.name)))
        A = GALLERY[self.name](self.dtype).astype(self.dtype)
        A.sum_duplicates()
        if self.kind == "lu":
            A = _general(A, rng)
        else:
            A = _indefinite(A, rng)
            if self.kind == "symmetric":
                lower = sp.tril(A, -1)
                phase = 1j if np.issubdtype(self.dtype, np.complexfloating) else 0
                turned = A.diagonal() * np.exp(phase * rng.uniform(size=A.shape[0]))
                A = sp.csc_array(lower + lower.T + sp.diags_array(turned))
        A = sp.csc_array(A.astype(self.dtype))
        A.sum_duplicates()
        return A

    @functools.cached_property
    def matrix(self) -> ex.SparseMatrix | ex.SymmetricMatrix:
        if self.kind == "lu":
            return ex.SparseMatrix.from_scipy(self.scipy)
        return ex.SymmetricMatrix.from_scipy(self.scipy, hermitian=self.kind == "ldl")

    @property
    def values(self) -> jax.Array:
        return self.matrix.values

    @functools.cached_property
    def symbolic(self) -> Any:
        """Analyzed with the values, also where it is asked for under a trace, and with the diagonal."""
        with jax.ensure_compile_time_eval():
            whole = self.matrix.on_pattern(self.matrix.pattern.with_diagonal())
            return ex.analyze(whole, kind="lu" if self.kind == "lu" else "ldl")

    def factor(self, values: Any = None, **options: Any) -> Any:
        A = self.matrix if values is None else self.matrix.with_values(values)
        options.setdefault("symbolic", self.symbolic)
        return ex.factor(A, **options)

    def dense(self, values: Any) -> jax.Array:
        """The matrix, differentiable in its stored values."""
        if self.kind == "lu":
            return jnp.zeros(self.scipy.shape, self.dtype).at[coordinates(self.scipy)].set(values)
        rows, columns = coordinates(lower_triangle(self.scipy))
        below = rows != columns
        hermitian = self.kind == "ldl"
        lower = jnp.zeros(self.scipy.shape, self.dtype).at[rows, columns].set(values)
        if hermitian:
            real = jnp.real(values).astype(self.dtype)
            lower = lower.at[rows, columns].set(jnp.where(below, values, real))
        mirrored = values[below].conj() if hermitian else values[below]
        return lower.at[columns[below], rows[below]].set(mirrored)

    def on_inverse_pattern(self, X: jax.Array) -> jax.Array:
        """The entries that `selected_inverse` holds: those of A^T, or of the lower triangle."""
        if self.kind == "lu":
            return X[coordinates(sp.csc_array(self.scipy.T))]
        return X[coordinates(lower_triangle(self.scipy))]

    def outputs(self, v: Any, b: Any) -> list[jax.Array]:
        """Everything that a factor gives."""
        F = self.factor(v)
        sign, logdet = F.slogdet()
        transposed = [F.solve(b, transpose=True)] if self.kind == "lu" else []
        inverse, diagonal = F.selected_inverse().values, F.inverse_diagonal()
        return [F.solve(b), *transposed, sign, logdet, inverse, diagonal]

    def expected(self, v: Any, b: Any) -> list[jax.Array]:
        """The same by dense algebra."""
        X = self.dense(v)
        sign, logdet = jnp.linalg.slogdet(X)
        if self.kind == "ldl":  # whatever roundings make of its phase
            sign = jax.lax.stop_gradient(jnp.sign(sign.real)).astype(sign.dtype)
        transposed = [jnp.linalg.solve(X.T, b)] if self.kind == "lu" else []
        Z = jnp.linalg.inv(X)
        inverse, diagonal = self.on_inverse_pattern(Z), self.diagonal_of(Z)
        return [jnp.linalg.solve(X, b), *transposed, sign, logdet, inverse, diagonal]

    def diagonal_of(self, X: jax.Array) -> jax.Array:
        diagonal = jnp.diagonal(X)
        return jnp.real(diagonal) if self.kind == "ldl" else diagonal


def joined(outputs: Callable[..., list[jax.Array]]) -> Callable[..., jax.Array]:
    """All outputs as one array."""
    return lambda *x: jnp.concatenate([jnp.ravel(y) for y in outputs(*x)])
