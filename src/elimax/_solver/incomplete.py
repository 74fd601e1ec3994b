"""Incomplete LU as lineax's iterative solvers take it: for `elimax.preconditioner` only."""

from typing import Any, NoReturn

import equinox as eqx
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Inexact, PyTree

from elimax._factor import IncompleteLU, incomplete_lu
from elimax._solver.direct import DirectSolver, Outcome, State


class SparseILU(DirectSolver[IncompleteLU]):
    """Incomplete LU without fill, to precondition with: `elimax.preconditioner(operator, SparseILU())`.

    **Arguments** (by keyword):

    - `pattern`: where the nonzeros of matrix-free operators are, if no tag tells.
    - `modified`: whether what is dropped is added to the diagonal; see `elimax.incomplete_lu`.

    **Raises:** `TypeError` if it is used to solve with, as `lx.linear_solve(operator, b, SparseILU())` does:
    its factors are not those of the operator.

    **Source:** as `elimax.incomplete_lu`.
    """

    modified: bool = eqx.field(static=True, default=False, kw_only=True)

    def _factorize(self, matrix: Any, operator: lx.AbstractLinearOperator) -> IncompleteLU:
        return incomplete_lu(matrix, self.modified, lx.is_positive_semidefinite(operator))

    def _solve(self, factor: IncompleteLU, b: Inexact[Array, " n"], transpose: bool) -> Outcome:
        x = factor.solve(b, transpose=transpose)
        return Outcome(x, factor.status, factor.detail, jnp.full((), jnp.nan, x.real.dtype))

    def compute(
        self, state: State[IncompleteLU], vector: PyTree[Array], options: dict[str, Any]
    ) -> NoReturn:
        raise TypeError(
            "`SparseILU` preconditions and does not solve: pass elimax.preconditioner(operator, SparseILU()) "
            'as the option "preconditioner" of an iterative solver, or use SparseLU'
        )
