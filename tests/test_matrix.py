"""The algebra of sparse matrices against the same operations on dense arrays.

One table of operations, for every kind of matrix; values, derivatives and batches.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from elimax._matrix import Matrix, SparseMatrix, SymmetricMatrix, block, block_diag, kron
from elimax._structure.pattern import Pattern

from .derivatives import draw
from .helpers import assert_close, tolerance

# name -> an operation on two matrices of one shape (5 x 5, or 5 x 4 if general) and two dense blocks,
# X with as many rows as a matrix has columns, Y with as many as it has rows; then the same on dense
# arrays, where it is spelled differently.
OPERATIONS = {
    "add": (lambda A, B, X, Y: A + B,),
    "subtract": (lambda A, B, X, Y: A - B,),
    "negate": (lambda A, B, X, Y: -A,),
    "scale": (lambda A, B, X, Y: 2 * A,),
    "scale by a traced scalar": (lambda A, B, X, Y: A * X[0, 0].real,),
    "scale by a complex scalar": (lambda A, B, X, Y: (1 - 2j) * A,),
    "scale by a traced complex scalar": (lambda A, B, X, Y: A * (1j * X[0, 0]),),
    "divide": (lambda A, B, X, Y: A / (2 + X[0, 0].real ** 2),),
    "transpose": (lambda A, B, X, Y: A.T,),
    "conjugate transpose": (lambda A, B, X, Y: A.H, lambda A, B, X, Y: A.conj().T),
    "conjugate": (lambda A, B, X, Y: A.conj(),),
    "times vector": (lambda A, B, X, Y: A @ X[:, 0],),
    "times block": (lambda A, B, X, Y: A @ X,),
    "vector times": (lambda A, B, X, Y: Y[:, 0] @ A,),
    "block times": (lambda A, B, X, Y: Y.T @ A,),
    "times matrix": (lambda A, B, X, Y: A.T @ B,),
    "times itself": (lambda A, B, X, Y: (A @ A.T) @ A,),
    "diagonal": (lambda A, B, X, Y: A.diagonal(),),
    "trace": (lambda A, B, X, Y: A.trace(),),
    "sum": (lambda A, B, X, Y: A.sum(),),
    "sum of columns": (lambda A, B, X, Y: A.sum(axis=0),),
    "sum of rows": (lambda A, B, X, Y: A.sum(axis=1),),
    "slices": (lambda A, B, X, Y: A[1:4, ::-2],),
    "row": (lambda A, B, X, Y: A[2], lambda A, B, X, Y: A[2:3]),
    "column": (lambda A, B, X, Y: A[:, -1], lambda A, B, X, Y: A[:, -1:]),
    "arrays": (
        lambda A, B, X, Y: A[[3, 0, 3], np.array([-1, 1])],
        lambda A, B, X, Y: A[np.ix_([3, 0, 3], [-1, 1])],
    ),
    "element": (lambda A, B, X, Y: A[1, 1],),
    "elements": (
        lambda A, B, X, Y: jnp.stack([A[i, j] for i in range(5) for j in range(4)]),
        lambda A, B, X, Y: A[:, :4].ravel(),
    ),
    "kron": (lambda A, B, X, Y: kron(A, B), lambda A, B, X, Y: jnp.kron(A, B)),
    "block": (
        lambda A, B, X, Y: block([[A, None, B], [None, A.T, None]]),
        lambda A, B, X, Y: jnp.block([[A, 0 * A @ A.T, B], [0 * A.T @ A, A.T, 0 * A.T @ B]]),
    ),
    "block_diag": (
        lambda A, B, X, Y: block_diag(A, B, A.conj()),
        lambda A, B, X, Y: jax.scipy.linalg.block_diag(A, B, A.conj()),
    ),
    "on_pattern": (
        lambda A, B, X, Y: A.on_pattern(Pattern.dense(A.shape)),
        lambda A, B, X, Y: A,
    ),
    "to_general": (lambda A, B, X, Y: A.to_general(), lambda A, B, X, Y: A),
    "to_bcoo": (lambda A, B, X, Y: A.to_bcoo().todense(), lambda A, B, X, Y: A),
    "to_bcsr": (lambda A, B, X, Y: A.to_bcsr().todense(), lambda A, B, X, Y: A),
    "mixed": (lambda A, B, X, Y: A.to_general() + B - A, lambda A, B, X, Y: B),
    "from_dense": (
        lambda A, B, X, Y: SparseMatrix.from_dense(X, pattern=Pattern.dense(X.shape)),
        lambda A, B, X, Y: X,
    ),
    "from_coo": (
        lambda A, B, X, Y: SparseMatrix.from_coo([1, 0, 1], [0, 2, 0], X[:3, 0], (2, 3)),
        lambda A, B, X, Y: jnp.zeros((2, 3), X.dtype).at[[1, 0, 1], [0, 2, 0]].add(X[:3, 0]),
    ),
    "diags": (
        lambda A, B, X, Y: SparseMatrix.diags([X[:2, 0], X[:3, 1]], [-1, 0], (3, 4)),
        lambda A, B, X, Y: (
            jnp.zeros((3, 4), X.dtype)
            .at[[1, 2, 0, 1, 2], [0, 1, 0, 1, 2]]
            .set(jnp.concatenate([X[:2, 0], X[:3, 1]]))
        ),
    ),
}
KINDS = {
    "general": (SparseMatrix, {}),
    "hermitian": (SymmetricMatrix, {"hermitian": True}),
    "symmetric": (SymmetricMatrix, {"hermitian": False}),
}


def as_dense(result):
    return result.todense() if isinstance(result, Matrix) else result


def dense(A):
    """The dense oracle, without any of the library's operations on values."""
    X = jnp.zeros(A.shape, A.values.dtype).at[A.pattern.rows, A.pattern.columns].set(A.values)
    if isinstance(A, SparseMatrix):
        return X
    below = jnp.tril(X, -1)
    if not A.hermitian:
        return X + below.T
    return below + below.conj().T + jnp.diag(jnp.diagonal(X).real)


def example(kind, dtype, rng):
    """Two matrices of a kind and two dense blocks."""
    matrix, flags = KINDS[kind]
    symmetric = matrix is SymmetricMatrix
    m, n = (5, 5) if symmetric else (5, 4)
    matrices = []
    for _ in range(2):
        held = rng.uniform(size=(m, n)) < 0.5
        held[1, 1], held[0, 0] = True, False
        rows, cols = np.nonzero(np.tril(held) if symmetric else held)
        pattern = Pattern.from_coo(rows, cols, (m, n), symmetric)
        matrices.append(matrix(pattern, draw(rng, (pattern.nnz,), dtype), **flags))
    return (*matrices, draw(rng, (n, 3), dtype), draw(rng, (m, 3), dtype))


def apply(which, arguments):
    """Every operation: sparse (0), or on dense arrays (-1)."""
    if which:
        A, B, X, Y = arguments
        arguments = dense(A), dense(B), X, Y
    return {name: as_dense(forms[which](*arguments)) for name, forms in OPERATIONS.items()}


def assert_all_close(actual, expected, rtol):
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(actual), jax.tree.leaves(expected), strict=True
    ):
        try:
            assert a.dtype == b.dtype, f"{a.dtype} instead of {b.dtype}"
            assert_close(a, b, rtol)
        except AssertionError as error:
            raise AssertionError(f"{jax.tree_util.keystr(path)}: {error}") from None


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("kind", KINDS)
def test_values(kind, dtype, rng):
    arguments = example(kind, dtype, rng)
    actual, expected = jax.jit(lambda arguments: (apply(0, arguments), apply(-1, arguments)))(
        arguments
    )
    assert_all_close(actual, expected, tolerance(dtype))


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("general", np.complex128), ("hermitian", np.complex128), ("symmetric", np.float64)],
)
def test_derivatives_and_batches(kind, dtype, rng):
    arguments = example(kind, dtype, rng)
    tangents = jax.tree.map(lambda x: draw(rng, x.shape, dtype), arguments)
    batch = jax.tree.map(lambda x, t: jnp.stack([x, t]), arguments, tangents)

    def transformations(which, arguments, tangents, batch):
        def total(x):
            """Of all results; the shift makes second derivatives of linear operations count."""
            results = jax.tree.leaves(apply(which, x))
            return sum(
                jnp.sum(jnp.abs(y + jnp.cos(jnp.arange(y.size)).reshape(y.shape)) ** 2)
                for y in results
            )

        gradient, change = jax.jvp(jax.grad(total), (arguments,), (tangents,))
        return {
            "jvp": jax.jvp(lambda x: apply(which, x), (arguments,), (tangents,))[1],
            "vmap": jax.vmap(lambda x: apply(which, x))(batch),
            "gradient": gradient,
            "jvp of gradient": change,
        }

    both = jax.jit(lambda *x: (transformations(0, *x), transformations(-1, *x)))
    lowered = both.lower(arguments, tangents, batch)
    quickly = lowered.compile({"xla_backend_optimization_level": "0"})
    actual, expected = quickly(arguments, tangents, batch)
    assert_all_close(actual, expected, 1e-11)
