"""PyAMG: algebraic multigrid by smoothed aggregation. Needs the extra `elimax[pyamg]`."""

from typing import Any

import numpy as np
import pyamg
import scipy.sparse

from elimax._external import ExternalSolver, OnFailure
from elimax._results import NotConverged


def smoothed_aggregation(
    *,
    tol: float = 1e-10,
    maxiter: int = 100,
    cycle: str = "V",
    accel: str | None = "cg",
    capacity: int = 8,
    on_failure: OnFailure = "result",
    **options: Any,
) -> ExternalSolver:
    """Multigrid whose hierarchy is built once per matrix, and kept. All four dtypes.

    **Arguments** (by keyword):

    - `tol`: the relative residual at which a solve ends; 0 for `maxiter` cycles, whatever the residual, which
        is what one wants of a preconditioner.
    - `maxiter`: the most cycles, or steps of the acceleration; more are the result `max_steps_reached`.
    - `cycle`: "V", "W" or "F".
    - `accel`: the Krylov method that the cycles precondition: "cg" for positive definite matrices, "gmres",
        "bicgstab", or None.
    - `capacity`, `on_failure`: as `ExternalSolver`.
    - `options`: those of `pyamg.smoothed_aggregation_solver`.
    """

    def setup(matrix: scipy.sparse.csc_array) -> pyamg.MultilevelSolver:
        return pyamg.smoothed_aggregation_solver(scipy.sparse.csr_array(matrix), **options)

    def solve(hierarchy: pyamg.MultilevelSolver, b: np.ndarray) -> np.ndarray:
        x, steps = hierarchy.solve(
            b, tol=tol, maxiter=maxiter, cycle=cycle, accel=accel, return_info=True
        )
        if steps and tol:
            raise NotConverged(f"the relative residual is above {tol} after {steps} steps")
        return x

    return ExternalSolver(
        setup, solve, capacity=capacity, on_failure=on_failure, name="pyamg.smoothed_aggregation"
    )
