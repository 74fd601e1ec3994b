"""Control flow, linear algebra, primitives of Elimax: nothing is missing, and no more where it is exact."""

import warnings

import numpy as np
import pytest

from .oracle import check, gradient_of
from .programs import ALGEBRA, CONTROL_FLOW, ELIMAX

CASES = {
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
