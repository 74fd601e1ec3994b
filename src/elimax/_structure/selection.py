"""Parts of a pattern: chosen rows and columns, permutations.

Each function returns the new pattern and the map that gathers its values from the old ones.
"""

from typing import Any

import numpy as np

from elimax._structure.index_map import IndexMap, check_range, index_array
from elimax._structure.pattern import Pattern
from elimax._structure.structure import cached


def take(pattern: Pattern, rows: Any, cols: Any) -> tuple[Pattern, IndexMap]:
    """The pattern of A[rows][:, cols] for integer arrays, which may repeat.

    **Raises:** `ValueError` naming an index outside of the shape, or if the pattern is symmetric;
    `TypeError` for indices that are traced or not integers.

    **Cost:** linear in the entries taken, and a sort of them.
    """
    if pattern.symmetric:
        raise ValueError("take: call to_general() first, a symmetric pattern has one triangle")
    rows, cols = index_array("rows", rows), index_array("cols", cols)
    check_range("rows", rows, pattern.shape[0])
    check_range("cols", cols, pattern.shape[1])
    return _take(pattern, rows.tobytes(), cols.tobytes())


@cached(64)
def _take(pattern: Pattern, row_bytes: bytes, col_bytes: bytes) -> tuple[Pattern, IndexMap]:
    rows, cols = np.frombuffer(row_bytes, np.int64), np.frombuffer(col_bytes, np.int64)
    # Every chosen column expands into its entries, then every entry into the rows that choose it.
    counts = np.diff(pattern.column_pointers)[cols]
    entry = _ranges(pattern.column_pointers[cols], counts)
    column = np.repeat(np.arange(cols.size), counts)
    order = np.argsort(rows, kind="stable")
    copies = np.bincount(rows, minlength=pattern.shape[0])
    first = np.cumsum(copies) - copies
    row = pattern.rows[entry]
    chosen = order[_ranges(first[row], copies[row])]
    entry, column = np.repeat(entry, copies[row]), np.repeat(column, copies[row])
    taken, position = Pattern.from_coo_with_map(chosen, column, (rows.size, cols.size))
    return taken, IndexMap(entry[np.argsort(position.indices)], pattern.nnz)


def _ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """starts[0], starts[0] + 1, ... (counts[0] of them), starts[1], ..."""
    before = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(starts - before, counts)


def permute(pattern: Pattern, permutation: Any) -> tuple[Pattern, IndexMap]:
    """The pattern of P A P^T, whose row and column k are `permutation[k]` of A.

    Where a permutation moves an entry of a symmetric pattern across the diagonal, the map conjugates it.

    **Raises:** `ValueError` if `permutation` is not one of all rows, or the pattern not square.
    """
    p, n = index_array("permutation", permutation), pattern.shape[0]
    if pattern.shape[1] != n:
        raise ValueError(f"permute: the pattern must be square, got shape {pattern.shape}")
    if p.size != n or not np.array_equal(np.sort(p), np.arange(n)):
        raise ValueError(f"`permutation` must hold every one of 0 .. {n - 1} once")
    if not pattern.symmetric:
        return take(pattern, p, p)
    inverse = np.argsort(p)
    i, j = inverse[pattern.rows], inverse[pattern.columns]
    permuted, position = Pattern.from_coo_with_map(
        np.maximum(i, j), np.minimum(i, j), pattern.shape, True
    )
    entry = np.argsort(position.indices)
    return permuted, IndexMap(np.where((i < j)[entry], ~entry, entry), pattern.nnz)
