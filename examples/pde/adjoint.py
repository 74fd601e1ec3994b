"""Implicit Runge-Kutta steps of diffrax whose derivatives are sparse, too.

diffrax finds each stage with `optimistix.root_find` and does not say how to differentiate it, so that every
derivative of a solution, in either mode and by every adjoint that differentiates steps, solves with the
Jacobian of a stage by optimistix's default, which is dense. Here the stages are found as they are by diffrax,
without derivatives. Then each gets one more step of Newton's method, with the sparse solver, at a Jacobian
that is held fixed:

    k = k* - (I - h a J)^-1 (k* - h f(t, y + a k*, args)).

k* solves its equation already, so this moves it by no more than the tolerance of the root finder; but its
derivative in y and args is that of the implicit function theorem.
"""

from __future__ import annotations

from typing import Any

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np


def _constant(tree: Any) -> Any:
    """The same, without derivatives."""
    arrays, others = eqx.partition(tree, eqx.is_array)
    return eqx.combine(jax.lax.stop_gradient(arrays), others)


def _coefficients(tableau: dfx.ButcherTableau) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
    """A below its diagonal, its diagonal, b and c of the method."""
    stages = len(tableau.b_sol)
    below = np.zeros((stages, stages))
    for i, row in enumerate(tableau.a_lower, 1):
        below[i, :i] = row
    return (
        below,
        np.asarray(tableau.a_diagonal),
        np.asarray(tableau.b_sol),
        np.append(0.0, tableau.c),
    )


class SparseDerivatives(eqx.Module):
    """What makes the derivatives of a step sparse, for one `diffrax.ODETerm` and unknowns in one array.

    **Arguments:**

    - `linear_solver`: solves with I - h a J, J the Jacobian of the vector field; its pattern must be given.
    - all others: as those of the method. Its `root_finder` should have a sparse `linear_solver`, too.

    **Derivative:** of first order, in the initial value and all arguments, in both modes; steps and their
    sizes count as constant.

    **Cost:** a factorization and a refined solve per stage more than the method.
    """

    linear_solver: lx.AbstractLinearSolver = eqx.field(kw_only=True)

    def step(self: Any, terms, t0, t1, y0, args, solver_state, made_jump):
        constants = _constant((terms, t0, t1, y0, args, solver_state, made_jump))
        found = super().step(*constants)  # type: ignore[misc]
        _, error, dense, solver_state, result = _constant(found)
        below, diagonal, b, c = map(jnp.asarray, _coefficients(self.tableau))
        h = terms.contr(t0, t1)

        def defect(k, at):
            terms, t, before, a, args = at
            return k - terms.vf_prod(t, before + a * k, args, h)

        def stage(ks, i):
            before = y0 + jnp.tensordot(below[i], ks, 1)
            at = (terms, t0 + c[i] * (t1 - t0), before, diagonal[i], args)
            k = dense["k"][i]
            operator = lx.JacobianLinearOperator(defect, k, _constant(at))
            step = lx.linear_solve(operator, defect(k, at), self.linear_solver, throw=False)
            return ks.at[i].set(k - step.value), None

        explicit = jnp.zeros_like(dense["k"]).at[0].set(terms.vf_prod(t0, y0, args, h))
        ks, _ = jax.lax.scan(stage, explicit, jnp.arange(1, len(b)))
        y1 = y0 + jnp.tensordot(b, ks, 1)
        return y1, error, dict(y0=y0, y1=y1, k=ks), solver_state, result


class SparseKvaerno3(SparseDerivatives, dfx.Kvaerno3):
    """Kvaerno's 3/2 method with sparse derivatives."""


class SparseKvaerno5(SparseDerivatives, dfx.Kvaerno5):
    """Kvaerno's 5/4 method with sparse derivatives."""
