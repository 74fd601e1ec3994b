"""The benchmark of sparse Jacobians, at its smallest."""

import jax.numpy as jnp
import pytest
from benchmarks import jacobians

import elimax as ex


def test_every_kind_is_timed(capsys):
    names = ("Brusselator 32", "bordered 4e3", "arrow, Hessian 1e4")
    cases = {name: jacobians.CASES[name] for name in names}
    times = jacobians.measure(cases, ["elimax"], rounds=1, turn=0.0, repetitions=1)
    assert set(times) == set(names) and all(t["elimax"] > 0 for t in times.values())
    colors = [line[34:48].strip() for line in capsys.readouterr().out.splitlines()[1:]]
    assert colors == ["8", "3", "2"]


def test_matrices_that_differ_are_an_error():
    found = {
        "elimax": lambda x: ex.SparseMatrix.diags(x),
        "asdex": lambda x: ex.SparseMatrix.diags(2 * x),
    }
    with pytest.raises(ArithmeticError, match=r"name: asdex differs from elimax by 1\.0e"):
        jacobians.check_agreement("name", found, jnp.ones(3))
