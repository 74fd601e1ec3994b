"""A sparse matrix as lineax sees it: an operator between pytrees of arrays."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import scipy.sparse
from jax.experimental.sparse import BCOO, BCSR
from jaxtyping import Array, Inexact, PyTree

from elimax._jacobian.space import Space
from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._primitive.product import gather
from elimax._structure.pattern import Pattern


class SparseLinearOperator(lx.AbstractLinearOperator):
    """A sparse matrix as a lineax operator: x -> A x, jittable and differentiable in the values of A.

    Everything that lineax asks of an operator is answered from the structure where the structure decides: a
    pattern without entries off the diagonal is a diagonal operator, one with two bands a tridiagonal one, and
    so on; what the values decide is told by tags. Sums, multiples and compositions with any other operators
    are lineax's own, and `elimax`'s solvers put them together sparsely again.

    **Attributes:**

    - `matrix`: the matrix, m x n.
    - `tags`: those of lineax, which are not checked.
    """

    matrix: SparseMatrix | SymmetricMatrix
    tags: frozenset[object] = eqx.field(static=True)
    columns: Space = eqx.field(static=True)
    rows: Space = eqx.field(static=True)

    def __init__(
        self,
        matrix: SparseMatrix | SymmetricMatrix | BCOO | BCSR | Any,
        tags: Any = (),
        *,
        in_structure: PyTree[jax.ShapeDtypeStruct] | None = None,
        out_structure: PyTree[jax.ShapeDtypeStruct] | None = None,
    ) -> None:
        """**Arguments:**

        - `matrix`: an m x n matrix of Elimax, a BCOO or BCSR matrix with static indices, or one of SciPy.
        - `tags`: a lineax tag or several, for what the structure does not tell: `lx.symmetric_tag`,
            `lx.positive_semidefinite_tag`, `lx.unit_diagonal_tag`, ...
        - `in_structure`: the structure of x, a pytree of `jax.ShapeDtypeStruct` (or of arrays) with n
            elements in all; a vector of shape (n,) if None.
        - `out_structure`: that of A x, with m elements.

        **Raises:** `TypeError` for what is not a sparse matrix; `ValueError` if a structure has a wrong
        number of elements, or if input and output structure of a symmetric operator differ.
        """
        self.matrix = _as_matrix(matrix)
        self.tags = as_tags(tags)
        m, n = self.matrix.shape
        self.columns = _space("in_structure", in_structure, n, self.matrix.dtype)
        self.rows = _space("out_structure", out_structure, m, self.matrix.dtype)

    def mv(self, vector: PyTree[Inexact[Array, "..."]]) -> PyTree[Inexact[Array, "..."]]:
        """A x, in the output structure.

        **Raises:** `ValueError` if `vector` has another structure than `in_structure()`.

        **Derivative:** bilinear. **Cost:** one pass over the values.
        """
        return self.rows.unravel(self.matrix @ self.columns.ravel("vector", vector))

    def as_matrix(self) -> Inexact[Array, "m n"]:
        """The dense array."""
        return self.matrix.todense()

    def transpose(self) -> "SparseLinearOperator":
        """A^T, not conjugated."""
        if lx.is_symmetric(self):
            return self
        tags = lx.transpose_tags(self.tags)
        return _with_spaces(self.matrix.T, tags, self.rows, self.columns)

    def in_structure(self) -> PyTree[jax.ShapeDtypeStruct]:
        return self.columns.structure

    def out_structure(self) -> PyTree[jax.ShapeDtypeStruct]:
        return self.rows.structure


def as_tags(tags: Any) -> frozenset[object]:
    """One tag or a collection of them, as lineax takes them."""
    return (
        frozenset(tags) if isinstance(tags, frozenset | set | tuple | list) else frozenset([tags])
    )


def _with_spaces(matrix: Any, tags: Any, columns: Space, rows: Space) -> SparseLinearOperator:
    return SparseLinearOperator(
        matrix, tags, in_structure=columns.structure, out_structure=rows.structure
    )


def _space(name: str, structure: Any, size: int, dtype: Any) -> Space:
    space = Space.flat(size, dtype) if structure is None else Space.of(structure)
    if space.size != size:
        raise ValueError(
            f"`{name}` must have {size} elements to fit the matrix, got {space.size} in {structure}"
        )
    return space


def _as_matrix(matrix: Any) -> SparseMatrix | SymmetricMatrix:
    if isinstance(matrix, SparseMatrix | SymmetricMatrix):
        return matrix
    if isinstance(matrix, BCOO):
        return SparseMatrix.from_bcoo(matrix)
    if isinstance(matrix, BCSR):
        return SparseMatrix.from_bcsr(matrix)
    if scipy.sparse.issparse(matrix):
        return SparseMatrix.from_scipy(matrix)
    raise TypeError(
        "`matrix` must be a SparseMatrix, a SymmetricMatrix, a BCOO, a BCSR or a SciPy sparse matrix, got "
        f"{type(matrix).__name__}; a dense array goes with SparseMatrix.from_dense or lineax's own "
        "MatrixLinearOperator"
    )


# -- what lineax asks of operators


@lx.linearise.register(SparseLinearOperator)
@lx.materialise.register(SparseLinearOperator)
def _itself(operator):
    return operator


@lx.conj.register(SparseLinearOperator)
def _conj(operator):
    return _with_spaces(operator.matrix.conj(), operator.tags, operator.columns, operator.rows)


@lx.diagonal.register(SparseLinearOperator)
def _diagonal(operator):
    return operator.matrix.diagonal()


@lx.tridiagonal.register(SparseLinearOperator)
def _tridiagonal(operator):
    A = operator.matrix.to_general()
    return tuple(gather(A.values, A.pattern.diagonal(offset)) for offset in (0, -1, 1))


def _is_square(operator: SparseLinearOperator) -> bool:
    return operator.columns == operator.rows


@lx.is_diagonal.register(SparseLinearOperator)
def _is_diagonal(operator):
    return lx.diagonal_tag in operator.tags or _reaches(operator, 0, 0)


@lx.is_tridiagonal.register(SparseLinearOperator)
def _is_tridiagonal(operator):
    tagged = lx.tridiagonal_tag in operator.tags or lx.diagonal_tag in operator.tags
    return tagged or _reaches(operator, 1, 1)


@lx.is_lower_triangular.register(SparseLinearOperator)
def _is_lower_triangular(operator):
    return lx.lower_triangular_tag in operator.tags or _reaches(operator, None, 0)


@lx.is_upper_triangular.register(SparseLinearOperator)
def _is_upper_triangular(operator):
    return lx.upper_triangular_tag in operator.tags or _reaches(operator, 0, None)


def _reaches(operator: SparseLinearOperator, lower: int | None, upper: int | None) -> bool:
    """Whether all entries of a square operator lie within these bands; None is no limit."""
    below, above = operator.matrix.pattern.bandwidths
    return (
        _is_square(operator)
        and (lower is None or below <= lower)
        and (upper is None or above <= upper)
    )


@lx.is_symmetric.register(SparseLinearOperator)
def _is_symmetric(operator):
    if lx.symmetric_tag in operator.tags or lx.is_diagonal(operator):
        return True
    real = not jnp.iscomplexobj(operator.matrix.values)
    definite = {lx.positive_semidefinite_tag, lx.negative_semidefinite_tag} & operator.tags
    stored = isinstance(operator.matrix, SymmetricMatrix) and operator.matrix.storage == "symmetric"
    return _is_square(operator) and (stored or bool(real and definite))


@lx.is_positive_semidefinite.register(SparseLinearOperator)
def _is_positive_semidefinite(operator):
    matrix = operator.matrix
    declared = isinstance(matrix, SymmetricMatrix) and matrix.positive_definite
    return lx.positive_semidefinite_tag in operator.tags or (declared and _is_square(operator))


@lx.is_negative_semidefinite.register(SparseLinearOperator)
def _is_negative_semidefinite(operator):
    return lx.negative_semidefinite_tag in operator.tags


@lx.has_unit_diagonal.register(SparseLinearOperator)
def _has_unit_diagonal(operator):
    return lx.unit_diagonal_tag in operator.tags


# -- patterns as tags


@lx.transpose_tags_rules.append
def _transposed_pattern(tags):
    """A pattern among the tags of an operator says where its nonzeros are; so does its transpose of A^T."""
    return next((tag.transpose()[0] for tag in tags if isinstance(tag, Pattern)), None)
