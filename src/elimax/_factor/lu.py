"""LU of general square matrices."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Inexact

from elimax._factor.pivoted import DATA, META, Pivoted, Solution
from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._primitive.product import gather
from elimax._primitive.scaling import scale
from elimax._structure.lu_symbolic import LUSymbolic, analyze_lu
from elimax._structure.ordering import Ordering
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import Symbolic


@functools.partial(jax.tree_util.register_dataclass, data_fields=DATA, meta_fields=META)
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LU(Pivoted):
    r"""$P R A C Q = L U$ for a general square matrix.

    R and C scale by powers of two. Rows are matched with columns, which is part of the structure, and
    exchanged within supernodes. Made by `elimax.lu`; a pytree.

    **Attributes:**

    - `matrix`: the factorized matrix.
    - `symbolic`: the static structure, with the matching of rows with columns.
    - `values`, `pivots`: the numeric factor (a cache without derivative).
    - `row_scale`, `column_scale`: the diagonals of R and C.
    - `status`: int32; 0; -1: a NaN or infinite value; -3: pivots were perturbed; -4: element growth made the
      factor inaccurate. `solve` refines its answers with -3 and -4, nothing else is defined then.
    - `detail`: int32; with status -1 the position of the entry in `matrix.values`, with -3 the column of the
      first perturbed pivot in the caller's numbering.
    - `throw`: whether a failure is an error.
    """

    @property
    def _eliminated(self) -> Symbolic:
        return self.symbolic.symbolic

    @classmethod
    def _scales(cls, matrix: SparseMatrix, symbolic: LUSymbolic) -> tuple[Array, Array]:
        """First those of the matching, then what present values still need."""
        if not symbolic.exponents.size:
            return super()._scales(matrix, symbolic)
        rows, columns = map(jnp.asarray, symbolic.scales(matrix.values.real.dtype))
        scaled = matrix.with_values(scale(matrix.values, rows, columns, matrix.pattern))
        more_rows, more_columns = super()._scales(scaled, symbolic)
        return rows * more_rows, columns * more_columns

    def solve(
        self,
        b: Inexact[ArrayLike, " n"] | Inexact[ArrayLike, "n k"],
        *,
        transpose: bool = False,
        refine: bool = True,
    ) -> Inexact[Array, "n ..."]:
        r"""$x = A^{-1} b$, or $A^{-\top} b$ (not conjugated), for one right-hand side or k of them.

        By iterative refinement: the componentwise backward error of every column is at most 10 roundings.
        With `refine=False` it is one pass over the factor, unchecked: for preconditioning.

        **Raises:** `ValueError` or `TypeError` if `b` does not fit. `FactorizationError`, or JAX's own error
        where values are abstract, if refinement stagnates; with `throw=False` such a column is NaN
        (`solve_checked` returns it).

        **Derivative:** $x' = A^{-1}(b' - A' x)$, in both arguments, every order and mode; holomorphic for
        complex matrices.

        **Cost:** one pass over L and U, and a residual in twice the precision; once more for each step of
        refinement, usually none or one.

        **Source:** Arioli, Demmel and Duff, SIAM J. Matrix Anal. Appl. 10 (1989).
        """
        return self._solve(b, transpose, refine)

    def solve_checked(
        self,
        b: Inexact[ArrayLike, " n"] | Inexact[ArrayLike, "n k"],
        *,
        transpose: bool = False,
    ) -> Solution:
        """As `solve`, but never an error: the best solution with the status and backward error achieved."""
        return self._solve_checked(b, transpose)

    def selected_inverse(self, pattern: Pattern | None = None) -> SparseMatrix:
        r"""The entries of $A^{-1}$ on the pattern of $A^\top$, or on any general `pattern` whose transpose
        lies inside the filled one.

        The gradient of $\log|\det A|$ with respect to $a_{ij}$ is $(A^{-1})_{ji}$.

        **Raises:** `ValueError` if `pattern` is not a general one of the shape of A or has entries outside of
        the filled pattern; as `slogdet` if the factor is not exact.

        **Derivative:** $(A^{-1})' = -A^{-1} A' A^{-1}$ on the same pattern; every order and mode.

        **Cost:** about two factorizations.

        **Source:** Erisman and Tinney, CACM 18 (1975).
        """
        support = self.matrix.pattern
        if isinstance(pattern, Pattern) and not pattern.symmetric and pattern.shape == self.shape:
            support = support.union(pattern.transpose()[0])
        elif pattern is not None:
            raise ValueError(
                f"`pattern` must be a general Pattern of shape {self.shape}, got {pattern}; "
                "Pattern.to_general()[0] gives both triangles of a symmetric one"
            )
        inverse = SparseMatrix(support, self._inverse_gradient(support)).T
        if pattern is None or pattern == inverse.pattern:
            return inverse
        return SparseMatrix(pattern, gather(inverse.values, pattern.embedding(inverse.pattern)))

    def inverse_diagonal(self) -> Inexact[Array, " n"]:
        r"""$\mathrm{diag}(A^{-1})$. As `selected_inverse`.

        **Raises:** `ValueError`, too, if a diagonal entry lies outside of the filled pattern, which can only
        be where A has none: analyze A with zeros there, `A.on_pattern(A.pattern.with_diagonal())`. That may
        cost much fill where rows are matched far from the diagonal.
        """
        support = self.matrix.pattern.with_diagonal()
        return SparseMatrix(support, self._inverse_gradient(support)).diagonal()


def lu(
    A: SparseMatrix | SymmetricMatrix,
    symbolic: LUSymbolic | None = None,
    ordering: Ordering = "auto",
    throw: bool = True,
) -> LU:
    r"""Factorizes a general square matrix: $P R A C Q = L U$.

    The structure is static: that of a symmetric matrix whose pattern holds those of A and its transpose,
    once the rows of A are in an order that puts entries on the diagonal. Rows are exchanged only inside
    supernodes. A pivot that is too small for its column is replaced by a larger one, which the status
    tells. `analyze(A, kind="lu")` with the values of A finds the order of rows that makes the diagonal
    strongest; from the pattern alone it is one that keeps most of the diagonal.

    **Arguments:**

    - `A`: the matrix, in float32, float64, complex64 or complex128; computed in its own precision. Of a
      symmetric one both triangles are taken.
    - `symbolic`: what `analyze(..., kind="lu")` returned for a pattern that holds that of A; analyzed (and
      cached) from the pattern alone if None.
    - `ordering`: of the columns: "auto", "amd", "nd", "natural" or a permutation; only used without
      `symbolic`.
    - `throw`: whether a failure of what is computed from the factor is an error: `FactorizationError`, or
      where values are abstract JAX's own error with the same sentence. With False it is NaN.

    **Returns:** the factor. Perturbed pivots alone are no error: `solve` may well succeed.

    **Raises:** `TypeError` for what is not a sparse matrix or not an `LUSymbolic`; `ValueError` if the matrix
    is not square or structurally singular (naming rows and columns), or has entries outside of the filled
    pattern of `symbolic`, and as `analyze`; `FactorizationError` for a NaN or infinite value.

    **Derivative:** of everything computed from the factor, with respect to `A.values`.

    **Cost:** `symbolic.flops` flops.

    **Source:** perturbed pivots and refinement: Li and Demmel, Making sparse Gaussian elimination scalable by
    static pivoting (1998); the matching: Duff and Koster, SIAM J. Matrix Anal. Appl. 22 (2001).
    """
    if isinstance(A, SymmetricMatrix):
        A = A.to_general()
    if not isinstance(A, SparseMatrix):
        raise TypeError(
            f"`A` must be a SparseMatrix or a SymmetricMatrix, got {type(A).__name__}. Build one with "
            "SparseMatrix.from_scipy or from_dense."
        )
    if A.shape[0] != A.shape[1]:
        raise ValueError(
            f"`A` must be square, got shape {A.shape}; least_squares takes a matrix of any shape"
        )
    symbolic = analyze_lu(A.pattern, ordering) if symbolic is None else symbolic
    if not isinstance(symbolic, LUSymbolic):
        raise TypeError(
            f"`symbolic` must be an LUSymbolic, as analyze(A, kind='lu') returns it, got "
            f"{type(symbolic).__name__}; an ordering is given by name, ordering=..."
        )
    return LU._factorize(A, symbolic, symbolic.symbolic, throw)
