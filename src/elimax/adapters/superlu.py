"""SuperLU, of SciPy: sparse LU of general matrices."""

import functools
from typing import Any

import numpy as np
import scipy.sparse.linalg

from elimax._external import ExternalSolver, OnFailure


def superlu(
    *, capacity: int = 8, on_failure: OnFailure = "result", **options: Any
) -> ExternalSolver:
    """LU by SuperLU; `options` are those of `scipy.sparse.linalg.splu`. All four dtypes."""
    return ExternalSolver(
        functools.partial(scipy.sparse.linalg.splu, **options),
        _solve,
        transpose_solve=functools.partial(_solve, trans="T"),
        vmap="columns",
        capacity=capacity,
        on_failure=on_failure,
        name="superlu",
    )


def _solve(factor: scipy.sparse.linalg.SuperLU, b: np.ndarray, trans: str = "N") -> np.ndarray:
    return factor.solve(b, trans)
