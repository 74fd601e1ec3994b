"""The table that the tests of this folder run over: solvers with the matrices they are for, and the kinds of
operator by which a matrix can be given.

Everything is a function of `theta`, a dense array without any structure, and of a flat right-hand side:

    row.matrix(theta)                    dense, of the row's structure, well-conditioned
    solution(row, kind, theta, b)        by lineax, with an operator of that kind
    row.dense_solution(theta, b)         the oracle, by dense algebra

so that values, derivatives of every order and batches of both can be compared directly.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import elimax as ex

DTYPES = (np.float64, np.complex128)
# Where every row of the table is compiled many times.
MOSTLY_REAL = (np.float64, pytest.param(np.complex128, marks=pytest.mark.slow))
SCATTERED = np.random.default_rng(0).uniform(size=(6, 6)) < 0.45


def _one_side(matrix, sign: int):
    return jnp.tril(matrix) if sign < 0 else jnp.triu(matrix)


@dataclasses.dataclass(frozen=True)
class Row:
    """A solver and the matrices it is for.

    - `shape`, `bands`: of the matrix; entries outside of the bands (lower, upper) are zero.
    - `symmetry`: "", "symmetric" (complex as well) or "hermitian".
    - `shift`: added to the diagonal: a number, or one for each entry.
    """

    name: str
    solver: lx.AbstractLinearSolver
    tags: tuple[object, ...] = ()
    shape: tuple[int, int] = (5, 5)
    bands: tuple[int, int] = (9, 9)
    symmetry: str = ""
    shift: Any = 3.0

    @functools.cached_property
    def mask(self) -> np.ndarray:
        """Where entries are, all of the diagonal among them."""
        m, n = self.shape
        mask = SCATTERED[:m, :n] | np.eye(m, n, dtype=bool)
        mask = mask | mask.T if self.symmetry else mask
        return np.triu(np.tril(mask, self.bands[1]), -self.bands[0])

    @property
    def pattern(self) -> ex.Pattern:
        return ex.Pattern.from_coo(*np.nonzero(self.mask), self.shape)

    def matrix(self, theta):
        """The dense matrix that `theta`, an array of the same shape, stands for."""
        mirrored = {"": theta, "symmetric": theta.T, "hermitian": theta.conj().T}[self.symmetry]
        matrix = jnp.where(self.mask, (theta + mirrored) / 2, 0)
        diagonal = np.arange(min(self.shape))
        if lx.unit_diagonal_tag in self.tags:
            return matrix.at[diagonal, diagonal].set(1)
        return matrix.at[diagonal, diagonal].add(jnp.asarray(self.shift, matrix.real.dtype))

    def draw(self, key, dtype=np.float64, batch: tuple[int, ...] = ()):
        """A `theta` and a right-hand side, or batches of them."""
        keys = jax.random.split(key)
        theta = jax.random.uniform(keys[0], (*batch, *self.shape), minval=-1.0).astype(dtype)
        b = jax.random.normal(keys[1], (*batch, self.shape[0]), dtype)
        if np.issubdtype(dtype, np.complexfloating):
            theta = theta * jnp.exp(1j * jnp.arange(self.shape[1])).astype(dtype)
        return theta, b

    def dense_solution(self, theta, b):
        """That of A x = b, of the least-squares problem or the smallest one."""
        A = self.matrix(theta)
        m, n = self.shape
        if m == n:
            return jnp.linalg.solve(A, b)
        adjoint = A.conj().T
        if m > n:
            return jnp.linalg.solve(adjoint @ A, adjoint @ b)
        return adjoint @ jnp.linalg.solve(A @ adjoint, b)

    def __repr__(self) -> str:
        return self.name


_LOWER, _UPPER, _UNIT = lx.lower_triangular_tag, lx.upper_triangular_tag, lx.unit_diagonal_tag
_POSITIVE, _NEGATIVE = lx.positive_semidefinite_tag, lx.negative_semidefinite_tag
_INDEFINITE = (3.0, -3.0, 3.0, -3.0, 3.0)

ROWS = {
    row.name: row
    for row in (
        Row("cholesky", ex.SparseCholesky(), (_POSITIVE,), symmetry="hermitian", shift=4.0),
        Row(
            "cholesky_negative", ex.SparseCholesky(), (_NEGATIVE,), symmetry="hermitian", shift=-4.0
        ),
        Row("ldl", ex.SparseLDL(), (lx.symmetric_tag,), symmetry="symmetric", shift=_INDEFINITE),
        Row("ldl_hermitian", ex.SparseLDL(), (_POSITIVE,), symmetry="hermitian", shift=4.0),
        Row("lu", ex.SparseLU()),
        Row("lstsq_square", ex.SparseLSTSQ()),
        Row("lstsq_tall", ex.SparseLSTSQ(), shape=(6, 4)),
        Row("lstsq_wide", ex.SparseLSTSQ(), shape=(4, 6)),
        Row("lower", ex.SparseTriangular(), (_LOWER,), bands=(9, 0)),
        Row("upper", ex.SparseTriangular(), (_UPPER,), bands=(0, 9)),
        Row("lower_unit", ex.SparseTriangular(), (_LOWER, _UNIT), bands=(9, 0)),
        Row("upper_unit", ex.SparseTriangular(), (_UPPER, _UNIT), bands=(0, 9)),
        Row("auto", ex.AutoSparse()),
        Row("auto_symmetric", ex.AutoSparse(), (lx.symmetric_tag,), symmetry="symmetric"),
        Row("auto_definite", ex.AutoSparse(), (_POSITIVE,), symmetry="hermitian", shift=4.0),
        Row("auto_upper", ex.AutoSparse(), (_UPPER,), bands=(0, 9)),
        Row("auto_diagonal", ex.AutoSparse(), (lx.diagonal_tag,), bands=(0, 0)),
        Row("auto_tridiagonal", ex.AutoSparse(), (lx.tridiagonal_tag,), bands=(1, 1)),
        Row("auto_tall", ex.AutoSparse(), shape=(6, 4)),
        Row("auto_wide", ex.AutoSparse(), shape=(4, 6)),
    )
}
# One row for each solver, for what is expensive to compile.
ESSENTIAL = ("cholesky", "ldl", "lu", "lstsq_tall", "lstsq_wide", "lower", "auto")


# ---------------------------------------------------------------------------------------------
# Kinds of operator

KINDS: dict[str, Callable[[Row, Any, tuple[object, ...]], lx.AbstractLinearOperator]] = {}


def _kind(make):
    KINDS[make.__name__] = make
    return make


def _vector(size: int, dtype) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((size,), dtype)


@_kind
def sparse(row, matrix, tags):
    return ex.SparseLinearOperator(ex.SparseMatrix.from_dense(matrix, row.pattern), tags)


@_kind
def symmetric(row, matrix, tags):
    """Half of the matrix, whose type tells what it is; definite ones are declared so."""
    lower, hermitian = row.pattern.lower()[0], row.symmetry == "hermitian"
    A = ex.SymmetricMatrix.from_dense(matrix, lower, hermitian)
    if _POSITIVE in tags:
        A, tags = A.as_positive_definite(), ()
    return ex.SparseLinearOperator(A, set(tags) - {lx.symmetric_tag})


@_kind
def pytree_sparse(row, matrix, tags):
    """A sparse matrix between pytrees."""
    A = ex.SparseMatrix.from_dense(matrix, row.pattern)
    m, n = row.shape
    columns = {"x": _vector(2, matrix.dtype), "y": jax.ShapeDtypeStruct((n - 2, 1), matrix.dtype)}
    rows = columns if m == n else [_vector(1, matrix.dtype), _vector(m - 1, matrix.dtype)]
    return ex.SparseLinearOperator(A, tags, in_structure=columns, out_structure=rows)


@_kind
def dense(row, matrix, tags):
    return lx.MatrixLinearOperator(matrix, tags)


@_kind
def dense_with_pattern(row, matrix, tags):
    """Outside of the pattern, nothing is read."""
    return lx.MatrixLinearOperator(jnp.where(row.mask, matrix, 7.0), (*tags, row.pattern))


@_kind
def pytree(row, matrix, tags):
    """Two leaves in, two leaves out."""
    upper, lower = jnp.split(matrix, [2])
    blocks = {"a": jnp.split(upper, [2], axis=1), "b": jnp.split(lower, [2], axis=1)}
    rows = {"a": _vector(2, matrix.dtype), "b": _vector(row.shape[0] - 2, matrix.dtype)}
    if row.symmetry or lx.diagonal_tag in tags:
        blocks = {k: dict(zip("ab", v, strict=True)) for k, v in blocks.items()}
    return lx.PyTreeLinearOperator(blocks, rows, tags)


@_kind
def function(row, matrix, tags):
    return lx.FunctionLinearOperator(
        lambda x: matrix @ x, _vector(row.shape[1], matrix.dtype), tags
    )


@_kind
def function_with_pattern(row, matrix, tags):
    return function(row, matrix, (*tags, row.pattern))


def _quadratic(matrix, x):
    """Its Jacobian at x = (1, ..., 1) is the matrix."""
    return 2.0 + matrix @ (x * x / 2)


def _jacobian(row, matrix, tags, jac):
    point = jnp.ones(row.shape[1], matrix.dtype)
    return lx.JacobianLinearOperator(lambda x, A: _quadratic(A, x), point, matrix, tags, jac=jac)


@_kind
def jacobian(row, matrix, tags):
    return _jacobian(row, matrix, tags, None)


@_kind
def jacobian_forward(row, matrix, tags):
    return _jacobian(row, matrix, (*tags, row.pattern), "fwd")


@_kind
def jacobian_backward(row, matrix, tags):
    """Of a function that has no forward mode."""

    @jax.custom_vjp
    def backward_only(A, x):
        return _quadratic(A, x)

    backward_only.defvjp(
        lambda A, x: (_quadratic(A, x), (A, x)),
        lambda saved, g: (jnp.outer(g, saved[1] ** 2 / 2), saved[1] * (g @ saved[0])),
    )
    point = jnp.ones(row.shape[1], matrix.dtype)
    return lx.JacobianLinearOperator(
        lambda x, A: backward_only(A, x), point, matrix, (*tags, row.pattern), jac="bwd"
    )


@_kind
def tagged(row, matrix, tags):
    return lx.TaggedLinearOperator(function(row, matrix, ()), (*tags, row.pattern))


@_kind
def negative(row, matrix, tags):
    opposite = {_POSITIVE: _NEGATIVE, _NEGATIVE: _POSITIVE}
    inner = set(tags) - {_UNIT}
    operator = -sparse(row, -matrix, [opposite.get(tag, tag) for tag in inner])
    return lx.TaggedLinearOperator(operator, tags) if _UNIT in tags else operator


@_kind
def total(row, matrix, tags):
    """A sum of what is sparse and what is only known by its products."""
    operator = sparse(row, 0.5 * matrix, tags) + function_with_pattern(row, 0.5 * matrix, tags)
    return lx.TaggedLinearOperator(operator, tags)


@_kind
def multiple(row, matrix, tags):
    return lx.TaggedLinearOperator(2.0 * sparse(row, matrix / 2, tags), tags)


@_kind
def fraction(row, matrix, tags):
    return lx.TaggedLinearOperator(sparse(row, 2 * matrix, tags) / 2.0, tags)


@_kind
def composed(row, matrix, tags):
    scale = jnp.arange(1.0, 1.0 + row.shape[1]).astype(matrix.dtype)
    operator = sparse(row, matrix / scale, ()) @ lx.DiagonalLinearOperator(scale)
    return lx.TaggedLinearOperator(operator, tags)


@_kind
def diagonal(row, matrix, tags):
    return lx.DiagonalLinearOperator(jnp.diagonal(matrix))


@_kind
def tridiagonal(row, matrix, tags):
    bands = (jnp.diagonal(matrix, offset) for offset in (0, -1, 1))
    return lx.TaggedLinearOperator(lx.TridiagonalLinearOperator(*bands), tags)


@_kind
def identity_and_rest(row, matrix, tags):
    """The identity, and what is missing added."""
    rest = sparse(row, matrix - jnp.eye(*row.shape, dtype=matrix.dtype), ())
    identity = lx.IdentityLinearOperator(
        _vector(row.shape[1], matrix.dtype), _vector(row.shape[0], matrix.dtype)
    )
    return lx.TaggedLinearOperator(rest + identity, tags)


def kinds_of(row: Row, dtype=np.float64) -> list[str]:
    """The kinds of operator by which matrices of that row can be given."""
    unfit = {
        "symmetric": not row.symmetry,
        "jacobian_backward": np.issubdtype(dtype, np.complexfloating),
        "diagonal": row.bands != (0, 0),
        "tridiagonal": max(row.bands) > 1,
    }
    return [kind for kind in KINDS if not unfit.get(kind, False)]


def make_operator(row: Row, kind: str, theta) -> lx.AbstractLinearOperator:
    return KINDS[kind](row, row.matrix(theta), row.tags)


# ---------------------------------------------------------------------------------------------
# Solutions


def flat(vector):
    """The entries of a pytree, in one array."""
    return ravel_pytree(vector)[0]


def as_vector(structure, entries):
    """The pytree of that structure with these entries."""
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), structure)
    return ravel_pytree(zeros)[1](entries)


def solve(row: Row, kind: str, theta, b, **options) -> lx.Solution:
    operator = make_operator(row, kind, theta)
    return lx.linear_solve(operator, as_vector(operator.out_structure(), b), row.solver, **options)


def solution(row: Row, kind: str, theta, b, **options):
    return flat(solve(row, kind, theta, b, **options).value)


def relative_error(actual, expected) -> float:
    """In the largest entry; infinite where shapes or dtypes differ or anything is not finite."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return np.inf
    if not np.isfinite(actual).all():
        return np.inf
    difference = np.max(np.abs(actual - expected), initial=0.0)
    return float(difference / np.max(np.abs(expected), initial=1e-30))


def assert_same(actual, expected, allowed: float = 1e-12) -> None:
    """Two pytrees of arrays, the second one an oracle; the assertion shows the leaves that differ."""
    found, told = (jax.tree_util.tree_leaves_with_path(x) for x in (actual, expected))
    assert [path for path, _ in found] == [path for path, _ in told]
    errors = {
        jax.tree_util.keystr(path): relative_error(x, y)
        for (path, x), (_, y) in zip(found, told, strict=True)
    }
    assert {path: error for path, error in errors.items() if not error <= allowed} == {}
