"""Patterns: where the nonzeros of a sparse matrix are.

A `Pattern` lists the positions of a matrix that may be nonzero, column by column (compressed sparse
columns), rows sorted and without duplicates, so that equal patterns have equal arrays and equal digests.
The pattern of

    [ a . c ]
    [ . b . ]       column_pointers = [0, 2, 3, 5]    rows = [0, 2, 1, 0, 2]
    [ d . e ]

belongs to the values [a, d, b, c, e]. A *symmetric* pattern stores the lower triangle only: here
column_pointers = [0, 2, 3, 4], rows = [0, 2, 1, 2], values [a, d, b, e].

All of this happens on the host; what a trace asks for again and again is cached by content.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
import scipy.sparse

from elimax._structure.index_map import (
    LARGEST,
    ZERO,
    IndexMap,
    check_range,
    frozen,
    index_array,
    matrix_shape,
)
from elimax._structure.structure import Structure, cached


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Pattern(Structure):
    """The positions of a sparse matrix that may be nonzero: canonical, immutable, hashed by content.

    **Arguments:**

    - `shape`: rows and columns.
    - `column_pointers`: column j holds the entries `column_pointers[j]` to `column_pointers[j + 1]`.
    - `rows`: the row of every entry, strictly increasing within a column.
    - `symmetric`: whether these are the entries of the lower triangle of a symmetric pattern.

    The constructor takes arrays that are canonical already; `from_coo` and `from_scipy` sort and merge.

    **Raises:** `ValueError` if the arrays are not canonical or do not fit the shape; `TypeError` if they
    are not concrete integers.
    """

    kind = "pattern"
    shape: tuple[int, int]
    column_pointers: np.ndarray
    rows: np.ndarray
    symmetric: bool = False

    def __post_init__(self) -> None:
        m, n = matrix_shape(self.shape)
        if self.symmetric and m != n:
            raise ValueError(f"a symmetric pattern must be square, got shape {(m, n)}")
        ptr = index_array("column_pointers", self.column_pointers)
        rows = index_array("rows", self.rows)
        if rows.size > LARGEST:
            raise ValueError(f"a pattern holds at most {LARGEST} entries, got {rows.size}")
        if ptr.size != n + 1 or ptr[0] != 0 or ptr[-1] != rows.size or (np.diff(ptr) < 0).any():
            raise ValueError(
                f"`column_pointers` must rise from 0 to {rows.size}, the length of `rows`, in {n + 1} entries"
            )
        check_range("rows", rows, m)
        starts = np.zeros(rows.size, bool)
        starts[ptr[:-1][ptr[:-1] < rows.size]] = True
        unsorted = np.flatnonzero(~starts[1:] & (rows[1:] <= rows[:-1]))
        if unsorted.size:
            raise ValueError(
                f"`rows` must increase within a column, but entry {unsorted[0] + 1} does not; "
                "use Pattern.from_coo to sort and merge"
            )
        object.__setattr__(self, "shape", (m, n))
        object.__setattr__(self, "column_pointers", frozen(np.asarray(self.column_pointers)))
        object.__setattr__(self, "rows", frozen(np.asarray(self.rows)))
        object.__setattr__(self, "symmetric", bool(self.symmetric))
        if self.symmetric:
            above = np.flatnonzero(self.rows < self.columns)
            if above.size:
                k = above[0]
                raise ValueError(
                    f"a symmetric pattern stores its lower triangle, but entry {k} at "
                    f"({self.rows[k]}, {self.columns[k]}) lies above the diagonal"
                )

    # -- construction

    @classmethod
    def from_coo(
        cls, rows: Any, cols: Any, shape: tuple[int, int], symmetric: bool = False
    ) -> "Pattern":
        """The pattern with entries (rows[k], cols[k]); duplicates are merged.

        **Raises:** `ValueError` naming the first entry outside of the shape (or above the diagonal of a
        symmetric pattern); `TypeError` for indices that are traced or not integers.
        """
        return cls.from_coo_with_map(rows, cols, shape, symmetric)[0]

    @classmethod
    def from_coo_with_map(
        cls, rows: Any, cols: Any, shape: tuple[int, int], symmetric: bool = False
    ) -> tuple["Pattern", IndexMap]:
        """As `from_coo`, with the position in the pattern of every entry given.

        Scattering entries by the map sums duplicates.
        """
        rows, cols = index_array("rows", rows), index_array("cols", cols)
        if rows.size != cols.size:
            raise ValueError(
                f"`rows` and `cols` must have one length, got {rows.size} and {cols.size}"
            )
        m, n = matrix_shape(shape)
        check_range("rows", rows, m)
        check_range("cols", cols, n)
        key = cols * m + rows
        if (key[1:] > key[:-1]).all():
            position = np.arange(key.size)
        else:
            order = np.argsort(key)
            key = key[order]
            first = np.ones(key.size, bool)
            first[1:] = key[1:] != key[:-1]
            position = np.empty(key.size, np.int64)
            position[order] = np.cumsum(first) - 1
            rows, cols = rows[order][first], cols[order][first]
        pointers = np.zeros(n + 1, np.int64)
        np.cumsum(np.bincount(cols, minlength=n), out=pointers[1:])
        return cls((m, n), pointers, rows, symmetric), IndexMap(position, rows.size)

    @classmethod
    def from_scipy(cls, matrix: Any, symmetric: bool = False) -> "Pattern":
        """The stored entries of a SciPy sparse matrix, explicit zeros included.

        With `symmetric`, the lower triangle; the matrix must then be structurally symmetric.

        **Raises:** `TypeError` for what is not of SciPy; `ValueError`, with `symmetric`, if the matrix is not
        square, or naming an entry whose mirror is missing.
        """
        canonical = canonical_csc(matrix)
        pattern = cls(canonical.shape, canonical.indptr, canonical.indices)
        return pattern.lower()[0] if symmetric else pattern

    @classmethod
    def dense(cls, shape: tuple[int, int]) -> "Pattern":
        """Every position of a matrix."""
        m, n = matrix_shape(shape)
        return cls((m, n), np.arange(n + 1) * m, np.tile(np.arange(m), n))

    @classmethod
    def eye(cls, n: int, symmetric: bool = False) -> "Pattern":
        """The diagonal of an n x n matrix."""
        n, _ = matrix_shape((n, n))
        return cls((n, n), np.arange(n + 1), np.arange(n), symmetric)

    @classmethod
    def band(cls, shape: tuple[int, int], lower: int, upper: int) -> "Pattern":
        """The main diagonal, `lower` diagonals below it and `upper` above it; fewer if negative.

        **Raises:** `TypeError` if `shape` is not two integers.
        """
        m, n = matrix_shape(shape)
        columns = np.arange(n)
        first, last = np.maximum(columns - upper, 0), np.minimum(columns + lower + 1, m)
        counts = np.maximum(last - first, 0)
        pointers = np.concatenate([[0], np.cumsum(counts)])
        return cls(
            (m, n), pointers, np.arange(pointers[-1]) + np.repeat(first - pointers[:-1], counts)
        )

    # -- facts

    @functools.cached_property
    def bandwidths(self) -> tuple[int, int]:
        """How many diagonals below and above the main one reach: (0, 0) for a diagonal pattern, and negative
        where even the main one lies outside; of both triangles if the pattern is symmetric."""
        offsets = self.rows - self.columns
        lower, upper = (int(offsets.max()), int(-offsets.min())) if self.nnz else (0, 0)
        return lower, lower if self.symmetric else upper

    @property
    def nnz(self) -> int:
        """The number of stored entries."""
        return self.rows.size

    @functools.cached_property
    def columns(self) -> np.ndarray:
        """The column of every entry."""
        n = self.shape[1]
        return frozen(np.repeat(np.arange(n, dtype=np.int32), np.diff(self.column_pointers)))

    @property
    def density(self) -> float:
        """The share of the matrix's positions that the pattern holds."""
        mirrored = np.count_nonzero(self.rows != self.columns) if self.symmetric else 0
        return (self.nnz + mirrored) / max(1, self.shape[0] * self.shape[1])

    @property
    def content(self) -> tuple[tuple[int, ...], tuple[np.ndarray, ...]]:
        return (*self.shape, self.symmetric), (self.column_pointers, self.rows)

    def _keys(self) -> np.ndarray:
        """The positions as increasing integers."""
        return self.columns.astype(np.int64) * self.shape[0] + self.rows

    def to_scipy(self) -> scipy.sparse.csc_array:
        """The whole matrix (both triangles), with every entry True."""
        whole = self.to_general()[0]
        parts = (np.ones(whole.nnz, bool), whole.rows, whole.column_pointers)
        return scipy.sparse.csc_array(parts, self.shape, copy=True)

    # -- operations on one pattern; each index map reads the new values from the old ones

    @cached(64)
    def transpose(self) -> tuple["Pattern", IndexMap]:
        """The transposed pattern, and the map that gathers its values."""
        if self.symmetric:
            return self, IndexMap(~np.arange(self.nnz), self.nnz)
        m, n = self.shape
        order = np.argsort(self.rows, kind="stable")
        pointers = np.zeros(m + 1, np.int64)
        np.cumsum(np.bincount(self.rows, minlength=m), out=pointers[1:])
        return Pattern((n, m), pointers, self.columns[order]), IndexMap(order, self.nnz)

    @cached(64)
    def to_general(self) -> tuple["Pattern", IndexMap]:
        """Both triangles of a symmetric pattern; entries above the diagonal are marked as conjugated."""
        entry = np.arange(self.nnz)
        if not self.symmetric:
            return self, IndexMap(entry, self.nnz)
        below = np.flatnonzero(self.rows != self.columns)
        rows = np.concatenate([self.rows, self.columns[below]])
        cols = np.concatenate([self.columns, self.rows[below]])
        general, position = Pattern.from_coo_with_map(rows, cols, self.shape)
        source = np.empty(general.nnz, np.int64)
        source[position.indices] = np.concatenate([entry, ~below])
        return general, IndexMap(source, self.nnz)

    @cached(64)
    def lower(self) -> tuple["Pattern", IndexMap]:
        """The lower triangle of a structurally symmetric pattern, as a symmetric pattern.

        **Raises:** `ValueError` if the pattern is not square, or naming an entry whose mirror is missing.
        """
        if self.symmetric:
            return self, IndexMap(np.arange(self.nnz), self.nnz)
        if self.shape[0] != self.shape[1]:
            raise ValueError(f"a symmetric pattern must be square, got shape {self.shape}")
        mirrored, _ = self.transpose()
        if self != mirrored:
            lonely = np.flatnonzero(_find(self._keys(), mirrored._keys()) < 0)[0]
            i, j = self.rows[lonely], self.columns[lonely]
            raise ValueError(
                f"the pattern is not symmetric: it holds the entry ({i}, {j}) but not ({j}, {i})"
            )
        kept = np.flatnonzero(self.rows >= self.columns)
        lower = Pattern.from_coo(self.rows[kept], self.columns[kept], self.shape, True)
        return lower, IndexMap(kept, self.nnz)

    @cached(64)
    def triangle(self, lower: bool, strict: bool = False) -> tuple["Pattern", IndexMap]:
        """The entries of one triangle of a general pattern, as a general pattern.

        With `strict` the diagonal is left out.
        """
        if self.symmetric:
            raise ValueError("triangle: a symmetric pattern holds its lower triangle already")
        below = self.rows - self.columns if lower else self.columns - self.rows
        kept = np.flatnonzero(below > 0 if strict else below >= 0)
        pattern = Pattern.from_coo(self.rows[kept], self.columns[kept], self.shape)
        return pattern, IndexMap(kept, self.nnz)

    @cached(64)
    def diagonal(self, offset: int = 0) -> IndexMap:
        """Gathers the diagonal that is `offset` above the main one; `ZERO` where the pattern has no entry."""
        m, n = self.shape
        top = max(0, -offset)
        source = np.full(max(0, min(m - top, n - max(0, offset))), ZERO, np.int64)
        entry = np.flatnonzero(self.columns - self.rows == offset)
        source[self.rows[entry] - top] = entry
        return IndexMap(source, self.nnz)

    @cached(64)
    def with_diagonal(self) -> "Pattern":
        """The pattern together with its whole diagonal."""
        size = np.arange(min(self.shape))
        return self.union(Pattern.from_coo(size, size, self.shape, self.symmetric))

    @cached(64)
    def real_diagonal(self) -> IndexMap:
        """Conjugates the diagonal: half of a value and its image make a Hermitian diagonal real."""
        entry = np.arange(self.nnz)
        return IndexMap(np.where(self.rows == self.columns, ~entry, entry), self.nnz)

    @cached(64)
    def dense_map(self) -> IndexMap:
        """The place of every entry in the row-major m x n array; scattering by it fills the array.

        **Raises:** `ValueError` if the array has more elements than 32-bit integers count.
        """
        m, n = self.shape
        if m * n > LARGEST:
            raise ValueError(
                f"a dense array of shape {self.shape} has more than {LARGEST} elements"
            )
        return IndexMap(self.rows * np.int64(n) + self.columns, m * n)

    # -- operations on two patterns

    @cached(64)
    def union(self, other: "Pattern") -> "Pattern":
        """The positions that either pattern holds."""
        _check_alike("union", self, other)
        if self == other:
            return self
        keys = np.concatenate([self._keys(), other._keys()])
        keys.sort(kind="stable")  # merges sorted runs in linear time
        cols, rows = np.divmod(keys[np.diff(keys, prepend=-1) > 0], self.shape[0])
        return Pattern.from_coo(rows, cols, self.shape, self.symmetric)

    @cached(64)
    def intersection(self, other: "Pattern") -> "Pattern":
        """The positions that both patterns hold."""
        _check_alike("intersection", self, other)
        common = _find(self._keys(), other._keys()) >= 0
        return Pattern.from_coo(self.rows[common], self.columns[common], self.shape, self.symmetric)

    @cached(64)
    def product(self, other: "Pattern") -> "Pattern":
        """The pattern of A B: general, without regard to cancellation."""
        if self.shape[1] != other.shape[0]:
            raise ValueError(f"product: shapes {self.shape} and {other.shape} do not fit")
        # Sums of True are True: nothing cancels.
        return Pattern.from_scipy(self.to_scipy() @ other.to_scipy())

    @cached(64)
    def embedding(self, larger: "Pattern") -> IndexMap:
        """The position in `larger` of every entry of this pattern.

        Scattering values by the map copies them into the larger pattern; gathering restricts.

        **Raises:** `ValueError` naming the first entry that `larger` lacks.
        """
        _check_alike("embedding", self, larger)
        if self == larger:
            return IndexMap(np.arange(self.nnz), larger.nnz)
        position = _find(self._keys(), larger._keys())
        missing = np.flatnonzero(position < 0)
        if missing.size:
            k = missing[0]
            raise ValueError(
                f"embedding: entry {k} at ({self.rows[k]}, {self.columns[k]}) is not in the larger pattern"
            )
        return IndexMap(position, larger.nnz)

    def __repr__(self) -> str:
        flavor = ", symmetric=True" if self.symmetric else ""
        return f"Pattern(shape={self.shape}, nnz={self.nnz}, density={self.density:.3g}{flavor})"


def canonical_csc(matrix: Any) -> scipy.sparse.csc_array:
    """A SciPy sparse matrix in compressed columns, rows sorted, duplicates summed; not for writing."""
    if not scipy.sparse.issparse(matrix) or matrix.ndim != 2:
        raise TypeError(
            f"`matrix` must be a two-dimensional SciPy sparse matrix or array, got {type(matrix).__name__}"
        )
    csc = scipy.sparse.csc_array(matrix)
    if not csc.has_canonical_format:
        csc = csc.copy()
        csc.sum_duplicates()
    return csc


def _check_alike(operation: str, A: Pattern, B: Any) -> None:
    if not isinstance(B, Pattern):
        raise TypeError(f"{operation}: expected a Pattern, got {type(B).__name__}")
    if A.shape != B.shape:
        raise ValueError(f"{operation}: shapes {A.shape} and {B.shape} differ")
    if A.symmetric != B.symmetric:
        raise ValueError(
            f"{operation}: one pattern is symmetric (a lower triangle), the other general; "
            "call to_general() on the symmetric one"
        )


def _find(sought: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The position of every sought key among the sorted keys, or -1."""
    position = np.searchsorted(keys, sought)
    found = position < keys.size
    found[found] = keys[position[found]] == sought[found]
    return np.where(found, position, -1)
