"""Operators that are only known by their products, made into ones that have entries."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Inexact

from elimax._jacobian.compressed import Linear, read_off
from elimax._jacobian.space import Space
from elimax._jacobian.verification import differing_rows
from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._operator.assemble import sparse_matrix
from elimax._operator.products import found_pattern, known_pattern, product_of
from elimax._operator.sparse import SparseLinearOperator
from elimax._primitive.define import is_staged
from elimax._structure.color import color_diagonal
from elimax._structure.pattern import Pattern

# What lineax can ask of an operator, and the tag that answers it.
PROPERTIES = (
    (lx.is_symmetric, lx.symmetric_tag),
    (lx.is_diagonal, lx.diagonal_tag),
    (lx.is_tridiagonal, lx.tridiagonal_tag),
    (lx.has_unit_diagonal, lx.unit_diagonal_tag),
    (lx.is_lower_triangular, lx.lower_triangular_tag),
    (lx.is_upper_triangular, lx.upper_triangular_tag),
    (lx.is_positive_semidefinite, lx.positive_semidefinite_tag),
    (lx.is_negative_semidefinite, lx.negative_semidefinite_tag),
)


def materialise(
    operator: lx.AbstractLinearOperator, pattern: Pattern | None = None, *, verify: bool = False
) -> lx.AbstractLinearOperator:
    """The same operator with its entries in memory: diagonal or sparse, never dense where a pattern is known.

    The sparse solvers do this by themselves. By hand it pays where one operator is used often, and for
    lineax's own solvers.

    **Arguments:**

    - `operator`: of any kind. A `JacobianLinearOperator` or `FunctionLinearOperator` that is
        - diagonal (by `lx.diagonal_tag`) takes one product, and one vector-Jacobian product if `jac="bwd"`;
        - tridiagonal (by `lx.tridiagonal_tag`) takes three;
        - tagged with a `Pattern`, `tags=P`, takes one for each color of the pattern: as many as there are
          diagonals for `Pattern.band`;
        - anything else is traced to find its pattern, and then takes one more product to check it: the values
          are NaN if it should lack anything.
      Products are evaluated together where all they call has a batching rule, and one by one where something
      has none, or works element by element (`jax.pure_callback`, foreign functions).
    - `pattern`: where the nonzeros are, if no tag tells; found by tracing the operator if None. Rows and
        columns count the elements of output and input as `jax.tree` flattens them.
    - `verify`: compare with one more product, by a random vector, and fail if an entry is missing.

    **Returns:** `lx.DiagonalLinearOperator` for a diagonal operator whose input and output structures agree,
    leaf by leaf; otherwise a `SparseLinearOperator` with the structures and tags of the operator.

    **Raises:** `ValueError` for a diagonal operator whose structures differ, a pattern of a wrong shape, one
    that is not known and would be dense and large, or, with `verify`, naming a row of the product that
    differs; where values are abstract, the running program fails instead.

    **Derivative:** that of the operator.

    **Source:** Curtis, Powell and Reid, J. Inst. Math. Appl. 13 (1974): entries from few products.
    """
    if isinstance(operator, SparseLinearOperator | lx.DiagonalLinearOperator):
        return operator
    columns, rows = Space.of(operator.in_structure()), Space.of(operator.out_structure())
    if lx.is_diagonal(operator):
        if columns == rows:
            ones = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), columns.structure)
            return lx.DiagonalLinearOperator(operator.mv(ones))
        if columns.size != 1 or rows.size != 1:
            raise ValueError(
                "Diagonal matrices must have matching input and output structures. Got input structure "
                f"{columns.structure} and output structure {rows.structure}."
            )
    matrix = sparse_matrix(operator, pattern)
    if verify:
        matrix = _verified(matrix, operator)
    # A 1 x 1 operator between different structures is diagonal, but lineax takes no tag for that.
    tags = (
        {tag for has, tag in PROPERTIES if has(operator)}
        if columns.size != 1 or columns == rows
        else ()
    )
    return SparseLinearOperator(
        matrix, tags, in_structure=columns.structure, out_structure=rows.structure
    )


def diagonal(
    operator: lx.AbstractLinearOperator, pattern: Pattern | None = None
) -> Inexact[Array, " n"]:
    """The diagonal of a square operator, as `lx.diagonal`, but from few products where a pattern is known.

    That takes fewer than all entries do: columns j and k need different colors only if (j, k) or (k, j) is an
    entry, which is 2 colors instead of 5 or more for a 5-point stencil.

    **Arguments:**

    - `operator`, `pattern`: as for `materialise`.

    **Returns:** the diagonal, in the order in which `jax.tree` flattens vectors. A pattern that was found is
    not checked, as that of `materialise` is.

    **Raises:** `ValueError` if the operator is not square, and as `materialise`.

    **Derivative:** that of the operator.
    """
    columns, rows = Space.of(operator.in_structure()), Space.of(operator.out_structure())
    if columns.size != rows.size:
        raise ValueError(
            f"`operator` must be square to have a diagonal, got shape {(rows.size, columns.size)}"
        )
    matrix_free = isinstance(operator, lx.JacobianLinearOperator | lx.FunctionLinearOperator)
    if not matrix_free or lx.is_diagonal(operator):
        return sparse_matrix(operator, pattern).diagonal()
    if isinstance(operator, lx.JacobianLinearOperator):
        # By rows or by columns, the diagonal is the same.
        operator = operator.T if operator.jac == "bwd" else operator
    coloring = color_diagonal(known_pattern(operator, pattern) or found_pattern(operator))
    source = Space.of(operator.in_structure())
    values = read_off(coloring, Linear(product_of(operator), source.size, source.dtype))
    return SparseMatrix(coloring.pattern, values).diagonal()


def _verified(matrix: Any, operator: lx.AbstractLinearOperator) -> SparseMatrix | SymmetricMatrix:
    """The matrix, if it maps a vector as the operator does."""
    wrong, difference = differing_rows(
        matrix, product_of(operator), Space.of(operator.in_structure()).dtype
    )
    if is_staged(wrong):
        message = "elimax: `pattern` lacks entries of the operator that was materialised"
        return matrix.with_values(eqx.error_if(matrix.values, wrong, message))
    if bool(wrong.any()):
        row = int(jnp.argmax(wrong))
        raise ValueError(
            f"`pattern` lacks entries of the operator: row {row} of its product with a vector differs by "
            f"{float(difference[row]):.2g}"
        )
    return matrix
