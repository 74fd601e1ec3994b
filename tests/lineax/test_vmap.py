"""Batches: over vectors, operators, both, nested; and that right-hand sides share one native call."""

import functools

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from elimax._structure._native import counted

from .table import ESSENTIAL, ROWS, as_vector, assert_same, flat, make_operator, solution


def _batches(f, theta, b):
    """Over vectors, operators, both; and nested, in both orders."""
    return {
        "vectors": jax.vmap(lambda b: f(theta[0], b))(b),
        "operators": jax.vmap(lambda theta: f(theta, b[0]))(theta),
        "both": jax.vmap(f)(theta, b),
        "last axes": jax.vmap(f, (2, 1), 1)(jnp.moveaxis(theta, 0, 2), b.T),
        "operators of vectors": jax.vmap(jax.vmap(f, (None, 0)), (0, None))(theta, b),
        "vectors of operators": jax.vmap(jax.vmap(f, (0, None)), (None, 0))(theta, b),
        "both of vectors": jax.vmap(jax.vmap(f, (None, 0)))(theta, jnp.stack([b, 2 * b], 1)),
    }


@pytest.mark.parametrize("name", [*ESSENTIAL, "ldl_hermitian", "upper_unit", "auto_diagonal"])
def test_vmap(name, getkey):
    row = ROWS[name]
    theta, b = row.draw(getkey(), np.complex128, (3,))
    f = functools.partial(solution, row, "symmetric" if row.symmetry else "sparse")
    found = jax.jit(functools.partial(_batches, f))(theta, b)
    assert_same(found, jax.jit(functools.partial(_batches, row.dense_solution))(theta, b))


@pytest.mark.parametrize("kind", ["pytree_sparse", "jacobian_forward", "total"])
def test_vmap_of_other_kinds(kind, getkey):
    row = ROWS["lu"]
    theta, b = row.draw(getkey(), np.float64, (3,))
    found = jax.jit(functools.partial(_batches, functools.partial(solution, row, kind)))(theta, b)
    assert_same(found, jax.jit(functools.partial(_batches, row.dense_solution))(theta, b))


def _count(f, *arguments) -> dict[str, int]:
    """How often the core factorized and solved."""
    names = ("factorization", "solve")
    before = [counted(name) for name in names]
    jax.block_until_ready(f(*arguments))
    return {name: counted(name) - n for name, n in zip(names, before, strict=True)}


COUNTED = ("cholesky", "ldl", "lu", "lstsq_tall", "lstsq_wide", "auto")


@pytest.mark.parametrize("name", COUNTED)
def test_right_hand_sides_share_one_solve(name, getkey):
    """k vectors are one native solve with one factorization; so are those of a vmap of a vmap."""
    row = ROWS[name]
    theta, _ = row.draw(getkey())
    B = jnp.stack([row.draw(getkey())[1] for _ in range(6)])
    f = functools.partial(solution, row, "sparse", theta)
    assert _count(jax.jit(jax.vmap(f)), B) == {"factorization": 1, "solve": 1}
    nested = jax.jit(jax.vmap(jax.vmap(f)))
    assert _count(nested, B.reshape(2, 3, -1)) == {"factorization": 1, "solve": 1}
    assert _count(jax.vmap(f), B) == {"factorization": 1, "solve": 1}


@pytest.mark.parametrize("name", COUNTED)
def test_a_batch_of_operators_is_factorized_once_each(name, getkey):
    row = ROWS[name]
    theta, b = row.draw(getkey(), np.float64, (3,))
    f = functools.partial(solution, row, "sparse")
    assert _count(jax.jit(jax.vmap(f)), theta, b) == {"factorization": 3, "solve": 3}
    over_vectors = jax.jit(jax.vmap(jax.vmap(f, (None, 0)), (0, None)))
    assert _count(over_vectors, theta, b) == {"factorization": 3, "solve": 3}


@pytest.mark.parametrize("name", COUNTED)
def test_derivatives_reuse_the_factorization(name, getkey):
    """A value and its gradient take two solves, a Jacobian by either mode one more for all its columns."""
    row = ROWS[name]
    theta, b = row.draw(getkey())
    f = functools.partial(solution, row, "sparse")
    extra = 0 if row.shape[0] == row.shape[1] else 1  # pseudoinverses take more
    for by in (jax.jacfwd, jax.jacrev):
        counts = _count(jax.jit(lambda *x: (f(*x), by(f, 1)(*x))), theta, b)  # noqa: B023
        assert counts == {"factorization": 1, "solve": 2}
    gradient = jax.jit(jax.value_and_grad(lambda *x: f(*x).sum(), (0, 1)))
    assert _count(gradient, theta, b) == {"factorization": 1, "solve": 2 + extra}


def _calls(f, *arguments) -> list[str]:
    """The native solves of a compiled program, with the shapes of their results."""
    lines = jax.jit(f).lower(*arguments).compile().as_text().splitlines()
    return [line for line in lines if 'custom_call_target="elimax_triangular_solve' in line]


def test_right_hand_sides_share_one_substitution(getkey):
    row = ROWS["lower"]
    theta, b = row.draw(getkey(), np.float64, (4,))
    f = functools.partial(solution, row, "sparse")
    (call,) = _calls(jax.vmap(lambda b: f(theta[0], b)), b)
    assert "f64[5,4]" in call
    assert len(_calls(jax.vmap(f), theta, b)) == 1


def test_a_state_that_is_shared(getkey):
    """Factorized outside of `vmap`; and a batch of states, each with many vectors."""
    row = ROWS["lu"]
    theta, b = row.draw(getkey(), np.float64, (3,))

    def with_state(theta, b):
        operator = make_operator(row, "pytree_sparse", theta)
        state = row.solver.init(operator, {})
        vector = functools.partial(as_vector, operator.out_structure())
        return jax.vmap(
            lambda b: flat(lx.linear_solve(operator, vector(b), row.solver, state=state).value)
        )(b)

    expected = jax.vmap(jax.vmap(row.dense_solution, (None, 0)), (0, None))(theta, b)
    f = jax.jit(jax.vmap(with_state, (0, None)))
    assert_same(f(theta, b), expected)
    assert _count(f, theta, b) == {"factorization": 3, "solve": 3}
