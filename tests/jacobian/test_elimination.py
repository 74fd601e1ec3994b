"""Vertex elimination: the numbers of `jax.jacobian`, and the operation counts of the literature."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks.elimination_functions import CASES
from jax import lax

import elimax as ex

SCALAR = [name for name, case in CASES.items() if not any(case.shapes)]
ARRAYS = [name for name, case in CASES.items() if any(case.shapes)]
NAMED = ["fwd", "rev", "markowitz", "minfill"]


def agree(got, expected, tolerance=1e-10):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def total(f, order, args, argnums=0):
    return ex.jacve(f, order, argnums, count_ops=True)(*args)[1]


# -- the functions of the literature


@pytest.mark.parametrize("name", SCALAR)
def test_every_order_gives_the_jacobian(name, rng):
    case = CASES[name]
    args = case.arguments()
    expected = jax.jacobian(case.function, case.argnums)(*args)
    needed = list(ex.computational_graph(case.function, *args, argnums=case.argnums).intermediates)
    for order in [*NAMED, rng.permutation(needed)]:
        agree(ex.jacve(case.function, order, case.argnums)(*args), expected)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("order", ["rev", "markowitz"])
def test_layers_of_networks(name, order):
    case = CASES[name]
    args = case.arguments()
    expected = jax.jit(jax.jacobian(case.function, case.argnums))(*args)
    agree(jax.jit(ex.jacve(case.function, order, case.argnums))(*args), expected)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.muls])
def test_published_operation_counts(name):
    case = CASES[name]
    for order, muls in zip(["fwd", "rev", "markowitz"], case.muls, strict=True):
        found = total(case.function, order, case.arguments(), case.argnums)["num_muls"]
        # the program of a gradient is JAX's, and has become shorter
        assert found <= muls if name.endswith("gradient") else found == muls


def test_counts_by_vertex():
    """f = sin(x y) z, so that vertices 1 and 2 have two and one predecessors, and one successor each."""
    f = lambda x, y, z: jnp.sin(x * y) * z  # noqa: E731
    args = (1.0, 2.0, 3.0)
    counts = total(f, "fwd", args, (0, 1, 2))
    assert counts == {"num_muls": 4, "num_adds": 0, "order_counts": [(1, 2, 0), (2, 2, 0)]}
    counts = total(f, "rev", args, (0, 1, 2))
    assert counts == {"num_muls": 3, "num_adds": 0, "order_counts": [(2, 1, 0), (1, 2, 0)]}
    # the product falls onto the edge that leads from x to the result past the sine
    counts = total(lambda x: jnp.sin(x) + x, "rev", (1.0,))
    assert counts == {"num_muls": 1, "num_adds": 1, "order_counts": [(1, 1, 1)]}


def test_counts_of_arrays():
    n = 50
    x = jnp.ones(n)
    W = jnp.ones((3, n))
    chain = lambda x: jnp.sin(jnp.exp(x)) * 2.0  # noqa: E731
    assert total(chain, "rev", (x,))["num_muls"] == 2 * n
    # a row of three for each element, once the matrix has been scaled by the diagonal
    assert total(lambda x: W @ jnp.sin(x), "rev", (x,))["num_muls"] == 3 * n


# -- pytrees and arguments


def tree_function(p, q, scale=1.0):
    a, (b, c) = p["a"], p["b"]
    return {"x": a * b.sum() * scale, "y": [jnp.outer(b, q), c]}, (q.sum(), jnp.arange(2))


P = {"a": jnp.float64(2.0), "b": (jnp.arange(3.0), jnp.ones((2, 2)))}
Q = jnp.array([0.3, 0.7])


@pytest.mark.parametrize("argnums", [0, 1, (0,), (1, 0), -1, [0, -1]])
def test_pytrees_in_and_out(argnums):
    f = lambda p, q: tree_function(p, q)[0]  # noqa: E731
    jax_argnums = tuple(argnums) if isinstance(argnums, list) else argnums
    agree(ex.jacve(f, argnums=argnums)(P, Q), jax.jacobian(f, jax_argnums)(P, Q))


def test_value_jacobian_aux_and_counts_in_this_order():
    value, aux = tree_function(P, Q)
    expected = jax.jacobian(tree_function, 0, has_aux=True)(P, Q)[0]
    every = ex.jacve(tree_function, argnums=0, has_aux=True, return_value=True, count_ops=True)(
        P, Q
    )
    agree(every[0], value)
    agree(every[1], expected)
    agree(every[2], aux)
    assert set(every[3]) == {"num_muls", "num_adds", "order_counts"}
    two = ex.jacve(tree_function, argnums=0, has_aux=True)(P, Q)
    agree(two, (expected, aux))
    f = lambda p, q: tree_function(p, q)[0]  # noqa: E731
    agree(ex.jacve(f, argnums=0, return_value=True)(P, Q), (value, expected))


def test_keyword_arguments_and_single_precision():
    f = lambda p, q, scale=1.0: tree_function(p, q, scale)[0]  # noqa: E731
    agree(ex.jacve(f, argnums=0)(P, Q, scale=3.0), jax.jacobian(f)(P, Q, scale=3.0))
    x = jnp.arange(3, dtype=jnp.float32)
    g = lambda x: jnp.sin(x) * jnp.float64(2.0)  # noqa: E731
    agree(ex.jacve(g, argnums=0)(x), jax.jacobian(g)(x), 1e-6)


def test_python_numbers_are_differentiated():
    agree(ex.jacve(lambda x, y: x * y, argnums=(0, 1))(2.0, 3.0), (jnp.array(3.0), jnp.array(2.0)))


# -- graphs of every shape

SHAPES = {
    "an output is an input": lambda x: (x, 2 * x),
    "an output is an intermediate": lambda x: (y := jnp.sin(x), y * x, y),
    "only outputs": lambda x: (x + 1, x * 2),
    "a literal is an output": lambda x: (x * 2, 3.0, jnp.ones(2)),
    "nothing depends on it": lambda x: jnp.ones(3),
    "a repeated operand": lambda x: x * x + jnp.dot(x, x),
    "a dead branch": lambda x: (jnp.exp(x), jnp.sin(x))[1],
    "stopped": lambda x: x * lax.stop_gradient(jnp.sin(x)),
    "integers": lambda x: x * x.astype(int),
    "several results": lambda x: (s := jnp.split(x, 3))[0] * s[1] + s[2],
    "unstacked": lambda x: [x[0] * x[1], x[1] + x[2]],
    "stacked": lambda x: jnp.stack([x[0] * x[1], jnp.sin(x[2]), x[0]]),
    "a fan": lambda x: jnp.sum(x) * jnp.ones(4) * jnp.arange(4.0),
    "a stencil": lambda x: x[1:] * x[:-1] - jnp.pad(x, 1)[2:-1],
    "sorted by a traced key": lambda x: lax.sort([jnp.cos(x), x * 2], num_keys=1)[1],
    "a scan": lambda x: lax.scan(lambda c, a: (jnp.sin(c) * a, c + a), x[0], x),
    "a branch": lambda x: lax.cond(x[0] > 0, jnp.sin, jnp.cos, x * x),
    "nothing cancels": lambda x: x - x,
    "a jitted function": lambda x: jax.jit(jnp.linalg.norm)(x) * jax.jit(jnp.sin)(x),
}


@pytest.mark.parametrize("name", SHAPES)
def test_graphs(name):
    f, x = SHAPES[name], jnp.array([0.4, 0.2, 0.9])
    expected = jax.jacobian(f)(x)
    for order in ("fwd", "rev", "markowitz"):
        agree(ex.jacve(f, order, argnums=0)(x), expected)


@pytest.mark.parametrize("shape", [(0,), (1,), (0, 2)])
def test_empty_and_single(shape):
    f = lambda x: (jnp.sin(x) * x, x.sum(), x.T)  # noqa: E731
    x = jnp.full(shape, 0.3)
    agree(ex.jacve(f, argnums=0)(x), jax.jacobian(f)(x))


def test_the_same_leaf_as_several_arguments():
    x = jnp.array([0.4, 0.2])
    f = lambda x, y: jnp.outer(x, y) + x  # noqa: E731
    agree(ex.jacve(f, argnums=(0, 1))(x, x), jax.jacobian(f, (0, 1))(x, x))


# -- transformations


def test_jit_vmap_and_grad():
    f = lambda x: jnp.stack([jnp.sin(x[0] * x[1]), x[1] / x[0], x.sum() ** 2])  # noqa: E731
    jacobian = ex.jacve(f, "markowitz", argnums=0)
    xs = jnp.array([[0.4, 0.2], [0.3, 0.8], [1.0, 0.5]])
    agree(jax.jit(jax.vmap(jacobian))(xs), jax.vmap(jax.jacobian(f))(xs))
    square = lambda J: lambda x: (J(x) ** 2).sum()  # noqa: E731
    agree(jax.grad(square(jacobian))(xs[0]), jax.grad(square(jax.jacobian(f)))(xs[0]))
    agree(jax.jacfwd(jacobian)(xs[0]), jax.jacfwd(jax.jacobian(f))(xs[0]))
    agree(ex.jacve(jacobian, "rev", argnums=0)(xs[0]), jax.jacobian(jax.jacobian(f))(xs[0]))


def test_within_a_trace():
    """Values that the function closes over are traced; so is the argument of an outer derivative."""
    f = lambda x, a: jnp.sin(a * x) * x  # noqa: E731
    x = jnp.array([0.4, 0.2])
    inner = lambda J: jax.grad(lambda a: J(lambda x: f(x, a))(x).sum())  # noqa: E731
    agree(inner(lambda g: ex.jacve(g, argnums=0))(0.5), inner(jax.jacobian)(0.5))


# -- structure


def test_a_chain_on_a_long_vector_stays_a_diagonal():
    n = 100_000
    f = lambda x: jnp.tanh(jnp.sin(x) * jnp.exp(-x) + x) * 2.0  # noqa: E731
    sparse = jax.jit(ex.jacve(f, "markowitz", argnums=0, sparse_representation=True))
    x = jnp.linspace(0.0, 1.0, n)
    J = sparse(x)
    assert isinstance(J, ex.SparseMatrix)
    assert J.nnz == n
    np.testing.assert_allclose(J.values, jax.vmap(jax.grad(f))(x), rtol=1e-12)
    stats = sparse.lower(x).compile().memory_analysis()
    assert stats.temp_size_in_bytes < 100 * 8 * n


def test_fan_out_and_reduction_keep_their_form():
    n = 100_000
    x = jnp.linspace(0.5, 1.0, n)
    f = lambda x: jnp.sin(x) * jnp.sum(x**2)  # noqa: E731
    g = lambda x: jnp.sum(f(x) * x)  # noqa: E731
    got = jax.jit(ex.jacve(g, "rev", argnums=0))(x)
    np.testing.assert_allclose(got, jax.grad(g)(x), rtol=1e-8)
    h = lambda a: jnp.sum(jnp.sin(a * x))  # noqa: E731
    for order in ("fwd", "rev", "markowitz"):
        got, counts = ex.jacve(h, order, argnums=0, count_ops=True)(2.0)
        np.testing.assert_allclose(got, jax.grad(h)(2.0), rtol=1e-10)
        assert counts["num_muls"] <= 3 * n


def test_sparse_leaves():
    f = lambda x, a: (x[1:] * x[:-1] * a, jnp.outer(x, x), x.sum())  # noqa: E731
    x = jnp.arange(1.0, 6.0)
    got = ex.jacve(f, argnums=(0, 1), sparse_representation=True)(x, 2.0)
    expected = jax.jacobian(f, (0, 1))(x, 2.0)
    assert isinstance(got[0][0], ex.SparseMatrix) and got[0][0].nnz == 8
    for row, dense_row in zip(got, expected, strict=True):
        for block, dense_block in zip(row, dense_row, strict=True):
            np.testing.assert_allclose(block.todense(), dense_block)
    assert got[2][1].nnz == 0  # the sum does not depend on the scale
    again = jax.jit(ex.jacve(f, argnums=(0, 1), sparse_representation=True))(x, 2.0)
    np.testing.assert_allclose(again[1][0].todense(), expected[1][0])
    assert again[0][0].pattern == got[0][0].pattern


# -- orders


def test_orders_that_are_wrong_say_how():
    f = lambda x: jnp.sin(jnp.cos(jnp.exp(x)) * 2.0)  # noqa: E731
    with pytest.raises(ValueError, match="missing: 2, 3; unknown: 0, 9; repeated: 1. "):
        ex.jacve(f, [1, 1, 0, 9])(1.0)
    with pytest.raises(ValueError, match='must be "fwd", "rev".*got \'best\''):
        ex.jacve(f, "best")(1.0)
    with pytest.raises(TypeError, match="a name or a sequence of integers"):
        ex.jacve(f, [1.5, 2, 3])(1.0)
    with pytest.raises(TypeError, match="a name or a sequence of integers"):
        ex.jacve(f, 3)(1.0)
    # the last equation is an output only: it may be listed, at any place
    expected = jax.jacobian(f)(1.0)
    for order in ([3, 1, 2], [4, 3, 1, 2], (1, 2, 3, 4), np.array([2, 3, 1])):
        agree(ex.jacve(f, order)(1.0)[0], expected)
    assert total(f, "forward", (1.0,)) == total(f, "fwd", (1.0,))
    assert total(f, "reverse", (1.0,)) == total(f, "rev", (1.0,))


def test_pruned_vertices_need_not_be_listed():
    f = lambda x, y: (jnp.exp(y), jnp.sin(jnp.cos(x)))[1] * lax.stop_gradient(jnp.tan(x))  # noqa: E731
    graph = ex.computational_graph(f, 1.0, 2.0)
    assert len(graph.vertices) == 6
    names = {k: graph.vertices[k - 1].call.name for k in graph.intermediates}
    assert sorted(names.values()) == ["cos", "sin"]
    agree(ex.jacve(f, list(names), 0)(1.0, 2.0), jax.jacobian(f)(1.0, 2.0))


def test_arguments_that_are_wrong_say_how():
    with pytest.raises(TypeError, match="each differentiated argument .* got dtype int"):
        ex.jacve(lambda x: x * 2.0)(3)
    with pytest.raises(TypeError, match="each differentiated output .* got dtype int"):
        ex.jacve(lambda x: x.astype(int))(jnp.ones(2))
    with pytest.raises(TypeError, match="each differentiated argument .* got dtype complex128"):
        ex.jacve(lambda x: x * 2)(1j)
    with pytest.raises(TypeError, match="equation 1, `fft`, computes with complex numbers"):
        ex.jacve(lambda x: jnp.abs(jnp.fft.rfft(x)))(jnp.ones(4))
    with pytest.raises(ValueError, match="at position 2, but got 1 positional arguments"):
        ex.jacve(jnp.sin, argnums=2)(1.0)
    with pytest.raises(
        TypeError, match="`argnums` must be an integer or a sequence of integers, got"
    ):
        ex.jacve(jnp.sin, argnums=["x"])(1.0)
    with pytest.raises(TypeError, match=r"must return a pair \(value, aux\)"):
        ex.jacve(jnp.sin, has_aux=True)(1.0)
    with pytest.raises(TypeError, match="looks at the value of an array in Python"):
        ex.jacve(lambda x: x if x > 0 else -x)(1.0)
    with pytest.raises(TypeError, match="`f` must be a function, got int"):
        ex.computational_graph(3, 1.0)
    with pytest.raises(ValueError, match="`budget` must be moves or seconds, not negative, got -1"):
        ex.elimination_order(jnp.sin, 1.0, budget=-1)


def test_what_is_no_array():
    """Arguments and auxiliary results of any kind go where they belong; keywords are passed on."""

    def f(x, g, *, scale):
        return g(x) * scale, ("aux", 3, x)

    x = jnp.arange(1.0, 4.0)
    J, aux = ex.jacve(f, argnums=0, has_aux=True)(x, jnp.sin, scale=2.0)
    agree(J, jax.jacobian(lambda x: 2 * jnp.sin(x))(x))
    assert aux[:2] == ("aux", 3) and np.array_equal(aux[2], x)
    graph = ex.computational_graph(f, x, jnp.sin, has_aux=True, scale=2.0)
    assert list(graph.intermediates) == [1]
    assert ex.elimination_order(f, x, jnp.sin, has_aux=True, scale=2.0).order == (1,)


def test_a_variable_that_is_scattered_onto_itself():
    """Elements that come to one place by two operands add up."""
    for f in (
        lambda x: x.at[jnp.arange(5)].add(x),
        lambda x: jnp.sin(x).at[jnp.arange(5)].add(jnp.sin(x)),
        lambda x: x.at[::-1].add(x),
    ):
        agree(ex.jacve(f, argnums=0)(jnp.arange(5.0)), jax.jacobian(f)(jnp.arange(5.0)))


def test_solvers():
    """Batched triangular solves, and what tells a linear solver how to solve."""
    X = jnp.arange(1.0, 19.0).reshape(2, 3, 3)

    def lower(M, b):
        return jax.scipy.linalg.solve_triangular(M, b, lower=True)

    def cg(b):
        return jax.scipy.sparse.linalg.cg(lambda v: 4 * v + jnp.roll(v, 1) + jnp.roll(v, -1), b)[0]

    for f, x in (
        (jax.vmap(lambda b: lower(X[0], b)), X[:, 0]),
        (jax.vmap(lambda M: lower(M, M[0])), X),
        (cg, jnp.arange(1.0, 6.0)),
    ):
        agree(ex.jacve(f, argnums=0)(x), jax.jacobian(f)(x))


# -- the graph


def test_the_graph_prints_itself():
    text = str(
        ex.computational_graph(
            lambda x, y: (jnp.sin(x * y), y + 1), jnp.ones(3), jnp.ones(3), argnums=1
        )
    )
    lines = text.splitlines()
    assert lines[0] == "inputs: x0"
    assert lines[1].split() == ["1", "mul:", "float64[3]", "<-", "x0"]
    assert lines[2].split() == ["2", "sin:", "float64[3]", "<-", "1", "(output)"]
    assert lines[3].split() == ["3", "add:", "float64[3]", "<-", "x0", "(output)"]
    assert lines[4] == "outputs: 2, 3"


def test_shapes_are_enough_for_the_graph():
    shape = jax.ShapeDtypeStruct((4,), jnp.float64)
    f = lambda x: jnp.sin(x) * x  # noqa: E731
    graph = ex.computational_graph(f, shape)
    assert str(graph) == str(ex.computational_graph(f, jnp.ones(4)))
    assert "2 equations, 1 to eliminate, 1 inputs, 1 outputs" in repr(graph)


def test_calls_are_inlined():
    f = jax.jit(lambda x: jax.checkpoint(lambda x: jax.jit(jnp.sin)(x) * 2)(x) + 1)
    names = [x.call.name for x in ex.computational_graph(f, 1.0).vertices]
    assert names == ["sin", "mul", "add"]


# -- cost


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RoeFlux_1d", "RobotArm_6DOF"])
def test_compiling_takes_no_longer_than_for_reverse_mode(name):
    case = CASES[name]
    args = case.arguments()

    def seconds(f):
        start = time.process_time()
        jax.jit(f).lower(*args).compile()
        return time.process_time() - start

    ratios = [
        seconds(ex.jacve(case.function, "markowitz", case.argnums))
        / seconds(jax.jacrev(case.function, case.argnums))
        for _ in range(2)
    ]
    assert min(ratios) < 2
