"""Matrices from and to other forms, what they say about themselves, and what bad input is told."""

import copy
import pickle
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.experimental.sparse import BCOO, BCSR

from elimax._matrix import SparseMatrix, SymmetricMatrix, block, block_diag, kron
from elimax._structure.pattern import Pattern


def random_dense(rng, shape, dtype, density=0.5):
    A = rng.normal(size=shape)
    if np.issubdtype(dtype, np.complexfloating):
        A = A + 1j * rng.normal(size=shape)
    return np.where(rng.uniform(size=shape) < density, A, 0).astype(dtype)


def as_bcoo(A, padding=0):
    """Padded as JAX pads: with indices outside of the shape."""
    rows, cols = np.nonzero(A)
    indices = np.concatenate([np.stack([rows, cols], 1), np.full((padding, 2), A.shape)])
    data = np.concatenate([A[rows, cols], np.zeros(padding, A.dtype)])
    return BCOO((jnp.asarray(data), jnp.asarray(indices)), shape=A.shape)


def as_bcsr(A, padding=0):
    csr = sp.csr_array(A)
    data = np.concatenate([csr.data, np.zeros(padding, A.dtype)])
    indices = np.concatenate([csr.indices, np.full(padding, A.shape[1])])
    parts = (jnp.asarray(data), jnp.asarray(indices), jnp.asarray(csr.indptr))
    return BCSR(parts, shape=A.shape)


def symmetrized(A, hermitian):
    return A + (A.conj().T if hermitian else A.T)


# -- from and to other forms


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_general_forms(dtype, rng):
    A = random_dense(rng, (6, 4), dtype)
    rows, cols = np.nonzero(A)
    matrices = {
        "scipy csr": SparseMatrix.from_scipy(sp.csr_matrix(A)),
        "scipy coo": SparseMatrix.from_scipy(sp.coo_array(A)),
        "bcoo": SparseMatrix.from_bcoo(as_bcoo(A)),
        "padded bcoo": SparseMatrix.from_bcoo(as_bcoo(A, padding=5)),
        "bcsr": SparseMatrix.from_bcsr(as_bcsr(A)),
        "padded bcsr": SparseMatrix.from_bcsr(as_bcsr(A, padding=5)),
        "dense": SparseMatrix.from_dense(A),
        "coo": SparseMatrix.from_coo(rows, cols, A[rows, cols], A.shape),
    }
    pattern = Pattern.from_scipy(sp.csc_array(A))
    for name, matrix in matrices.items():
        assert matrix.pattern == pattern, name
        assert matrix.dtype == dtype, name
        assert np.array_equal(matrix.to_scipy().toarray(), A), name
    matrix = matrices["dense"]
    assert np.array_equal(matrix.todense(), A)
    bcoo = matrix.to_bcoo()
    assert np.array_equal(bcoo.todense(), A)
    assert np.array_equal(bcoo.sort_indices().indices, bcoo.indices)
    bcsr = matrix.to_bcsr()
    assert np.array_equal(bcsr.todense(), A)
    assert SparseMatrix.from_bcsr(bcsr).pattern == pattern


@pytest.mark.parametrize("hermitian", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_symmetric_forms(dtype, hermitian, rng):
    A = symmetrized(random_dense(rng, (6, 6), dtype), hermitian)
    rows, cols = np.nonzero(np.tril(A))
    forms = {
        "scipy": SymmetricMatrix.from_scipy(sp.csr_array(A), hermitian),
        "bcoo": SymmetricMatrix.from_bcoo(as_bcoo(A), hermitian),
        "bcsr": SymmetricMatrix.from_bcsr(as_bcsr(A), hermitian),
        "dense": SymmetricMatrix.from_dense(A, hermitian=hermitian),
        "coo": SymmetricMatrix.from_coo(rows, cols, A[rows, cols], A.shape, hermitian),
        "general": SymmetricMatrix.from_general(SparseMatrix.from_dense(A), hermitian),
    }
    pattern = Pattern.from_scipy(sp.csc_array(A), symmetric=True)
    for name, matrix in forms.items():
        assert matrix.pattern == pattern, name
        assert matrix.hermitian == hermitian, name
        assert np.array_equal(matrix.values, A[pattern.rows, pattern.columns]), name
        assert np.array_equal(matrix.to_scipy().toarray(), A), name
        assert np.array_equal(matrix.to_bcoo().todense(), A), name
        assert np.array_equal(matrix.to_bcsr().todense(), A), name


@settings(max_examples=10)
@given(hnp.arrays(np.int8, st.tuples(st.integers(0, 5), st.integers(0, 5))))
def test_integers_become_floats(A):
    matrix = SparseMatrix.from_scipy(sp.coo_array(A))
    assert matrix.dtype == np.float64
    assert np.array_equal(matrix.to_scipy().toarray(), A)


def test_duplicates_are_summed():
    rows, cols, values = [1, 0, 1, 1], [0, 1, 0, 1], np.array([1.0, 2.0, 4.0, 8.0])
    expected = [[0, 2], [5, 8]]
    assert np.array_equal(SparseMatrix.from_coo(rows, cols, values, (2, 2)).todense(), expected)
    duplicated = sp.coo_array((values, (rows, cols)), (2, 2))
    assert np.array_equal(SparseMatrix.from_scipy(duplicated).todense(), expected)
    bcoo = BCOO((jnp.asarray(values), jnp.array([rows, cols]).T), shape=(2, 2))
    assert np.array_equal(SparseMatrix.from_bcoo(bcoo).todense(), expected)
    lower = SymmetricMatrix.from_coo([1, 1, 0], [0, 0, 0], np.array([1.0, 2.0, 4.0]), (2, 2))
    assert np.array_equal(lower.todense(), [[4, 3], [3, 0]])


def test_what_scipy_gets_may_be_written_to():
    A = SparseMatrix.from_dense(np.array([[1.0, 2], [0, 3]]))
    for S in (A.to_scipy(), A.pattern.to_scipy()):
        S.data[0] = 0
        S.eliminate_zeros()
        assert S.nnz == 2
    assert np.array_equal(A.todense(), [[1, 2], [0, 3]])


def test_explicit_zeros_are_entries():
    matrix = sp.csc_array((np.array([0.0, 1.0]), ([0, 1], [0, 1])), (2, 2))
    assert SparseMatrix.from_scipy(matrix).nnz == 2


def test_eye_and_diags():
    assert np.array_equal(SparseMatrix.eye(3).todense(), np.eye(3))
    assert SymmetricMatrix.eye(3, np.complex64).dtype == np.complex64
    d, e = np.array([2.0, 3, 4]), np.array([5.0, 6])
    tridiagonal = np.diag(d) + np.diag(e, -1) + np.diag(e, 1)
    assert np.array_equal(SparseMatrix.diags([e, d, e], [-1, 0, 1], (3, 3)).todense(), tridiagonal)
    assert np.array_equal(SymmetricMatrix.diags([d, e], [0, -1]).todense(), tridiagonal)
    assert np.array_equal(SparseMatrix.diags(e, 1).todense(), np.diag(e, 1))
    assert np.array_equal(SparseMatrix.diags(7, -1, (3, 2)).todense(), [[0, 0], [7, 0], [0, 7]])


def test_imaginary_parts_of_a_hermitian_diagonal_are_ignored():
    A = SymmetricMatrix(Pattern.eye(2, symmetric=True), np.array([1 + 5j, 2.0]))
    expected = np.diag([1.0, 2.0])
    assert np.array_equal(A.todense(), expected)
    assert np.array_equal(A @ jnp.eye(2), expected)
    assert np.array_equal(A.diagonal(), [1, 2])
    assert np.array_equal((A @ A).todense(), expected**2)


def test_empty_matrices():
    for shape in [(0, 0), (0, 3), (3, 0), (2, 3)]:
        A = SparseMatrix(Pattern.from_coo([], [], shape), np.zeros(0))
        assert A.todense().shape == shape and not A.todense().any()
        assert (A.T @ A).shape == (shape[1], shape[1])
        assert (A @ jnp.ones(shape[1])).shape == (shape[0],)
        assert (A + A).nnz == 0 and A.trace() == 0
        assert SparseMatrix.from_scipy(A.to_scipy()).pattern == A.pattern
        assert block([[A, A]]).shape == (shape[0], 2 * shape[1])
        assert kron(A, SparseMatrix.eye(2)).shape == (2 * shape[0], 2 * shape[1])
        assert A[:0].shape == (0, shape[1])


# -- symmetry is kept where it exists


def test_results_stay_symmetric():
    Q = SymmetricMatrix.from_dense(np.array([[2.0, 1], [1, 3]]))
    symmetric = (Q + Q, Q - Q, 2 * Q, Q / 2, -Q, Q.T, Q.H, kron(Q, Q), block_diag(Q, Q))
    assert all(isinstance(result, SymmetricMatrix) for result in symmetric)
    general = (Q @ Q, Q + Q.to_general(), Q.to_general() + Q, Q[:, :], block([[Q]]))
    assert all(isinstance(result, SparseMatrix) for result in general)


def test_symmetry_of_complex_combinations():
    hermitian: Any = SymmetricMatrix.from_dense(np.array([[2, 1j], [-1j, 3]]))
    symmetric: Any = SymmetricMatrix.from_dense(np.array([[2, 1j], [1j, 3]]), hermitian=False)
    real: Any = SymmetricMatrix.from_dense(np.array([[2.0, 1], [1, 3]]))
    assert (hermitian + real).hermitian and not (symmetric + real).hermitian
    assert isinstance(hermitian + symmetric, SparseMatrix)
    assert isinstance(1j * hermitian, SparseMatrix)
    assert not (1j * symmetric).hermitian and not (1j * real).hermitian
    assert (2.0 * hermitian).hermitian
    assert isinstance(kron(hermitian, real), SymmetricMatrix)
    assert isinstance(kron(hermitian, symmetric), SparseMatrix)


# -- scalars, arrays and precision


def test_scalars_of_every_kind():
    A = SparseMatrix.eye(2)
    for two in (2, 2.0, np.float32(2), np.float64(2), np.array(2.0), jnp.array(2.0), jnp.int32(2)):
        for result in (two * A, A * two, A / (1 / two)):
            assert isinstance(result, SparseMatrix) and np.array_equal(result.values, [2, 2])


def test_numpy_and_jax_arrays_multiply_from_the_left():
    A = SparseMatrix.from_dense(np.array([[1.0, 2], [0, 3]]))
    for x in (np.array([1.0, 1]), jnp.array([1.0, 1])):
        assert np.array_equal(x @ A, [1, 5])
    assert np.array_equal(np.eye(2) @ A, A.todense())
    assert (A @ np.array([1, 1])).dtype == np.float64


def test_promotion_follows_jax():
    single, double = SparseMatrix.eye(2, np.float32), SparseMatrix.eye(2, np.float64)
    assert (2 * single).dtype == np.float32
    assert (single + double).dtype == (single @ double).dtype == np.float64
    assert (single @ np.ones(2, np.complex64)).dtype == np.complex64
    assert kron(single, double).dtype == block([[single, double]]).dtype == np.float64
    assert single.astype(np.complex128).dtype == np.complex128
    assert (1j * double).astype(np.float32).dtype == np.float32


def test_rounding_to_single_precision_is_announced():
    A = sp.eye_array(2)
    with jax.enable_x64(False):
        with pytest.warns(UserWarning, match="jax_enable_x64 is off.*rounded to float32"):
            assert SparseMatrix.from_scipy(A).dtype == np.float32
        with pytest.warns(UserWarning, match="rounded to complex64"):
            SymmetricMatrix.from_scipy(A.astype(complex))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            SparseMatrix.from_scipy(A.astype(np.float32))
            SparseMatrix.from_scipy(A.astype(int))
            SparseMatrix.eye(2)


# -- pytrees


def test_matrices_are_pytrees():
    A = SparseMatrix.from_dense(np.array([[1.0, 2], [0, 3]]))
    Q: Any = SymmetricMatrix.from_dense(np.array([[1, 2j], [2j, 3]]), hermitian=False)
    for M in (A, Q):
        leaves, structure = jax.tree.flatten(M)
        assert leaves == [M.values]
        again = jax.tree.unflatten(structure, leaves)
        assert type(again) is type(M) and again.pattern == M.pattern
        total = jax.tree.map(jnp.add, M, M.with_values(2 * M.values))
        assert np.array_equal(total.values, 3 * M.values)
        for same in (pickle.loads(pickle.dumps(M)), copy.deepcopy(M)):
            assert same.pattern == M.pattern and np.array_equal(same.todense(), M.todense())
    ((path, _),) = jax.tree_util.tree_leaves_with_path(A)
    assert jax.tree_util.keystr(path) == ".values"
    assert not jax.jit(lambda Q: 2 * Q)(Q).hermitian
    jax.tree.unflatten(jax.tree.structure(A), [object()])  # placeholders are let through


def test_batches_of_matrices():
    A = SparseMatrix.from_dense(np.array([[1.0, 2], [0, 3]]))
    batch = jax.vmap(A.with_values)(jnp.stack([A.values, 2 * A.values]))
    assert batch.values.shape == (2, 3) and batch.shape == (2, 2)
    assert np.array_equal(jax.vmap(SparseMatrix.trace)(batch), [4, 8])


def test_matrices_pass_through_control_flow():
    A = SparseMatrix.from_dense(np.array([[1.0, 2], [0, 3]]))

    @jax.jit
    def f(A):
        A, _ = jax.lax.scan(lambda A, _: (A / 2, None), A, None, length=2)
        return jax.lax.cond(A.trace() > 0, lambda A: -A, lambda A: A, A)

    assert np.array_equal(f(A).values, -A.values / 4)
    trace = jax.checkpoint(lambda A: (A @ A).trace())
    assert np.array_equal(jax.grad(trace)(A).todense(), [[2, 0], [0, 6]])


def test_matrices_are_immutable():
    A: Any = SparseMatrix.eye(2)
    with pytest.raises(AttributeError, match="use with_values"):
        A.values = 0


def test_new_values_do_not_recompile():
    A, traces = SparseMatrix.eye(3), []

    @jax.jit
    def f(A):
        traces.append(A)
        return A @ A

    f(A), f(2 * A), f(SparseMatrix.from_scipy(sp.eye_array(3)))
    assert len(traces) == 1
    f(SparseMatrix.eye(4))
    assert len(traces) == 2


def test_repr():
    A = SparseMatrix.from_dense(np.array([[1.0, 2], [0, 3]], np.float32))
    assert repr(A) == "SparseMatrix(shape=(2, 2), nnz=3, dtype=float32, density=0.75)"
    Q = SymmetricMatrix.from_dense(np.array([[1.0, 2], [2, 0]]))
    assert repr(Q) == "SymmetricMatrix(shape=(2, 2), nnz=2, dtype=float64, density=0.75)"
    jax.jit(lambda A: repr(A) and A)(A)


# -- bad input


def raises(error, match):
    return pytest.raises(error, match=match)


def test_bad_values():
    P = Pattern.eye(3)
    with raises(ValueError, r"`values` must have shape \(3,\).*got \(2,\)"):
        SparseMatrix(P, np.ones(2))
    with raises(ValueError, r"got \(2, 3\).*jax.vmap"):
        SparseMatrix.eye(3).with_values(np.ones((2, 3)))
    with raises(TypeError, "`values` must be integers, float32.*got dtype bool"):
        SparseMatrix(P, np.ones(3, bool))
    with raises(TypeError, "got dtype object"):
        SparseMatrix(P, np.ones(3, object))
    assert jax.jit(lambda x: SparseMatrix(P, [x, 2 * x, 0.5]).trace())(1.0) == 3.5
    with raises(TypeError, "got dtype float16"):
        SparseMatrix(P, np.ones(3, np.float16))
    with raises(TypeError, "`dtype` must be one of .* got int64"):
        SparseMatrix.eye(2).astype(int)
    with raises(TypeError, "`pattern` must be a Pattern, got csc_array"):
        SparseMatrix(sp.csc_array(np.eye(3)), np.ones(3))
    with raises(ValueError, "SparseMatrix must be general"):
        SparseMatrix(Pattern.eye(3, symmetric=True), np.ones(3))
    with raises(ValueError, "SymmetricMatrix must be symmetric"):
        SymmetricMatrix(P, np.ones(3))


def test_bad_entries():
    with raises(ValueError, "`rows`: entry 0 is 2, outside of 0 .. 1"):
        SparseMatrix.from_coo([2], [0], np.ones(1), (2, 2))
    with raises(ValueError, "one value for each of the 2 entries"):
        SparseMatrix.from_coo([0, 1], [0, 1], np.ones(1), (2, 2))
    with raises(ValueError, r"entry 0 at \(0, 1\) lies above the diagonal"):
        SymmetricMatrix.from_coo([0], [1], np.ones(1), (2, 2))
    with raises(TypeError, "patterns are static"):
        jax.jit(lambda i: SparseMatrix.from_coo(i, i, jnp.ones(2), (2, 2)))(np.arange(2))
    with raises(TypeError, "patterns are static"):
        jax.jit(SparseMatrix.from_bcoo)(as_bcoo(np.eye(2)))
    for from_scipy in (SparseMatrix.from_scipy, Pattern.from_scipy):
        with raises(
            TypeError, "must be a two-dimensional SciPy sparse matrix or array, got ndarray"
        ):
            from_scipy(np.eye(2))
    with raises(TypeError, "must be a BCOO, got ndarray"):
        SparseMatrix.from_bcoo(np.eye(2))
    with raises(TypeError, "must be a BCSR, got BCOO"):
        SparseMatrix.from_bcsr(as_bcoo(np.eye(2)))
    with raises(TypeError, "`A` must be a SparseMatrix, got csc_array"):
        SymmetricMatrix.from_general(sp.csc_array(np.eye(2)))
    for shape in (2, (2.5, 2), (2, 2, 2)):
        with raises(TypeError, "`shape` must be two integers"):
            SparseMatrix.from_coo([0], [0], np.ones(1), shape)
    with raises(ValueError, r"`shape` must lie within 32-bit integers, got \(-1, -1\)"):
        SparseMatrix.eye(-1)
    with raises(TypeError, "`offsets` must be integers, got dtype float64"):
        SparseMatrix.diags([np.ones(2)], [0.5])
    with raises(ValueError, "without batch and dense dimensions"):
        SparseMatrix.from_bcoo(BCOO.fromdense(jnp.ones((2, 2, 2)), n_batch=1))
    with raises(ValueError, "without batch and dense dimensions"):
        SparseMatrix.from_bcsr(BCSR.fromdense(jnp.ones((2, 2, 2)), n_batch=1))
    with raises(ValueError, r"offset 1 of a matrix of shape \(3, 3\) has 2 entries"):
        SparseMatrix.diags([np.ones(3), np.ones(3)], [0, 1], (3, 3))
    with raises(ValueError, "must have one length, got 1 and 2"):
        SparseMatrix.diags([np.ones(3)], [0, 1])
    with raises(ValueError, "`offsets` must be at most 0"):
        SymmetricMatrix.diags(np.ones(3), 1)


def test_bad_dense_arrays():
    with raises(TypeError, "the nonzeros of a traced array are not known.*Pass pattern="):
        jax.jit(lambda X: SparseMatrix.from_dense(X))(np.eye(2))
    with raises(TypeError, "Pass pattern="):
        jax.grad(lambda X: SymmetricMatrix.from_dense(X).trace())(np.eye(2))
    with raises(ValueError, r"must be a matrix, got shape \(2,\)"):
        SparseMatrix.from_dense(np.ones(2))
    with raises(ValueError, r"the shape of the pattern, \(3, 3\), got \(2, 2\)"):
        SparseMatrix.from_dense(np.eye(2), pattern=Pattern.eye(3))
    with raises(ValueError, "more than 2147483647 elements"):
        SparseMatrix.eye(50_000).todense()


def test_not_symmetric():
    with raises(ValueError, r"must be square, got shape \(2, 3\)"):
        SymmetricMatrix.from_scipy(sp.csc_array(np.ones((2, 3))))
    with raises(ValueError, r"not symmetric: its entry \(1, 0\) is 0.0, but \(0, 1\) is 5.0"):
        SymmetricMatrix.from_scipy(sp.csc_array([[1.0, 5], [0, 1]]))
    with raises(ValueError, r"not symmetric: its entry \(1, 0\) is 4.0, but \(0, 1\) is 5.0"):
        SymmetricMatrix.from_dense(np.array([[1.0, 5], [4, 1]]))
    with raises(ValueError, r"not Hermitian: its entry \(1, 0\) is 1j, but \(0, 1\) is 1j"):
        SymmetricMatrix.from_dense(np.array([[1, 1j], [1j, 1]]))
    with raises(ValueError, r"not Hermitian: its entry \(0, 0\) is 1j, but is not real"):
        SymmetricMatrix.from_dense(np.array([[1j]]))
    for bad in (np.nan, np.inf):  # in one triangle only
        with raises(ValueError, "not symmetric"):
            SymmetricMatrix.from_dense(np.array([[1.0, bad], [2, 1]]))
        assert SymmetricMatrix.from_dense(np.array([[1.0, bad], [bad, 1]])).nnz == 3
        with raises(ValueError, r"its entry \(2, 1\) is 4.0, but \(1, 2\) is 5.0"):
            SymmetricMatrix.from_dense(np.array([[bad, 0, 0], [0, 1, 5], [0, 4, 1]]))
    with raises(ValueError, r"holds the entry \(0, 1\) but not \(1, 0\)"):
        SymmetricMatrix.from_general(SparseMatrix.from_dense(np.array([[1.0, 5], [0, 1]])))
    with raises(ValueError, "must be square"):
        SymmetricMatrix.from_general(SparseMatrix.from_dense(np.ones((2, 3))))


def test_rounding_is_not_asymmetry():
    A = np.array([[1.0, 2], [2 * (1 + 1e-14), 1]])
    assert SymmetricMatrix.from_dense(A).nnz == 3
    assert SymmetricMatrix.from_dense(A.astype(np.float32) * np.float32(1 + 1e-6)).nnz == 3


def test_shapes_that_do_not_fit():
    A, B = SparseMatrix.eye(2), SparseMatrix.eye(3)
    Q = SymmetricMatrix.eye(3)
    with raises(ValueError, r"\+: shapes \(2, 2\) and \(3, 3\) differ"):
        A + B
    with raises(ValueError, r"\+: shapes \(2, 2\) and \(3, 3\) differ"):
        SymmetricMatrix.eye(2) + Q
    for product in (lambda: A @ B, lambda: SymmetricMatrix.eye(2) @ Q):
        with raises(ValueError, r"@: shapes \(2, 2\) and \(3, 3\) do not fit"):
            product()
    with raises(ValueError, r"@: shapes \(2, 2\) and \(3,\) do not fit"):
        A @ np.ones(3)
    with raises(ValueError, r"@: shapes \(5, 3\) and \(2, 2\) do not fit"):
        np.ones((5, 3)) @ A
    with raises(ValueError, r"@: shapes \(2, 2\) and \(4, 2, 2\) do not fit.*jax.vmap"):
        A @ np.ones((4, 2, 2))
    with raises(ValueError, r"embedding: entry 0 at \(0, 0\) is not in the larger"):
        A.on_pattern(Pattern.from_coo([], [], (2, 2)))
    with raises(TypeError, "the product of two matrices is A @ B"):
        A * A
    with raises(ValueError, r"got an array of shape \(2,\); to scale rows"):
        A * np.ones(2)
    for sum_ in (lambda: A + 1, lambda: np.eye(2) + A, lambda: 1 - A, lambda: A - np.eye(2)):
        with raises(TypeError, r"both operands must be sparse.*A.todense\(\)"):
            sum_()
    with raises(TypeError, "takes a matrix and a scalar, got NoneType"):
        A * None
    with raises(TypeError, "must be a dense array of numbers, got csc_array"):
        A @ sp.csc_array(np.eye(2))
    with raises(TypeError, "expected a Pattern, got SparseMatrix"):
        A.on_pattern(A)
    with raises(ValueError, "`axis` must be None, 0 or 1, got 2"):
        A.sum(axis=2)


def test_bad_indices():
    A = SparseMatrix.eye(3)
    with raises(IndexError, "`rows`: index 3 is outside of 3"):
        A[3, 0]
    with raises(IndexError, "`cols`: index -4 is outside of 3"):
        A[:, [0, -4]]
    with raises(TypeError, "patterns are static"):
        jax.jit(lambda i: A[i, 0])(1)
    with raises(TypeError, "`rows` must be integers, got dtype float64"):
        A[np.array([0.5]), :]
    with raises(TypeError, r"`cols` must be integers, got dtype bool; np.flatnonzero"):
        A[:, np.array([True, False, True])]
    with raises(IndexError, "two indices.*got 3"):
        A[0, 1, 2]
    with raises(TypeError, "not iterable"):
        list(A)
    assert A[jnp.array(1), np.array(1)] == 1 and A[np.int8(0), :].shape == (1, 3)


def test_bad_assemblies():
    A, B = SparseMatrix.eye(2), SparseMatrix.eye(3)
    array: Any = np.eye(2)
    with raises(ValueError, r"block \(0, 1\) does not fit: row 0 of the blocks has size 2, not 3"):
        block([[A, B]])
    with raises(ValueError, r"block \(1, 0\) does not fit: column 0 of the blocks has size 2, not"):
        block([[A], [B]])
    with raises(ValueError, "row 1 of the blocks holds None only"):
        block([[A], [None]])
    with raises(ValueError, "same number of blocks"):
        block([[A, A], [A]])
    with raises(TypeError, "`blocks` must be a list of rows"):
        block([A, A])
    with raises(TypeError, "block takes SparseMatrix and SymmetricMatrix, got ndarray"):
        block([[array]])
    with raises(TypeError, "kron takes"):
        kron(A, array)
    with raises(ValueError, "at least one matrix"):
        block_diag()


def test_no_numbers_under_a_trace():
    with raises(TypeError, "to_scipy needs concrete values"):
        jax.jit(lambda A: A.to_scipy())(SparseMatrix.eye(2))
    with raises(TypeError, "to_scipy needs concrete values"):
        jax.jit(lambda A: A.to_scipy())(SymmetricMatrix.eye(2))
