"""Every primitive, loops and branches, linear algebra: nothing is ever missing, and where a rule can be exact
it is.

The oracle is a dense Jacobian, at several points: its nonzeros must lie within the pattern, and are all of
it where a case is exact; rules unite what depends on values.
"""

import warnings

import numpy as np
import pytest

from .cases import ELEMENTS, INDICES, MOVES, SUMS, WINDOWS
from .oracle import check, gradient_of
from .programs import ALGEBRA, CONTROL_FLOW, ELIMAX

CASES = {**ELEMENTS, **MOVES, **INDICES, **SUMS, **WINDOWS} | {
    f"{kind}: {name}": case
    for kind, table in (("control", CONTROL_FLOW), ("algebra", ALGEBRA), ("elimax", ELIMAX))
    for name, case in table.items()
}


@pytest.fixture(autouse=True)
def no_warning():
    """Each primitive has a rule."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "the sparsity of the primitive")
        yield


@pytest.mark.parametrize("name", CASES)
def test_jacobian(name):
    check(CASES[name].f, CASES[name].exact)


@pytest.mark.slow
@pytest.mark.parametrize("name", [k for k, case in CASES.items() if case.gradient is not None])
def test_jacobian_of_the_gradient(name):
    check(gradient_of(CASES[name].f), CASES[name].gradient)


@pytest.mark.parametrize("name", [k for k, case in CASES.items() if case.holomorphic])
def test_complex_jacobian(name):
    check(CASES[name].f, CASES[name].exact, np.complex128)
