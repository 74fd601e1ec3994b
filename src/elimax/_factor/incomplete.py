"""Incomplete LU: a factor as sparse as the matrix, to precondition with where a complete one is too large."""

import dataclasses
import functools

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Inexact, Int

from elimax._factor.right_hand_side import as_columns
from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._primitive.incomplete import incomplete_lu as _incomplete_lu
from elimax._primitive.triangular import triangular_solve


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("factors", "status", "detail"),
    meta_fields=("positive_definite",),
)
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class IncompleteLU:
    r"""$L U \approx A$ without fill. Made by `elimax.incomplete_lu`; a pytree.

    **Attributes:**

    - `factors`: L without its diagonal of ones below, U on and above the diagonal.
    - `status`: int32; 0; -1: a NaN or infinite value; -3: pivots were replaced, which may do no harm.
    - `detail`: int32; with status -1 the position of the value, with -3 the first such column.
    - `positive_definite`: whether the matrix was declared so.
    """

    factors: SparseMatrix
    status: Int[Array, ""]
    detail: Int[Array, ""]
    positive_definite: bool

    @property
    def shape(self) -> tuple[int, int]:
        return self.factors.shape

    @property
    def dtype(self) -> np.dtype:
        return self.factors.dtype

    def solve(
        self,
        b: Inexact[ArrayLike, " n"] | Inexact[ArrayLike, "n k"],
        *,
        transpose: bool = False,
    ) -> Inexact[Array, "n ..."]:
        r"""$(L U)^{-1} b$, or $(L U)^{-\top} b$ (not conjugated): not a solution with A, but close to one.

        **Raises:** `ValueError` or `TypeError` if `b` does not fit.

        **Derivative:** linear in `b`; the factors have none. **Cost:** 2 nnz(A) flops a right-hand side.
        """
        x = as_columns(b, self.shape[0], self.dtype)
        for lower in (False, True) if transpose else (True, False):
            x, _ = triangular_solve(
                self.factors.values,
                x,
                self.factors.pattern,
                lower=lower,
                transpose=transpose,
                unit_diagonal=lower,
                throw=False,
            )
        return x.reshape(jax.numpy.shape(b))

    def __repr__(self) -> str:
        return f"IncompleteLU({self.factors!r})"


def incomplete_lu(
    A: SparseMatrix | SymmetricMatrix,
    modified: bool = False,
    positive_definite: bool | None = None,
) -> IncompleteLU:
    r"""ILU(0): $L U \approx A$ with entries where A has them, in the order in which A is given.

    For a symmetric matrix it is symmetric, too, as IC(0) is: U = D L^T.

    **Arguments:**

    - `A`: a square matrix.
    - `modified`: whether what is dropped is added to the diagonal, so that the column sums of A are kept: for
        discretized elliptic equations the number of iterations then grows more slowly.
    - `positive_definite`: whether A is, and pivots are kept positive; what A is declared if None.

    **Returns:** the factors, for `elimax.preconditioner`.

    **Raises:** `TypeError` for what is not a sparse matrix, `ValueError` if it is not square.

    **Derivative:** none: a preconditioner only decides how fast an iteration converges.

    **Cost:** about as many flops as A A has multiplications; memory of nnz(A).

    **Source:** Meijerink and van der Vorst, Math. Comp. 31 (1977); Gustafsson, BIT 18 (1978).
    """
    if not isinstance(A, SparseMatrix | SymmetricMatrix):
        raise TypeError(
            f"`A` must be a SparseMatrix or a SymmetricMatrix, got {type(A).__name__}; "
            "elimax.materialise(operator).matrix is that of an operator"
        )
    if A.shape[0] != A.shape[1]:
        raise ValueError(f"`A` must be square, got shape {A.shape}")
    declared = isinstance(A, SymmetricMatrix) and A.positive_definite
    positive = declared if positive_definite is None else bool(positive_definite)
    general = A.to_general()
    general = general.on_pattern(general.pattern.with_diagonal())
    values, status, detail = _incomplete_lu(
        general.values, general.pattern, bool(modified), positive
    )
    return IncompleteLU(general.with_values(values), status, detail, positive)
