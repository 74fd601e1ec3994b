"""Elemental partials, primitive by primitive, against JAX's dense Jacobians and difference quotients."""

import math
import warnings

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import numpy as np
import pytest
from jax import lax

import elimax as ex
from elimax._jacobian.elimination.call import PARTIALS
from elimax._jacobian.elimination.graph import graph_of
from elimax._jacobian.elimination.partial import partial
from elimax._jacobian.elimination.structured import StructuredTensor


def partials_of(f, *args):
    """Every partial of every equation by every operand that depends on an argument.

    The name of the primitive, the layout, the number that all entries are or None, the entries, and what JAX
    says they are.
    """
    graph = graph_of(f, lambda *xs: (jax.tree.leaves(f(*xs)), []), args, range(len(args)))
    values = dict(graph.constants)
    values.update(zip(graph.arguments, args, strict=True))
    active = set(graph.inputs)
    for x in graph.vertices:
        operands = [jnp.asarray(values[v]) for v in x.operands]
        results = x.call.apply(operands)
        for r, result in enumerate(results):
            for k, operand in enumerate(operands):
                if x.operands[k] not in active or not jnp.issubdtype(result.dtype, np.floating):
                    continue
                if not jnp.issubdtype(operand.dtype, np.floating):
                    continue
                if x.call.name not in PARTIALS and x.call.same[k] != k:
                    continue  # with the first of them
                found = partial(x.call, k, r)
                if found is not None:
                    active.add(x.results[r])
                yield x.call.name, *entries(x.call, k, r, found, operands)
        values.update(zip(x.results, results, strict=True))


def entries(call, k, r, found, operands):
    """In one program, which takes less time to compile than all operations one by one."""
    numbers = []
    mode = jax.jacrev if call.in_reverse_only else jax.jacfwd

    def both(operands):
        expected = mode(call.along(operands, k, r))(operands[k])
        if found is None:
            return jnp.zeros_like(expected), expected
        value = found.value(operands)
        assert np.shape(value) in [found.layout.lengths, ()]
        numbers.append(value if isinstance(value, int | float) else None)
        return StructuredTensor(found.layout, value, expected.dtype).todense(), expected

    got, expected = jax.jit(both)(operands)
    return found and found.layout, numbers[0] if numbers else 0, got, expected


def check(f, *args, largest=None):
    """All partials are right, and have no more entries than told."""
    names = set()
    for name, layout, _, got, expected in partials_of(f, *args):
        names.add(name)
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12, err_msg=name)
        assert largest is None or layout is None or layout.nnz <= largest, name
    return names


UNARY = {
    "abs": jnp.abs,
    "acos": jnp.arccos,
    "acosh": lambda x: lax.acosh(x + 1),
    "asin": jnp.arcsin,
    "asinh": jnp.arcsinh,
    "atan": jnp.arctan,
    "atanh": jnp.arctanh,
    "bessel_i0e": special.i0e,
    "bessel_i1e": special.i1e,
    "cbrt": jnp.cbrt,
    "cos": jnp.cos,
    "cosh": jnp.cosh,
    "digamma": special.digamma,
    "erf": special.erf,
    "erfc": special.erfc,
    "erf_inv": special.erfinv,
    "exp": jnp.exp,
    "exp2": jnp.exp2,
    "expm1": jnp.expm1,
    "integer_pow": lambda x: lax.integer_pow(x, 3),
    "lgamma": special.gammaln,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "logistic": jax.nn.sigmoid,
    "neg": jnp.negative,
    "reduce_precision": lambda x: lax.reduce_precision(x, 11, 52),
    "rsqrt": lax.rsqrt,
    "sin": jnp.sin,
    "sinh": jnp.sinh,
    "sqrt": jnp.sqrt,
    "square": lax.square,
    "tan": jnp.tan,
    "tanh": jnp.tanh,
    "copy": jnp.copy,
    "convert_element_type": lambda x: x.astype(jnp.float32).astype(jnp.float64),
}


@pytest.mark.parametrize("name", UNARY)
def test_elementwise(name, rng):
    x = jnp.asarray(rng.uniform(0.2, 0.8, (2, 3)))
    assert name in check(UNARY[name], x, largest=6)
    if name not in ("copy", "convert_element_type"):  # which have no use for small steps
        h = 1e-6
        quotient = (UNARY[name](x + h) - UNARY[name](x - h)) / (2 * h)
        diagonal = ex.jacve(UNARY[name], sparse_representation=True)(x)[0]
        assert diagonal.layout.sizes == x.shape
        np.testing.assert_allclose(np.broadcast_to(diagonal.value, (2, 3)), quotient, atol=1e-6)


@pytest.mark.parametrize(
    "f",
    [
        *(jnp.add, jnp.subtract, jnp.multiply, jnp.divide, jnp.power, jnp.arctan2, jnp.maximum),
        *(jnp.minimum, lax.rem),
        *(jnp.logaddexp, lambda x, y: jnp.where(x > 0.5, x, y), lambda x, y: jnp.clip(x, 0.3, y)),
        special.xlogy,
    ],
)
def test_two_operands_of_several_shapes(f, rng):
    x, y = jnp.asarray(rng.uniform(0.2, 0.8, (2, 2, 3)))
    check(f, x, y, largest=6)
    check(f, x[:1], y[0, 0], largest=6)
    check(f, x[:1], y, largest=6)


@pytest.mark.parametrize("f", [special.gammainc, special.gammaincc])
def test_two_operands_by_one(f, rng):
    y = jnp.asarray(rng.uniform(0.2, 0.8, 3))
    check(lambda y: f(2.0, y), y, largest=3)


def test_length_one_broadcasts_within_an_equation(rng):
    x = jnp.asarray(rng.standard_normal((1, 3)))
    y = jnp.asarray(rng.standard_normal((2, 3)))
    check(lax.mul, jnp.broadcast_to(x, (2, 3)), y)
    check(lambda x, y: x * x * y, x, y, largest=6)


MOVES = {
    "broadcast_in_dim": lambda x: jnp.broadcast_to(x[:, None, :1], (2, 5, 3)),
    "transpose": jnp.transpose,
    "reshape": lambda x: x.reshape(3, 2),
    "flatten": jnp.ravel,
    "split": lambda x: jnp.split(x, [1, 2], 1),
    "squeeze": lambda x: x[:1].squeeze(0),
    "rev": lambda x: x[::-1, ::-1],
    "slice": lambda x: x[1:, ::2],
    "pad": lambda x: lax.pad(x, 0.0, [(1, -1, 0), (-1, 2, 1)]),
    "roll": lambda x: jnp.roll(x, 1, 1),
    "concatenate": lambda x: jnp.concatenate([x, x[:, :1]], 1),
    "stack": lambda x: jnp.stack([x, x], 1),
    "reduce_sum": lambda x: (x.sum(), x.sum(0), x.sum(1, keepdims=True)),
    "gather": lambda x: x[:, np.array([2, 0, 0, 1])],
    "take": lambda x: jnp.take(x, jnp.array([1, 7]), axis=0, mode="clip"),
    "fill": lambda x: jnp.take(x, jnp.array([1, 7]), axis=0, mode="fill", fill_value=0.0),
    "dynamic_slice": lambda x: lax.dynamic_slice(x, (1, 1), (1, 2)),
    "scatter-add": lambda x: jnp.zeros(4).at[np.array([3, 0, 3])].add(x[0]),
    "set": lambda x: x.at[0, np.array([0, 2])].set(x[1, :2]),
    "dynamic_update_slice": lambda x: lax.dynamic_update_slice(x, x[:1, :2] * 2, (1, 1)),
    "tile": lambda x: jnp.tile(x, (2, 2)),
    "barrier": lambda x: lax.optimization_barrier((x, x + 1)),
    "moveaxis": lambda x: jnp.moveaxis(x[None].repeat(2, 0), 0, 2),
}


@pytest.mark.parametrize("name", MOVES)
def test_moves_cost_nothing(name, rng):
    """Their entries are ones, which no program multiplies by."""
    x = jnp.asarray(rng.standard_normal((2, 3)))
    check(MOVES[name], x, largest=30)
    for primitive, layout, number, _, _ in partials_of(MOVES[name], x):
        if primitive not in ("mul", "scatter", "dynamic_update_slice") and layout is not None:
            assert number in (1, -1)


@pytest.mark.parametrize("shape", [(1,), (0, 3), (3, 1), (1, 1)])
def test_moves_of_empty_and_single_axes(shape, rng):
    x = jnp.asarray(rng.standard_normal(shape))
    check(
        lambda x: (
            x.reshape(-1),
            x.T,
            x.sum(),
            x[None],
            jnp.flip(x),
            x * 2,
            x @ x.T.reshape(shape[::-1]),
        ),
        x,
    )


def test_reshapes_keep_factors(rng):
    x = jnp.asarray(rng.standard_normal((2, 6, 4)))
    ((_, layout, _, _, _),) = partials_of(lambda x: x.reshape(2, 3, 2, 4), x)
    assert layout.sizes == (2, 6, 4)
    check(lambda x: x.reshape(2, 3, 2, 4), x)
    check(lambda x: x.reshape(1, 12, 1, 4), x)
    check(lambda x: lax.reshape(x, (4, 12), dimensions=(2, 0, 1)), x)


@pytest.mark.parametrize(
    "spec",
    ["ij,jk->ik", "ij,ij->", "bij,bjk->bik", "bij,bkj->bik", "i,j->ij", "abc,cbd->bad", "bi,bi->b"],
)
def test_dot_general(spec, rng):
    left, right = spec.split("->")[0].split(",")
    sizes = {"a": 2, "b": 3, "c": 4, "d": 2, "i": 2, "j": 3, "k": 4}
    x, y = (jnp.asarray(rng.standard_normal([sizes[c] for c in term])) for term in (left, right))
    check(lambda x, y: jnp.einsum(spec, x, y), x, y)
    for name, layout, _, _, _ in partials_of(lambda x, y: jnp.einsum(spec, x, y), x, y):
        if name == "dot_general":  # the values are those of the other factor
            assert math.prod(layout.lengths) in (x.size, y.size)


@pytest.mark.parametrize(
    "f",
    [
        *(jnp.max, jnp.min, jnp.prod, jnp.cumsum, jnp.cumprod, lax.cummax, lax.cumlogsumexp),
        *(lambda x: x.max(0), lambda x: x.min(1), lambda x: x.prod(1)),
        *(lambda x: jnp.cumsum(x, 1), lambda x: lax.cumsum(x, 1, reverse=True)),
        *(lambda x: jnp.sort(x, 1), lambda x: lax.sort([x, x**2], num_keys=1), jax.nn.softmax),
        *(lambda x: lax.top_k(x, 2)[0], lambda x: x[jnp.argsort(x[:, 0])]),
        lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (1, 1), "VALID"),
        lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2), (1, 1), "SAME"),
        lambda x: jnp.convolve(x[0], x[1]),
        lambda x: lax.conv_general_dilated(x[None, None], jnp.ones((1, 1, 2, 2)), (1, 1), "SAME"),
        lambda x: lax.dynamic_slice(x, (0, (x[0, 0] > 0).astype(int)), (2, 2)),
        lambda x: x[(x[:, 0] > 0).astype(int)],
    ],
)
def test_what_is_read_off_products(f, rng):
    x = jnp.asarray(rng.uniform(0.2, 0.8, (2, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a dense pattern for want of a rule
        check(f, x)


@pytest.mark.slow
@pytest.mark.parametrize(
    "f",
    [
        lambda x: jnp.linalg.solve(x[:, :2] + 3 * jnp.eye(2), x[:, 2]),
        lambda x: jnp.linalg.inv(x[:, :2] + 3 * jnp.eye(2)),
        lambda x: jnp.linalg.cholesky(x @ x.T + jnp.eye(2)),
        lambda x: jnp.linalg.eigh(x @ x.T + jnp.diag(jnp.array([1.0, 3.0])))[0],
        lambda x: jax.scipy.linalg.solve_triangular(jnp.tril(x[:, :2]) + 2 * jnp.eye(2), x[:, 2]),
        lambda x: jnp.linalg.det(x[:, :2]),
    ],
)
def test_linear_algebra(f, rng):
    x = jnp.asarray(rng.uniform(0.2, 0.8, (2, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        check(f, x)


@jax.custom_jvp
def straight_through(x):
    return jnp.round(x)


@straight_through.defjvp
def _(primals, tangents):
    return straight_through(*primals), 2 * tangents[0]


@jax.custom_vjp
def tripled(x):
    return x * 2


tripled.defvjp(lambda x: (tripled(x), None), lambda _, g: (3 * g,))


CONTROL = {
    "cond": lambda x: lax.cond(x[0] > 0.1, lambda x: x * 2, jnp.sin, x),
    "switch": lambda x: lax.switch((x[0] > 0).astype(int), [jnp.sin, jnp.cos, jnp.exp], x),
    "scan": lambda x: lax.scan(lambda c, a: (c * a, c + a), x[0], x),
    "fori_loop": lambda x: lax.fori_loop(0, 3, lambda i, x: x * jnp.roll(x, 1), x),
    "while_loop": lambda x: lax.while_loop(lambda x: x.sum() < 9.0, lambda x: x * 2 + 0.1, x),
    "map": lambda x: lax.map(jnp.sin, x),
    "jit": jax.jit(lambda x: jax.jit(jnp.sin)(x) * 2),
    "checkpoint": jax.checkpoint(lambda x: jnp.sin(jnp.cos(x))),
    "custom_jvp": straight_through,
    "custom_vjp": tripled,
    "relu": lambda x: jax.nn.relu(x - 0.5),
    "custom_root": lambda x: lax.custom_linear_solve(
        lambda y: y * 2, x, lambda _, b: b / 2, symmetric=True
    ),
    "elimax": lambda x: ex.SparseMatrix.from_coo([0, 1, 1], [0, 0, 1], x[:3], (2, 2)) @ x[:2],
    "elimax_lu": lambda x: ex.solve(
        ex.SparseMatrix.from_coo([0, 1, 1], [0, 0, 1], x[:3] + 1, (2, 2)), x[:2]
    ),
}


@pytest.mark.parametrize("name", CONTROL)
def test_control_flow_and_custom_rules(name, rng):
    x = jnp.asarray(rng.uniform(0.2, 0.8, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        check(CONTROL[name], x)
        expected = (jax.jacrev if name == "custom_vjp" else jax.jacfwd)(CONTROL[name])(x)
        got = ex.jacve(CONTROL[name], argnums=0)(x)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_the_rule_of_the_user_counts():
    x = jnp.array([0.2, 0.7])
    np.testing.assert_array_equal(ex.jacve(straight_through, argnums=0)(x), 2 * np.eye(2))
    np.testing.assert_array_equal(ex.jacve(tripled, argnums=0)(x), 3 * np.eye(2))
    np.testing.assert_array_equal(ex.jacve(tripled, argnums=0)(x[0]), 3)
    np.testing.assert_array_equal(ex.jacve(straight_through, argnums=0)(x[0]), 2)


@pytest.mark.parametrize(
    "f", [lax.stop_gradient, jnp.sign, jnp.floor, jnp.round, lambda x: x.astype(int).astype(float)]
)
def test_nothing_goes_through(f):
    x = jnp.array([0.3, 1.2])
    assert ex.computational_graph(f, x).edges == []
    np.testing.assert_array_equal(ex.jacve(lambda x: (f(x), x * f(x)), argnums=0)(x)[0], 0)
    expected = jax.jacobian(lambda x: x * f(x))(x)
    np.testing.assert_array_equal(ex.jacve(lambda x: x * f(x), argnums=0)(x), expected)


def test_an_elementwise_custom_rule_is_a_diagonal():
    graph = ex.computational_graph(lambda x: jax.nn.relu(x), jnp.ones((50, 40)))
    (edge,) = graph.edges
    assert edge.partial.layout.sizes == (50, 40)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_short_numbers(dtype):
    x = jnp.array([0.5, 2.0, 1.5], dtype)
    f = lambda x: jnp.cumprod(x) * x[::-1]  # noqa: E731
    got, expected = ex.jacve(f, argnums=0)(x), jax.jacobian(f)(x)
    assert got.dtype == expected.dtype == dtype
    np.testing.assert_allclose(got.astype(float), expected.astype(float), rtol=2e-2)


def test_constant_indices_are_folded_and_traced_ones_are_not():
    x = jnp.arange(6.0)
    index = jnp.array([4, -1, 2])
    moved = lambda x, i: x[i]  # noqa: E731
    graph = ex.computational_graph(moved, x, index)
    (edge,) = [e for e in graph.edges if e.vertex.call.name == "gather"]
    assert edge.partial.layout.nnz == 3
    expected = jax.jacobian(moved)(x, index)
    np.testing.assert_array_equal(ex.jacve(moved, argnums=0)(x, index), expected)
    np.testing.assert_array_equal(jax.jit(ex.jacve(moved, argnums=0))(x, index), expected)
