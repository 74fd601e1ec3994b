"""Derivatives of solutions, of first and second order, by every mode, in operator and right-hand side."""

import functools
import itertools

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from .table import ESSENTIAL, MOSTLY_REAL, ROWS, assert_same, flat, make_operator, solution

# Which of (operator, vector, their tangents) a second derivative is taken in.
SUBSETS = [s for size in range(1, 5) for s in itertools.combinations(range(4), size)]
SECOND = (
    "cholesky",
    "ldl",
    "lu",
    pytest.param("lstsq_square", marks=pytest.mark.slow),
    "lstsq_tall",
    "lstsq_wide",
    "lower",
    pytest.param("lower_unit", marks=pytest.mark.slow),
)


def _arguments(row, dtype, getkey):
    return (*row.draw(getkey(), dtype), *row.draw(getkey(), dtype))


def _first(f, theta, b, t_theta, t_b):
    """Tangents in operator, vector and both; gradients in both, of a real function."""

    def loss(theta, b):
        x = f(theta, b)
        return jnp.sum(jnp.abs(x) ** 2) + jnp.sum(jnp.real(x * jnp.arange(x.size)))

    return {
        "operator": jax.jvp(lambda theta: f(theta, b), (theta,), (t_theta,)),
        "vector": jax.jvp(lambda b: f(theta, b), (b,), (t_b,)),
        "both": jax.jvp(f, (theta, b), (t_theta, t_b)),
        "gradient": jax.grad(loss, (0, 1))(theta, b),
        "gradient of the operator alone": jax.grad(loss)(theta, b),
    }


@pytest.mark.parametrize("dtype", MOSTLY_REAL)
@pytest.mark.parametrize("name", ROWS)
def test_jvp_and_gradient(name, dtype, getkey):
    row = ROWS[name]
    arguments = _arguments(row, dtype, getkey)
    kind = "symmetric" if row.symmetry else "sparse"
    found = jax.jit(functools.partial(_first, functools.partial(solution, row, kind)))(*arguments)
    assert_same(found, jax.jit(functools.partial(_first, row.dense_solution))(*arguments))


@pytest.mark.parametrize(
    "kind", ["pytree", "total", "composed", "multiple", "jacobian", "jacobian_backward"]
)
def test_other_kinds(kind, getkey):
    """Of a function without forward mode, gradients alone."""
    row = ROWS["lu"]
    theta, b, t_theta, t_b = _arguments(row, np.float64, getkey)

    def derivatives(f):
        gradient = jax.grad(lambda *x: jnp.sum(f(*x) ** 2), (0, 1))(theta, b)
        if kind == "jacobian_backward":
            return gradient
        return gradient, jax.jvp(f, (theta, b), (t_theta, t_b))

    found = jax.jit(lambda: derivatives(functools.partial(solution, row, kind)))()
    assert_same(found, derivatives(row.dense_solution))


def _second(f, chosen, arguments, tangents):
    """The tangent of a tangent, in the chosen arguments of the latter."""

    def tangent(*varied):
        full = list(arguments)
        for i, x in zip(chosen, varied, strict=True):
            full[i] = x
        return jax.jvp(f, (full[0], full[1]), (full[2], full[3]))

    return jax.jvp(tangent, [arguments[i] for i in chosen], [tangents[i] for i in chosen])


@pytest.mark.parametrize("dtype", MOSTLY_REAL)
@pytest.mark.parametrize("name", SECOND)
def test_jvp_of_jvp(name, dtype, getkey):
    row = ROWS[name]
    arguments, tangents = _arguments(row, dtype, getkey), _arguments(row, dtype, getkey)

    def all_of(f):
        return jax.jit(lambda x, t: {str(s): _second(f, s, x, t) for s in SUBSETS})

    found = all_of(functools.partial(solution, row, "sparse"))(arguments, tangents)
    assert_same(found, all_of(row.dense_solution)(arguments, tangents))


@pytest.mark.parametrize("name", ESSENTIAL)
def test_hessian(name, getkey):
    """Forward over reverse and reverse over reverse, in operator and vector together."""
    row = ROWS[name]
    theta, b = row.draw(getkey())

    def hessians(f):
        def loss(theta, b):
            return jnp.sum(jnp.sin(f(theta, b)))

        both = (0, 1)
        reverse = jax.jacrev(jax.grad(loss, both), both)
        return jax.jit(lambda *x: (jax.hessian(loss, both)(*x), reverse(*x)))

    found = hessians(functools.partial(solution, row, "sparse"))(theta, b)
    assert_same(found, hessians(row.dense_solution)(theta, b))


@pytest.mark.parametrize("name", ESSENTIAL)
def test_vmap_of_jvp(name, getkey):
    """Over tangents alone, over vectors, over everything."""
    row = ROWS[name]
    theta, b = row.draw(getkey(), np.complex128, (3,))
    t_theta, t_b = row.draw(getkey(), np.complex128, (3,))

    def batches(f):
        def tangent(*x):
            return jax.jvp(f, x[:2], x[2:])

        return jax.jit(
            lambda: {
                "tangents": jax.vmap(lambda *t: tangent(theta[0], b[0], *t))(t_theta, t_b),
                "vectors": jax.vmap(lambda v, t: tangent(theta[0], v, t_theta[0], t))(b, t_b),
                "operators": jax.vmap(lambda a, t: tangent(a, b[0], t, t_b[0]))(theta, t_theta),
                "all": jax.vmap(tangent)(theta, b, t_theta, t_b),
            }
        )

    found = batches(functools.partial(solution, row, "sparse"))()
    assert_same(found, batches(row.dense_solution)())


@pytest.mark.parametrize("name", ESSENTIAL)
def test_jvp_and_gradient_of_vmap(name, getkey):
    row = ROWS[name]
    theta, b = row.draw(getkey(), np.float64, (3,))
    tangents = row.draw(getkey(), np.float64, (3,))

    def derivatives(f):
        batched = jax.vmap(f)
        return jax.jit(
            lambda: (
                jax.jvp(batched, (theta, b), tangents),
                jax.grad(lambda *x: jnp.sum(batched(*x) ** 3), (0, 1))(theta, b),
            )
        )

    found = derivatives(functools.partial(solution, row, "sparse"))()
    assert_same(found, derivatives(row.dense_solution)())


def test_a_closed_over_array_of_an_operator(getkey):
    """Functions that close over what is differentiated."""
    row = ROWS["lu"]
    theta, b = row.draw(getkey())

    def loss(theta):
        A = row.matrix(theta)
        operator = lx.FunctionLinearOperator(lambda x: A @ x, jax.eval_shape(lambda: b))
        return jnp.sum(lx.linear_solve(operator, b, row.solver).value)

    expected = jax.grad(lambda theta: jnp.sum(row.dense_solution(theta, b)))(theta)
    assert_same(jax.grad(loss)(theta), expected)


def test_one_summand_of_an_operator(getkey):
    """The other one has no tangent."""
    row = ROWS["lstsq_tall"]
    theta, b = row.draw(getkey())
    fixed = make_operator(row, "sparse", 0.1 * theta)

    def loss(theta):
        operator = fixed + make_operator(row, "function", theta)
        return jnp.sum(flat(lx.linear_solve(operator, b, row.solver).value))

    def expected(theta):
        A = fixed.as_matrix() + row.matrix(theta)
        return jnp.sum(jnp.linalg.solve(A.T @ A, A.T @ b))

    assert_same(jax.grad(loss)(theta), jax.grad(expected)(theta))


def test_the_inverse_as_an_operator(getkey):
    """`lineax.invert` is differentiable and composes."""
    row = ROWS["lu"]
    theta, b = row.draw(getkey())
    t_theta, _ = row.draw(getkey())

    def by_lineax(theta):
        inverse = lx.invert(make_operator(row, "sparse", theta), row.solver)
        return (inverse @ inverse).mv(b), inverse.T.mv(b)

    def by_hand(theta):
        A = row.matrix(theta)
        return jnp.linalg.solve(A, jnp.linalg.solve(A, b)), jnp.linalg.solve(A.T, b)

    found = jax.jit(lambda: jax.jvp(by_lineax, (theta,), (t_theta,)))()
    assert_same(found, jax.jvp(by_hand, (theta,), (t_theta,)))
