"""Scales of symmetric matrices: powers of two that even out the 2-norms of rows."""

import numpy as np
import pytest
import scipy.sparse as sp

from elimax._primitive.scaling import equilibrate, scale
from elimax._structure.pattern import Pattern

from ..helpers import SCALARS, lower_triangle, spd


def scaled(A: sp.csc_array) -> tuple[np.ndarray, np.ndarray]:
    """The scales, and the whole matrix of scaled magnitudes."""
    lower = lower_triangle(A)
    pattern = Pattern.from_scipy(A, symmetric=True)
    rows, columns = equilibrate(lower.data, pattern, "hermitian")
    assert np.array_equal(rows, columns)
    values = np.abs(scale(lower.data, rows, columns, pattern))
    half = sp.csc_array((values, pattern.rows, pattern.column_pointers), A.shape).toarray()
    return np.asarray(rows), half + np.tril(half, -1).T


@pytest.mark.parametrize("dtype", SCALARS)
@pytest.mark.parametrize("name", ["grid_2d", "badly_scaled", "arrow_last", "dense"])
def test_norms_are_about_1(name, dtype):
    rows, whole = scaled(spd(name, dtype))
    assert (np.frexp(rows)[0] == 0.5).all()  # powers of two
    norms = np.linalg.norm(whole, axis=0)
    assert norms.min() > 0.25 and norms.max() < 4


def test_a_dense_row_of_large_entries_leaves_the_diagonal_large():
    """Scaling by largest entries would be content with a diagonal of 1e-6."""
    n = 1000
    A = sp.lil_array(sp.eye_array(n))
    A[n - 1, : n - 1] = 1e6
    A[: n - 1, n - 1] = 1e6
    _, whole = scaled(sp.csc_array(A))
    assert whole.diagonal()[:-1].min() > 5e-4
