"""The benchmark of vertex elimination, at its smallest."""

import jax.numpy as jnp
import pytest
from benchmarks import elimination
from benchmarks.pivoting import Call


def test_every_variant_is_timed(capsys):
    times = elimination.measure(["Hole"], batch=3, rounds=1, turn=0.0, moves=50)
    assert set(times["Hole"]) == set(elimination.VARIANTS)
    assert all(seconds > 0 for seconds in times["Hole"].values())
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].split() == ["multiplications", "28", "24", "26", "22"]


def test_jacobians_that_differ_are_an_error():
    calls = {
        "jacrev": Call(lambda s: s, lambda s: [jnp.ones(3)]),
        "fwd": Call(lambda s: s, lambda s: [jnp.array([1.0, 1.0, 2.0])]),
    }
    with pytest.raises(ArithmeticError, match="name: fwd differs from jacrev by 5.0e-01"):
        elimination.check_agreement("name", calls)
