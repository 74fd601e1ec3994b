"""Substitution as a solver for lineax."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Inexact

from elimax import _results
from elimax._matrix import SparseMatrix
from elimax._solver.direct import DirectSolver, Outcome
from elimax._triangular import triangular_solve


class Triangle(eqx.Module):
    """One triangle of a matrix, which is a factor of its own."""

    matrix: SparseMatrix
    lower: bool = eqx.field(static=True)
    unit_diagonal: bool = eqx.field(static=True)

    @property
    def dtype(self) -> np.dtype:
        return self.matrix.dtype


class SparseTriangular(DirectSolver[Triangle]):
    """Substitution, for operators that are known to be lower or upper triangular.

    **Arguments** (by keyword):

    - `pattern`: where the nonzeros of matrix-free operators are, if no tag tells.

    **Raises:** in `init`, `ValueError` for an operator that is not known to be triangular: its pattern
    tells, or `lx.lower_triangular_tag` and `lx.upper_triangular_tag`. A zero on the diagonal is the result
    `singular`, and the statistic `status` is 1 + its column.

    **Cost:** nothing in `init`, 2 nnz flops in each `compute`; transposes and conjugates are free.
    """

    def _check(self, operator: lx.AbstractLinearOperator) -> None:
        super()._check(operator)
        if not (lx.is_lower_triangular(operator) or lx.is_upper_triangular(operator)):
            raise ValueError(
                "`SparseTriangular` may only be used for triangular operators; tag this one with "
                "lineax.lower_triangular_tag or lineax.upper_triangular_tag, or use SparseLU"
            )

    def _factorize(self, matrix: Any, operator: lx.AbstractLinearOperator) -> Triangle:
        lower, unit_diagonal = lx.is_lower_triangular(operator), lx.has_unit_diagonal(operator)
        return Triangle(matrix.to_general(), lower, unit_diagonal)

    def _solve(self, factor: Triangle, b: Inexact[Array, " n"], transpose: bool) -> Outcome:
        options = {"lower": factor.lower, "unit_diagonal": factor.unit_diagonal}
        x = triangular_solve(factor.matrix, b, transpose=transpose, throw=False, **options)
        not_finite = ~jnp.isfinite(factor.matrix.values)
        zero = (factor.matrix.diagonal() == 0) & (not factor.unit_diagonal)
        status = jnp.where(zero.any(), 1 + _first(zero), 0)
        status = jnp.where(not_finite.any(), _results.NOT_FINITE, status)
        nan = jnp.full((), jnp.nan, b.real.dtype)
        return Outcome(x, status.astype(jnp.int32), _first(not_finite).astype(jnp.int32), nan)


def _first(flags: Array) -> Array:
    """The position of the first true flag, or 0."""
    return jnp.argmax(flags) if flags.size else jnp.zeros((), int)
