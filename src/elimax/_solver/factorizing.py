"""The factorizations as solvers for lineax: positive definite, symmetric, general, of any shape."""

import dataclasses
from typing import Any, TypeVar

import equinox as eqx
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Inexact

from elimax import _results
from elimax._factor import LDL, LU, Cholesky, cholesky, ldl, lu
from elimax._factor.pivoted import Solution
from elimax._least_squares import LeastSquares, least_squares
from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._solver.direct import DirectSolver, F, Outcome, State
from elimax._structure.assembly import block
from elimax._structure.lu_symbolic import LUSymbolic
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import Symbolic

S = TypeVar("S", Cholesky, LDL)


class _Factorizing(DirectSolver[F]):
    """What the factorizations take; all by keyword.

    - `pattern`: as `DirectSolver`.
    - `ordering`: "auto", "amd", "nd" or "natural".
    """

    ordering: str = eqx.field(static=True, default="auto", kw_only=True)

    def __check_init__(self) -> None:
        if not isinstance(self.ordering, str):
            raise TypeError(
                f"`ordering` must be a name, got {type(self.ordering).__name__}; a permutation goes with "
                "symbolic=elimax.analyze(P, kind=..., ordering=permutation)"
            )


class SparseCholesky(_Factorizing[Cholesky]):
    r"""Sparse Cholesky factorization, for operators that are positive or negative definite.

    **Arguments** (by keyword):

    - `pattern`: where the nonzeros of matrix-free operators are, if no tag tells.
    - `ordering`: "auto", "amd", "nd" or "natural".
    - `symbolic`: what `analyze` returned for the pattern of the operator; analyzed, and cached, if None.

    **Raises:** in `init`, `ValueError` for an operator that is not known to be definite: tag it with
    `lx.positive_semidefinite_tag` or `lx.negative_semidefinite_tag`, or declare its matrix,
    `A.as_positive_definite()`. If that is not true, the result is `singular`, and the statistic `status` is
    1 + the failing column.

    **Cost:** `symbolic.flops` flops in `init`, 4 nnz(L) in each `compute`; transposes and conjugates are
    free.

    **Source:** as `elimax.cholesky`.
    """

    symbolic: Symbolic | None = eqx.field(static=True, default=None, kw_only=True)

    def _check(self, operator: lx.AbstractLinearOperator) -> None:
        super()._check(operator)
        if not _is_definite(operator):
            raise ValueError(
                "`SparseCholesky` may only be used for positive or negative definite operators; tag this one "
                "with lineax.positive_semidefinite_tag, or use SparseLDL or SparseLU"
            )

    def _negates(self, operator: lx.AbstractLinearOperator) -> bool:
        return not lx.is_positive_semidefinite(operator)

    def _factorize(self, matrix: Any, operator: lx.AbstractLinearOperator) -> Cholesky:
        A = _symmetric(matrix, hermitian=True)
        return cholesky(A, self.symbolic, self.ordering, throw=False)

    def _solve(self, factor: Cholesky, b: Inexact[Array, " n"], transpose: bool) -> Outcome:
        return _unchecked(factor.solve(b), factor)

    def transpose(
        self, state: State[Cholesky], options: dict[str, Any]
    ) -> tuple[State[Cholesky], dict[str, Any]]:
        return _transposed(state), options


class _Pivoting(_Factorizing[F]):
    """What factorizations with pivots take besides; by keyword.

    - `backward_error`: the largest componentwise backward error of a solution that counts as successful; 10
      roundings if None.
    """

    backward_error: float | None = eqx.field(static=True, default=None, kw_only=True)

    def _outcome(self, solution: Solution, factor: LDL | LU) -> Outcome:
        """NaN where the solution is not accurate. Perturbed pivots alone are no failure."""
        x, status, error = solution
        stagnated = jnp.int32(_results.REFINEMENT_STAGNATED)
        if self.backward_error is not None:
            measured = jnp.where(error <= self.backward_error, jnp.int32(0), stagnated)
            status = jnp.where((status == 0) | (status == stagnated), measured, status)
        not_finite = jnp.int32(_results.NOT_FINITE)
        status = jnp.where(factor.status == not_finite, not_finite, status)
        x = x * jnp.where(status == 0, 1, jnp.nan).astype(error.dtype)
        return Outcome(x, status, factor.detail, error)


class SparseLDL(_Pivoting[LDL]):
    r"""Sparse LDL^H factorization, for symmetric or Hermitian operators, indefinite as well.

    **Arguments** (by keyword):

    - `pattern`: where the nonzeros of matrix-free operators are, if no tag tells.
    - `ordering`: "auto", "amd", "nd" or "natural".
    - `symbolic`: what `analyze(..., kind="ldl")` returned; analyzed from the pattern alone, and cached, if
        None. With concrete values at hand, `analyze(A, kind="ldl")` does better for weak diagonals.
    - `backward_error`: the largest componentwise backward error to accept; 10 roundings if None.

    **Raises:** in `init`, `ValueError` for an operator that is not known to be symmetric: tag it with
    `lx.symmetric_tag` (a complex one is then equal to its transpose, not Hermitian), or hand over a
    `SymmetricMatrix`; or if it is structurally singular.

    **Cost:** `symbolic.flops` flops in `init`, a refined solve in each `compute`; transposes and conjugates
    are free.

    **Source:** as `elimax.ldl`.
    """

    symbolic: Symbolic | None = eqx.field(static=True, default=None, kw_only=True)

    def _check(self, operator: lx.AbstractLinearOperator) -> None:
        super()._check(operator)
        if not is_self_adjoint(operator):
            raise ValueError(
                "`SparseLDL` may only be used for symmetric operators; tag this one with "
                "lineax.symmetric_tag, or use SparseLU"
            )

    def _factorize(self, matrix: Any, operator: lx.AbstractLinearOperator) -> LDL:
        A = _symmetric(matrix, hermitian=not lx.is_symmetric(operator))
        return ldl(A, self.symbolic, self.ordering, throw=False)

    def _solve(self, factor: LDL, b: Inexact[Array, " n"], transpose: bool) -> Outcome:
        return self._outcome(factor.solve_checked(b), factor)

    def _solve_once(self, factor: LDL, b: Inexact[Array, " n"], transpose: bool) -> Outcome:
        return _unchecked(factor.solve(b, refine=False), factor)

    def transpose(
        self, state: State[LDL], options: dict[str, Any]
    ) -> tuple[State[LDL], dict[str, Any]]:
        return _transposed(state), options


class SparseLU(_Pivoting[LU]):
    r"""Sparse LU factorization, for any square operator.

    **Arguments** (by keyword):

    - `pattern`: where the nonzeros of matrix-free operators are, if no tag tells.
    - `ordering`: "auto", "amd", "nd" or "natural".
    - `symbolic`: what `analyze(..., kind="lu")` returned; analyzed from the pattern alone, and cached, if
        None. With typical values at hand, `analyze(A, kind="lu")` finds the stronger pivots.
    - `backward_error`: the largest componentwise backward error to accept; 10 roundings if None.

    **Raises:** in `init`, `ValueError` for an operator that is not square or is structurally singular.

    **Cost:** `symbolic.flops` flops in `init`, a refined solve in each `compute`; transposes and conjugates
    are free.

    **Source:** as `elimax.lu`.
    """

    symbolic: LUSymbolic | None = eqx.field(static=True, default=None, kw_only=True)

    def _factorize(self, matrix: Any, operator: lx.AbstractLinearOperator) -> LU:
        return lu(matrix, self.symbolic, self.ordering, throw=False)

    def _solve(self, factor: LU, b: Inexact[Array, " n"], transpose: bool) -> Outcome:
        return self._outcome(factor.solve_checked(b, transpose=transpose), factor)

    def _solve_once(self, factor: LU, b: Inexact[Array, " n"], transpose: bool) -> Outcome:
        return _unchecked(factor.solve(b, transpose=transpose, refine=False), factor)


class SparseLSTSQ(_Pivoting[LeastSquares]):
    r"""Sparse least squares and minimum-norm solutions, for operators of any shape and full rank.

    **Arguments** (by keyword):

    - `pattern`: where the nonzeros of matrix-free operators are, if no tag tells. An operator with n more
        rows than its pattern is taken for one that a Levenberg-Marquardt method has damped, [J; c I].
    - `ordering`: of the normal equations: "auto", "amd", "nd" or "natural".
    - `symbolic`: that of an earlier state, `state.factor.augmented.symbolic`, for the same pattern.
    - `backward_error`: the largest componentwise backward error of the augmented system to accept; 10
        roundings if None.

    A rank that is not full, as far as the square root of the precision can tell, is the result `singular`.

    **Cost:** that of a Cholesky factorization of the normal equations in `init`, a refined solve with the
    augmented matrix in each `compute`; transposes and conjugates are free.

    **Source:** as `elimax.least_squares`.
    """

    symbolic: Symbolic | None = eqx.field(static=True, default=None, kw_only=True)

    def _check(self, operator: lx.AbstractLinearOperator) -> None:
        """Any shape will do."""

    def _pattern(self, operator: lx.AbstractLinearOperator) -> Pattern | None:
        m, n = operator.out_size(), operator.in_size()
        if isinstance(self.pattern, Pattern) and self.pattern.shape == (m - n, n):
            return block(((self.pattern,), (Pattern.eye(n),)))[0]
        return self.pattern

    def _factorize(self, matrix: Any, operator: lx.AbstractLinearOperator) -> LeastSquares:
        A = matrix.to_general()
        return least_squares(A, symbolic=self.symbolic, ordering=self.ordering, throw=False)

    def _solve(self, factor: LeastSquares, b: Inexact[Array, " m"], transpose: bool) -> Outcome:
        return self._outcome(factor.solve_checked(b, transpose=transpose), factor.augmented)


def _unchecked(x: Inexact[Array, " n"], factor: Cholesky | LDL | LU) -> Outcome:
    """A solution whose error is not measured."""
    return Outcome(x, factor.status, factor.detail, jnp.full((), jnp.nan, x.real.dtype))


def _transposed(state: State[S]) -> State[S]:
    """The transpose of a Hermitian matrix is its conjugate, that of a symmetric one the matrix itself."""
    flipped = state.transpose()
    if state.factor.matrix.storage != "hermitian":
        return flipped
    return dataclasses.replace(flipped, transposed=False, conjugated=not state.conjugated)


def is_self_adjoint(operator: lx.AbstractLinearOperator) -> bool:
    """Whether LDL^H applies: the operator equals its transpose, or its conjugate transpose."""
    stored = isinstance(getattr(operator, "matrix", None), SymmetricMatrix)
    return stored or lx.is_symmetric(operator) or _is_definite(operator)


def _is_definite(operator: lx.AbstractLinearOperator) -> bool:
    return lx.is_positive_semidefinite(operator) or lx.is_negative_semidefinite(operator)


def _symmetric(matrix: SparseMatrix | SymmetricMatrix, hermitian: bool) -> SymmetricMatrix:
    """The matrix as a `SymmetricMatrix`, from its lower triangle if it is general."""
    if isinstance(matrix, SymmetricMatrix):
        return matrix
    mirrored = matrix.pattern.union(matrix.pattern.transpose()[0])
    return SymmetricMatrix.from_general(matrix.on_pattern(mirrored), hermitian)
