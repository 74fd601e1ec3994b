"""The solver that fits an operator."""

from typing import Any

import equinox as eqx
import lineax as lx
from jaxtyping import Array, PyTree

from elimax._operator import materialise
from elimax._solver.factorizing import (
    SparseCholesky,
    SparseLDL,
    SparseLSTSQ,
    SparseLU,
    is_self_adjoint,
)
from elimax._solver.triangular import SparseTriangular
from elimax._structure.pattern import Pattern


class AutoState(eqx.Module):
    """The solver that was chosen, and its state."""

    solver: lx.AbstractLinearSolver = eqx.field(static=True)
    state: PyTree


class AutoSparse(lx.AbstractLinearSolver[AutoState]):
    """The sparse solver that fits the operator, by its pattern and its tags:

    - not square: `SparseLSTSQ`;
    - diagonal: lineax's own `Diagonal`;
    - lower or upper triangular: `SparseTriangular`;
    - positive or negative definite: `SparseCholesky`;
    - symmetric or Hermitian: `SparseLDL`;
    - any other: `SparseLU`.

    **Arguments** (by keyword):

    - `pattern`: where the nonzeros of matrix-free operators are, if no tag tells.
    - `ordering`: "auto", "amd", "nd" or "natural".
    """

    pattern: Pattern | None = eqx.field(static=True, default=None, kw_only=True)
    ordering: str = eqx.field(static=True, default="auto", kw_only=True)

    def select_solver(self, operator: lx.AbstractLinearOperator) -> lx.AbstractLinearSolver:
        """The solver that `init` takes for an operator with these structures, pattern and tags."""
        return self._select(materialise(operator, self.pattern))

    def _select(self, operator: lx.AbstractLinearOperator) -> lx.AbstractLinearSolver:
        if operator.in_size() != operator.out_size():
            return SparseLSTSQ(ordering=self.ordering)
        if lx.is_diagonal(operator):
            return lx.Diagonal(well_posed=True)
        if lx.is_lower_triangular(operator) or lx.is_upper_triangular(operator):
            return SparseTriangular()
        if lx.is_positive_semidefinite(operator) or lx.is_negative_semidefinite(operator):
            return SparseCholesky(ordering=self.ordering)
        if is_self_adjoint(operator):
            return SparseLDL(ordering=self.ordering)
        return SparseLU(ordering=self.ordering)

    def init(self, operator: lx.AbstractLinearOperator, options: dict[str, Any]) -> AutoState:
        """As that of the solver that is selected."""
        sparse = materialise(operator, self.pattern)
        solver = self._select(sparse)
        return AutoState(solver, solver.init(sparse, options))

    def compute(
        self, state: AutoState, vector: PyTree[Array], options: dict[str, Any]
    ) -> tuple[PyTree[Array], lx.RESULTS, dict[str, Any]]:
        return state.solver.compute(state.state, vector, options)

    def transpose(
        self, state: AutoState, options: dict[str, Any]
    ) -> tuple[AutoState, dict[str, Any]]:
        transposed, options = state.solver.transpose(state.state, options)
        return AutoState(state.solver, transposed), options

    def conj(self, state: AutoState, options: dict[str, Any]) -> tuple[AutoState, dict[str, Any]]:
        conjugated, options = state.solver.conj(state.state, options)
        return AutoState(state.solver, conjugated), options

    def assume_full_rank(self) -> bool:
        return True
