"""The Cholesky factor: solve, log-determinant, selected inverse, sampling halves.

A factor is a pytree of arrays over a static `Symbolic`: the values of A, the numeric factor, the status.
Everything computed from it is differentiable in the values of A and shares the one numeric factorization.
"""

import dataclasses
import functools
import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Inexact, Int, Key

from elimax import _results
from elimax._factor.right_hand_side import as_columns
from elimax._factor.selected import selected_inverse_of, support_of
from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._primitive import derivative as derivative  # registers every rule
from elimax._primitive.define import is_staged
from elimax._primitive.factor import cholesky_factor, factor_values
from elimax._primitive.product import gather
from elimax._primitive.selected_inverse import inverse_gradient
from elimax._primitive.selected_inverse import logdet as _logdet
from elimax._primitive.solve import Part
from elimax._primitive.solve import solve as _solve
from elimax._structure.ordering import Ordering
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import Embedding, Symbolic
from elimax._structure.symbolic import analyze as _analyze


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("matrix", "values", "status", "detail"),
    meta_fields=("symbolic",),
)
@dataclasses.dataclass(frozen=True, eq=False)
class Cholesky:
    r"""$P A P^\top = L L^\mathsf{H}$ for a symmetric or Hermitian positive definite matrix.

    Made by `elimax.cholesky`; a pytree that can be passed into and out of `jit`, `vmap` and `scan`.

    **Attributes:**

    - `matrix`: the factorized matrix.
    - `symbolic`: the static structure (ordering, elimination tree, supernodes).
    - `values`: the numeric factor in the layout of `symbolic` (a cache without derivative).
    - `status`: int32; 0, or 1 + the failing column in the caller's numbering, or a negative code
      (-1: a NaN or infinite value).
    - `detail`: int32; with status -1 the position of the offending entry of `matrix.values`.
    """

    matrix: SymmetricMatrix
    symbolic: Symbolic
    values: Inexact[Array, " size"]
    status: Int[Array, ""]
    detail: Int[Array, ""]

    @property
    def _embedding(self) -> Embedding:
        return self.symbolic.embedding(self.matrix.pattern)

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    @property
    def permutation(self) -> np.ndarray:
        """The fill-reducing permutation, static: (P b)[k] = b[permutation[k]]."""
        return self.symbolic.permutation

    @property
    def L(self) -> SparseMatrix:
        r"""The lower triangular factor of $P A P^\top$ on its exact pattern, without padding.

        **Derivative:** $L' = L\,\phi(L^{-1} P A' P^\top L^{-\mathsf{H}})$, where $\phi$ takes the lower
        triangle and halves its diagonal; every order and mode.

        **Cost:** one gather of nnz(L) entries; the pattern is computed once per `symbolic`. A derivative
        or its adjoint costs two to four factorizations.

        **Source:** Smith, J. Comput. Graph. Stat. 4 (1995); Murray, arXiv:1602.07527.
        """
        pattern, index_map = self.symbolic.factor_pattern()
        values = factor_values(
            self.matrix.values, self.values, self.symbolic, self._embedding, index_map
        )
        return SparseMatrix(pattern, values)

    def solve(
        self, b: Inexact[ArrayLike, " n"] | Inexact[ArrayLike, "n k"]
    ) -> Inexact[Array, "n ..."]:
        r"""$x = A^{-1} b$ for one right-hand side or k of them.

        **Arguments:**

        - `b`: right-hand sides; real ones are promoted if A is complex.

        **Returns:** x with the shape of `b`; NaN if the factorization failed.

        **Raises:** `ValueError` if the shape of `b` does not fit, `TypeError` if its dtype does not.

        **Derivative:** $x' = A^{-1}(b' - A' x)$, in both arguments, every order and mode.

        **Cost:** 4 nnz(L) flops a right-hand side; a derivative costs one more solve.
        """
        return self._solve(b, "whole")

    def half_solve(
        self, z: Inexact[ArrayLike, " n"] | Inexact[ArrayLike, "n k"], *, transpose: bool = False
    ) -> Inexact[Array, "n ..."]:
        r"""One half of a solve: $L^{-1} P z$, which whitens; with `transpose` $P^\top L^{-\mathsf{H}} z$.

        If z is standard normal, $P^\top L^{-\mathsf{H}} z$ is a draw from $N(0, A^{-1})$, and its derivatives
        in the values of A are reparametrized gradients; see `sample`.
        `half_solve(half_solve(b), transpose=True)` is `solve(b)`.

        **Raises:** as `solve`.

        **Derivative:** in both arguments, every order and mode: $y' = L^{-1}(P z' - L' y)$, and for the
        other half $x' = P^\top L^{-\mathsf{H}}(z' - L'^\mathsf{H} P x)$. They depend on the pivot sequence,
        as the halves do.

        **Cost:** 2 nnz(L) flops a right-hand side; a derivative costs one more half and a derivative of L.
        """
        return self._solve(z, "backward" if transpose else "forward")

    def sample(
        self, key: Key[Array, ""], shape: tuple[int, ...] = ()
    ) -> Inexact[Array, "*shape n"]:
        r"""Draws from $N(0, A^{-1})$: A is the precision matrix. For a mean $\mu$, add it.

        For complex A the draws are circularly symmetric, $E[x x^\mathsf{H}] = A^{-1}$.

        **Arguments:**

        - `key`: a key of `jax.random`.
        - `shape`: how many draws, as the leading dimensions of the result.

        **Raises:** `TypeError` if `shape` is not a tuple of integers, `ValueError` if one is negative.

        **Derivative:** of every draw in the values of A, at a fixed key (reparametrization); every order
        and mode.

        **Cost:** one half solve for all draws.

        **Source:** Rue, J. R. Stat. Soc. B 63 (2001).
        """
        try:
            shape = tuple(map(operator.index, shape))
        except TypeError:
            raise TypeError(
                f"`shape` must be a tuple of integers, the leading dimensions of the result, got {shape!r}"
            ) from None
        if any(size < 0 for size in shape):
            raise ValueError(f"`shape` must not have negative dimensions, got {shape}")
        n = self.shape[0]
        z = jax.random.normal(key, (math.prod(shape), n), self.dtype)
        return self.half_solve(z.T, transpose=True).T.reshape(*shape, n)

    def logdet(self) -> Float[Array, ""]:
        r"""$\log\det A$, natural logarithm; NaN if the factorization failed.

        **Derivative:** with respect to `matrix.values` the gradient is $(A^{-1})_{ii}$ on the
        diagonal and $2\,\overline{(A^{-1})_{ij}}$ off it, because a stored off-diagonal value
        stands for two entries. Every order and mode.

        **Cost:** n logarithms; the gradient costs one selected inversion.
        """
        return _logdet(self.matrix.values, self.values, self.symbolic, self._embedding)

    def slogdet(self) -> tuple[Inexact[Array, ""], Float[Array, ""]]:
        r"""The sign of $\det A$, which is 1, and `logdet`; for whoever takes any factorization."""
        logdet = self.logdet()
        return jnp.where(jnp.isnan(logdet), jnp.nan, 1).astype(self.dtype), logdet

    def selected_inverse(self, pattern: Pattern | None = None) -> SymmetricMatrix:
        r"""The entries of $A^{-1}$ on the pattern of A, or on any symmetric `pattern` inside the filled one.

        The whole inverse is dense; this is the part that the gradient of `logdet` and the marginal
        variances of a Gaussian need.

        **Arguments:**

        - `pattern`: a symmetric pattern (lower triangle) within that of L + L^T; that of A if None.

        **Raises:** `ValueError` if `pattern` is not a symmetric one of the shape of A or has entries outside
        of the filled pattern.

        **Derivative:** $(A^{-1})' = -A^{-1} A' A^{-1}$ on the same pattern; every order and mode.
        Values off the diagonal are single entries of the inverse: the factor 2 of `logdet`'s
        gradient is not in them.

        **Cost:** about two factorizations.

        **Source:** Takahashi, Fagan and Chin (1973); Erisman and Tinney, CACM 18 (1975).
        """
        return selected_inverse_of(self.matrix, pattern, self._inverse_gradient)

    def inverse_diagonal(self) -> Float[Array, " n"]:
        r"""$\mathrm{diag}(A^{-1})$: the marginal variances if A is a precision matrix. Real.

        **Derivative:** every order and mode.

        **Cost:** about two factorizations.
        """
        support = support_of(self.matrix, self.matrix.pattern)
        return jnp.real(gather(self._inverse_gradient(support), support.diagonal()))

    def _solve(self, b: Any, part: Part) -> Array:
        columns = as_columns(b, self.shape[0], self.dtype)
        x = _solve(self.matrix.values, self.values, columns, self.symbolic, self._embedding, part)
        return x.reshape(jnp.shape(b))

    def _inverse_gradient(self, support: Pattern) -> Array:
        """G_0 on a pattern that holds that of A."""
        values = self.matrix.on_pattern(support).values
        return inverse_gradient(
            values,
            self.values,
            symbolic=self.symbolic,
            embedding=self.symbolic.embedding(support),
        )

    def __repr__(self) -> str:
        dtype = getattr(self.values, "dtype", None)  # leaves may be placeholders
        return f"Cholesky(shape={self.symbolic.pattern.shape}, dtype={dtype}, {self.symbolic!r})"


def cholesky(
    A: SymmetricMatrix,
    symbolic: Symbolic | None = None,
    ordering: Ordering = "auto",
    throw: bool = True,
) -> Cholesky:
    r"""Factorizes a symmetric or Hermitian positive definite matrix: $P A P^\top = L L^\mathsf{H}$.

    **Arguments:**

    - `A`: the matrix, in float32, float64, complex64 or complex128; computed in its own precision.
    - `symbolic`: what `analyze` returned for a pattern that holds that of A; analyzed (and cached) if None.
    - `ordering`: "auto", "amd", "nd", "natural" or a permutation; only used without `symbolic`.
    - `throw`: whether a failure is an error: `FactorizationError`, or where values are abstract, as under
      `jit` and `vmap`, JAX's own error with the same sentence, raised by the running program.
      With False, everything computed from the factor is NaN and `status` says why; so it should be in a
      program for several devices, where an error on one leaves the others waiting.

    **Returns:** the factor.

    **Raises:** `TypeError` for a matrix that is not a `SymmetricMatrix`, `ValueError` if it is complex
    symmetric instead of Hermitian or has entries outside of the filled pattern of `symbolic`, and as
    `analyze` for an unknown `ordering`. `FactorizationError` if a pivot is not above rounding
    level (the matrix is not positive definite, or only within rounding) or a value is NaN or
    infinite.

    **Derivative:** of everything computed from the factor, with respect to `A.values`; the factor itself is a
    cache and is computed once.

    **Cost:** `symbolic.flops` flops and `symbolic.factor_size` entries of memory.

    **Source:** multifrontal elimination: Duff and Reid, TOMS 9 (1983); Liu, SIAM Review 34 (1992).
    """
    _check_matrix(A)
    symbolic = _analyze(A.pattern, ordering) if symbolic is None else symbolic
    if not isinstance(symbolic, Symbolic):
        raise TypeError(
            f"`symbolic` must be a Symbolic, as analyze returns it, got {type(symbolic).__name__}; an "
            "ordering is given by name, ordering=..."
        )
    embedding = symbolic.embedding(A.pattern)
    staged = is_staged(A.values)
    values, status, detail = cholesky_factor(A.values, symbolic, embedding, throw=throw and staged)
    if throw and not staged:
        _results.check(int(status), int(detail))
    return Cholesky(A, symbolic, values, status, detail)


def _check_matrix(A: Any) -> None:
    if not isinstance(A, SymmetricMatrix):
        raise TypeError(
            f"`A` must be a SymmetricMatrix, got {type(A).__name__}. Build one with "
            "SymmetricMatrix.from_scipy or from_dense or, from a SparseMatrix that is symmetric, with "
            "SymmetricMatrix.from_general, which reads the lower triangle only."
        )
    if jnp.iscomplexobj(A.values) and not A.hermitian:
        raise ValueError(
            "`A` is complex symmetric (hermitian=False) and so has no Cholesky factorization. Build it with "
            "hermitian=True if it is Hermitian."
        )
