"""Colorings: how few products reveal all entries of a matrix whose pattern is known.

Columns of one color are added up in one product, A s with the indicator vector s of the color. With the
colors [0, 1, 2, 0] of

    [ a b . . ]
    [ c d e . ]       A [s_0 s_1 s_2]  =  [ a b . ]
    [ . f g h ]                           [ c d e ]
    [ . . i k ]                           [ h f g ]
                                          [ k . i ]

three products, the *compressed* matrix, hold every entry in a place of its own.
"""

import dataclasses
import functools

import numpy as np

from elimax._structure import _native
from elimax._structure.index_map import LARGEST, IndexMap
from elimax._structure.pattern import Pattern
from elimax._structure.structure import cached


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Coloring:
    """A color for every column of a pattern, from 0 on.

    **Attributes:**

    - `pattern`: the entries that can be read off the compressed matrix.
    - `colors`: int32, the color of every column.
    - `num_colors`: how many there are.
    """

    pattern: Pattern
    colors: np.ndarray
    num_colors: int

    @functools.cached_property
    def seed(self) -> IndexMap:
        """Gathers the indicator vector of a color from the unit vector of that color."""
        return IndexMap(self.colors, self.num_colors)

    @functools.cached_property
    def entries(self) -> IndexMap:
        """Gathers the values of the pattern from the compressed matrix, color by color.

        **Raises:** `ValueError` if the compressed matrix has more elements than 32-bit integers count.
        """
        m = self.pattern.shape[0]
        if self.num_colors * m > LARGEST:
            raise ValueError(
                f"the compressed matrix of {self.num_colors} colors and {m} rows has more than {LARGEST} "
                "elements; the pattern is too dense to be read off so few products"
            )
        place = self.colors[self.pattern.columns] * np.int64(m) + self.pattern.rows
        return IndexMap(place, self.num_colors * m)

    def __repr__(self) -> str:
        return f"Coloring({self.pattern!r}, num_colors={self.num_colors})"


@cached(16)
def color_columns(pattern: Pattern) -> Coloring:
    """Columns with an entry in a common row differ in color: every entry can be read off.

    **Cost:** the sum of the squares of the row lengths, at most linear in each of long rows.

    **Source:** Gebremedhin, Manne and Pothen, SIAM Review 47 (2005), section 3: greedy partial distance-2
    coloring in the natural order, which is optimal for bands.
    """
    whole = pattern.to_general()[0]
    count, colors = _native.color(whole.shape, whole.column_pointers, whole.rows, distance=2)
    return Coloring(whole, colors, count)


@cached(16)
def color_diagonal(pattern: Pattern) -> Coloring:
    """Columns j and k with an entry at (j, k) or (k, j) differ in color: the diagonal can be read off.

    The pattern of the result is the diagonal part of the given one.

    **Cost:** one pass over the entries.
    """
    whole = pattern.to_general()[0]
    graph = whole.union(whole.transpose()[0])
    count, colors = _native.color(graph.shape, graph.column_pointers, graph.rows, distance=1)
    return Coloring(whole.intersection(Pattern.eye(whole.shape[0])), colors, count)
