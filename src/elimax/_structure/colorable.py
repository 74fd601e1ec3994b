"""What is colored: columns of a pattern, its rows, both, or the vertices of the graph of a symmetric one."""

import dataclasses
import functools

import numpy as np

from elimax._structure import _native_coloring as native
from elimax._structure._native_coloring import Columns
from elimax._structure.index_map import frozen
from elimax._structure.pattern import Pattern

KINDS = ("column", "row", "star", "acyclic", "bidirectional")
SYMMETRIC = ("star", "acyclic")


@dataclasses.dataclass(frozen=True, eq=False)
class Colorable:
    """A pattern as one kind of coloring sees it.

    **Attributes:**

    - `kind`: one of `KINDS`.
    - `pattern`: what is to be read off: symmetric for "star" and "acyclic", else general.
    - `matrix`: all of it, both triangles.
    - `entry`: the entry of a symmetric `pattern` that every entry of `matrix` is or mirrors.
    """

    kind: str
    pattern: Pattern
    matrix: Columns
    entry: np.ndarray | None

    @property
    def is_symmetric(self) -> bool:
        return self.kind in SYMMETRIC

    @property
    def size(self) -> int:
        """The number of vertices: columns, rows, or both."""
        m, n = self.pattern.shape
        return {"row": m, "bidirectional": m + n}.get(self.kind, n)

    @functools.cached_property
    def transposed(self) -> Columns:
        """The transpose of `matrix`."""
        return self.matrix if self.is_symmetric else native.transpose(self.matrix)[0]

    @functools.cached_property
    def vertices(self) -> Columns:
        """Whose columns are colored: `matrix`; its transpose, for "row"; for "bidirectional", the graph of
        columns and, after them, rows."""
        if self.kind == "bidirectional":
            return _bipartite(self.matrix, self.transposed)
        return self.transposed if self.kind == "row" else self.matrix

    @property
    def shared(self) -> Columns:
        """The transpose of `vertices`, of a kind with one side: columns of vertices that share a row."""
        return self.matrix if self.kind == "row" else self.transposed


def off_diagonal(pattern: Pattern) -> int:
    """The number of stored entries off the diagonal."""
    return int(np.count_nonzero(pattern.rows != pattern.columns))


def is_complete(pattern: Pattern, kind: str) -> bool:
    """Whether every position, or for "star" and "acyclic" every one off the diagonal, is an entry."""
    (m, n), entries = pattern.shape, pattern.nnz
    if not entries:
        return False
    if kind in SYMMETRIC or pattern.symmetric:
        if m != n or entries < n * (n - 1) // 2:
            return False
        beside = off_diagonal(pattern) * (1 + pattern.symmetric)
        return beside == n * (n - 1) and (kind in SYMMETRIC or entries == n * (n + 1) // 2)
    return entries == m * n


def colorable(pattern: Pattern, kind: str) -> Colorable:
    """`pattern` as this kind of coloring sees it.

    **Raises:** `ValueError` for "star" and "acyclic" if the pattern is not symmetric.

    **Cost:** a few passes over the entries.
    """
    if kind in SYMMETRIC:
        return Colorable(kind, *_both_triangles(pattern))
    whole = pattern.to_general()[0] if pattern.symmetric else pattern
    return Colorable(kind, whole, Columns(whole.shape, whole.column_pointers, whole.rows), None)


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
    number = np.cumsum(is_lower, dtype=np.int32) - 1
    entry = np.where(is_lower, number, number[source])
    return lower_triangle(pattern), given, frozen(entry)


def lower_triangle(pattern: Pattern) -> Pattern:
    """That of a pattern that is known to be symmetric."""
    if pattern.symmetric:
        return pattern
    is_lower = pattern.rows >= pattern.columns
    counted = np.concatenate([[0], np.cumsum(is_lower, dtype=np.int32)])
    return Pattern(pattern.shape, counted[pattern.column_pointers], pattern.rows[is_lower], True)


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
