"""What the direct solvers for lineax have in common: factorize in `init`, solve in `compute`.

The state is the factor, which holds the matrix that it belongs to. Transposes and conjugates only flip a
static flag, so that a solution, its gradient and everything else that lineax computes from one state share
one numeric factorization. lineax differentiates neither `init` nor `compute`; derivatives of every order
follow from its rule for linear solves and the products of the operator.
"""

import abc
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Float, Inexact, Int, PyTree

from elimax._matrix.base import Matrix
from elimax._operator import Space, sparse_matrix
from elimax._solver.result import lineax_result
from elimax._structure.pattern import Pattern


class Factor(Protocol):
    """What a factor is to its solver: something that computes in one dtype."""

    @property
    def dtype(self) -> np.dtype: ...


F = TypeVar("F", bound=Factor)


class State(eqx.Module, Generic[F]):
    """A factorized operator. It stands for the inverse of what its flags make of the factor's matrix.

    - `factor`: of A, or of -A if the operator is `negated`.
    - `rows`, `columns`: the spaces of right-hand sides and of solutions.
    - `transposed`, `conjugated`: whether A^T, conj(A) or A^H is solved with.
    """

    factor: F
    rows: Space = eqx.field(static=True)
    columns: Space = eqx.field(static=True)
    negated: bool = eqx.field(static=True)
    transposed: bool = eqx.field(static=True, default=False)
    conjugated: bool = eqx.field(static=True, default=False)

    def transpose(self) -> "State[F]":
        flags = (self.negated, not self.transposed, self.conjugated)
        return State(self.factor, self.columns, self.rows, *flags)

    def conj(self) -> "State[F]":
        flags = (self.negated, self.transposed, not self.conjugated)
        return State(self.factor, self.rows, self.columns, *flags)


class Outcome(NamedTuple):
    """A solution and how it came about: `status` as told in docs/factorizations.md, its `detail`, and the
    componentwise backward error where refinement measured it, or else NaN."""

    x: Inexact[Array, " n"]
    status: Int[Array, ""]
    detail: Int[Array, ""]
    backward_error: Float[Array, ""]


Solve = Callable[[Any, Inexact[Array, " m"], bool], Outcome]


class DirectSolver(lx.AbstractLinearSolver[State[F]], Generic[F]):
    """The base of the direct solvers.

    - `pattern`: where the nonzeros of operators are that are only known by their products, unless a tag of
      theirs tells. It is that of the operator which is solved with, not of its transpose.
    """

    pattern: Pattern | None = eqx.field(static=True, default=None, kw_only=True)

    @abc.abstractmethod
    def _factorize(self, matrix: Matrix, operator: lx.AbstractLinearOperator) -> F:
        """The factor of the matrix, which is that of the operator or, if `_negates`, of its negative; a
        failure is told by its status."""

    def _negates(self, operator: lx.AbstractLinearOperator) -> bool:
        return False

    @abc.abstractmethod
    def _solve(self, factor: F, b: Inexact[Array, " m"], transpose: bool) -> Outcome:
        """A^-1 b or A^-T b."""

    def init(self, operator: lx.AbstractLinearOperator, options: dict[str, Any]) -> State[F]:
        """Analyzes the operator's pattern (cached) and factorizes it.

        **Raises:** `ValueError` if the operator does not have the shape or the symmetry that the solver
        needs, or if its pattern is not known and a dense one would be too large.
        """
        del options
        self._check(operator)
        columns, rows = Space.of(operator.in_structure()), Space.of(operator.out_structure())
        matrix = sparse_matrix(operator, self._pattern(operator))
        with jax.numpy_dtype_promotion("standard"):
            dtype = jnp.result_type(columns.dtype, rows.dtype, matrix.dtype)
        negated = self._negates(operator)
        factor = self._factorize((-matrix if negated else matrix).astype(dtype), operator)
        return State(factor, rows, columns, negated)

    def _pattern(self, operator: lx.AbstractLinearOperator) -> Pattern | None:
        return self.pattern

    def _check(self, operator: lx.AbstractLinearOperator) -> None:
        if operator.in_size() != operator.out_size():
            raise ValueError(
                f"`{type(self).__name__}` may only be used for linear solves with square matrices, got shape "
                f"{(operator.out_size(), operator.in_size())}; SparseLSTSQ takes operators of any shape"
            )

    def compute(
        self, state: State[F], vector: PyTree[Array], options: dict[str, Any]
    ) -> tuple[PyTree[Array], lx.RESULTS, dict[str, Any]]:
        """One solve; under `vmap` over right-hand sides, one native call for all of them.

        **Returns:** the solution, the result, and `status`, `detail` and `backward_error` as statistics.
        """
        del options
        outcome = self._applied(state, vector, self._solve)
        statistics = {
            "status": outcome.status,
            "detail": outcome.detail,
            "backward_error": outcome.backward_error,
        }
        return state.columns.unravel(outcome.x), lineax_result(outcome.status), statistics

    def precondition(self, state: State[F], vector: PyTree[Array]) -> PyTree[Array]:
        """One pass over the factor, unrefined and unchecked."""
        return state.columns.unravel(self._applied(state, vector, self._solve_once).x)

    def _solve_once(self, factor: F, b: Inexact[Array, " m"], transpose: bool) -> Outcome:
        """As `_solve`, without refinement."""
        return self._solve(factor, b, transpose)

    def _applied(self, state: State[F], vector: PyTree[Array], solve: Solve) -> Outcome:
        """What `solve` makes of a vector, by the flags of the state."""
        b = state.rows.ravel("vector", vector).astype(state.factor.dtype)
        b = -b if state.negated else b
        outcome = solve(state.factor, jnp.conj(b) if state.conjugated else b, state.transposed)
        return outcome._replace(x=jnp.conj(outcome.x)) if state.conjugated else outcome

    def transpose(
        self, state: State[F], options: dict[str, Any]
    ) -> tuple[State[F], dict[str, Any]]:
        """The state of the transposed operator: the same factor."""
        return state.transpose(), options

    def conj(self, state: State[F], options: dict[str, Any]) -> tuple[State[F], dict[str, Any]]:
        """The state of the conjugated operator: the same factor."""
        return state.conj(), options

    def assume_full_rank(self) -> bool:
        return True
