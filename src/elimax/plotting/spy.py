"""Pictures of patterns and colorings."""

from typing import Any

import matplotlib.colors
import matplotlib.pyplot as plt
import matplotlib.ticker
import numpy as np

from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._structure.coloring import Coloring
from elimax._structure.pattern import Pattern

_PIXELS = 600  # along a side of a picture; what is larger is binned
_WHITE = np.ones(3)


def spy(what: Pattern | SparseMatrix | SymmetricMatrix | Coloring, ax: Any = None) -> Any:
    """Draws where the entries of a matrix are; of a coloring, also which product each is read off.

    **Arguments:**

    - `what`: a pattern or a matrix, of which both triangles are drawn if it is symmetric; or a coloring,
        whose compressed matrix is drawn beside it: products with the matrix to the right, with its transpose
        below. Entries have the color of the product they are read off.
    - `ax`: the axes of matplotlib to draw on; for a coloring a sequence of as many as there are pictures:
        the matrix, and then what is to its right and below. New ones if None.

    **Returns:** the axes, or the list of them. A matrix of more than 600 rows or columns is binned: the
    darker, the more of a bin is filled.

    **Raises:** `TypeError` for anything else.
    """
    if isinstance(what, Coloring):
        return _spy_coloring(what, ax)
    pattern = what.pattern if isinstance(what, SparseMatrix | SymmetricMatrix) else what
    if not isinstance(pattern, Pattern):
        raise TypeError(
            f"`what` must be a Pattern, a sparse matrix or a Coloring, got {type(what).__name__}"
        )
    ax = plt.subplots(figsize=(5, 5))[1] if ax is None else ax
    whole = pattern.to_general()[0]
    ink = np.zeros((whole.nnz, 3))
    ax.imshow(_picture(whole.shape, whole.rows, whole.columns, ink), extent=_extent(whole.shape))
    _label(ax, "columns", "rows", f"{whole.shape[0]} x {whole.shape[1]}, {whole.nnz} entries")
    return ax


def _spy_coloring(coloring: Coloring, axes: Any) -> list[Any]:
    whole, gathered = coloring.pattern.to_general()
    (m, n), kc, kr = whole.shape, coloring.num_column_colors, coloring.num_row_colors
    if axes is None:
        count = 1 + (kc > 0) + (kr > 0)
        axes = plt.subplots(1, count, figsize=(4.5 * count, 4.5), layout="constrained")[1]
    axes = list(np.atleast_1d(axes))
    entry = np.where(gathered.indices < 0, ~gathered.indices, gathered.indices)
    readings = np.arange(coloring.pattern.nnz)
    if coloring.substitution is not None:
        readings = coloring.substitution.order.indices
    color, place = coloring.color_of_entry[readings], coloring.place_of_entry[readings]
    shades = _shades(kc + kr)
    axes[0].imshow(
        _picture((m, n), whole.rows, whole.columns, shades[color[entry]]), extent=_extent((m, n))
    )
    _label(axes[0], "columns", "rows", f"{m} x {n}, {whole.nnz} entries")
    rest = iter(axes[1:])
    if kc:
        mine = color < kc
        _draw_compressed(next(rest), (m, kc), place[mine], color[mine], shades, "A S", "products")
    if kr:
        mine = color >= kc
        c = color[mine] - kc
        _draw_compressed(next(rest), (kr, n), c, place[mine], shades[kc:], "T^T A", "columns", c)
    return axes


def _draw_compressed(
    ax: Any,
    shape: tuple[int, int],
    rows: np.ndarray,
    columns: np.ndarray,
    shades: np.ndarray,
    title: str,
    across: str,
    color: np.ndarray | None = None,
) -> None:
    ink = shades[columns if color is None else color]
    ax.imshow(_picture(shape, rows, columns, ink), extent=_extent(shape), aspect="auto")
    down = "rows" if color is None else "products"
    count = int(ink.shape[0] > 0) and len(np.unique(columns if color is None else color))
    _label(ax, across, down, f"{title}: {count} product{'s' * (count != 1)}")


def _label(ax: Any, across: str, down: str, title: str) -> None:
    ax.set(xlabel=across, ylabel=down, title=title)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True, min_n_ticks=1))


def _extent(shape: tuple[int, int]) -> tuple[float, float, float, float]:
    return (-0.5, max(shape[1], 1) - 0.5, max(shape[0], 1) - 0.5, -0.5)


def _shades(count: int) -> np.ndarray:
    """Colors of which any two in a row are easily told apart: hues in steps of the golden section."""
    hue = np.arange(count) * 0.6180339887 % 1
    light = 0.55 + 0.4 * (np.arange(count) // 3 % 2)
    hsv = np.stack([hue, np.full(count, 0.85), light], axis=-1).reshape(count, 3)
    return matplotlib.colors.hsv_to_rgb(hsv)


def _picture(
    shape: tuple[int, int], rows: np.ndarray, columns: np.ndarray, ink: np.ndarray
) -> np.ndarray:
    """An image with a pixel for each element, or for each bin of them: the mean of inks, as dark as full."""
    bins = [max(1, min(size, _PIXELS)) for size in shape]
    i, j = (
        index.astype(np.int64) * b // max(size, 1)
        for index, b, size in zip((rows, columns), bins, shape, strict=True)
    )
    flat = i * bins[1] + j
    count = np.bincount(flat, minlength=bins[0] * bins[1])
    total = np.stack(
        [np.bincount(flat, ink[:, k], minlength=count.size) for k in range(3)], axis=-1
    )
    mean = total / np.maximum(count, 1)[:, None]
    fullest = max(1, count.max(initial=1))
    depth = (count / fullest)[:, None] ** 0.5
    return (depth * mean + (1 - depth) * _WHITE).reshape(*bins, 3)
