"""Matrices put together from matrices."""

from collections.abc import Sequence

import jax.numpy as jnp

from elimax._matrix.base import Matrix
from elimax._matrix.sparse import SparseMatrix
from elimax._matrix.symmetric import SymmetricMatrix, common_symmetry
from elimax._primitive.product import gather, scatter
from elimax._structure import assembly
from elimax._types import promote


def kron(A: Matrix, B: Matrix) -> Matrix:
    """The Kronecker product: block (i, j) is a_ij B.

    Of two symmetric (or two Hermitian) matrices it is a `SymmetricMatrix`, otherwise a `SparseMatrix`.

    **Raises:** `TypeError` if an argument is not a sparse matrix; `ValueError` if the product outgrows
    32-bit indices.

    **Cost:** nnz(A) nnz(B), and a sort of the pattern, once. **Derivative:** bilinear.
    """
    _check_matrices("kron", (A, B))
    a, b = A.to_general(), B.to_general()
    pattern, map_a, map_b = assembly.kron(a.pattern, b.pattern)
    product = SparseMatrix(pattern, gather(a.values, map_a) * gather(b.values, map_b))
    if isinstance(A, SymmetricMatrix) and isinstance(B, SymmetricMatrix):
        hermitian = common_symmetry(A, B)
        if hermitian is not None:
            return SymmetricMatrix.from_general(product, hermitian)
    return product


def block(blocks: Sequence[Sequence[Matrix | None]]) -> SparseMatrix:
    """The matrix made of blocks, given row by row; None is a block of zeros.

    **Raises:** `ValueError` naming a block that does not fit its row or column of blocks, or a row or
    column that holds None only; `TypeError` if a block is not a sparse matrix or a row not a list of them.

    **Cost:** one scatter, and a sort of the pattern, once. **Derivative:** linear in every block.

    **Example:** the saddle point matrix `block([[H, A.T], [A, None]])`.
    """
    if not all(isinstance(line, Sequence) for line in blocks):
        raise TypeError("block: `blocks` must be a list of rows of blocks, [[A, B], [C, D]]")
    lines = [list(line) for line in blocks]
    present = [A for line in lines for A in line if A is not None]
    _check_matrices("block", present)
    general = [[None if A is None else A.to_general() for A in line] for line in lines]
    patterns = tuple(tuple(None if A is None else A.pattern for A in line) for line in general)
    pattern, position = assembly.block(patterns)
    values = promote(*(A.values for line in general for A in line if A is not None))
    return SparseMatrix(pattern, scatter(jnp.concatenate(values), position))


def block_diag(*matrices: Matrix) -> Matrix:
    """The matrix with the given ones along its diagonal, square or not.

    Of symmetric (or of Hermitian) matrices it is a `SymmetricMatrix`, otherwise a `SparseMatrix`.

    **Raises:** `ValueError` without any matrix; `TypeError` for what is not a sparse matrix.

    **Cost:** one scatter, and a sort of the pattern, once. **Derivative:** linear in every matrix.
    """
    if not matrices:
        raise ValueError("block_diag: give at least one matrix")
    _check_matrices("block_diag", matrices)
    symmetric = [A for A in matrices if isinstance(A, SymmetricMatrix)]
    hermitian = common_symmetry(*symmetric) if len(symmetric) == len(matrices) else None
    parts = matrices if hermitian is not None else [A.to_general() for A in matrices]
    pattern, position = assembly.block_diagonal(tuple(A.pattern for A in parts))
    values = scatter(jnp.concatenate(promote(*(A.values for A in parts))), position)
    if hermitian is not None:
        return SymmetricMatrix(pattern, values, hermitian)
    return SparseMatrix(pattern, values)


def _check_matrices(function: str, matrices: Sequence[Matrix]) -> None:
    for A in matrices:
        if not isinstance(A, Matrix):
            raise TypeError(
                f"{function} takes SparseMatrix and SymmetricMatrix, got {type(A).__name__}"
            )
