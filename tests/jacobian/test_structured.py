"""Structured tensors: layouts drawn at random, against dense arrays."""

import math

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from elimax._jacobian.elimination.layout import dense, diagonal, from_coordinates, layout
from elimax._jacobian.elimination.layout_algebra import add, product
from elimax._jacobian.elimination.structured import StructuredTensor


def by_definition(T: StructuredTensor) -> np.ndarray:
    """The entries, one by one."""
    L = T.layout
    found = np.zeros(L.shape)
    value = np.broadcast_to(np.asarray(T.value, float), L.sizes)
    for p in np.ndindex(*L.sizes):
        place = [
            0 if at is None else (p[at[0]] if at[1] is None else at[1][p[at[0]]])
            for at in L.attached
        ]
        found[tuple(place)] += value[p]
    return found


@st.composite
def shapes(draw):
    return tuple(draw(st.lists(st.sampled_from([0, 1, 2, 3, 3, 4]), max_size=3)))


@st.composite
def tensors(draw, out, into):
    """A diagonal if the shapes allow it, dense, a list of coordinates, or some axes of one kind each."""
    kinds = ["dense", "coordinates", "mixed"] + ["diagonal"] * (out == into)
    kind = draw(st.sampled_from(kinds))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    if kind == "diagonal":
        L = diagonal(out)
    elif kind == "dense":
        L = dense(out, into)
    elif kind == "coordinates":
        m, n = math.prod(out), math.prod(into)
        chosen = np.flatnonzero(rng.random(m * n) < draw(st.sampled_from([0.1, 0.5, 1.0])))
        L, _ = from_coordinates(out, into, chosen // max(n, 1), chosen % max(n, 1))
    else:
        L = mixed(rng, out, into)
    lengths = tuple(n if draw(st.booleans()) else 1 for n in L.sizes)
    L = type(L)(L.shape, L.split, L.sizes, L.attached, lengths)
    if all(n == 1 for n in lengths) and draw(st.booleans()):
        return StructuredTensor(L, draw(st.sampled_from([1, -1, 2.5])), jnp.float64)
    return StructuredTensor(L, jnp.asarray(rng.standard_normal(lengths)), jnp.float64)


def mixed(rng, out, into):
    """Every output axis is paired with an input axis of the same length, selects from one, or is alone."""
    sizes, on = [], [None] * (len(out) + len(into))
    free = [b for b, n in enumerate(into) if n > 1]
    for a, n in enumerate(out):
        if n == 1:
            continue
        on[a] = (len(sizes), None)
        sizes.append(n)
        if free and n and rng.random() < 0.6:
            b = free.pop(rng.integers(len(free)))
            index = None if into[b] == n and rng.random() < 0.5 else rng.integers(0, into[b], n)
            on[len(out) + b] = (len(sizes) - 1, index)
    for b, n in enumerate(into):
        if on[len(out) + b] is None and n != 1:
            on[len(out) + b] = (len(sizes), None)
            sizes.append(n)
    return layout(out, into, sizes, on)


@st.composite
def two(draw, chain):
    a, b, c = (draw(shapes()) for _ in range(3))
    if chain:
        return draw(tensors(a, b)), draw(tensors(b, c))
    return draw(tensors(a, b)), draw(tensors(a, b))


@given(two(chain=False))
def test_dense_transposed_and_sparse(pair):
    T, _ = pair
    expected = by_definition(T)
    np.testing.assert_array_equal(T.todense(), expected)
    n = T.layout.split
    axes = (*range(n, expected.ndim), *range(n))
    np.testing.assert_array_equal(T.T.todense(), expected.transpose(axes))
    m = math.prod(T.layout.out_shape)
    S = T.to_sparse_matrix()
    assert S.nnz == T.nnz
    flat = expected.reshape(m, math.prod(T.layout.in_shape))
    np.testing.assert_array_equal(S.todense(), flat)


@given(two(chain=True))
def test_products(pair):
    A, B = pair
    middle = len(B.layout.out_shape)
    expected = np.tensordot(by_definition(A), by_definition(B), middle)
    C = A @ B
    np.testing.assert_allclose(by_definition(C), expected, atol=1e-12)
    np.testing.assert_allclose(C.todense(), expected, atol=1e-12)
    assert np.shape(C.value) in [C.layout.lengths, ()]


@given(two(chain=False))
def test_sums(pair):
    A, B = pair
    expected = by_definition(A) + by_definition(B)
    C = A + B
    np.testing.assert_allclose(by_definition(C), expected, atol=1e-12)
    assert C.nnz <= max(A.nnz + B.nnz, expected.size)
    assert np.shape(C.value) in [C.layout.lengths, ()]


@given(two(chain=True))
def test_the_derivative_of_a_product(pair):
    A, B = pair
    dense_A, dense_B = map(by_definition, pair)
    middle = len(B.layout.out_shape)

    def total(x, y):
        left = StructuredTensor(A.layout, x, A.dtype)
        return (left @ StructuredTensor(B.layout, y, B.dtype)).todense().sum()

    x = jnp.broadcast_to(jnp.asarray(A.value, float), A.layout.lengths)
    y = jnp.broadcast_to(jnp.asarray(B.value, float), B.layout.lengths)
    gradient = jax.grad(total)(x, y)
    # linear in x: the gradient is that of the value
    np.testing.assert_allclose(
        (gradient * x).sum(), np.tensordot(dense_A, dense_B, middle).sum(), atol=1e-10
    )


def test_the_kronecker_form_is_kept():
    n = 1000
    x = jnp.arange(1.0, n + 1)
    D = StructuredTensor(diagonal((n,)), x, x.dtype)
    assert (D @ D).layout == D.layout
    plan = product(D.layout, D.layout)
    assert (plan.muls, plan.adds) == (n, 0)
    fan_out = StructuredTensor(layout((n,), (), (n,), [0], (1,)), 1, x.dtype)
    total = StructuredTensor(layout((), (n,), (n,), [0], (1,)), 1, x.dtype)
    assert (D @ fan_out).layout.lengths == (n,)
    assert (total @ D).layout.lengths == (n,)
    assert (total @ D @ fan_out).layout.sizes == ()
    np.testing.assert_allclose((total @ D @ fan_out).value, x.sum())
    outer = fan_out @ total
    assert outer.layout.lengths == (1, 1) and outer.value == 1
    again = outer @ D
    assert again.layout.lengths == (1, n)


def test_operations_of_blocks():
    A, B = dense((3,), (4,)), dense((4,), (5,))
    plan = product(A, B)
    assert (plan.muls, plan.adds) == (60, 45)
    assert add(A, A).adds == 12
    batch = layout((7, 3), (7, 4), (7, 3, 4), [0, 1, 0, 2])
    again = layout((7, 4), (7, 5), (7, 4, 5), [0, 1, 0, 2])
    plan = product(batch, again)
    assert (plan.muls, plan.layout.nnz) == (7 * 60, 7 * 15)
    square = layout((7, 3), (7, 3), (7, 3, 3), [0, 1, 0, 2])
    plan = add(square, diagonal((7, 3)))
    assert (plan.layout, plan.adds) == (square, 21)


def test_reshaping_there_and_back_keeps_factors():
    rows = np.arange(12)
    flat, _ = from_coordinates((12,), (3, 4), rows, rows)
    back, _ = from_coordinates((3, 4), (12,), rows, rows)
    assert product(back, flat).layout == diagonal((3, 4))
    assert product(flat, back).layout == diagonal((12,))


def test_unequal_shapes_are_an_error():
    A = StructuredTensor(dense((2,), (3,)), jnp.ones((2, 3)), jnp.float64)
    with pytest.raises(ValueError, match="the shapes in the middle differ"):
        A @ A
    with pytest.raises(ValueError, match="the shapes differ"):
        A + A.T
