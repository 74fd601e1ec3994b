"""Batches, control flow, Taylor mode, storage: what holds for Cholesky holds for LDL and LU."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import jet

import elimax as ex
from elimax._structure._native import counted

from ..derivatives import draw
from ..helpers import assert_close
from ..persistence.fresh import run_fresh
from .problems import KINDS, Problem


def _loss(problem, v, b):
    return sum(jnp.sum(jnp.sin(jnp.real(x))) for x in problem.outputs(v, b))


def _operands(problem, rng, size=4):
    values = problem.values * jnp.linspace(1.0, 2.0, size)[:, None]
    return values, draw(rng, (size, problem.scipy.shape[0]), problem.dtype)


def _compare(got, expected, rtol=1e-9):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert_close(a, b, rtol)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("axes", "jit"), [((0, 0), True), ((0, None), True), ((None, 0), False)])
def test_vmap(axes, jit, kind, rng):
    problem = Problem("random", kind, np.complex128)
    operands = _operands(problem, rng)
    x = [z if axis == 0 else z[0] for z, axis in zip(operands, axes, strict=True)]

    def f(v, b):
        gradient = jax.grad(lambda v, b: _loss(problem, v, b), (0, 1))
        return problem.outputs(v, b), gradient(v, b)

    batched = jax.vmap(f, axes)
    got = (jax.jit(batched) if jit else batched)(*x)
    for i in range(4):
        one = f(*(z[i] if axis == 0 else z for z, axis in zip(x, axes, strict=True)))
        _compare(jax.tree.map(lambda y, i=i: y[i], got), one)


@pytest.mark.parametrize("kind", KINDS)
def test_a_nested_vmap_is_one_native_call(kind, rng):
    problem = Problem("grid_2d", kind)
    v, b = _operands(problem, rng, 6)
    v, b = v.reshape(2, 3, -1), b.reshape(2, 3, -1)
    f = jax.jit(jax.vmap(jax.vmap(lambda v, b: problem.outputs(v, b))))
    text = f.lower(v, b).as_text()
    assert text.count("@elimax_ldl") + text.count("@elimax_lu(") == 1
    assert text.count("@elimax_refined_solve") == 1 + (kind == "lu")
    before = counted("factorization")
    got = jax.block_until_ready(f(v, b))
    assert counted("factorization") - before == 6
    one = problem.outputs(v[1, 2], b[1, 2])
    _compare(jax.tree.map(lambda y: y[1, 2], got), one)


@pytest.mark.parametrize("kind", KINDS)
def test_value_gradient_and_hessian_product_share_one_factorization(kind, rng):
    problem = Problem("grid_2d", kind)
    v, b = problem.values, draw(rng, (72,), np.float64)

    def everything(v):
        gradient = jax.grad(lambda v: _loss(problem, v, b))
        return problem.outputs(v, b), jax.jvp(gradient, (v,), (v,))

    program = jax.jit(everything)
    before = counted("factorization")
    jax.block_until_ready(program(v))
    assert counted("factorization") - before == 1


@pytest.mark.parametrize("kind", KINDS)
def test_control_flow(kind, rng):
    problem = Problem("random", kind)
    values, b = _operands(problem, rng)
    loss = jax.checkpoint(lambda v, b: _loss(problem, v, b))

    def scanned(v, b):
        return jax.lax.scan(lambda total, x: (total + loss(*x), loss(*x)), 0.0, (v, b))

    def unrolled(v, b):
        losses = jnp.stack([loss(v[i], b[i]) for i in range(4)])
        return jnp.sum(losses), losses

    _compare(jax.jit(scanned)(values, b), unrolled(values, b))
    gradients = (jax.grad(lambda v, b, f=f: f(v, b)[0], (0, 1)) for f in (scanned, unrolled))
    _compare(*(jax.jit(g)(values, b) for g in gradients))
    one_of_two = jax.vmap(
        lambda p, v, b: jax.lax.cond(p, lambda: problem.outputs(v, b)[0], lambda: b)
    )
    chosen = one_of_two(jnp.array([True, False, True, False]), values, b)
    assert_close(chosen[1], b[1], 0)
    assert_close(chosen[2], problem.outputs(values[2], b[2])[0], 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_taylor_mode(kind, rng):
    problem = Problem("small", kind, np.complex128)
    v, w = problem.values, draw(rng, problem.values.shape, np.complex128)
    b = draw(rng, (problem.scipy.shape[0],), np.complex128)

    def outputs(v):
        F = problem.factor(v)
        return F.solve(b), *F.slogdet(), F.selected_inverse().values

    _, series = jet.jet(outputs, (v,), ((w, jnp.zeros_like(w)),))
    derivative = lambda f: lambda t: jax.jvp(f, (t,), (1.0,))[1]  # noqa: E731
    curve = lambda t: outputs(v + t * w)  # noqa: E731
    for order in range(2):
        curve = derivative(curve)
        _compare([s[order] for s in series], curve(0.0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_factor_is_a_pytree(kind, rng):
    problem = Problem("random", kind)
    b = draw(rng, (70,), np.float64)
    F = problem.factor()
    x = F.solve(b)
    assert_close(jax.jit(lambda F, b: F.solve(b))(F, b), x, 1e-14)
    assert_close(jax.jit(lambda v: problem.factor(v))(problem.values).solve(b), x, 1e-14)
    for same in (copy.deepcopy(F), pickle.loads(pickle.dumps(F))):
        np.testing.assert_array_equal(same.solve(b), x)
        assert jax.tree.structure(same) == jax.tree.structure(F)
    doubled = jax.tree.map(lambda leaf: leaf, F)
    assert type(doubled) is type(F) and repr(F).startswith(f"{type(F).__name__}(shape=(70, 70)")


@pytest.mark.parametrize("kind", KINDS)
def test_an_exported_program_runs_where_nothing_is_known(kind, tmp_path, rng):
    pytest.importorskip("flatbuffers")
    problem = Problem("random", kind, np.complex128)
    v, b = problem.values, draw(rng, (70,), np.complex128)

    def program(v, b):
        return problem.outputs(v, b), jax.grad(lambda v: _loss(problem, v, b))(v)

    F = problem.factor(throw=False)
    solve = ex.export(lambda F, b: F.solve(b), F, b)
    exported = ex.export(program, v, b)
    expected = jax.jit(program)(v, b)
    contents = {
        "program": bytes(exported.serialize()),
        "solve": bytes(solve.serialize()),
        "factor": F,
        "operands": (np.asarray(v), np.asarray(b)),
        "expected": jax.tree.map(np.asarray, expected),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(pickle.dumps(content))
    run_fresh(
        """
program = jax.export.deserialize(bytearray(read("program")))
got = program.call(*read("operands"))
for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(read("expected")), strict=True):
    np.testing.assert_array_equal(a, b)
F = read("factor")
_, b = read("operands")
x = jax.export.deserialize(bytearray(read("solve"))).call(F, b)
np.testing.assert_array_equal(x, F.solve(b))
""",
        tmp_path,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_values_may_change_under_one_symbolic(kind, rng):
    """Analyzed once, for values of which these are a perturbation."""
    problem = Problem("grid_2d", kind)
    b = draw(rng, (72,), np.float64)
    factor = jax.jit(lambda v: problem.factor(v).solve(b))
    for _ in range(3):
        v = problem.values * jnp.asarray(rng.uniform(0.7, 1.4, problem.values.size))
        assert_close(factor(v), np.linalg.solve(problem.dense(v), b), 1e-9)
