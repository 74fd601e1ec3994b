"""Operators that are known by their products: entries from few of them, whatever the function calls."""

import functools

import jax
import jax.experimental
import jax.extend.core
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
import scipy.sparse as sp
from jax.interpreters import ad, mlir

import elimax as ex
from elimax._jacobian import compressed, settle
from elimax._operator import products

from ..helpers import assert_close

N = 12


# -- functions, with their Jacobians by dense JAX


def stencil(x, args=None):
    """A periodic three-point stencil, nonlinear: as if it were a discretized equation."""
    return jnp.sin(x) + 0.5 * jnp.roll(x, 1) ** 2 - jnp.roll(x, -1)


def stencil_pattern(n=N):
    eye = np.eye(n)
    return ex.Pattern.from_scipy(sp.csc_array(eye + np.roll(eye, 1, 0) + np.roll(eye, -1, 0)))


def chain(x, args=None):
    """Tridiagonal."""
    return jnp.exp(-x).at[1:].add(x[:-1] ** 2).at[:-1].add(-x[1:])


def wave(x, args=None):
    """Diagonal."""
    return jnp.sin(x) * x


def dense_jacobian(f, x):
    return jax.jacfwd(f, holomorphic=jnp.iscomplexobj(x))(x)


def reverse_only(f):
    """The function with a reverse rule and no forward one."""
    g = jax.custom_vjp(lambda x: f(x))
    g.defvjp(lambda x: (f(x), x), lambda x, ct: jax.vjp(f, x)[1](ct))
    return lambda x, args: g(x)


def outputs_of(primitive: str, function, *args) -> list[tuple[int, ...]]:
    """The shapes of all results of a primitive in the jaxpr of a function, at any depth."""

    def visit(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == primitive:
                yield equation.outvars[0].aval.shape
            for x in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
                if _is_jaxpr(x):
                    yield from visit(getattr(x, "jaxpr", x))

    return list(visit(jax.make_jaxpr(function)(*args).jaxpr))


def _is_jaxpr(x):
    return isinstance(x, jax.extend.core.Jaxpr | jax.extend.core.ClosedJaxpr)


def _unbatchable(name: str) -> jax.extend.core.Primitive:
    """x -> 2 x as a primitive that has derivatives, but no batching rule."""
    primitive = jax.extend.core.Primitive(name)
    primitive.def_impl(lambda x: 2 * x)
    primitive.def_abstract_eval(lambda x: jax.core.ShapedArray(x.shape, x.dtype))
    mlir.register_lowering(primitive, mlir.lower_fun(lambda x: 2 * x, multiple_results=False))
    ad.deflinear2(primitive, lambda ct, x: [primitive.bind(ct)])
    return primitive


double_p = _unbatchable("elimax_test_double")


@jax.custom_jvp
def foreign(x):
    """sin on the host, one vector at a time."""
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return jax.pure_callback(np.sin, shape, x, vmap_method="sequential")


@foreign.defjvp
def _(primals, tangents):
    (x,), (t,) = primals, tangents
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    slope = functools.partial(jax.pure_callback, vmap_method="sequential")
    return foreign(x), slope(lambda x, t: np.cos(x) * t, shape, x, t)


# -- few products


@pytest.mark.parametrize("jac", [None, "fwd", "bwd"])
def test_diagonal_takes_one_product(jac, rng):
    x = jnp.asarray(rng.normal(size=N))
    f = reverse_only(wave) if jac == "bwd" else wave

    def entries(x):
        operator = lx.JacobianLinearOperator(f, x, tags=lx.diagonal_tag, jac=jac)
        made = ex.materialise(operator)
        assert isinstance(made, lx.DiagonalLinearOperator)
        return made.diagonal

    assert_close(entries(x), jnp.diagonal(dense_jacobian(wave, x)), 1e-14)
    assert set(outputs_of("cos", entries, x)) == {(N,)}  # no basis, no batch


def test_diagonal_needs_no_batching_rule(rng):
    x = jnp.asarray(rng.normal(size=N))
    operator = lx.JacobianLinearOperator(
        lambda x, _: double_p.bind(jnp.sin(x)), x, tags=lx.diagonal_tag
    )
    assert_close(ex.diagonal(operator), 2 * jnp.cos(x), 1e-14)
    solution = lx.linear_solve(operator, x, ex.SparseLU())
    assert_close(solution.value, x / (2 * jnp.cos(x)), 1e-13)


def test_diagonal_keeps_the_leaves(rng):
    x = {"a": jnp.asarray(rng.normal(size=(2, 3))), "b": jnp.asarray(rng.normal(), jnp.float32)}
    operator = lx.JacobianLinearOperator(
        lambda x, _: jax.tree.map(jnp.sin, x), x, tags=lx.diagonal_tag
    )
    made = ex.materialise(operator)
    assert jax.tree.structure(made.diagonal) == jax.tree.structure(x)
    for slope, leaf in zip(jax.tree.leaves(made.diagonal), jax.tree.leaves(x), strict=True):
        assert slope.dtype == leaf.dtype and slope.shape == leaf.shape
        assert_close(slope, jnp.cos(leaf), 1e-6)


def test_mismatched_structures_of_diagonal_operators():
    x = (jnp.ones(2), jnp.ones(2))
    message = "must have matching input and output structures"
    with pytest.raises(ValueError, match=message):
        lx.JacobianLinearOperator(lambda x, _: jnp.concatenate(x), x, tags=lx.diagonal_tag)
    structure = jax.ShapeDtypeStruct((4,), jnp.float64)
    with pytest.raises(ValueError, match=message):
        lx.PyTreeLinearOperator((jnp.eye(4)[:, :2], jnp.eye(4)[:, 2:]), structure, lx.diagonal_tag)
    # lineax does not look into a wrapper; we do.
    for operator in (
        lx.JacobianLinearOperator(lambda x, _: jnp.concatenate(x), x),
        lx.PyTreeLinearOperator((jnp.eye(4)[:, :2], jnp.eye(4)[:, 2:]), structure),
    ):
        with pytest.raises(ValueError, match=message):
            ex.materialise(lx.TaggedLinearOperator(operator, lx.diagonal_tag))


def test_one_by_one_operators_may_have_any_structures():
    x = {"a": jnp.ones((1, 1))}
    operator = lx.JacobianLinearOperator(lambda x, _: x["a"][0] ** 3, x)
    made = ex.materialise(operator)
    assert made.out_structure() == jax.ShapeDtypeStruct((1,), jnp.float64)
    assert made.in_structure() == jax.eval_shape(lambda: x)
    assert_close(made.as_matrix(), jnp.full((1, 1), 3.0), 1e-15)


@pytest.mark.parametrize("jac", [None, "bwd"])
@pytest.mark.parametrize("untagged", [False, True])
def test_tridiagonal_takes_three_products(jac, untagged, rng):
    x = jnp.asarray(rng.normal(size=N))
    f = reverse_only(chain) if jac == "bwd" else chain
    tags = () if untagged else lx.tridiagonal_tag
    pattern = ex.Pattern.band((N, N), 1, 1) if untagged else None

    def entries(x):
        return ex.materialise(lx.JacobianLinearOperator(f, x, tags=tags, jac=jac), pattern).matrix

    A = entries(x)
    assert A.pattern == ex.Pattern.band((N, N), 1, 1)
    assert_close(A.todense(), dense_jacobian(chain, x), 1e-14)
    # exp(-x) and its slope are evaluated once; the products, in one batch of three
    assert {s[0] for s in outputs_of("mul", entries, x) if len(s) == 2} == {3}


def test_any_pattern(rng):
    """As a tag, as an argument, of Jacobians and of linear functions, real and complex."""
    P = stencil_pattern()
    for dtype in (np.float32, np.float64, np.complex64, np.complex128):
        x = jnp.asarray(rng.normal(size=N), dtype)
        expected = dense_jacobian(stencil, x)
        _, linear = jax.linearize(stencil, x)
        structure = jax.eval_shape(lambda x=x: x)
        for operator, pattern in (
            (lx.JacobianLinearOperator(stencil, x, tags=P), None),
            (lx.JacobianLinearOperator(stencil, x, tags=(P, lx.symmetric_tag)), None),
            (lx.JacobianLinearOperator(stencil, x), P),
            (lx.FunctionLinearOperator(linear, structure, P), None),
            (lx.FunctionLinearOperator(linear, structure), P),
            (lx.TaggedLinearOperator(lx.JacobianLinearOperator(stencil, x), P), None),
        ):
            made = ex.materialise(operator, pattern, verify=True)
            assert made.matrix.pattern == P and made.matrix.dtype == dtype
            assert_close(made.as_matrix(), expected, 1e-6 if dtype(0).itemsize % 16 else 1e-14)
            assert lx.is_symmetric(made) == lx.is_symmetric(operator)


def test_rows_take_products_with_the_transpose(rng):
    """`jac="bwd"`: as many vector-Jacobian products as the rows have colors."""
    x = jnp.asarray(rng.normal(size=N))
    wide = ex.Pattern.dense((2, N))
    f = reverse_only(lambda x: jnp.stack([jnp.sum(jnp.sin(x)), jnp.prod(x)]))
    operator = lx.JacobianLinearOperator(f, x, jac="bwd", tags=wide)
    expected = jnp.stack([jnp.cos(x), jnp.prod(x) / x])
    assert_close(ex.materialise(operator).as_matrix(), expected, 1e-13)
    batches = {s for s in outputs_of("mul", lambda: ex.materialise(operator).matrix) if len(s) == 2}
    assert {shape[0] for shape in batches} == {2}


def test_pytrees_in_and_out(rng):
    def f(x, _):
        return {"u": x[0] ** 2, "v": (jnp.sum(x[0]) * x[1],)}

    x = (jnp.asarray(rng.normal(size=(2, 2))), jnp.asarray(rng.normal()))
    pattern = ex.Pattern.from_scipy(
        sp.csc_array(np.block([[np.eye(4), np.zeros((4, 1))], [np.ones((1, 5))]]))
    )
    operator = lx.JacobianLinearOperator(f, x)
    made = ex.materialise(operator, pattern, verify=True)
    assert_close(made.as_matrix(), operator.as_matrix(), 1e-14)
    assert made.in_structure() == operator.in_structure()
    assert made.out_structure() == operator.out_structure()
    vector = jax.tree.map(jnp.cos, x)
    for a, b in zip(
        jax.tree.leaves(made.mv(vector)), jax.tree.leaves(operator.mv(vector)), strict=True
    ):
        assert_close(a, b, 1e-14)


def test_diagonal_of_any_operator(rng):
    x = jnp.asarray(rng.normal(size=N))
    P = stencil_pattern()
    expected = jnp.diagonal(dense_jacobian(stencil, x))

    def diagonal(x):
        return ex.diagonal(lx.JacobianLinearOperator(stencil, x, tags=P))

    assert_close(diagonal(x), expected, 1e-14)
    sizes = {shape[0] for shape in outputs_of("mul", diagonal, x) if len(shape) == 2}
    assert sizes == {2}  # a ring of even length
    for operator, pattern in (
        (lx.JacobianLinearOperator(stencil, x), None),  # dense
        (lx.JacobianLinearOperator(stencil, x), P),
        (lx.JacobianLinearOperator(reverse_only(stencil), x, jac="bwd"), P),
        (3.0 * lx.JacobianLinearOperator(stencil, x, tags=P) / 3.0, None),
        (lx.MatrixLinearOperator(dense_jacobian(stencil, x)), P),
    ):
        assert_close(ex.diagonal(operator, pattern), expected, 1e-14)
    with pytest.raises(ValueError, match="`operator` must be square"):
        ex.diagonal(lx.MatrixLinearOperator(jnp.ones((2, 3))))


# -- functions that cannot be batched


@pytest.mark.parametrize(
    "f, expected",
    [
        (lambda x, _: double_p.bind(stencil(x)), lambda x: 2 * dense_jacobian(stencil, x)),
        (
            lambda x, _: foreign(x) + jnp.roll(x, 1) ** 2,
            lambda x: jnp.diag(jnp.cos(x)) + jnp.roll(jnp.diag(2 * x), 1, 0),
        ),
    ],
    ids=["no rule", "sequential callback"],
)
def test_colors_in_turns(f, expected, rng):
    x = jnp.asarray(rng.normal(size=N))
    P = stencil_pattern()

    def entries(x):
        return ex.materialise(lx.JacobianLinearOperator(f, x, tags=P)).matrix.values

    A = ex.SparseMatrix(P, jax.jit(entries)(x))
    assert_close(A.todense(), expected(x), 1e-14)
    assert outputs_of("scan", entries, x)
    solution = lx.linear_solve(lx.JacobianLinearOperator(f, x, tags=P), x, ex.SparseLU())
    assert_close(A @ solution.value, x, 1e-12)


def test_colors_in_turns_where_memory_is_short(rng, monkeypatch):
    x = jnp.asarray(rng.normal(size=N))
    monkeypatch.setattr(compressed, "_AT_ONCE", 2 * N)
    monkeypatch.setattr(compressed, "_CHUNK", 2 * N)  # two products at once
    made = ex.materialise(lx.JacobianLinearOperator(stencil, x, tags=ex.Pattern.dense((N, N))))
    assert_close(made.as_matrix(), dense_jacobian(stencil, x), 1e-14)


# -- what is built of operators


def test_sums_and_compositions_are_sparse(rng):
    x = jnp.asarray(rng.normal(size=N))
    J, D = dense_jacobian(stencil, x), dense_jacobian(wave, x)
    jacobian = lx.JacobianLinearOperator(stencil, x, tags=stencil_pattern())
    diagonal = lx.JacobianLinearOperator(wave, x, tags=lx.diagonal_tag)
    identity = lx.IdentityLinearOperator(jax.eval_shape(lambda: x))
    two = lx.TridiagonalLinearOperator(x, x[1:], x[:-1])
    for operator, expected, nnz in (
        (jacobian + 2.0 * diagonal, J + 2 * D, 3 * N),
        (jacobian - identity / 4.0, J - jnp.eye(N) / 4, 3 * N),
        (-(jacobian @ diagonal), -J @ D, 3 * N),
        (jacobian @ jacobian.T, J @ J.T, 5 * N),
        (two + lx.DiagonalLinearOperator(x), two.as_matrix() + jnp.diag(x), 3 * N - 2),
    ):
        made = ex.materialise(operator)
        assert made.matrix.nnz == nnz
        assert_close(made.as_matrix(), expected, 1e-13)


def test_derivatives_and_batches(rng):
    P = stencil_pattern()
    w = jnp.asarray(rng.normal(size=P.nnz))

    def sparse(x):
        made = ex.materialise(lx.JacobianLinearOperator(stencil, x, tags=P))
        return jnp.sum(jnp.sin(made.matrix.values) * w)

    def dense(x):
        J = dense_jacobian(stencil, x)
        return jnp.sum(jnp.sin(J[P.rows, P.columns]) * w)

    x = jnp.asarray(rng.normal(size=(3, N)))
    assert_close(jax.vmap(jax.grad(sparse))(x), jax.vmap(jax.grad(dense))(x), 1e-13)
    assert_close(jax.hessian(sparse)(x[0]), jax.hessian(dense)(x[0]), 1e-13)


# -- bad input


def test_missing_entries_are_found(rng):
    x = jnp.asarray(rng.normal(size=N))
    operator = lx.JacobianLinearOperator(stencil, x)
    lacking = ex.Pattern.band((N, N), 1, 1)  # without the corners
    with pytest.raises(ValueError, match="`pattern` lacks entries of the operator: row"):
        ex.materialise(operator, lacking, verify=True)
    with pytest.raises(Exception, match="`pattern` lacks entries"):
        jax.block_until_ready(
            jax.jit(
                lambda x: (
                    ex.materialise(
                        lx.JacobianLinearOperator(stencil, x), lacking, verify=True
                    ).matrix.values
                )
            )(x)
        )


def test_errors():
    x = jnp.ones(N)
    operator = lx.JacobianLinearOperator(stencil, x)
    with pytest.raises(
        ValueError, match=r"`pattern` must have the shape of the operator, \(12, 12\)"
    ):
        ex.materialise(operator, ex.Pattern.eye(5))
    with pytest.raises(TypeError, match="`pattern` must be a Pattern, got ndarray"):
        ex.materialise(operator, np.eye(N))
    big = lx.JacobianLinearOperator(lambda x, _: jnp.cumsum(x), jnp.ones(100_000))
    assert 100_000**2 > settle.DENSEST
    with pytest.raises(
        ValueError, match="could not be found, and as a dense matrix it would be too"
    ):
        lx.linear_solve(big, jnp.ones(100_000), ex.SparseLU())
    with (
        pytest.warns(UserWarning, match="is taken to be a dense matrix"),
        pytest.raises(ValueError, match="it may read entries whose positions are not known"),
    ):
        jax.jit(
            lambda i: ex.materialise(
                lx.JacobianLinearOperator(lambda x, _: x[i] * x, jnp.ones(100_000))
            )
        )(jnp.arange(100_000))


# -- patterns that nobody gave


def test_patterns_are_found(rng):
    """A hundred thousand unknowns and no pattern; by columns and by rows, in and outside of jit."""
    n = 100_000
    x = jnp.asarray(rng.normal(size=n))

    def solve(x, f=stencil, jac=None):
        operator = lx.JacobianLinearOperator(f, x, jac=jac)
        return lx.linear_solve(operator - 9.0 * identity, x, ex.SparseLU(), throw=False).value

    identity = lx.IdentityLinearOperator(jax.eval_shape(lambda: x))
    expected = jax.jit(solve)(x)
    product = jax.jvp(stencil, (x,), (expected,))[1]
    assert_close(product - 9 * expected, x, 1e-12)
    rows = jax.jit(lambda x: solve(x, reverse_only(stencil), "bwd"))(x)
    assert_close(rows, expected, 1e-12)
    found = ex.materialise(lx.JacobianLinearOperator(stencil, x)).matrix.pattern
    assert found.nnz == 3 * n and found.bandwidths == (n - 1, n - 1)


def test_a_pattern_that_lacks_entries_is_not_used(rng, monkeypatch):
    """A rule that were wrong would show: as NaN, never as a wrong solution."""
    monkeypatch.setattr(products, "linear_pattern", lambda *args: ex.Pattern.band((N, N), 1, 1))
    x = jnp.asarray(rng.normal(size=N))
    operator = lx.JacobianLinearOperator(stencil, x)
    assert jnp.isnan(ex.materialise(operator).matrix.values).all()
    solution = lx.linear_solve(operator, x, ex.SparseLU(), throw=False)
    assert solution.result != lx.RESULTS.successful
    assert jnp.isnan(solution.value).all()


def test_badly_scaled_rows_hide_nothing(rng):
    """Entries that are missing beside others of 1e9; and what is only rounding, of another precision."""
    s = jax.ShapeDtypeStruct((6,), jnp.float64)

    def stiff(v):
        return jnp.concatenate([v[:1] * 1e9, v[1:] + 0.1 * jnp.roll(v[1:], 1)])

    with pytest.raises(ValueError, match="`pattern` lacks entries of the operator: row"):
        ex.materialise(lx.FunctionLinearOperator(stiff, s), ex.Pattern.eye(6), verify=True)

    def single(v):
        w = v.astype(jnp.float32)
        return (jnp.float32(2.1) * w - jnp.float32(0.3) * jnp.roll(w, 1)).astype(jnp.float64)

    for f in (stiff, single):
        made = ex.materialise(lx.FunctionLinearOperator(f, s))
        assert_close(made.as_matrix(), jax.vmap(f, out_axes=1)(jnp.eye(6)), 1e-6)


def test_an_empty_pattern_can_be_wrong(monkeypatch):
    """Even then there is a value that can be NaN."""
    monkeypatch.setattr(
        products, "linear_pattern", lambda *args: ex.Pattern.from_coo([], [], (N, N))
    )
    operator = lx.JacobianLinearOperator(stencil, jnp.ones(N))
    assert jnp.isnan(ex.materialise(operator).matrix.values).any()


def test_mutable_arrays(rng):
    x = jnp.asarray(rng.normal(size=N))

    def f(x, _):
        ref = jax.new_ref(jnp.zeros(N))
        ref[...] = x**2
        return ref[...]

    with pytest.warns(UserWarning, match="is taken to be a dense matrix"):
        made = ex.materialise(lx.JacobianLinearOperator(f, x))
    assert_close(made.as_matrix(), jnp.diag(2 * x), 1e-14)


def test_callbacks_in_order():
    """Effects in order cannot be batched, either."""
    calls = []

    def f(v):
        jax.experimental.io_callback(lambda x: calls.append(x.shape), None, v, ordered=True)
        return 3 * v + jnp.roll(v, 1)

    operator = lx.FunctionLinearOperator(f, jax.ShapeDtypeStruct((N,), jnp.float64))
    made = ex.materialise(operator, stencil_pattern())
    assert_close(made.as_matrix(), 3 * jnp.eye(N) + jnp.roll(jnp.eye(N), 1, 0), 1e-14)
    assert set(calls) == {(N,)}
