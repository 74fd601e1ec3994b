"""vmap over values, right-hand sides, both and neither; nested; and inside of derivatives."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex
from elimax._structure._native import counted

from ..derivatives import draw, functions
from ..helpers import assert_close, dense, spd, stored


def _problem(dtype, rng):
    A = spd("grid_2d", dtype)
    S = ex.SymmetricMatrix.from_scipy(A)
    values = jnp.stack([stored(A) * s for s in (1.0, 1.5, 2.0)])
    b = jnp.asarray(rng.normal(size=(3, 72))).astype(dtype)

    def sparse(v, b):
        F = ex.cholesky(S.with_values(v))
        return F.solve(b), F.logdet(), F.selected_inverse().values, F.inverse_diagonal()

    def oracle(v, b):
        X = dense(A, v)
        Z = jnp.linalg.inv(X)
        rows, columns = S.pattern.rows, S.pattern.columns
        return Z @ b, jnp.linalg.slogdet(X)[1], Z[rows, columns], jnp.real(jnp.diagonal(Z))

    return sparse, oracle, values, b


def _compare(got, expected):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert_close(a, b, 1e-10)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
def test_vmap(axes, dtype, jit, rng):
    sparse, oracle, values, b = _problem(dtype, rng)
    arguments = (values if axes[0] == 0 else values[0], b if axes[1] == 0 else b[0])
    batched = jax.vmap(sparse, axes)
    _compare((jax.jit(batched) if jit else batched)(*arguments), jax.vmap(oracle, axes)(*arguments))


def test_other_axes(rng):
    sparse, oracle, values, b = _problem(np.float64, rng)
    got, expected = (
        jax.jit(jax.vmap(f, (1, 1), (1, 0, 1, 0)))(values.T, b.T) for f in (sparse, oracle)
    )
    _compare(got, expected)


@pytest.mark.parametrize("inner", [(0, None), (None, 0), (0, 0)])
@pytest.mark.parametrize("outer", [(0, None), (None, 0), (0, 0)])
def test_nested(inner, outer, rng):
    sparse, oracle, values, b = _problem(np.float64, rng)
    arguments = []
    for x, levels in ((values, (outer[0], inner[0])), (b, (outer[1], inner[1]))):
        x = x[0]
        for level in levels:
            x = x if level is None else jnp.stack([x, x * 1.25, x * 2.0])
        arguments.append(x)
    got, expected = (
        jax.jit(jax.vmap(jax.vmap(f, inner), outer))(*arguments) for f in (sparse, oracle)
    )
    _compare(got, expected)


@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
def test_derivatives_of_vmap_and_vmap_of_derivatives(axes, rng):
    sparse, oracle, values, b = _problem(np.float64, rng)
    x = (values if axes[0] == 0 else values[0], b if axes[1] == 0 else b[0])
    t = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), x)

    def results(f):
        def loss(*x):
            return sum(jnp.sum(jnp.sin(y)) for y in f(*x))

        batched_loss = lambda *x: jnp.sum(jax.vmap(loss, axes)(*x))  # noqa: E731
        gradient = jax.grad(batched_loss, (0, 1))
        return (
            gradient(*x),
            jax.vmap(jax.grad(loss, (0, 1)), axes)(*x),
            jax.jvp(gradient, x, t)[1],
        )

    _compare(jax.jit(lambda: results(sparse))(), jax.jit(lambda: results(oracle))())


# Axes of (values, right-hand side, direction): what only one of two levels batches serves several elements.
@pytest.mark.parametrize(
    ("outer", "inner", "dtype"),
    [
        ((0, None, None), (None, 0, 0), np.float64),
        ((None, 0, 0), (0, None, None), np.complex128),
        pytest.param((0, 0, None), (None, None, 0), np.complex128, marks=pytest.mark.slow),
        pytest.param((None, None, 0), (0, 0, None), np.float64, marks=pytest.mark.slow),
        ((0, None, 0), (0, 0, None), np.float64),
    ],
)
def test_derivatives_of_nested_vmaps(outer, inner, dtype, rng):
    A = spd("small", dtype)
    arguments = [
        jnp.asarray(stored(A)),
        draw(rng, (12,), dtype),
        draw(rng, (stored(A).size,), dtype),
    ]
    for axes in (inner, outer):
        for i, axis in enumerate(axes):
            if axis == 0:
                arguments[i] = jnp.stack([arguments[i] * s for s in (1.0, 1.25)])

    def results(which, arguments):
        def f(v, b, t):
            names = ("solve", "logdet", "inverse_diagonal", "half_solve")
            along = (functions(A)[name][which] for name in names)
            return [jax.jvp(lambda v, f=f: f(v, b), (v,), (t,)) for f in along]

        batched = jax.vmap(jax.vmap(f, inner), outer)

        def loss(*x):
            outputs = jax.tree.leaves(batched(*x))
            return sum(jnp.sum(jnp.sin(jnp.real(y) - jnp.imag(y))) for y in outputs)

        gradient = jax.grad(loss, (0, 1, 2))
        tangents = [0.1 * x for x in arguments]
        return batched(*arguments), *jax.jvp(gradient, arguments, tangents)

    # as arguments: the XLA of JAX 0.8.0 folds constant triangular solves of complex numbers wrongly
    _compare(*(jax.jit(results, static_argnums=0)(which, arguments) for which in (0, 1)))


@pytest.mark.parametrize("levels", [[(0, None), (None, 0)], [(None, 0), (0, None)]])
def test_directions_copy_no_factor(levels, rng):
    """A batch of directions for each of a batch of matrices: whichever vmap comes first."""
    S = ex.SymmetricMatrix.from_scipy(spd("grid_2d"))
    size = ex.analyze(S).factor_size

    def f(v, t):
        variances = lambda v: ex.cholesky(S.with_values(v)).inverse_diagonal()  # noqa: E731
        return jax.jvp(variances, (v,), (t,))[1]

    for axes in reversed(levels):
        f = jax.vmap(f, axes)
    V, T = jnp.stack([S.values] * 3), jnp.asarray(rng.normal(size=(5, S.nnz)))
    shapes = _shapes("elimax_inverse_gradient", f, V, T)
    assert {factor for _, factor, *_ in shapes} == {(3, size)}


def test_hessian_through_vmap(rng):
    A = spd("tridiagonal")
    S = ex.SymmetricMatrix.from_scipy(A)
    eye = ex.SymmetricMatrix.from_coo(np.arange(40), np.arange(40), np.ones(40), (40, 40))

    def sparse(theta):
        return ex.cholesky(jnp.exp(theta[0]) * S + jnp.exp(theta[1]) * eye).logdet()

    def oracle(theta):
        X = jnp.exp(theta[0]) * A.toarray() + jnp.exp(theta[1]) * jnp.eye(40)
        return jnp.linalg.slogdet(X)[1]

    theta = jnp.array([0.3, -0.2])
    for hessian in (
        jax.hessian,
        lambda f: jax.jacrev(jax.jacfwd(f)),
        lambda f: jax.jacrev(jax.jacrev(f)),
        lambda f: jax.jacfwd(jax.jacfwd(f)),
    ):
        got, expected = (jax.jit(hessian(f))(theta) for f in (sparse, oracle))
        assert_close(got, expected, 1e-11)


def _shapes(primitive, f, *arguments):
    """The shapes of the operands of every call of a primitive in the traced program."""
    equations = jax.make_jaxpr(f)(*arguments).jaxpr.eqns
    return [[x.aval.shape for x in e.invars] for e in equations if e.primitive.name == primitive]


# The axes of (matrix, right-hand side), outermost vmap first; the shapes of batch and columns in one call.
COLUMNS = {
    "one matrix": ([(None, 0)], (), (72, 5)),
    "one matrix, nested": ([(None, 0), (None, 0)], (), (72, 25)),
    "matrices inside": ([(None, 0), (0, None)], (5,), (72, 5)),
    "matrices outside": ([(0, None), (None, 0)], (5,), (72, 5)),
    "both inside": ([(None, 0), (0, 0)], (5,), (5, 72, 5)),
    "both outside": ([(0, 0), (None, 0)], (5,), (5, 72, 5)),
    "in between": ([(None, 0), (0, 0), (None, 0)], (5,), (5, 72, 25)),
}


@pytest.mark.parametrize("case", COLUMNS)
@pytest.mark.parametrize("primitive", ["solve", "product_y", "product_x", "triangular_solve"])
def test_right_hand_sides_become_columns(primitive, case, rng):
    """No factor is read or copied more than once, however many right-hand sides there are for it."""
    A = spd("grid_2d")
    S = ex.SymmetricMatrix.from_scipy(A)
    T = ex.SparseMatrix.from_scipy(sp.csc_array(sp.tril(A)))
    triangle = np.tril(A.toarray())
    sparse, oracle, operands = {
        "solve": (
            lambda s, b: ex.cholesky(s * S).solve(b),
            lambda s, b: jnp.linalg.solve(s * A.toarray(), b),
            [S.nnz, ex.analyze(S).factor_size],
        ),
        "product_y": (lambda s, b: (s * T) @ b, lambda s, b: s * triangle @ b, [T.nnz]),
        "product_x": (lambda s, b: b @ (s * T), lambda s, b: b @ (s * triangle), [T.nnz]),
        "triangular_solve": (
            lambda s, b: ex.triangular_solve(s * T, b),
            lambda s, b: jnp.linalg.solve(s * triangle, b),
            [T.nnz],
        ),
    }[primitive]
    levels, batch, columns = COLUMNS[case]
    mapped = [sum(axes[i] == 0 for axes in levels) for i in (0, 1)]
    s, b = (
        jnp.asarray(rng.uniform(1, 2, size=(5,) * count + core))
        for count, core in zip(mapped, [(), (72,)], strict=True)
    )
    for axes in reversed(levels):
        sparse, oracle = jax.vmap(sparse, axes), jax.vmap(oracle, axes)

    before = counted("solve")
    assert_close(sparse(s, b), oracle(s, b), 1e-12)
    if primitive == "solve":
        assert counted("solve") - before == math.prod(batch)
    assert _shapes(f"elimax_{primitive}", sparse, s, b) == [
        [*((*batch, size) for size in operands), columns]
    ]


def test_more_columns_than_one_call_takes_are_an_error():
    F = ex.cholesky(ex.SymmetricMatrix.eye(1))
    b = jax.ShapeDtypeStruct((2**16, 2**16, 1), np.float64)
    with pytest.raises(ValueError, match="4294967296 columns.*jax.lax.map"):
        jax.eval_shape(jax.vmap(jax.vmap(F.solve)), b)
