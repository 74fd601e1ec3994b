"""Patterns against brute force on dense boolean matrices."""

import pickle
from typing import Any

import jax
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from elimax._structure.index_map import ZERO, IndexMap
from elimax._structure.pattern import Pattern
from elimax._structure.selection import permute, take

sides = st.integers(0, 7)


@st.composite
def matrices(draw, square=False):
    """Dense integer matrices with many zeros; the nonzeros are distinct."""
    m = draw(sides)
    n = m if square else draw(sides)
    held = draw(hnp.arrays(bool, (m, n)))
    return np.where(held, np.arange(1, m * n + 1).reshape(m, n), 0)


def from_dense(A, symmetric=False):
    rows, cols = np.nonzero(np.tril(A) if symmetric else A)
    return Pattern.from_coo(rows, cols, A.shape, symmetric)


def values(pattern, A):
    return A[pattern.rows, pattern.columns]


def gather(index_map, v):
    """Conjugation is written as a minus sign."""
    plain = np.where(index_map.indices < 0, ~index_map.indices, index_map.indices)
    result = np.append(v, 0)[np.where(index_map.indices == ZERO, v.size, plain)]
    return np.where((index_map.indices < 0) & (index_map.indices != ZERO), -result, result)


def dense(pattern, v):
    A = np.zeros(pattern.shape, v.dtype)
    A[pattern.rows, pattern.columns] = v
    return A


def assert_canonical(pattern):
    assert pattern.rows.dtype == pattern.column_pointers.dtype == np.int32
    assert not pattern.rows.flags.writeable and not pattern.column_pointers.flags.writeable
    for j in range(pattern.shape[1]):
        rows = pattern.rows[pattern.column_pointers[j] : pattern.column_pointers[j + 1]]
        assert (np.diff(rows) > 0).all()


@given(matrices(), st.data())
def test_from_coo_sorts_and_merges(A, data):
    rows, cols = np.nonzero(A)
    order = data.draw(st.permutations(2 * list(range(rows.size))))
    order = np.array(order, int)
    rows, cols = rows[order], cols[order]
    pattern, position = Pattern.from_coo_with_map(rows, cols, A.shape)
    assert_canonical(pattern)
    assert np.array_equal(dense(pattern, np.ones(pattern.nnz)), A != 0)
    assert np.array_equal(pattern.rows[position.indices], rows)
    assert np.array_equal(pattern.columns[position.indices], cols)
    assert pattern == from_dense(A) and hash(pattern) == hash(from_dense(A))


@given(matrices())
def test_from_and_to_scipy(A):
    pattern = from_dense(A)
    for layout in (scipy.sparse.csr_array, scipy.sparse.csc_array, scipy.sparse.coo_array):
        assert Pattern.from_scipy(layout(A)) == pattern
    assert np.array_equal(pattern.to_scipy().toarray(), A != 0)


@given(matrices())
def test_transpose(A):
    pattern = from_dense(A)
    transposed, read = pattern.transpose()
    assert_canonical(transposed)
    assert np.array_equal(dense(transposed, gather(read, values(pattern, A))), A.T)


@given(matrices(square=True))
def test_symmetric_flavor(A):
    A = np.tril(A)
    lower = from_dense(A, symmetric=True)
    general, read = lower.to_general()
    assert_canonical(general)
    mirrored = A - np.tril(A, -1).T
    assert np.array_equal(dense(general, gather(read, values(lower, A))), mirrored)
    assert np.array_equal(lower.to_scipy().toarray(), mirrored != 0)
    again, read = general.lower()
    assert again == lower and again != from_dense(A)
    assert np.array_equal(dense(again, gather(read, values(general, mirrored))), A)
    assert Pattern.from_scipy(scipy.sparse.csr_array(mirrored), symmetric=True) == lower
    same, read = lower.transpose()
    assert same == lower
    assert np.array_equal(read.unconjugated.indices, np.arange(lower.nnz))


@given(matrices(), st.data())
def test_take(A, data):
    m, n = A.shape
    rows = data.draw(st.lists(st.integers(0, m - 1), max_size=9) if m else st.just([]))
    cols = data.draw(st.lists(st.integers(0, n - 1), max_size=9) if n else st.just([]))
    pattern = from_dense(A)
    taken, read = take(pattern, rows, cols)
    assert_canonical(taken)
    expected = A[np.ix_(np.array(rows, int), np.array(cols, int))]
    assert np.array_equal(dense(taken, gather(read, values(pattern, A))), expected)


@given(matrices(square=True), st.data())
def test_permute(A, data):
    p = np.array(data.draw(st.permutations(range(A.shape[0]))), int)
    pattern = from_dense(A)
    permuted, read = permute(pattern, p)
    assert np.array_equal(dense(permuted, gather(read, values(pattern, A))), A[np.ix_(p, p)])
    A = np.tril(A) - np.tril(A, -1).T
    pattern = from_dense(A, symmetric=True)
    permuted, read = permute(pattern, p)
    assert np.array_equal(
        dense(permuted, gather(read, values(pattern, A))), np.tril(A[np.ix_(p, p)])
    )


@given(matrices())
def test_diagonal(A):
    pattern = from_dense(A)
    assert np.array_equal(gather(pattern.diagonal(), values(pattern, A)), np.diagonal(A))
    expected = A.astype(bool)
    np.fill_diagonal(expected, True)
    assert np.array_equal(pattern.with_diagonal().to_scipy().toarray(), expected)


@given(st.data())
def test_union_intersection_embedding(data):
    A = data.draw(matrices())
    B = data.draw(hnp.arrays(bool, A.shape))
    P, Q = from_dense(A), from_dense(B)
    union, intersection = P.union(Q), P.intersection(Q)
    assert np.array_equal(union.to_scipy().toarray(), (A != 0) | B)
    assert np.array_equal(intersection.to_scipy().toarray(), (A != 0) & B)
    copied = np.zeros(union.nnz, A.dtype)
    copied[P.embedding(union).indices] = values(P, A)
    assert np.array_equal(dense(union, copied), A)
    if intersection != P:
        with pytest.raises(ValueError, match="is not in the larger pattern"):
            P.embedding(intersection)


@given(st.data())
def test_product(data):
    A = data.draw(matrices())
    B = data.draw(hnp.arrays(bool, (A.shape[1], data.draw(sides))))
    product = from_dense(A).product(from_dense(B))
    assert_canonical(product)
    assert np.array_equal(product.to_scipy().toarray(), (A != 0).astype(int) @ B > 0)


def test_identity_is_content():
    P, Q = Pattern.eye(3), Pattern.eye(4)
    assert P == Pattern.eye(3) and P != Q and P != Pattern.eye(3, symmetric=True)
    assert len({P, Q, Pattern.eye(3)}) == 2
    for structure in (P, Pattern.eye(3, symmetric=True), P.diagonal()):
        again = pickle.loads(pickle.dumps(structure))
        assert again == structure and again.digest == structure.digest
    assert P.diagonal() != Q.diagonal() and P.diagonal() != P


def test_immutable():
    P: Any = Pattern.eye(3)
    with pytest.raises(AttributeError):
        P.rows = P.rows
    with pytest.raises(ValueError, match="read-only"):
        P.rows[0] = 1
    rows = np.arange(3, dtype=np.int32)
    P = Pattern((3, 3), np.arange(4), rows)
    rows[0] = 2
    assert P == Pattern.eye(3)


def test_small_and_empty():
    empty = Pattern.from_coo([], [], (0, 4))
    assert empty.nnz == 0 and empty.density == 0 and empty.transpose()[0].shape == (4, 0)
    assert Pattern.dense((2, 3)).nnz == 6
    assert repr(Pattern.eye(2, symmetric=True)) == (
        "Pattern(shape=(2, 2), nnz=2, density=0.5, symmetric=True)"
    )
    assert repr(IndexMap(np.array([0]), 3)) == "IndexMap(1 from 3)"
    assert set(empty.pin("a")) == {"a_high", "a_low"}


def test_bad_input():
    with pytest.raises(ValueError, match=r"`rows`: entry 1 is 3, outside of 0 .. 2"):
        Pattern.from_coo([0, 3], [0, 0], (3, 3))
    with pytest.raises(ValueError, match=r"`cols`: entry 0 is -1"):
        Pattern.from_coo([0], [-1], (3, 3))
    with pytest.raises(TypeError, match="`rows` must be integers, got dtype float64"):
        Pattern.from_coo([0.0], [0], (3, 3))
    with pytest.raises(ValueError, match="one length, got 2 and 1"):
        Pattern.from_coo([0, 1], [0], (3, 3))
    with pytest.raises(ValueError, match="one-dimensional"):
        Pattern.from_coo([[0]], [0], (3, 3))
    with pytest.raises(ValueError, match="32-bit"):
        Pattern.from_coo([], [], (2**31, 1))
    with pytest.raises(ValueError, match="square, got shape"):
        Pattern.from_coo([], [], (2, 3), symmetric=True)
    with pytest.raises(ValueError, match=r"entry 0 at \(0, 1\) lies above the diagonal"):
        Pattern.from_coo([0], [1], (2, 2), symmetric=True)
    with pytest.raises(ValueError, match=r"holds the entry \(2, 0\) but not \(0, 2\)"):
        Pattern.from_coo([0, 2], [0, 0], (3, 3)).lower()
    with pytest.raises(ValueError, match="must be square"):
        Pattern.dense((2, 3)).lower()
    with pytest.raises(ValueError, match="entry 1 does not"):
        Pattern((3, 1), [0, 2], [1, 1])
    with pytest.raises(ValueError, match="`column_pointers`"):
        Pattern((3, 1), [0, 1], [1, 2])
    with pytest.raises(ValueError, match=r"entry 1 at \(1, 1\) is not in the larger"):
        Pattern.eye(2).embedding(Pattern.from_coo([0], [0], (2, 2)))
    with pytest.raises(ValueError, match=r"union: shapes \(2, 2\) and \(3, 3\) differ"):
        Pattern.eye(2).union(Pattern.eye(3))
    with pytest.raises(ValueError, match="one pattern is symmetric"):
        Pattern.eye(2).union(Pattern.eye(2, symmetric=True))
    with pytest.raises(ValueError, match=r"must hold every one of 0 .. 1 once"):
        permute(Pattern.eye(2), [0, 0])
    with pytest.raises(ValueError, match="must be square"):
        permute(Pattern.dense((2, 3)), [0, 1])
    with pytest.raises(ValueError, match="do not fit"):
        Pattern.dense((2, 3)).product(Pattern.dense((2, 3)))
    with pytest.raises(ValueError, match="call to_general"):
        take(Pattern.eye(2, symmetric=True), [0], [0])
    with pytest.raises(ValueError, match="entry 1 is 3, outside of an input of 3 values"):
        IndexMap(np.array([ZERO, 3]), 3)


def test_lists_will_do():
    P = Pattern((3, 3), [0, 2, 3, 3], [0, 2, 1])
    assert P == Pattern.from_coo([2, 1, 0], [0, 1, 0], [3, 3])
    assert P.rows.dtype == P.column_pointers.dtype == np.int32


def test_traced_indices():
    with pytest.raises(TypeError, match="patterns are static"):
        jax.jit(lambda rows: Pattern.from_coo(rows, rows, (3, 3)).nnz)(np.arange(3))
