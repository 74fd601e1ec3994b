"""`color`: a coloring of each kind, in a given order or as good as can be had."""

from collections.abc import Sequence

import numpy as np

from elimax._structure import _native_coloring as native
from elimax._structure.best_coloring import best
from elimax._structure.colorable import KINDS, SYMMETRIC, colorable, is_complete, lower_triangle
from elimax._structure.coloring import Coloring, distinct
from elimax._structure.greedy import ORDERS, greedy
from elimax._structure.index_map import IndexMap, check_range, frozen, index_array
from elimax._structure.pattern import Pattern
from elimax._structure.structure import cached


def color(
    pattern: Pattern, kind: str = "column", order: str | Sequence[int] | np.ndarray = "auto"
) -> Coloring:
    """Which columns or rows of a matrix with this pattern may share a product, so that few products tell all.

        coloring = ex.color(ex.Pattern.band((1000, 1000), 1, 1))
        coloring.num_colors, coloring.colors                        # 3, [0, 1, 2, 0, 1, 2, ...]

    **Arguments:**

    - `pattern`: of the matrix.
    - `kind`:
        - "column": products A s; columns with an entry in a common row differ in color.
        - "row": products A^T r; rows with an entry in a common column differ.
        - "star": products A s with a symmetric A, each entry read off directly.
        - "acyclic": products A s with a symmetric A, fewer, from which the entries follow by substitution.
        - "bidirectional": products from both sides, each entry read off one of them.
    - `order`: how the vertices are taken, of which each gets the smallest color that is allowed: "natural",
        "largest_first", "smallest_last", "incidence_degree", "dynamic_largest_first", "random" (the same in
        every call), or a permutation of the columns, of the rows for "row", and for "bidirectional" of the n
        columns 0 .. n - 1 and the m rows n .. n + m - 1. "auto" recognizes bands and stencils on lattices,
        which need fewer colors than any such order finds; takes the best of several orders for others; and,
        for "bidirectional", tells long rows and columns from the rest.

    **Returns:** a `Coloring`, which has colors, seeds, and the place of every entry in the products. It
    depends on the arguments only.

    **Raises:** `TypeError` if `pattern` is not a `Pattern`; `ValueError` for an unknown kind or order, for
    what is not a permutation, and for the kinds "star" and "acyclic" if the pattern is not symmetric.

    **Cost:** of an order: for columns, the sum of the squares of the row lengths, but linear in long rows;
    for the other kinds, at every vertex the number of colors around each neighbor. "auto" takes several
    orders, fewer the larger the pattern.

    **Source:** Gebremedhin, Manne and Pothen, SIAM Review 47 (2005), for columns, rows and both (sections 3
    and 6) and the orders (section 7); Gebremedhin, Tarafdar, Manne and Pothen, SIAM Journal on Scientific
    Computing 29 (2007), for star (Algorithm 4.1) and acyclic (section 3) colorings; Montoison, Dalle and
    Gebremedhin, arXiv:2505.07308, for neutral colors.
    """
    if not isinstance(pattern, Pattern):
        raise TypeError(
            f"`pattern` must be a Pattern, got {type(pattern).__name__}; matrices have it as `.pattern`"
        )
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {', '.join(KINDS)}, got {kind!r}")
    if not isinstance(order, str):
        m, n = pattern.shape
        size = {"row": m, "bidirectional": m + n}.get(kind, n)
        return _color(pattern, kind, _permutation(order, size))
    if order != "auto" and order not in ORDERS:
        raise ValueError(
            f"`order` must be auto, {', '.join(ORDERS)} or a permutation, got {order!r}"
        )
    return _color(pattern, kind, order)


def _permutation(order: Sequence[int] | np.ndarray, size: int) -> IndexMap:
    sequence = index_array("order", order)
    check_range("order", sequence, size)
    times = np.bincount(sequence, minlength=size)
    wrong = np.flatnonzero(times != 1)
    if wrong.size:
        k = wrong[0]
        raise ValueError(
            f"`order` must hold each of 0 .. {size - 1} once, but holds {k} {times[k]} times"
        )
    return IndexMap(sequence, size)


@cached(16)
def _color(pattern: Pattern, kind: str, order: str | IndexMap) -> Coloring:
    if is_complete(pattern, kind):
        if kind in SYMMETRIC:
            return distinct(lower_triangle(pattern), kind)
        return distinct(pattern.to_general()[0] if pattern.symmetric else pattern, kind)
    graph = colorable(pattern, kind)
    if isinstance(order, IndexMap):
        return greedy(graph, order.indices)
    return best(graph) if order == "auto" else greedy(graph, order)


@cached(16)
def color_diagonal(pattern: Pattern) -> Coloring:
    """Columns j and k with an entry at (j, k) or (k, j) differ in color: the diagonal can be read off.

    The pattern of the result is the diagonal part of the given one.

    **Cost:** one pass over the entries.

    **Source:** Gebremedhin, Manne and Pothen, SIAM Review 47 (2005), section 3: distance-1 coloring.
    """
    whole = pattern.to_general()[0]
    graph = whole.union(whole.transpose()[0])
    n = graph.shape[1]
    columns = native.Columns(graph.shape, graph.column_pointers, graph.rows)
    colors = native.color(columns, "vertices", np.arange(n, dtype=np.int32))
    assert colors is not None
    diagonal = whole.intersection(Pattern.eye(n))
    return Coloring(
        diagonal,
        "column",
        frozen(colors),
        None,
        int(colors.max(initial=-1)) + 1,
        0,
        frozen(colors[diagonal.columns]),
        diagonal.rows,
    )
