"""Colorings: how few products reveal all entries of a matrix whose pattern is known.

Columns of one color are added up in one product, A s with the indicator vector s of the color. With the
colors [0, 1, 2, 0] of

    [ a b . . ]
    [ c d e . ]       A [s_0 s_1 s_2]  =  [ a b . ]
    [ . f g h ]                           [ c d e ]
    [ . . i k ]                           [ h f g ]
                                          [ k . i ]

three products, the *compressed* matrix, hold every entry in a place of its own. Rows of one color are added
up in a product from the left. Of a symmetric matrix one triangle has to be found, and an entry may be the
difference of places: then even fewer products do.
"""

import dataclasses
import functools

import numpy as np

from elimax._structure import _native_coloring as native
from elimax._structure.colorable import Colorable
from elimax._structure.index_map import LARGEST, ZERO, IndexMap, frozen
from elimax._structure.pattern import Pattern


@dataclasses.dataclass(frozen=True, eq=False)
class Substitution:
    """How the entries follow from the readings of an acyclic coloring: solve T a = r, and reorder.

    **Attributes:**

    - `pattern`: of T, strictly lower triangular, at most one entry in a column. All its entries are one, and
        so is the diagonal, which is left out: `triangular_solve(..., unit_diagonal=True)`.
    - `order`: gathers the values of the coloring's pattern from the solution.
    """

    pattern: Pattern
    order: IndexMap


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Coloring:
    """Which columns, or rows, of a matrix share a product, and where its entries are read in the products.

    Entry e is read in the product of color r = `color_of_entry[e]`, at `place_of_entry[e]`: with S and R the
    indicator vectors of the colors of columns and of rows (in columns),

        a[e] = (A S)[place, r]                          if r < num_column_colors
        a[e] = (A^T R)[place, r - num_column_colors]    else

    in the order of the entries of `pattern`. If there is a `substitution`, the readings come in its order,
    and the entries follow from them.

    **Attributes:**

    - `pattern`: what can be read off; the lower triangle for the kinds "star" and "acyclic".
    - `kind`: "column", "row", "star", "acyclic" or "bidirectional".
    - `column_colors`, `row_colors`: int32, from 0 on, or None on a side without products. A *neutral* column
        or row, which no product needs, has -1.
    - `num_column_colors`, `num_row_colors`: how many products there are from each side.
    - `color_of_entry`, `place_of_entry`: int32[nnz], see above.
    - `substitution`: None if the readings are the entries.
    """

    pattern: Pattern
    kind: str
    column_colors: np.ndarray | None
    row_colors: np.ndarray | None
    num_column_colors: int
    num_row_colors: int
    color_of_entry: np.ndarray
    place_of_entry: np.ndarray
    substitution: Substitution | None = None

    @property
    def num_colors(self) -> int:
        """How many products there are."""
        return self.num_column_colors + self.num_row_colors

    @property
    def colors(self) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """The colors of the one side that has some; of rows and of columns if both have."""
        if self.column_colors is None:
            assert self.row_colors is not None
            return self.row_colors
        if self.row_colors is None:
            return self.column_colors
        return self.row_colors, self.column_colors

    @functools.cached_property
    def column_seed(self) -> IndexMap:
        """Gathers the indicator vector of a color of columns from the unit vector of that color."""
        return _seed(self.column_colors, self.num_column_colors, "columns", self.kind)

    @functools.cached_property
    def row_seed(self) -> IndexMap:
        """The same of rows."""
        return _seed(self.row_colors, self.num_row_colors, "rows", self.kind)

    @property
    def seed(self) -> IndexMap:
        """`column_seed` or `row_seed`, whichever there is.

        **Raises:** `ValueError` if there are both.
        """
        if self.column_colors is not None and self.row_colors is not None:
            raise ValueError(
                "a bidirectional coloring has two seeds, use `column_seed` and `row_seed`"
            )
        return self.row_seed if self.column_colors is None else self.column_seed

    @functools.cached_property
    def entries(self) -> IndexMap:
        """Gathers the readings from the products laid end to end, first those with columns, color by color.

        **Raises:** `ValueError` if the products have more elements than 32-bit integers count.
        """
        m, n = self.pattern.shape
        by_columns = self.num_column_colors * m
        total = by_columns + self.num_row_colors * n
        if total > LARGEST:
            raise ValueError(
                f"the products of {self.num_colors} colors with a matrix of shape {(m, n)} have more than "
                f"{LARGEST} elements; the pattern is too dense to be read off so few products"
            )
        color = self.color_of_entry.astype(np.int64)
        start = np.where(
            color < self.num_column_colors,
            color * m,
            by_columns + (color - self.num_column_colors) * n,
        )
        return IndexMap(start + self.place_of_entry, total)

    def __repr__(self) -> str:
        sides = f"num_colors={self.num_colors}"
        if self.column_colors is not None and self.row_colors is not None:
            sides = (
                f"num_row_colors={self.num_row_colors}, num_column_colors={self.num_column_colors}"
            )
        return f"Coloring({self.kind!r}, {sides}, {self.pattern!r})"


def _seed(colors: np.ndarray | None, count: int, side: str, kind: str) -> IndexMap:
    if colors is None:
        raise ValueError(f"a coloring of kind {kind!r} has no colors of {side}")
    return IndexMap(np.where(colors < 0, ZERO, colors), count)


def read_off(graph: Colorable, colors: np.ndarray) -> Coloring | None:
    """The coloring with these colors of `graph.vertices`, or None if it does not tell all entries.

    Colors that nothing is read from are dropped.

    **Cost:** a few passes over the entries.
    """
    m, n = graph.pattern.shape
    columns, rows = colors, colors
    if graph.kind == "column":
        rows = np.full(m, -1, np.int32)
    elif graph.kind == "row":
        columns = np.full(n, -1, np.int32)
    elif graph.kind == "bidirectional":
        columns, rows = (np.ascontiguousarray(side) for side in (colors[:n], colors[n:]))
    # Of a symmetric matrix, the products from the left are those from the right.
    shift = 0 if graph.is_symmetric else _count(columns)
    read = _readings(graph, columns, rows, shift)
    if read is None:
        return None
    color, place, substitution = read

    used = np.zeros(max(_count(columns), shift + _count(rows)), bool)
    used[color] = True
    name = np.where(used, np.cumsum(used) - 1, -1)
    n_columns = int(np.count_nonzero(used[: _count(columns)]))
    n_rows = int(np.count_nonzero(used)) - n_columns
    has_rows = graph.kind in ("row", "bidirectional")
    row_name = np.where(name < 0, -1, name - n_columns)[shift:]
    return Coloring(
        graph.pattern,
        graph.kind,
        _renamed(columns, name) if graph.kind != "row" else None,
        _renamed(rows, row_name) if has_rows else None,
        n_columns,
        n_rows,
        frozen(color if used.all() else name[color]),
        frozen(place),
        substitution,
    )


def distinct(pattern: Pattern, kind: str) -> Coloring:
    """Every column has a color of its own, or every row if there are fewer and "bidirectional" allows it.

    Each has an entry in `pattern`, but for the last column, where it holds a lower triangle.
    """
    m, n = pattern.shape
    n -= int(pattern.symmetric and pattern.column_pointers[-2] == pattern.nnz)
    by_row = kind == "row" or (kind == "bidirectional" and m < n)
    columns = np.full(pattern.shape[1], -1)
    columns[:n] = -1 if by_row else np.arange(n)
    rows = np.arange(m) if by_row else np.full(m, -1)
    return Coloring(
        pattern,
        kind,
        frozen(columns) if kind != "row" else None,
        frozen(rows) if kind in ("row", "bidirectional") else None,
        0 if by_row else n,
        m if by_row else 0,
        pattern.rows if by_row else pattern.columns,
        pattern.columns if by_row else pattern.rows,
    )


def _readings(
    graph: Colorable, columns: np.ndarray, rows: np.ndarray, shift: int
) -> tuple[np.ndarray, np.ndarray, Substitution | None] | None:
    if graph.kind == "acyclic":
        assert graph.entry is not None
        solved = native.read_by_substitution(graph.matrix, graph.entry, graph.pattern.nnz, columns)
        return None if solved is None else _substitution(*solved)
    read = native.read_directly(graph.matrix, rows, columns, shift, graph.is_symmetric)
    if read is None:
        return None
    color, place = read
    if graph.is_symmetric:
        matrix = graph.matrix
        column = np.repeat(np.arange(matrix.size, dtype=np.int32), np.diff(matrix.pointers))
        lower = matrix.rows >= column
        color, place = color[lower], place[lower]
    return color, place, None


def _count(colors: np.ndarray) -> int:
    return int(colors.max(initial=-1)) + 1


def _renamed(colors: np.ndarray, names: np.ndarray) -> np.ndarray:
    if not names.size:
        return frozen(np.full(colors.size, -1))
    return frozen(np.where(colors < 0, -1, names[colors]))


def _substitution(
    color: np.ndarray, place: np.ndarray, position: np.ndarray, following: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Substitution | None]:
    """Readings and substitution; readings in the order of the entries where nothing is substituted."""
    size = position.size
    subtracted = following >= 0
    if not subtracted.any():
        return color[position], place[position], None
    pointers = np.concatenate([[0], np.cumsum(subtracted)])
    T = Pattern((size, size), pointers, following[subtracted])
    return color, place, Substitution(T, IndexMap(position, size))
