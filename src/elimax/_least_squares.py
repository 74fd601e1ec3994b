"""Sparse least squares and minimum-norm solutions, by the augmented system.

With at least as many rows as columns, min ||A x - b||^2 + damping^2 ||x||^2 is solved with its residual r:

    [ I     A          ] [ r ]   [ b ]
    [ A^H  -damping^2 I] [ x ] = [ 0 ],

and with fewer rows, where damping = 0 asks for the solution of A x = b that is smallest,

    [ I     A^H        ] [ x ]   [ 0 ]
    [ A    -damping^2 I] [ w ] = [ b ].

Both are symmetric and indefinite, and nonsingular if A has full rank or the damping is not zero. The ones
are eliminated first, which needs no pivoting and leaves the negative normal equations; iterative refinement
of the whole system makes the solution as accurate as A allows, not its square. What that cannot tell is a
rank beyond the square root of the precision: with columns of equal size, A counts as rank-deficient from a
condition number of about 10^6 on (in single precision 10^2).
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, ArrayLike, Float, Inexact, Int

from elimax._factor.ldl import LDL, ldl
from elimax._factor.pivoted import Solution
from elimax._factor.right_hand_side import as_columns
from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._primitive.define import is_staged
from elimax._primitive.guard import guard
from elimax._primitive.product import scatter
from elimax._results import NOT_FINITE, RANK_DEFICIENT_SENTENCE, check
from elimax._structure.index_map import IndexMap
from elimax._structure.ordering import Ordering, order
from elimax._structure.pattern import Pattern
from elimax._structure.structure import cached
from elimax._structure.symbolic import Symbolic, analyze
from elimax._types import as_dense


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=("augmented",), meta_fields=("shape",)
)
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LeastSquares:
    """The factorized augmented system of a least-squares problem; a pytree. Made by `elimax.least_squares`.

    **Attributes:**

    - `augmented`: the LDL^H factorization of the augmented matrix.
    - `shape`: of A.
    """

    augmented: LDL
    shape: tuple[int, int]

    @property
    def dtype(self) -> np.dtype:
        return self.augmented.dtype

    @property
    def status(self) -> Int[Array, ""]:
        """int32; 0; -1: a NaN or infinite value; -3 or -4: rank-deficient as far as one can tell."""
        return self.augmented.status

    def solve(
        self,
        b: Inexact[ArrayLike, " m"] | Inexact[ArrayLike, "m k"],
        *,
        transpose: bool = False,
    ) -> Inexact[Array, "n ..."]:
        r"""The x that minimizes $\|A x - b\|^2 + \mathrm{damping}^2 \|x\|^2$, for one right-hand side or k.

        With fewer rows than columns and no damping, the smallest x with $A x = b$. In both cases x is linear
        in b; with `transpose`, b has length n, and the transpose of that linear map is applied: the same
        problem for $A^\top$ (not conjugated).

        **Raises:** `ValueError` or `TypeError` if `b` does not fit. `FactorizationError`, or JAX's own error
        where values are abstract, naming a column (or row) of A if it is rank-deficient and not damped, or if
        refinement stagnates; with `throw=False` x is NaN.

        **Derivative:** in b, A and the damping, every order and mode.

        **Cost:** one refined solve with the augmented matrix.
        """
        F = self.augmented
        m, n = self.shape
        line = "column" if m >= n else "row"
        sentence = RANK_DEFICIENT_SENTENCE.replace("{line}", line)
        staged = is_staged(F.status)
        if F.throw and not staged:
            check(int(F.status), int(F.detail) - max(m, n), perturbed_sentence=sentence)
        dependent = F.detail - max(m, n)
        right = self._right_hand_side(b, transpose)
        right = guard(right, F.status, dependent, F.throw and staged, sentence)
        return self._solution(F.solve(right), transpose)

    def solve_checked(
        self,
        b: Inexact[ArrayLike, " m"] | Inexact[ArrayLike, "m k"],
        *,
        transpose: bool = False,
    ) -> Solution:
        """As `solve`, but never an error: the best solution, with a status and the backward error of the
        augmented system for each right-hand side.

        The status is that of the factorization if that is not 0.
        """
        x, status, error = self.augmented.solve_checked(self._right_hand_side(b, transpose))
        status = jnp.where(self.status == 0, status, self.status)
        return Solution(self._solution(x, transpose), status, error)

    # K is [I A; A^H -d^2 I] or [I A^H; A -d^2 I]: b stands beside the rows of A, x beside its columns, and
    # x = S^H K^-1 R b for the embeddings R and S of both. As K is Hermitian, x^T = conj(R^H K^-1 S conj(.)).

    def _slots(self, transpose: bool) -> tuple[slice, slice]:
        """Where right-hand side and solution stand in the augmented system."""
        m, n = self.shape
        of_rows, of_columns = (slice(m), slice(m, None)) if m >= n else (slice(n, None), slice(n))
        return (of_columns, of_rows) if transpose else (of_rows, of_columns)

    def _right_hand_side(self, b: Any, transpose: bool) -> Array:
        m, n = self.shape
        b = as_dense("`b`", b)
        columns = as_columns(b, n if transpose else m, self.augmented.dtype)
        right = jnp.zeros((m + n, columns.shape[1]), columns.dtype)
        right = right.at[self._slots(transpose)[0]].set(jnp.conj(columns) if transpose else columns)
        return right.reshape(m + n, *b.shape[1:])

    def _solution(self, x: Array, transpose: bool) -> Array:
        x = x[self._slots(transpose)[1]]
        return jnp.conj(x) if transpose else x

    def __repr__(self) -> str:
        return f"LeastSquares(shape={self.shape}, {self.augmented!r})"


def least_squares(
    A: SparseMatrix,
    damping: Float[ArrayLike, ""] = 0.0,
    symbolic: Symbolic | None = None,
    ordering: Ordering = "auto",
    throw: bool = True,
) -> LeastSquares:
    r"""Factorizes a least-squares problem once, for any number of right-hand sides.

    **Arguments:**

    - `A`: an m x n matrix of full rank, or of any rank if damped.
    - `damping`: a real number, which is squared in the objective as in `scipy.sparse.linalg.lsqr`.
    - `symbolic`: that of an earlier result, `F.augmented.symbolic`, for the same pattern; analyzed (and
      cached) if None.
    - `ordering`: "auto", "amd", "nd", "natural", of the normal equations; or a permutation of the m + n rows
      of the augmented system. Only used without `symbolic`.
    - `throw`: whether a failure is an error; with False, solutions are NaN and `status` says why.

    **Returns:** the factorized problem.

    **Raises:** `TypeError` for a matrix that is not a `SparseMatrix` or a damping that is not a real scalar;
    `ValueError` for a damping that is not finite, `FactorizationError` for a NaN or infinite value of A.

    **Cost:** that of a Cholesky factorization of the normal equations.

    **Source:** Bjoerck, Numerical Methods for Least Squares Problems (1996); Arioli, Duff and de Rijk, Numer.
    Math. 55 (1989).
    """
    if not isinstance(A, SparseMatrix):
        raise TypeError(
            f"`A` must be a SparseMatrix, got {type(A).__name__}; to_general() makes one of a "
            "SymmetricMatrix"
        )
    damping = as_dense("`damping`", damping)
    if damping.ndim or jnp.iscomplexobj(damping):
        raise TypeError(
            f"`damping` must be a real scalar, got {damping.dtype} of shape {damping.shape}"
        )
    if throw and not is_staged(A.values, damping):
        number, known = jax.lax.stop_gradient((damping, A.values))
        if not np.isfinite(number):
            raise ValueError(f"`damping` must be finite, got {number}")
        entries = np.flatnonzero(~np.isfinite(np.asarray(known)))
        if entries.size:
            check(NOT_FINITE, int(entries[0]))
    pattern, index_map = _augmented(A.pattern)
    if symbolic is None:
        symbolic = _analyze(A.pattern, ordering)
    larger, smaller = max(A.shape), min(A.shape)
    damped = jnp.full(smaller, -(damping.astype(A.values.real.dtype) ** 2)).astype(A.dtype)
    values = jnp.concatenate([jnp.ones(larger, A.dtype), A.values, damped])
    K = SymmetricMatrix(pattern, scatter(values, index_map))
    return LeastSquares(ldl(K, symbolic, throw=throw), A.shape)


def lstsq(
    A: SparseMatrix,
    b: Inexact[ArrayLike, "m ..."],
    damping: Float[ArrayLike, ""] = 0.0,
    **options: Any,
) -> Inexact[Array, "n ..."]:
    r"""$\min_x \|A x - b\|^2 + \mathrm{damping}^2 \|x\|^2$ in one call.

    `least_squares(A, damping, **options).solve(b)`.
    """
    return least_squares(A, damping, **options).solve(b)


@cached(16)
def _augmented(A: Pattern) -> tuple[Pattern, IndexMap]:
    """The pattern of the augmented matrix, and where its ones, the values of A and the damping are in it."""
    m, n = A.shape
    larger = max(m, n)
    ones, damped = np.arange(larger), np.arange(larger, m + n)
    i, j = (A.columns, A.rows) if m >= n else (A.rows, A.columns)  # the block below I: A^H or A
    rows = np.concatenate([ones, larger + i, damped])
    columns = np.concatenate([ones, j, damped])
    pattern, position = Pattern.from_coo_with_map(rows, columns, (m + n, m + n), True)
    if m < n:
        return pattern, position
    conjugated = position.indices.copy()
    block = slice(larger, larger + A.nnz)
    conjugated[block] = ~conjugated[block]
    return pattern, IndexMap(conjugated, position.input_size)


def _analyze(A: Pattern, ordering: Ordering) -> Symbolic:
    """The ones first, which are pivots whatever the values are, then what they leave, negative definite.

    A one whose row or column of A is dense is left to the second part: it would make all of that dense.
    """
    pattern, _ = _augmented(A)
    sequence = _sequence(A, ordering) if isinstance(ordering, str) else ordering
    return analyze(pattern, sequence, "supernodal")


@cached(16)
def _sequence(A: Pattern, ordering: str) -> np.ndarray:
    m, n = A.shape
    B = A.to_scipy() if m >= n else A.to_scipy().T.tocsc()
    larger, smaller = B.shape
    counts = np.bincount(B.indices, minlength=larger)
    is_dense = counts > max(16, 10 * np.sqrt(smaller))
    sparse, dense = np.flatnonzero(~is_dense), np.flatnonzero(is_dense)
    rows = B.tocsr()
    left, coupled = rows[sparse], rows[dense]
    graph = scipy.sparse.block_array(
        [[left.T @ left, coupled.T], [coupled, scipy.sparse.eye_array(dense.size, dtype=bool)]]
    )
    second = np.concatenate([larger + np.arange(smaller), dense])
    remaining = Pattern.from_scipy(scipy.sparse.csc_array(graph), symmetric=True).with_diagonal()
    name = "amd" if ordering == "auto" else ordering
    return np.concatenate([sparse, second[order(remaining, name)]])
