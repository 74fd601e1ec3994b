"""The linear primitives against dense algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from elimax._primitive import derivative as derivative  # registers the rules
from elimax._primitive.product import contract, gather, product, scatter
from elimax._structure import _native
from elimax._structure.index_map import ZERO, IndexMap
from elimax._structure.pattern import Pattern

from .derivatives import assert_same_derivatives, draw
from .helpers import SCALARS, assert_close, tolerance

STORAGES = ["general", "symmetric", "hermitian"]


def pattern_of(held, symmetric=False):
    rows, cols = np.nonzero(np.tril(held) if symmetric else held)
    return Pattern.from_coo(rows, cols, held.shape, symmetric)


def random_pattern(rng, shape, symmetric=False, density=0.4):
    return pattern_of(rng.uniform(size=shape) < density, symmetric)


def dense(pattern, values, storage="general"):
    """Of NumPy and of JAX values."""
    basis = np.zeros((pattern.nnz, *pattern.shape), values.dtype)
    basis[np.arange(pattern.nnz), pattern.rows, pattern.columns] = 1
    A = (values[:, None, None] * basis).sum(0)
    if storage == "general":
        return A
    diagonal = np.eye(pattern.shape[0], dtype=values.dtype)
    below = A * (1 - diagonal)
    if storage == "symmetric":
        return A + below.T
    return below + below.conj().T + A.real * diagonal


def operands(rng, storage, dtype, k):
    symmetric = storage != "general"
    pattern = random_pattern(rng, (7, 7) if symmetric else (6, 8), symmetric)
    v = draw(rng, (pattern.nnz,), dtype)
    x = draw(rng, (pattern.shape[1], k), dtype)
    y = draw(rng, (pattern.shape[0], k), dtype)
    return pattern, v, x, y


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("dtype", SCALARS)
@pytest.mark.parametrize("storage", STORAGES)
def test_product_values(storage, dtype, k, rng):
    pattern, v, x, y = operands(rng, storage, dtype, k)
    A = dense(pattern, np.asarray(v), storage)
    Ax = product(v, x, pattern, storage)
    assert Ax.dtype == dtype
    assert_close(Ax, A @ np.asarray(x), tolerance(dtype))
    ATy = product(v, y, pattern, storage, transpose=True)
    assert_close(ATy, A.T @ np.asarray(y), tolerance(dtype))


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("storage", STORAGES)
def test_product_derivatives(storage, dtype, transpose, rng):
    pattern, v, x, y = operands(rng, storage, dtype, 2)

    def f(v, x):
        return product(v, x, pattern, storage, transpose)

    def oracle(v, x):
        A = dense(pattern, v, storage)
        return (A.T if transpose else A) @ x

    assert_same_derivatives(f, oracle, (v, y if transpose else x), rng)


def test_product_has_third_derivatives(rng):
    pattern, v, x, _ = operands(rng, "hermitian", np.complex128, 2)

    def third(A_times_x):
        def f(v):
            return jnp.sum(jnp.abs(A_times_x(v, A_times_x(v, x))) ** 2)

        def directional(f):
            return lambda v: jax.jvp(f, (v,), (jnp.cos(v),))[1]

        return jax.jit(jax.grad(directional(directional(f))))(v)

    expected = third(lambda v, x: dense(pattern, v, "hermitian") @ x)
    assert_close(third(lambda v, x: product(v, x, pattern, "hermitian")), expected, 1e-11)


def test_nested_batches(rng):
    pattern, v, x, _ = operands(rng, "general", np.float64, 2)
    v, x = jnp.stack([v, 2 * v]), jnp.stack([x, x + 1, -x])

    def f(v, x):
        return product(v, x, pattern, "general")

    A = [dense(pattern, np.asarray(one)) for one in v]
    expected = np.einsum("aij,bjk->abik", A, x)
    assert_close(jax.vmap(jax.vmap(f, (None, 0)), (0, None))(v, x), expected, 1e-13)
    inner_values = jax.vmap(jax.vmap(f, (0, None)), (None, 0), out_axes=1)
    assert_close(inner_values(v, x), expected, 1e-13)


def test_batch_of_right_hand_sides_is_one_product(rng):
    """Folded into columns: one native call, and no copy of the values for each."""
    pattern, v, x, _ = operands(rng, "general", np.float64, 2)
    batched = jax.vmap(lambda x: product(v, x, pattern, "general"))
    jaxpr = jax.make_jaxpr(batched)(jnp.stack([x, x, x]))
    (equation,) = [e for e in jaxpr.eqns if e.primitive.name == "elimax_product_y"]
    assert [operand.aval.shape for operand in equation.invars] == [v.shape, (x.shape[0], 6)]


@settings(max_examples=10)
@given(st.data())
def test_products_of_random_patterns(data):
    sizes = st.integers(0, 6)
    m, n, k = (data.draw(sizes) for _ in range(3))
    P = pattern_of(data.draw(hnp.arrays(bool, (m, n))))
    Q = pattern_of(data.draw(hnp.arrays(bool, (n, k))))
    rng = np.random.default_rng(0)
    a, b, x = rng.normal(size=P.nnz), rng.normal(size=Q.nnz), rng.normal(size=(n, 2))
    assert_close(product(a, x, P, "general"), dense(P, a) @ x, 1e-13)
    R = P.product(Q)
    ab = np.asarray(contract(a, b, P, Q, R))
    assert_close(dense(R, ab), dense(P, a) @ dense(Q, b), 1e-13)


@pytest.mark.parametrize("dtype", SCALARS)
def test_contract_values(dtype, rng):
    P, Q = random_pattern(rng, (6, 5)), random_pattern(rng, (5, 7))
    R = random_pattern(rng, (6, 7))  # with entries that the product lacks, and without some it has
    a, b = draw(rng, (P.nnz,), dtype), draw(rng, (Q.nnz,), dtype)
    expected = dense(P, np.asarray(a)) @ dense(Q, np.asarray(b))
    assert_close(contract(a, b, P, Q, R), expected[R.rows, R.columns], tolerance(dtype))


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_contract_derivatives(dtype, rng):
    P, Q = random_pattern(rng, (6, 5)), random_pattern(rng, (5, 7))
    R = random_pattern(rng, (6, 7))
    operands = draw(rng, (P.nnz,), dtype), draw(rng, (Q.nnz,), dtype)

    def oracle(a, b):
        return (dense(P, a) @ dense(Q, b))[R.rows, R.columns]

    assert_same_derivatives(lambda a, b: contract(a, b, P, Q, R), oracle, operands, rng)


def moved(x, index_map):
    """The gather, entry by entry."""
    entries = [
        jnp.zeros((), x.dtype) if q == ZERO else x[q] if q >= 0 else jnp.conj(x[~q])
        for q in index_map.indices.tolist()
    ]
    return jnp.stack(entries)


@pytest.mark.parametrize("dtype", SCALARS)
def test_gather_and_scatter(dtype, rng):
    index_map = IndexMap(np.array([2, ~0, ZERO, 2, 1, ~2]), 4)
    x, y = draw(rng, (4,), dtype), draw(rng, (6,), dtype)
    assert_close(gather(x, index_map), moved(x, index_map), 0)
    # the transpose under the pairing Re(sum s v)
    (expected,) = jax.linear_transpose(lambda x: moved(x, index_map), x)(y)
    assert_close(scatter(y, index_map), expected, tolerance(dtype))


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_gather_and_scatter_derivatives(dtype, rng):
    index_map = IndexMap(np.array([2, ~0, ZERO, 2, 1, ~2]), 4)
    x, y = draw(rng, (4,), dtype), draw(rng, (6,), dtype)
    assert_same_derivatives(
        lambda x: gather(x, index_map), lambda x: moved(x, index_map), (x,), rng
    )

    def oracle(y):
        return jax.linear_transpose(lambda x: moved(x, index_map), x)(y)[0]

    assert_same_derivatives(lambda y: scatter(y, index_map), oracle, (y,), rng)


def test_identity_maps_cost_nothing():
    v = jnp.arange(3.0)
    identity = IndexMap(np.arange(3), 3)
    assert gather(v, identity) is v and scatter(v, identity) is v


def test_structures_are_no_constants_of_the_program(rng):
    """Patterns reach the kernels by hash: the compiled program does not grow with them."""

    def lowered(n):
        P = Pattern.from_coo(np.arange(n), np.arange(n)[::-1], (n, n))
        v = jax.ShapeDtypeStruct((n,), np.float64)
        f = jax.jit(lambda v: contract(v, v, P, P, P.product(P)) + gather(v, P.transpose()[1]))
        return f.lower(v).as_text()

    assert len(lowered(10_000)) < len(lowered(100)) + 200


def test_an_unknown_structure_is_an_error():
    unknown = IndexMap(np.array([5, 4, 3]), 6)
    attributes = _native.hash_attributes("map", unknown.digest)  # not pinned
    shape = jax.ShapeDtypeStruct((3,), np.float64)
    with pytest.raises(Exception, match="not registered in this"):
        call = jax.ffi.ffi_call("elimax_gather", shape)
        jax.block_until_ready(call(jnp.ones(6), **attributes, rank=1))
