"""General sparse matrices."""

from collections.abc import Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jax.experimental.sparse import BCOO, BCSR
from jaxtyping import Array, ArrayLike, Inexact

from elimax._matrix.base import Matrix, check_matrix, concrete
from elimax._primitive import derivative as derivative  # registers every rule
from elimax._primitive.define import is_traced
from elimax._primitive.product import Storage, contract, gather, scatter
from elimax._structure.index_map import IndexMap, index_array
from elimax._structure.pattern import Pattern, canonical_csc
from elimax._structure.selection import take
from elimax._types import Scalar, Values, as_numbers, promote

Index = int | slice | Sequence[int] | np.ndarray


@jax.tree_util.register_pytree_with_keys_class
class SparseMatrix(Matrix):
    """A sparse matrix: a static `Pattern` and one value for each of its entries, column by column.

    **Arguments:**

    - `pattern`: a general pattern.
    - `values`: float32, float64, complex64 or complex128; integers become the default float.

    **Raises:** `TypeError` for another dtype or a pattern that is not a `Pattern`; `ValueError` for a
    symmetric pattern or a wrong number of values.

    **Warns:** `UserWarning` if 64-bit NumPy values are rounded because `jax_enable_x64` is off.

    **Derivative:** every operation is differentiable in the values to every order, forward and reverse.
    """

    _symmetric = False

    @classmethod
    def tree_unflatten(cls, static: tuple[Any, ...], leaves: tuple[Any, ...]) -> Self:
        matrix = object.__new__(cls)
        matrix._fill(static[0], leaves[0])
        return matrix

    @property
    def storage(self) -> Storage:
        return "general"

    # -- construction

    @classmethod
    def from_coo(
        cls,
        rows: Any,
        cols: Any,
        values: Inexact[ArrayLike, " entries"],
        shape: tuple[int, int],
    ) -> Self:
        """The matrix with the sum of all values[k] with rows[k] = i and cols[k] = j at (i, j).

        **Raises:** `ValueError` naming an index outside of the shape, or for lengths that differ;
        `TypeError` for indices that are traced or not integers.

        **Cost:** a sort of the entries. **Derivative:** linear in `values`, which may be traced.
        """
        return cls(*coo_entries(rows, cols, values, shape))

    @classmethod
    def from_scipy(cls, matrix: Any) -> Self:
        """The stored entries of a SciPy sparse matrix, explicit zeros included; duplicates are summed.

        **Raises:** `TypeError` for a matrix that is not of SciPy or not of numbers.
        """
        csc = canonical_csc(matrix)
        return cls(Pattern(csc.shape, csc.indptr, csc.indices), csc.data)

    @classmethod
    def from_bcoo(cls, matrix: BCOO) -> Self:
        """The entries of a JAX BCOO matrix without batch and dense dimensions; duplicates are summed.

        **Raises:** `TypeError` if it is not a BCOO or its indices are traced; `ValueError` if it is not a
        plain matrix.
        """
        if not isinstance(matrix, BCOO):
            raise TypeError(f"`matrix` must be a BCOO, got {type(matrix).__name__}")
        if matrix.n_batch or matrix.n_dense or matrix.ndim != 2:
            raise ValueError(
                f"`matrix` must be a BCOO matrix without batch and dense dimensions, got {matrix}"
            )
        with jax.ensure_compile_time_eval():  # slices of constants are constants inside of jit, too
            i, j = matrix.indices[:, 0], matrix.indices[:, 1]
        rows, cols = index_array("indices", i), index_array("indices", j)
        # BCOO pads with indices outside of the shape.
        m, n = matrix.shape
        kept = np.flatnonzero((rows < m) & (cols < n))
        values = gather(as_numbers("matrix", matrix.data), IndexMap(kept, rows.size))
        return cls.from_coo(rows[kept], cols[kept], values, (m, n))

    @classmethod
    def from_bcsr(cls, matrix: BCSR) -> Self:
        """The entries of a JAX BCSR matrix without batch and dense dimensions.

        **Raises:** `TypeError` if it is not a BCSR or its indices are traced; `ValueError` if it is not a
        plain matrix.
        """
        if not isinstance(matrix, BCSR):
            raise TypeError(f"`matrix` must be a BCSR, got {type(matrix).__name__}")
        if matrix.n_batch or matrix.n_dense:
            raise ValueError(
                f"`matrix` must be a BCSR matrix without batch and dense dimensions, got {matrix}"
            )
        pointers = index_array("indptr", matrix.indptr)
        cols = index_array("indices", matrix.indices)
        m, n = matrix.shape
        rows = np.repeat(np.arange(m), np.diff(pointers))
        entries = IndexMap(np.arange(rows.size), cols.size)  # without the padding behind
        values = gather(as_numbers("matrix", matrix.data), entries)
        return cls.from_coo(rows, cols[: rows.size], values, (m, n))

    @classmethod
    def from_dense(cls, array: Inexact[ArrayLike, "m n"], pattern: Pattern | None = None) -> Self:
        """The nonzeros of a dense array; with `pattern`, its elements there, whatever they are.

        **Raises:** `TypeError` if the array is traced and no pattern is given; `ValueError` if it is not
        a matrix or does not have the shape of the pattern.

        **Derivative:** linear, given a pattern.
        """
        if pattern is None:
            pattern = Pattern.from_scipy(scipy.sparse.coo_array(_concrete_array(array)))
        return cls(pattern, read_dense(array, pattern))

    @classmethod
    def eye(cls, n: int, dtype: Any = None) -> Self:
        """The identity, in the default float if no dtype is given."""
        return cls(Pattern.eye(n), jnp.ones(n, dtype or float))

    @classmethod
    def diags(
        cls, diagonals: Any, offsets: int | Sequence[int] = 0, shape: tuple[int, int] | None = None
    ) -> Self:
        """The matrix with given diagonals.

        **Arguments:**

        - `diagonals`: one array, or a sequence of arrays if `offsets` is a sequence; a scalar fills its
            diagonal if the shape is given.
        - `offsets`: 0 is the main diagonal, k > 0 the k-th above it, k < 0 the (-k)-th below.
        - `shape`: by default the smallest square that the first diagonal fits in.

        **Raises:** `ValueError` if a diagonal has a wrong length or lies outside of the matrix.

        **Derivative:** linear in `diagonals`.
        """
        return cls.from_coo(*diagonal_entries(diagonals, offsets, shape))

    # -- the same matrix in another form

    def with_values(self, values: Inexact[ArrayLike, " nnz"]) -> Self:
        return type(self)(self.pattern, values)

    def on_pattern(self, pattern: Pattern) -> Self:
        """The same matrix on a larger pattern, with zeros for the entries that are new.

        **Raises:** `ValueError` naming an entry that `pattern` lacks, or if the shapes differ.

        **Cost:** one scatter. **Derivative:** linear.
        """
        return type(self)(pattern, scatter(self.values, self.pattern.embedding(pattern)))

    @property
    def T(self) -> Self:
        """The transpose, not conjugated."""
        pattern, index_map = self.pattern.transpose()
        return type(self)(pattern, gather(self.values, index_map))

    @property
    def H(self) -> Self:
        """The conjugate transpose."""
        return self.T.conj()

    def to_general(self) -> Self:
        return self

    def todense(self) -> Inexact[Array, "m n"]:
        return scatter(self.values, self.pattern.dense_map()).reshape(self.shape)

    def to_scipy(self) -> scipy.sparse.csc_array:
        values = concrete("to_scipy", self.values)
        parts = (values, self.pattern.rows, self.pattern.column_pointers)
        return scipy.sparse.csc_array(parts, self.shape, copy=True)

    def to_bcoo(self) -> BCOO:
        by_row, index_map = self.pattern.transpose()
        indices = jnp.asarray(np.stack([by_row.columns, by_row.rows], axis=1))
        values = gather(self.values, index_map)
        return BCOO((values, indices), shape=self.shape, indices_sorted=True, unique_indices=True)

    def to_bcsr(self) -> BCSR:
        by_row, index_map = self.pattern.transpose()
        parts = (
            gather(self.values, index_map),
            jnp.asarray(by_row.rows),
            jnp.asarray(by_row.column_pointers),
        )
        return BCSR(parts, shape=self.shape, indices_sorted=True, unique_indices=True)

    # -- algebra

    def __add__(self, other: Any) -> "SparseMatrix":
        check_matrix("+", other)
        other = other.to_general()
        if self.shape != other.shape:
            raise ValueError(f"+: shapes {self.shape} and {other.shape} differ")
        pattern = self.pattern.union(other.pattern)
        values = self.on_pattern(pattern).values + other.on_pattern(pattern).values
        return SparseMatrix(pattern, values)

    def __matmul__(self, other: Any) -> Any:
        if not isinstance(other, Matrix):
            return super().__matmul__(other)
        if self.shape[1] != other.shape[0]:
            raise ValueError(f"@: shapes {self.shape} and {other.shape} do not fit")
        other = other.to_general()
        pattern = self.pattern.product(other.pattern)
        a, b = promote(self.values, other.values)
        return SparseMatrix(pattern, contract(a, b, self.pattern, other.pattern, pattern))

    def __getitem__(self, key: Index | tuple[Index, Index]) -> "SparseMatrix | Scalar":
        """A[rows, cols] as A[rows][:, cols]: integers, slices or integer arrays, which must be static.

        Two integers give a scalar (zero outside of the pattern). Anything else gives a matrix: arrays
        choose rows and columns independently of each other, and an integer chooses one row or column.

        **Raises:** `IndexError` naming an index outside of the shape; `TypeError` for traced indices.

        **Cost:** linear in the entries taken. **Derivative:** linear.
        """
        keys = key if isinstance(key, tuple) else (key,)
        if len(keys) > 2:
            raise IndexError(f"a matrix takes two indices, A[rows, cols], got {len(keys)}")
        row_key, col_key = (*keys, slice(None), slice(None))[:2]
        rows = _positions("rows", row_key, self.shape[0])
        cols = _positions("cols", col_key, self.shape[1])
        pattern, index_map = take(self.pattern, rows, cols)
        part = SparseMatrix(pattern, gather(self.values, index_map))
        return part.trace() if _is_single(row_key) and _is_single(col_key) else part


# -- entries from other forms, shared with symmetric matrices


def coo_entries(
    rows: Any, cols: Any, values: Any, shape: tuple[int, int], symmetric: bool = False
) -> tuple[Pattern, Values]:
    """A pattern and its values from entries whose duplicates are summed."""
    pattern, position = Pattern.from_coo_with_map(rows, cols, shape, symmetric)
    values = as_numbers("values", values)
    if values.shape != (position.output_size,):
        raise ValueError(
            f"`values` must have one value for each of the {position.output_size} entries, got shape "
            f"{values.shape}"
        )
    if is_traced(values):
        return pattern, scatter(values, position)
    summed = np.zeros(pattern.nnz, values.dtype)
    np.add.at(summed, position.indices, np.asarray(values))
    return pattern, jnp.asarray(summed)


def read_dense(array: Any, pattern: Pattern) -> Values:
    """The elements of a dense array at the entries of a pattern."""
    array = as_numbers("array", array)
    if array.shape != pattern.shape:
        raise ValueError(
            f"`array` must have the shape of the pattern, {pattern.shape}, got {array.shape}"
        )
    return gather(array.reshape(-1), pattern.dense_map())


def _concrete_array(array: Any) -> np.ndarray:
    if is_traced(array):
        raise TypeError(
            "from_dense: the nonzeros of a traced array are not known, and a pattern must be static. Pass "
            "pattern=, for example Pattern.dense(array.shape)."
        )
    if scipy.sparse.issparse(array):
        raise TypeError(f"`array` must be dense, got {type(array).__name__}; use from_scipy")
    array = np.asarray(array)
    if array.ndim != 2:
        raise ValueError(f"`array` must be a matrix, got shape {array.shape}")
    return array


def diagonal_entries(
    diagonals: Any, offsets: int | Sequence[int], shape: tuple[int, int] | None
) -> tuple[np.ndarray, np.ndarray, Values, tuple[int, int]]:
    """Rows, columns and values of the entries on diagonals, and the shape."""
    single = np.ndim(offsets) == 0
    where = index_array("offsets", [offsets] if single else offsets).tolist()
    diagonals = [diagonals] if single else diagonals
    arrays = [as_numbers("diagonals", d) for d in diagonals]
    if len(arrays) != len(where) or not arrays:
        raise ValueError(
            f"`diagonals` and `offsets` must have one length, got {len(arrays)} and {len(where)}"
        )
    if shape is None:
        size = arrays[0].size + abs(where[0])
        shape = (size, size)
    rows, cols, values = [], [], []
    for diagonal, offset in zip(arrays, where, strict=True):
        top, left = max(0, -offset), max(0, offset)
        length = min(shape[0] - top, shape[1] - left)
        if length < 0 or diagonal.shape not in ((), (length,)):
            raise ValueError(
                f"`diagonals`: the one with offset {offset} of a matrix of shape {shape} has "
                f"{max(length, 0)} entries, got an array of shape {diagonal.shape}"
            )
        rows.append(np.arange(length) + top)
        cols.append(np.arange(length) + left)
        values.append(jnp.broadcast_to(diagonal, (length,)))
    return np.concatenate(rows), np.concatenate(cols), jnp.concatenate(values), shape


def _is_single(key: Any) -> bool:
    return not isinstance(key, slice) and np.ndim(key) == 0


def _positions(name: str, key: Any, size: int) -> np.ndarray:
    """Static indices as positions 0 .. size - 1; negative ones count from the end."""
    if isinstance(key, slice):
        return np.arange(*key.indices(size))
    positions = index_array(name, [key] if _is_single(key) else key)
    outside = np.flatnonzero((positions < -size) | (positions >= size))
    if outside.size:
        raise IndexError(f"`{name}`: index {positions[outside[0]]} is outside of {size}")
    return np.where(positions < 0, positions + size, positions)
