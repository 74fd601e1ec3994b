"""Symmetric and Hermitian sparse matrices, stored as lower triangles."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jax.experimental.sparse import BCOO, BCSR
from jaxtyping import Array, ArrayLike, Inexact

from elimax._matrix.base import Matrix, concrete
from elimax._matrix.sparse import (
    Index,
    SparseMatrix,
    coo_entries,
    diagonal_entries,
    read_dense,
)
from elimax._primitive.define import is_traced
from elimax._primitive.product import Storage, gather, scatter
from elimax._structure.pattern import Pattern
from elimax._types import Scalar, Values

_SYMMETRY_HINT = (
    "Both triangles must be given and agree; from_coo takes the lower one alone, hermitian=False a complex "
    "symmetric matrix."
)
_TOLERANCE = {"float32": 1e-5, "float64": 1e-10, "complex64": 1e-5, "complex128": 1e-10}


@jax.tree_util.register_pytree_with_keys_class
class SymmetricMatrix(Matrix):
    """A symmetric or Hermitian sparse matrix: its lower triangle, column by column.

    A value off the diagonal stands for two entries of the matrix, a_ij and a_ji, and derivatives with
    respect to `values` are those of both together: the gradient of sum(A) is 1 on the diagonal, 2 off it.

    **Arguments:**

    - `pattern`: a symmetric pattern, which is that of the lower triangle.
    - `values`: float32, float64, complex64 or complex128; integers become the default float.
    - `hermitian`: whether a_ji is conj(a_ij), and imaginary parts of the diagonal are ignored; otherwise
        a_ji is a_ij. Makes no difference for real values.
    - `positive_definite`: declares the matrix positive definite, so that `solve`, `logdet` and `factor` take
        Cholesky for it. Nothing is checked here; Cholesky fails where it is not true.

    **Raises:** `TypeError` for another dtype or a pattern that is not a `Pattern`; `ValueError` for a
    general pattern or a wrong number of values.

    **Warns:** `UserWarning` if 64-bit NumPy values are rounded because `jax_enable_x64` is off.

    **Derivative:** every operation is differentiable in the values to every order, forward and reverse.
    """

    hermitian: bool
    positive_definite: bool
    _symmetric = True

    def __init__(
        self,
        pattern: Pattern,
        values: Inexact[ArrayLike, " nnz"],
        hermitian: bool = True,
        positive_definite: bool = False,
    ) -> None:
        super().__init__(pattern, values)
        object.__setattr__(self, "hermitian", bool(hermitian))
        object.__setattr__(self, "positive_definite", bool(positive_definite))

    def _static(self) -> tuple[Any, ...]:
        return self.pattern, self.hermitian, self.positive_definite

    @classmethod
    def tree_unflatten(cls, static: tuple[Any, ...], leaves: tuple[Any, ...]) -> Self:
        matrix = object.__new__(cls)
        matrix._fill(static[0], leaves[0])
        object.__setattr__(matrix, "hermitian", static[1])
        object.__setattr__(matrix, "positive_definite", static[2])
        return matrix

    def _flavor(self) -> str:
        declared = ", positive_definite=True" if self.positive_definite else ""
        return declared if self.hermitian else ", hermitian=False" + declared

    @property
    def _is_complex(self) -> bool:
        return jnp.iscomplexobj(self.values)

    @property
    def storage(self) -> Storage:
        return "hermitian" if self.hermitian and self._is_complex else "symmetric"

    # -- construction

    @classmethod
    def from_general(cls, A: SparseMatrix, hermitian: bool = True) -> Self:
        """The lower triangle of a structurally symmetric matrix; values above the diagonal are not read.

        **Raises:** `TypeError` if `A` is not a `SparseMatrix`; `ValueError` if it is not square, or naming an
        entry whose mirror is missing.

        **Cost:** one gather. **Derivative:** linear.
        """
        if not isinstance(A, SparseMatrix):
            raise TypeError(f"`A` must be a SparseMatrix, got {type(A).__name__}")
        pattern, index_map = A.pattern.lower()
        return cls(pattern, gather(A.values, index_map), hermitian)

    @classmethod
    def from_coo(
        cls,
        rows: Any,
        cols: Any,
        values: Inexact[ArrayLike, " entries"],
        shape: tuple[int, int],
        hermitian: bool = True,
    ) -> Self:
        """The matrix whose lower triangle has these entries; duplicates are summed.

        **Raises:** `ValueError` naming an entry above the diagonal or outside of the shape; `TypeError`
        for indices that are traced or not integers.

        **Derivative:** linear in `values`, which may be traced.
        """
        return cls(*coo_entries(rows, cols, values, shape, symmetric=True), hermitian)

    @classmethod
    def from_scipy(cls, matrix: Any, hermitian: bool = True) -> Self:
        """The lower triangle of a SciPy sparse matrix, which must hold both; duplicates are summed.

        Entries may differ from their mirror images by 1e-10 (in single precision 1e-5) times the largest
        entry; entries that are not stored count as zeros.

        **Raises:** `ValueError` if the matrix is not square, or naming an entry (i, j), its value and its
        mirror's, if it is not symmetric; `TypeError` for a matrix that is not of SciPy or of numbers.
        """
        return cls._checked(SparseMatrix.from_scipy(matrix), hermitian)

    @classmethod
    def from_bcoo(cls, matrix: BCOO, hermitian: bool = True) -> Self:
        """As `from_scipy`, from a JAX BCOO matrix; traced values are not checked for symmetry."""
        return cls._checked(SparseMatrix.from_bcoo(matrix), hermitian)

    @classmethod
    def from_bcsr(cls, matrix: BCSR, hermitian: bool = True) -> Self:
        """As `from_scipy`, from a JAX BCSR matrix; traced values are not checked for symmetry."""
        return cls._checked(SparseMatrix.from_bcsr(matrix), hermitian)

    @classmethod
    def from_dense(
        cls,
        array: Inexact[ArrayLike, "n n"],
        pattern: Pattern | None = None,
        hermitian: bool = True,
    ) -> Self:
        """As `from_scipy`, from a dense array; with a symmetric `pattern`, its elements there, unchecked.

        **Raises:** as `from_scipy`; `TypeError` if the array is traced and no pattern is given.

        **Derivative:** linear, given a pattern; elements above the diagonal are not read.
        """
        if pattern is None:
            return cls._checked(SparseMatrix.from_dense(array), hermitian)
        return cls(pattern, read_dense(array, pattern), hermitian)

    @classmethod
    def _checked(cls, A: SparseMatrix, hermitian: bool) -> Self:
        if A.shape[0] != A.shape[1]:
            raise ValueError(f"a symmetric matrix must be square, got shape {A.shape}")
        mirrored = A.on_pattern(A.pattern.union(A.pattern.transpose()[0]))
        if not is_traced(A.values):
            _check_symmetric(mirrored.to_scipy(), hermitian)
        return cls.from_general(mirrored, hermitian)

    @classmethod
    def eye(cls, n: int, dtype: Any = None) -> Self:
        """The identity, in the default float if no dtype is given."""
        return cls(Pattern.eye(n, symmetric=True), jnp.ones(n, dtype or float))

    @classmethod
    def diags(
        cls,
        diagonals: Any,
        offsets: int | Sequence[int] = 0,
        shape: tuple[int, int] | None = None,
        hermitian: bool = True,
    ) -> Self:
        """The matrix with given diagonals of its lower triangle, as `SparseMatrix.diags`: offsets <= 0.

        **Raises:** `ValueError` for an offset above the diagonal or a diagonal of a wrong length.
        """
        if np.max(offsets, initial=0) > 0:
            raise ValueError(f"`offsets` must be at most 0: give the lower triangle, got {offsets}")
        return cls.from_coo(*diagonal_entries(diagonals, offsets, shape), hermitian)

    # -- the same matrix in another form

    def as_positive_definite(self) -> Self:
        """The same matrix, declared positive definite: `solve`, `logdet` and `factor` take Cholesky for it.

        The declaration stays with new values and larger patterns, and with sums of such matrices.
        """
        return type(self)(self.pattern, self.values, self.hermitian, True)

    def with_values(self, values: Inexact[ArrayLike, " nnz"]) -> Self:
        return type(self)(self.pattern, values, self.hermitian, self.positive_definite)

    def on_pattern(self, pattern: Pattern) -> Matrix:
        """The same matrix on a larger pattern, symmetric or general, with zeros for the new entries.

        **Raises:** `ValueError` naming an entry that `pattern` lacks, or if the shapes differ.

        **Cost:** one scatter. **Derivative:** linear.
        """
        if not pattern.symmetric:
            return self.to_general().on_pattern(pattern)
        values = scatter(self.values, self.pattern.embedding(pattern))
        return type(self)(pattern, values, self.hermitian, self.positive_definite)

    def to_general(self) -> SparseMatrix:
        """Both triangles. **Cost:** one gather. **Derivative:** linear over the real numbers."""
        pattern, index_map = self.pattern.to_general()
        if self.storage == "symmetric":
            return SparseMatrix(pattern, gather(self.values, index_map.unconjugated))
        return SparseMatrix(pattern, gather(self._with_real_diagonal(), index_map))

    def _with_real_diagonal(self) -> Values:
        return 0.5 * (self.values + gather(self.values, self.pattern.real_diagonal()))

    @property
    def T(self) -> Self:
        """The transpose, not conjugated."""
        return self.conj() if self.storage == "hermitian" else self

    @property
    def H(self) -> Self:
        """The conjugate transpose."""
        return self if self.hermitian or not self._is_complex else self.conj()

    def diagonal(self) -> Inexact[Array, " n"]:
        diagonal = super().diagonal()
        hermitian = self.storage == "hermitian"
        return diagonal.real.astype(self.dtype) if hermitian else diagonal

    def todense(self) -> Inexact[Array, "n n"]:
        return self.to_general().todense()

    def to_scipy(self) -> scipy.sparse.csc_array:
        concrete("to_scipy", self.values)
        return self.to_general().to_scipy()

    def to_bcoo(self) -> BCOO:
        return self.to_general().to_bcoo()

    def to_bcsr(self) -> BCSR:
        return self.to_general().to_bcsr()

    # -- algebra

    def __add__(self, other: Any) -> Matrix:
        if not isinstance(other, SymmetricMatrix):
            return self.to_general() + other
        if self.shape != other.shape:
            raise ValueError(f"+: shapes {self.shape} and {other.shape} differ")
        hermitian = common_symmetry(self, other)
        if hermitian is None:
            return self.to_general() + other.to_general()
        pattern = self.pattern.union(other.pattern)
        values = self.on_pattern(pattern).values + other.on_pattern(pattern).values
        definite = self.positive_definite and other.positive_definite
        return SymmetricMatrix(pattern, values, hermitian, definite)

    def _scaled(self, operation: Callable[..., Array], scalar: Any) -> Matrix:
        if not jnp.iscomplexobj(scalar):
            return SymmetricMatrix(self.pattern, operation(self.values, scalar), self.hermitian)
        if self.storage == "hermitian":  # and a complex multiple is not
            return self.to_general()._scaled(operation, scalar)
        return SymmetricMatrix(self.pattern, operation(self.values, scalar), hermitian=False)

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, Matrix):
            return self.to_general() @ other
        return super().__matmul__(other)

    def __getitem__(self, key: Index | tuple[Index, Index]) -> SparseMatrix | Scalar:
        """As `SparseMatrix.__getitem__`: a general matrix, or a scalar for two integers."""
        return self.to_general()[key]


def common_symmetry(*matrices: SymmetricMatrix) -> bool | None:
    """Whether linear combinations are Hermitian (True) or symmetric (False); None if neither.

    Real matrices are both.
    """
    flags = {A.hermitian for A in matrices if A._is_complex}
    if len(flags) > 1:
        return None
    return flags.pop() if flags else all(A.hermitian for A in matrices)


def _check_symmetric(A: scipy.sparse.csc_array, hermitian: bool) -> None:
    """Of a structurally symmetric matrix."""
    mirror = A.T.tocsc()
    mirror.sort_indices()
    data, mirrored = A.data, mirror.data.conj() if hermitian else mirror.data
    with np.errstate(invalid="ignore"):
        size, difference = np.abs(data), np.abs(data - mirrored)
    tolerance = _TOLERANCE[A.dtype.name] * size.max(initial=0, where=np.isfinite(size))
    same = (data == mirrored) | (np.isnan(data) & np.isnan(mirrored)) | (difference <= tolerance)
    if not same.all():
        k = np.argmin(same)
        i, j = A.indices[k], np.searchsorted(A.indptr, k, side="right") - 1
        kind = "Hermitian" if hermitian and np.iscomplexobj(data) else "symmetric"
        found = "is not real" if i == j else f"({j}, {i}) is {mirror.data[k]}"
        raise ValueError(
            f"the matrix is not {kind}: its entry ({i}, {j}) is {data[k]}, but {found}. {_SYMMETRY_HINT}"
        )
