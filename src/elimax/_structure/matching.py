"""Matchings: which row of a matrix gives every column its diagonal entry.

A matching chooses entries of which no two share a row or a column. If it has one in every column of a square
pattern, the rows can be permuted so that these entries make the diagonal; if there is no such matching, the
matrix is singular whatever its values are, and a part of it shows why.
"""

from typing import NamedTuple

import numpy as np

from elimax._structure import _native
from elimax._structure.pattern import Pattern

_SHOWN = 6


class Matching(NamedTuple):
    """Entries of which no two share a row or a column.

    **Attributes:**

    - `row_of_column`: the row of the entry chosen in every column, or -1.
    - `rank`: how many entries were chosen.
    - `row_scale`, `column_scale`: if it is perfect, binary logarithms of factors that make the
      chosen entries 1 and no other entry larger, within 2^-16 of the exponent.
    """

    row_of_column: np.ndarray
    rank: int
    row_scale: np.ndarray
    column_scale: np.ndarray


def maximum_product_matching(pattern: Pattern, magnitudes: np.ndarray | None = None) -> Matching:
    """A maximum matching of a general pattern; if it is perfect, one of the largest product.

    **Arguments:**

    - `magnitudes`: the absolute value of every entry. Without them all are equal: the matching keeps as much
      of the diagonal as a maximum matching can. Zeros are chosen only if there is no perfect matching
      without them, and then only where nothing else can be.

    **Raises:** `ValueError` if the pattern is symmetric (a lower triangle), or for magnitudes that do not fit
    the pattern, are negative or not finite.

    **Cost:** a few passes over the pattern in practice, O(n nnz log n) at worst.

    **Source:** Duff and Koster, SIAM J. Matrix Anal. Appl. 22 (2001).
    """
    if pattern.symmetric:
        raise ValueError("a symmetric pattern has one triangle; call to_general() on it first")
    if magnitudes is not None:
        magnitudes = checked_magnitudes(pattern, magnitudes)
        kept = np.flatnonzero(magnitudes)
        if kept.size < pattern.nnz:
            nonzero = Pattern.from_coo(pattern.rows[kept], pattern.columns[kept], pattern.shape)
            matching = _match(nonzero, magnitudes[kept])
            if matching.rank == min(pattern.shape):
                return matching
    return _match(pattern, magnitudes)


def _match(pattern: Pattern, magnitudes: np.ndarray | None) -> Matching:
    rank, row_of_column, row_scale, column_scale = _native.match(
        pattern.shape, pattern.column_pointers, pattern.rows, magnitudes
    )
    for array in (row_of_column, row_scale, column_scale):
        array.flags.writeable = False
    return Matching(row_of_column, rank, row_scale, column_scale)


def checked_magnitudes(pattern: Pattern, magnitudes: np.ndarray) -> np.ndarray:
    """Absolute values of the entries of a pattern, as float64.

    **Raises:** `ValueError` if they do not fit the pattern, are negative or not finite.
    """
    magnitudes = np.ascontiguousarray(magnitudes, np.float64)
    if magnitudes.shape != (pattern.nnz,):
        raise ValueError(
            f"`magnitudes` must have one number for each of the {pattern.nnz} entries of the "
            f"pattern, got shape {magnitudes.shape}"
        )
    bad = np.flatnonzero(~(np.isfinite(magnitudes) & (magnitudes >= 0)))
    if bad.size:
        p = bad[0]
        raise ValueError(
            "`magnitudes` must be finite and not negative, but that of the entry "
            f"({pattern.rows[p]}, {pattern.columns[p]}) is {magnitudes[p]}"
        )
    return magnitudes


def perfect_matching(pattern: Pattern, magnitudes: np.ndarray | None = None) -> Matching:
    """The same for a square pattern, in which every column must have a row.

    **Raises:** `ValueError`, too, if the pattern is not square, or structurally singular: it then names
    columns that have entries in fewer rows than they are, and rows likewise.
    """
    m, n = pattern.shape
    if m != n:
        raise ValueError(f"the matrix must be square, got shape {pattern.shape}")
    matching = maximum_product_matching(pattern, magnitudes)
    if matching.rank < n:
        rows, columns = dulmage_mendelsohn(pattern, matching.row_of_column)
        raise ValueError(
            f"the matrix is structurally singular: its structural rank is {matching.rank} of {n}, whatever "
            f"its values are, because {_confined('column', columns == 1, 'row', rows == 1)}, and "
            f"{_confined('row', rows == 2, 'column', columns == 2)}"
        )
    return matching


def dulmage_mendelsohn(
    pattern: Pattern, row_of_column: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The coarse Dulmage-Mendelsohn decomposition of a general pattern by a maximum matching of it.

    **Returns:** the part that every row and every column belongs to: 0, square, with a perfect matching; 1,
    underdetermined, whose columns have entries in its rows only, which are fewer; 2, overdetermined, whose
    rows have entries in its columns only, which are fewer.

    **Cost:** O(nnz).

    **Source:** Pothen and Fan, ACM Trans. Math. Softw. 16 (1990).
    """
    return _native.dulmage_mendelsohn(
        pattern.shape, pattern.column_pointers, pattern.rows, row_of_column
    )


def _confined(line: str, chosen: np.ndarray, other: str, confines: np.ndarray) -> str:
    if not confines.any():
        return f"there are no entries in {_few(line, chosen)}"
    return f"all entries of {_few(line, chosen)} lie in {_few(other, confines)}"


def _few(line: str, chosen: np.ndarray) -> str:
    indices = np.flatnonzero(chosen)
    if indices.size == 1:
        return f"{line} {indices[0]}"
    more = ", ..." if indices.size > _SHOWN else ""
    return f"the {indices.size} {line}s {', '.join(map(str, indices[:_SHOWN]))}{more}"
