"""Growth on the way to a factor, and whether it spoiled the factor."""

import numpy as np
import pytest
import scipy.sparse as sp

from ..helpers import SCALARS
from .test_lu import UNSTABLE
from .test_refine import LU, epsilon


def star(pivot, left, dtype, rng):
    """Small pivots, each a supernode with ones to the right and `left` below, around a strong block."""
    leaves, block = 40, 80
    n = leaves + block
    A = np.zeros((n, n))
    A[leaves:, leaves:] = rng.normal(size=(block, block)) / 10 + 2 * np.eye(block)
    for leaf in range(leaves):
        rows = leaves + rng.permutation(block)[:9]
        A[leaf, leaf], A[leaf, rows], A[rows, leaf] = pivot, 1, left
    return A.astype(dtype)


@pytest.mark.parametrize("dtype", SCALARS)
def test_growth_that_swallows_the_matrix_is_told(dtype, rng):
    small = 4 * np.sqrt(epsilon(dtype))
    A = star(small, 1, dtype, rng)
    F = LU(sp.csc_array(A))
    assert F.status == UNSTABLE
    error = abs(F.slogdet()[1] - np.linalg.slogdet(A.astype(complex))[1])
    assert error > 100 * epsilon(dtype)
    _, errors = F.solve(np.ones((len(A), 1), dtype))
    assert (errors <= 3 * epsilon(dtype)).all()


@pytest.mark.parametrize("dtype", SCALARS)
def test_growth_that_does_no_harm(dtype):
    """Powers of two: nothing is rounded."""
    n = 120
    A = np.eye(n, dtype=dtype) * 2.0 ** round(np.log2(4 * np.sqrt(epsilon(dtype))))
    A[-1, :], A[:, -1] = 1, 1
    F = LU(sp.csc_array(A))
    assert F.structure.symbolic.supernodes > 1
    assert F.status == 0
    np.testing.assert_allclose(
        F.slogdet()[1], np.linalg.slogdet(A.astype(complex))[1], rtol=10 * epsilon(dtype)
    )
