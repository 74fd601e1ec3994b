"""Factors as preconditioners: what solves a matrix nearby makes iterations with the true one few."""

from typing import Any

import equinox as eqx
import lineax as lx
from jaxtyping import Array, PyTree

from elimax._factor import LDL, LU, Cholesky, IncompleteLU
from elimax._operator import Space
from elimax._solver.auto import AutoSparse, AutoState
from elimax._solver.direct import DirectSolver, State
from elimax._solver.factorizing import SparseCholesky, SparseLDL, SparseLU
from elimax._solver.incomplete import SparseILU


class Preconditioner(lx.AbstractLinearOperator):
    """The operator b -> M^-1 b of a factorized M. Made by `elimax.preconditioner`; a pytree.

    It can be made once and carried along, through `jit` and in the state of a loop, while the operator that
    is solved with changes: then M is a stale one.

    **Attributes:**

    - `state`: of M, as `solver.init` made it.
    - `solver`: the solver whose state that is.
    """

    state: PyTree
    solver: lx.AbstractLinearSolver = eqx.field(static=True)
    rows: Space = eqx.field(static=True)
    columns: Space = eqx.field(static=True)
    positive: bool = eqx.field(static=True)

    def mv(self, vector: PyTree[Array]) -> PyTree[Array]:
        """M^-1 b: one pass over the factor, unrefined and unchecked; NaN if M could not be factorized.

        Of a solver that is not of Elimax, one of its solves.
        """
        if isinstance(self.solver, DirectSolver):
            return self.solver.precondition(self.state, vector)
        return self.solver.compute(self.state, vector, {})[0]

    def as_matrix(self) -> Array:
        """The dense inverse, from as many solves as there are columns."""
        identity = lx.IdentityLinearOperator(self.in_structure())
        return lx.FunctionLinearOperator(self.mv, identity.in_structure()).as_matrix()

    def transpose(self) -> "Preconditioner":
        state, _ = self.solver.transpose(self.state, {})
        return Preconditioner(state, self.solver, self.columns, self.rows, self.positive)

    def in_structure(self) -> PyTree:
        return self.rows.structure

    def out_structure(self) -> PyTree:
        return self.columns.structure


def preconditioner(
    source: lx.AbstractLinearOperator | Cholesky | LDL | LU | IncompleteLU,
    solver: lx.AbstractLinearSolver | None = None,
) -> Preconditioner:
    """The inverse of an operator, or of what a factor belongs to, as lineax's iterative solvers take it:
    `lx.linear_solve(A, b, lx.GMRES(...), options={"preconditioner": elimax.preconditioner(M)})`.

    **Arguments:**

    - `source`: an operator M close to A: A as it was some steps ago, without its weak entries, or in lower
        precision; or a factor of one, complete or incomplete.
    - `solver`: factorizes M; `AutoSparse()` if None. Any solver for lineax: those of Elimax, `SparseILU` and
        `ExternalSolver` among them, or lineax's own; not together with a factor.

    **Returns:** an operator. It counts as positive definite, which `lx.CG` asks for, if M does: by its tag,
    or as a Cholesky factor or an incomplete one of a matrix that is declared so.

    **Raises:** `TypeError` for a source that is neither operator nor factor, or a solver together with a
    factor; as `solver.init`.

    **Derivative:** lineax does not differentiate preconditioners.

    **Cost:** one factorization; each use is one pass over the factor.
    """
    if isinstance(source, lx.AbstractLinearOperator):
        solver = AutoSparse() if solver is None else solver
        state = solver.init(source, {})
        if isinstance(state, AutoState):
            solver, state = state.solver, state.state
        rows, columns = Space.of(source.out_structure()), Space.of(source.in_structure())
        return Preconditioner(state, solver, rows, columns, lx.is_positive_semidefinite(source))
    chosen = next((made for kind, made in _SOLVERS if isinstance(source, kind)), None)
    if chosen is None or solver is not None:
        raise TypeError(
            "`source` must be a lineax operator, or a factor of Elimax and then `solver` None; got "
            f"{type(source).__name__} and {type(solver).__name__}"
        )
    space = Space.flat(source.shape[0], source.dtype)
    state = State(source, space, space, negated=False)
    positive = isinstance(source, Cholesky) or getattr(source, "positive_definite", False)
    return Preconditioner(state, chosen, space, space, positive)


_SOLVERS: tuple[tuple[type, lx.AbstractLinearSolver], ...] = (
    (Cholesky, SparseCholesky()),
    (LDL, SparseLDL()),
    (LU, SparseLU()),
    (IncompleteLU, SparseILU()),
)


# -- what lineax asks of operators


@lx.linearise.register(Preconditioner)
@lx.materialise.register(Preconditioner)
def _itself(operator):
    return operator


@lx.conj.register(Preconditioner)
def _conj(operator: Preconditioner) -> Preconditioner:
    state, _ = operator.solver.conj(operator.state, {})
    return Preconditioner(
        state, operator.solver, operator.rows, operator.columns, operator.positive
    )


@lx.diagonal.register(Preconditioner)
def _diagonal(operator: Preconditioner) -> Any:
    return lx.diagonal(lx.MatrixLinearOperator(operator.as_matrix()))


@lx.tridiagonal.register(Preconditioner)
def _tridiagonal(operator: Preconditioner) -> Any:
    return lx.tridiagonal(lx.MatrixLinearOperator(operator.as_matrix()))


@lx.is_positive_semidefinite.register(Preconditioner)
def _is_positive_semidefinite(operator: Preconditioner) -> bool:
    return operator.positive


@lx.is_symmetric.register(Preconditioner)
@lx.is_diagonal.register(Preconditioner)
@lx.is_tridiagonal.register(Preconditioner)
@lx.is_lower_triangular.register(Preconditioner)
@lx.is_upper_triangular.register(Preconditioner)
@lx.is_negative_semidefinite.register(Preconditioner)
@lx.has_unit_diagonal.register(Preconditioner)
def _unknown(operator: Preconditioner) -> bool:
    return False
