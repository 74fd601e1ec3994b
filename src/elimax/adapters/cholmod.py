"""CHOLMOD, of CVXOPT: sparse Cholesky. Needs the extra `elimax[cholmod]`."""

from typing import Any

import cvxopt
import cvxopt.cholmod
import numpy as np
import scipy.sparse

from elimax._external import ExternalSolver, OnFailure


def cholmod(*, capacity: int = 8, on_failure: OnFailure = "result") -> ExternalSolver:
    """Cholesky by CHOLMOD, for positive definite matrices, of which it reads the lower triangle.

    New values of a known pattern are factorized with the ordering of the old ones. float64 and complex128;
    other dtypes are computed in double precision.
    """
    return ExternalSolver(
        lambda matrix: _factorize(cvxopt.cholmod.symbolic(_lower(matrix)), matrix),
        _solve,
        refresh=_factorize,
        vmap="columns",
        capacity=capacity,
        on_failure=on_failure,
        name="cholmod",
    )


def _factorize(factor: Any, matrix: scipy.sparse.csc_array) -> Any:
    cvxopt.cholmod.numeric(_lower(matrix), factor)
    return factor


def _lower(matrix: scipy.sparse.csc_array) -> cvxopt.spmatrix:
    lower = scipy.sparse.tril(matrix).tocoo()
    data, rows, columns = (
        cvxopt.matrix(np.asarray(part))
        for part in (_double(lower.data), *map(np.int64, lower.coords))
    )
    return cvxopt.spmatrix(data, rows, columns, matrix.shape)


def _solve(factor: Any, b: np.ndarray) -> np.ndarray:
    x = cvxopt.matrix(_double(b))
    cvxopt.cholmod.solve(factor, x)
    return np.array(x)


def _double(data: np.ndarray) -> np.ndarray:
    return np.asarray(data, np.result_type(data.dtype, np.float64))
