"""The patterns of problems whose closed form is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex

from ..helpers import assert_close
from .oracle import pattern_of
from .problems import PROBLEMS, brusselator, burgers, finite_volumes, heat, rosenbrock


def derivative(problem):
    """The function whose Jacobian is asked for."""
    return jax.grad(problem.function) if problem.kind == "hessian" else problem.function


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: f"{problem.name} {problem.n}")
def test_pattern(problem):
    found = pattern_of(derivative(problem), problem.n)
    assert np.array_equal(found, problem.pattern.toarray())


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: f"{problem.name} {problem.n}")
def test_closed_form(problem):
    """The patterns are those of dense derivatives."""
    J = jax.jit(jax.jacobian(derivative(problem)))(jnp.asarray(problem.x))
    assert np.array_equal(np.asarray(J) != 0, problem.pattern.toarray())


@pytest.mark.parametrize("build", [burgers, heat, rosenbrock])
@pytest.mark.parametrize("n", [4, 17])
def test_lines_of_any_length(build, n):
    problem = build(n)
    assert np.array_equal(pattern_of(derivative(problem), n), problem.pattern.toarray())


@pytest.mark.parametrize("build", [brusselator, finite_volumes])
@pytest.mark.parametrize("side", [3, 5])
def test_grids_of_any_side(build, side):
    problem = build(side)
    assert np.array_equal(pattern_of(problem.function, problem.n), problem.pattern.toarray())


def test_colors_are_no_fewer_than_the_entries_of_a_row():
    for problem in PROBLEMS:
        if problem.kind == "jacobian" and problem.colors is not None:
            assert problem.colors >= problem.pattern.sum(axis=1).max()


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: f"{problem.name} {problem.n}")
def test_values_and_colors(problem):
    """The sparse derivative is the dense one, from as few products as the closed form says."""
    x = jnp.asarray(problem.x)
    sparse, dense, kind = {
        "jacobian": (ex.jacfwd, jax.jacfwd, "column"),
        "hessian": (ex.hessian, jax.hessian, "star"),
    }[problem.kind]
    J = jax.jit(sparse(problem.function))(x)
    assert_close(J.todense(), jax.jit(dense(problem.function))(x), 1e-12)
    if problem.colors is not None:
        assert ex.color(J.pattern, kind).num_colors <= problem.colors
