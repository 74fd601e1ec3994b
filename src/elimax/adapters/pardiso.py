"""PARDISO, of Intel's MKL: sparse LU of general matrices. Needs the extra `elimax[pardiso]`."""

from typing import NamedTuple

import numpy as np
import pypardiso
import scipy.sparse

from elimax._external import ExternalSolver, OnFailure


class _Factor(NamedTuple):
    solver: pypardiso.PyPardisoSolver
    matrix: scipy.sparse.csc_array


def pardiso(*, capacity: int = 8, on_failure: OnFailure = "result") -> ExternalSolver:
    """LU by PARDISO, for real matrices; float32 is computed in double precision."""
    return ExternalSolver(
        _setup,
        lambda factor, b: factor.solver.solve(factor.matrix, _double(b)),
        transpose_solve=lambda factor, b: factor.solver.solve(factor.matrix.T, _double(b)),
        vmap="columns",
        release=lambda factor: factor.solver.free_memory(everything=True),
        capacity=capacity,
        on_failure=on_failure,
        name="pardiso",
    )


def _setup(matrix: scipy.sparse.csc_array) -> _Factor:
    matrix.data = _double(matrix.data)
    factor = _Factor(pypardiso.PyPardisoSolver(), matrix)
    factor.solver.factorize(matrix)
    return factor


def _double(data: np.ndarray) -> np.ndarray:
    return np.asarray(data, np.result_type(data.dtype, np.float64))
