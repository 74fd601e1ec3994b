"""The functions of the shared library for colorings: the ctypes twin of `cpp/api_coloring.cc`."""

from ctypes import c_int, c_int32
from typing import NamedTuple

import numpy as np

from elimax._structure._native import INDEX, declare, index, library

_COLORINGS = ("columns", "vertices", "star", "acyclic")
_ORDERS = ("largest_first", "smallest_last", "incidence_degree", "dynamic_largest_first")

declare("elimax_transpose", c_int, c_int32, c_int32, INDEX, INDEX, INDEX, INDEX, INDEX)
declare(
    "elimax_color",
    c_int32,
    c_int,
    c_int32,
    c_int32,
    INDEX,
    INDEX,
    INDEX,
    c_int32,
    c_int32,
    INDEX,
)
declare("elimax_coloring_order", c_int, c_int, c_int, c_int32, c_int32, INDEX, INDEX, INDEX)
declare(
    "elimax_read_directly",
    c_int,
    c_int32,
    c_int32,
    INDEX,
    INDEX,
    INDEX,
    INDEX,
    c_int32,
    c_int,
    INDEX,
    INDEX,
)
declare(
    "elimax_read_by_substitution",
    c_int,
    c_int32,
    INDEX,
    INDEX,
    c_int32,
    INDEX,
    INDEX,
    INDEX,
    INDEX,
    INDEX,
    INDEX,
)


class Columns(NamedTuple):
    """A pattern in compressed columns, int32, without the checks and the digest of a `Pattern`."""

    shape: tuple[int, int]
    pointers: np.ndarray
    rows: np.ndarray

    @property
    def size(self) -> int:
        """How many columns there are."""
        return self.shape[1]


def _done(result: int) -> int:
    if result < 0:
        raise MemoryError("elimax: out of memory while coloring")
    return result


def transpose(A: Columns) -> tuple[Columns, np.ndarray]:
    """The transpose, and the entry of A that every entry of it is."""
    m, n = A.shape
    pointers = np.empty(m + 1, np.int32)
    columns, entries = np.empty_like(A.rows), np.empty_like(A.rows)
    arrays = (A.pointers, A.rows, pointers, columns, entries)
    _done(library.elimax_transpose(m, n, *map(index, arrays)))
    return Columns((n, m), pointers, columns), entries


def color(
    A: Columns, kind: str, order: np.ndarray, left: int = -1, most: int = 2**31 - 1
) -> np.ndarray | None:
    """The color of every column, greedily in this order; None if there would be more than `most` of them.

    Columns that share a row differ ("columns"); or neighbors in the graph whose two triangles these are, as
    "vertices", "star" or "acyclic" colorings. With `left` the graph is bipartite, has so many vertices on the
    first side, and colors are counted on each side.
    """
    colors = np.empty(A.size, np.int32)
    count = library.elimax_color(
        _COLORINGS.index(kind),
        *A.shape,
        *map(index, (A.pointers, A.rows, order)),
        left,
        most,
        index(colors),
    )
    return colors if _done(count) <= most else None


def vertex_order(A: Columns, method: str, of_columns: bool) -> np.ndarray:
    """The order in which to color: of columns that are neighbors if they share a row, or of the vertices of
    a graph."""
    order = np.empty(A.size, np.int32)
    arrays = (A.pointers, A.rows, order)
    _done(
        library.elimax_coloring_order(
            of_columns, _ORDERS.index(method), *A.shape, *map(index, arrays)
        )
    )
    return order


def read_directly(
    A: Columns, row_colors: np.ndarray, column_colors: np.ndarray, offset: int, lower: bool
) -> tuple[np.ndarray, np.ndarray] | None:
    """The color (of rows: plus `offset`) and the place in its product of every entry, or None if one cannot
    be read; entries above the diagonal are left as they are if `lower`."""
    color_of_entry, place_of_entry = np.empty_like(A.rows), np.empty_like(A.rows)
    complete = library.elimax_read_directly(
        *A.shape,
        *map(index, (A.pointers, A.rows, row_colors, column_colors)),
        offset,
        lower,
        index(color_of_entry),
        index(place_of_entry),
    )
    return (color_of_entry, place_of_entry) if _done(complete) else None


def read_by_substitution(
    A: Columns, entry: np.ndarray, n_entries: int, colors: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Color and place of every reading in the order of substitution, the position there of every entry, and
    the next one that each is subtracted from, or -1; None if a cycle has two colors.

    `entry` tells the entry of the lower triangle of each entry of A, which has both triangles.
    """
    color_of_entry, place_of_entry, position, following = np.empty((4, n_entries), np.int32)
    complete = library.elimax_read_by_substitution(
        A.size,
        *map(index, (A.pointers, A.rows)),
        n_entries,
        *map(index, (entry, colors, color_of_entry, place_of_entry, position, following)),
    )
    if not _done(complete):
        return None
    return color_of_entry, place_of_entry, position, following
