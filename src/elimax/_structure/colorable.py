"""What is colored: the columns of a pattern, its rows, both, or the vertices of the graph of a symmetric one."""

import dataclasses

import numpy as np

from elimax._structure import _native_coloring as native
from elimax._structure._native_coloring import Columns
from elimax._structure.index_map import frozen
from elimax._structure.pattern import Pattern

KINDS = ("column", "row", "star", "acyclic", "bidirectional")


@dataclasses.dataclass(frozen=True, eq=False)
class Colorable:
    """A pattern as one kind of coloring sees it.

    **Attributes:**

    - `kind`: one of `KINDS`.
    - `pattern`: what is to be read off: symmetric for "star" and "acyclic", else general.
    - `matrix`: all of it, both triangles.
    - `entry`: the entry of `pattern` that every entry of `matrix` is or mirrors.
    - `vertices`: whose columns are colored: `matrix`; its transpose, for "row"; for "bidirectional", the
        graph of columns and, after them, rows.
    """

    kind: str
    pattern: Pattern
    matrix: Columns
    entry: np.ndarray
    vertices: Columns

    @property
    def is_symmetric(self) -> bool:
        return self.kind in ("star", "acyclic")

    @property
    def is_complete(self) -> bool:
        """Whether every position, or every one off the diagonal of a symmetric pattern, is an entry."""
        m, n = self.pattern.shape
        if not self.is_symmetric:
            return self.pattern.nnz == m * n
        return off_diagonal(self.pattern) == n * (n - 1) // 2


def off_diagonal(pattern: Pattern) -> int:
    """The number of stored entries off the diagonal."""
    return int(np.count_nonzero(pattern.rows != pattern.columns))


def colorable(pattern: Pattern, kind: str) -> Colorable:
    """`pattern` as this kind of coloring sees it.

    **Raises:** `ValueError` for "star" and "acyclic" if the pattern is not symmetric.

    **Cost:** a few passes over the entries.
    """
    if kind in ("star", "acyclic"):
        lower, matrix, entry = _both_triangles(pattern)
        return Colorable(kind, lower, matrix, entry, matrix)
    whole = pattern.to_general()[0]
    matrix = Columns(whole.shape, whole.column_pointers, whole.rows)
    entry = frozen(np.arange(whole.nnz))
    if kind == "column":
        return Colorable(kind, whole, matrix, entry, matrix)
    transposed = native.transpose(matrix)[0]
    if kind == "row":
        return Colorable(kind, whole, matrix, entry, transposed)
    return Colorable(kind, whole, matrix, entry, _bipartite(matrix, transposed))


def _both_triangles(pattern: Pattern) -> tuple[Pattern, Columns, np.ndarray]:
    """The lower triangle, both triangles, and the entry of the former that each of the latter mirrors."""
    given = Columns(pattern.shape, pattern.column_pointers, pattern.rows)
    if pattern.symmetric:
        return pattern, *_mirror(pattern, *native.transpose(given))
    mirrored, source = native.transpose(given)
    same = pattern.shape[0] == pattern.shape[1] and np.array_equal(mirrored.rows, given.rows)
    if not same or not np.array_equal(mirrored.pointers, given.pointers):
        pattern.lower()  # says what is wrong
    is_lower = pattern.rows >= pattern.columns
    counted = np.concatenate([[0], np.cumsum(is_lower, dtype=np.int32)])
    lower = Pattern(
        pattern.shape, counted[pattern.column_pointers], pattern.rows[is_lower], symmetric=True
    )
    number = counted[1:] - 1
    return lower, given, frozen(np.where(is_lower, number, number[source]))


def _mirror(lower: Pattern, upper: Columns, source: np.ndarray) -> tuple[Columns, np.ndarray]:
    """Both triangles from the lower one and its transpose; the lower entry of each."""
    n = lower.shape[0]
    column = np.repeat(np.arange(n, dtype=np.int32), np.diff(upper.pointers))
    strict = np.flatnonzero(upper.rows != column)
    above = np.concatenate([[0], np.cumsum(np.bincount(column[strict], minlength=n))])
    pointers = above + lower.column_pointers
    # Column j: what is above the diagonal, in the order of the transpose, then what is on and below.
    at_upper = np.arange(strict.size) + lower.column_pointers[column[strict]]
    at_lower = np.arange(lower.nnz) + above[lower.columns + np.int64(1)]
    rows, entry = np.empty((2, strict.size + lower.nnz), np.int32)
    rows[at_upper], rows[at_lower] = upper.rows[strict], lower.rows
    entry[at_upper], entry[at_lower] = source[strict], np.arange(lower.nnz)
    return Columns(lower.shape, frozen(pointers), rows), entry


def _bipartite(matrix: Columns, transposed: Columns) -> Columns:
    """The graph of the columns 0 .. n - 1 and the rows n .. n + m - 1, neighbors in the entries."""
    m, n = matrix.shape
    pointers = np.concatenate([matrix.pointers, matrix.rows.size + transposed.pointers[1:]])
    rows = np.concatenate([matrix.rows + np.int32(n), transposed.rows])
    return Columns((m + n, m + n), frozen(pointers), frozen(rows))
