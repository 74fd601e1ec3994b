"""Derivatives in both modes and their mixtures, of every order, against dense JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ..derivatives import assert_every_mix, assert_same_derivatives, draw
from ..helpers import assert_close
from .problems import Problem, joined


def _arguments(problem, rng):
    return problem.values, draw(rng, (problem.scipy.shape[0], 2), problem.dtype)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("lu", np.float64),
        ("lu", np.complex128),
        ("ldl", np.complex128),
        pytest.param("symmetric", np.complex128, marks=pytest.mark.slow),
    ],
)
def test_two_orders_and_batches(kind, dtype, rng):
    problem = Problem("random", kind, dtype)
    f, oracle = joined(problem.outputs), joined(problem.expected)
    assert_same_derivatives(f, oracle, _arguments(problem, rng), rng, 1e-8)


@pytest.mark.parametrize(
    ("kind", "order"),
    [pytest.param("lu", 4, marks=pytest.mark.slow), ("ldl", 3), ("symmetric", 3)],
)
def test_every_mix_of_modes(kind, order, rng):
    problem = Problem("small", kind, np.complex128)
    f, oracle = joined(problem.outputs), joined(problem.expected)
    assert_every_mix(f, oracle, _arguments(problem, rng), rng, order)


@pytest.mark.parametrize("kind", ["lu", "symmetric"])
def test_holomorphic_derivatives(kind, rng):
    problem = Problem("small", kind, np.complex128)
    v, b = _arguments(problem, rng)

    def total(outputs):
        """Of a solution and of entries of the inverse."""
        return lambda v, b: sum(jnp.sum(jnp.sin(y)) for y in (outputs(v, b)[0], outputs(v, b)[-2]))

    actual, expected = (
        jax.grad(total(outputs), (0, 1), holomorphic=True)(v, b)
        for outputs in (problem.outputs, problem.expected)
    )
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e, 1e-10)


def test_the_gradient_of_logdet_is_the_selected_inverse():
    problem = Problem("grid_2d", "lu")
    gradient = jax.grad(lambda v: problem.factor(v).logdet())(problem.values)
    inverse = problem.factor().selected_inverse()
    transposed = inverse.T
    assert transposed.pattern == problem.matrix.pattern
    assert_close(gradient, transposed.values, 1e-14)
