"""Growth and perturbed pivots: what they spoil, and what refinement repairs."""

import numpy as np
import pytest
import scipy.sparse as sp

from ..helpers import SCALARS
from .test_lu import PERTURBED, UNSTABLE
from .test_refine import LU, backward_error, epsilon


def star(leaves, pivot, dtype, rng):
    """Small pivots, each a supernode with ones to the right and below, around a strong block."""
    block = 80
    n = leaves + block
    A = np.zeros((n, n))
    A[leaves:, leaves:] = rng.normal(size=(block, block)) / 10 + 2 * np.eye(block)
    for leaf in range(leaves):
        rows = leaves + rng.permutation(block)[:9]
        A[leaf, leaf], A[leaf, rows], A[rows, leaf] = pivot, 1, 1
    return A.astype(dtype)


@pytest.mark.parametrize("dtype", SCALARS)
def test_growth_that_swallows_the_matrix_is_told(dtype, rng):
    small = 4 * np.sqrt(epsilon(dtype))
    A = star(40, small, dtype, rng)
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


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("dtype", SCALARS)
def test_perturbed_pivots_are_repaired(dtype, adjoint, rng):
    """The factor is that of a matrix far away: plain refinement diverges."""
    A = star(20, 0, dtype, rng)
    zeros = np.where(np.eye(len(A)) * (np.arange(len(A)) < 20), 1, A)
    pattern = sp.csc_array(zeros)
    F = LU(pattern, values=A.T[zeros.T != 0])
    assert F.status == PERTURBED
    b = rng.normal(size=(len(A), 3)).astype(dtype)
    x, errors = F.solve(b, adjoint)
    assert (errors <= 10 * epsilon(dtype)).all()
    assert (backward_error(A.conj().T if adjoint else A, x, b) <= 10 * epsilon(dtype)).all()
