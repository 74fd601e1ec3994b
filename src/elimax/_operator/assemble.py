"""From a lineax operator to a sparse matrix of Elimax.

What has entries hands them over; sums, multiples and compositions are put together sparsely; what is only
known by its products, as a Jacobian is, is read off one product for each color of its pattern.
"""

import functools
from typing import Any

import jax.numpy as jnp
import lineax as lx

from elimax._jacobian.compressed import Linear, read_off
from elimax._jacobian.space import Space
from elimax._jacobian.verification import marked
from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._operator.products import found_pattern, known_pattern, product_of
from elimax._operator.sparse import SparseLinearOperator
from elimax._structure.color import color
from elimax._structure.pattern import Pattern


@functools.singledispatch
def sparse_matrix(
    operator: lx.AbstractLinearOperator, pattern: Pattern | None = None
) -> SparseMatrix | SymmetricMatrix:
    """The m x n matrix of an operator, whose vectors are raveled as `jax.tree` flattens them.

    **Arguments:**

    - `operator`: any operator of lineax, or one of the user's own with a method `mv`.
    - `pattern`: where its nonzeros are, if no tag of the operator tells; if None, what its program tells.

    **Raises:** `ValueError` if the pattern does not have the operator's shape, or if none is found and a
    dense one would be too large.

    **Derivative:** that of the operator's entries, or of its products.

    **Cost:** one product for each color where products are all that is known.
    """
    return _by_products(operator, pattern)


def _by_products(operator: lx.AbstractLinearOperator, pattern: Pattern | None) -> SparseMatrix:
    product, columns = product_of(operator), Space.of(operator.in_structure())
    if lx.is_diagonal(operator):
        return SparseMatrix.diags(product(jnp.ones(columns.size, columns.dtype)))
    whole = known_pattern(operator, pattern)
    if getattr(operator, "jac", None) == "bwd" and not lx.is_symmetric(operator):
        # By rows: the transpose of such an operator is its vector-Jacobian product.
        transposed = lx.FunctionLinearOperator(operator.T.mv, operator.out_structure())
        return _by_products(transposed, None if whole is None else whole.transpose()[0]).T
    coloring = color(found_pattern(operator) if whole is None else whole)
    values = read_off(coloring, Linear(product, columns.size, columns.dtype))
    A = SparseMatrix(coloring.pattern, values)
    if whole is not None or A.nnz == A.shape[0] * A.shape[1]:
        return A
    # What was found by a table of rules is not trusted blindly: one more product, and NaN if it differs.
    return marked(A, product, columns.dtype)


@sparse_matrix.register
def _sparse(operator: SparseLinearOperator, pattern: Pattern | None = None) -> Any:
    return operator.matrix


@sparse_matrix.register(lx.MatrixLinearOperator)
@sparse_matrix.register(lx.PyTreeLinearOperator)
def _dense(operator: Any, pattern: Pattern | None = None) -> SparseMatrix:
    if lx.is_diagonal(operator):
        return SparseMatrix.diags(lx.diagonal(operator))
    shape = (operator.out_size(), operator.in_size())
    whole = known_pattern(operator, pattern) or Pattern.dense(shape)
    return SparseMatrix.from_dense(operator.as_matrix(), whole)


@sparse_matrix.register
def _diagonal(operator: lx.DiagonalLinearOperator, pattern: Pattern | None = None) -> SparseMatrix:
    return SparseMatrix.diags(lx.diagonal(operator))


@sparse_matrix.register
def _tridiagonal(
    operator: lx.TridiagonalLinearOperator, pattern: Pattern | None = None
) -> SparseMatrix:
    diagonal, lower, upper = lx.tridiagonal(operator)
    n = diagonal.size
    return SparseMatrix.diags([diagonal, lower, upper], [0, -1, 1], (n, n))


@sparse_matrix.register
def _identity(operator: lx.IdentityLinearOperator, pattern: Pattern | None = None) -> SparseMatrix:
    shape = (operator.out_size(), operator.in_size())
    return SparseMatrix.diags(
        jnp.ones(min(shape), Space.of(operator.in_structure()).dtype), 0, shape
    )


@sparse_matrix.register
def _tagged(operator: lx.TaggedLinearOperator, pattern: Pattern | None = None) -> Any:
    if lx.is_diagonal(operator):
        return _by_products(operator, pattern)
    if lx.is_tridiagonal(operator) or any(isinstance(tag, Pattern) for tag in operator.tags):
        pattern = known_pattern(operator, pattern)
    return sparse_matrix(operator.operator, pattern)


@sparse_matrix.register
def _negative(operator: lx.NegLinearOperator, pattern: Pattern | None = None) -> Any:
    return -sparse_matrix(operator.operator, pattern)


@sparse_matrix.register
def _multiple(operator: lx.MulLinearOperator, pattern: Pattern | None = None) -> Any:
    return sparse_matrix(operator.operator, pattern) * operator.scalar


@sparse_matrix.register
def _fraction(operator: lx.DivLinearOperator, pattern: Pattern | None = None) -> Any:
    return sparse_matrix(operator.operator, pattern) / operator.scalar


@sparse_matrix.register
def _sum(operator: lx.AddLinearOperator, pattern: Pattern | None = None) -> Any:
    return sparse_matrix(operator.operator1, pattern) + sparse_matrix(operator.operator2, pattern)


@sparse_matrix.register
def _composition(operator: lx.ComposedLinearOperator, pattern: Pattern | None = None) -> Any:
    if pattern is not None or lx.is_tridiagonal(operator):
        return _by_products(operator, pattern)
    return sparse_matrix(operator.operator1) @ sparse_matrix(operator.operator2)
