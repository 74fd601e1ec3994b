"""The figure of the demonstration that a fit does not draw itself: fill-in of the factor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

import elimax as ex
from elimax.stats.mixed.plots import STYLE, WIDTH

matplotlib.use("Agg")

# Okabe and Ito's palette: told apart by readers with any color vision.
BLUE, ORANGE = "#0072B2", "#E69F00"
DPI = 600


def sparsity(system: ex.SymmetricMatrix, orderings: dict[str, Any], title: str, path: Path) -> None:
    """The pattern of H and the fill-in of its factor, one panel per named ordering.

    Above the diagonal lie the entries of P H P^T; on it and below, those of L: the ones it has from
    H, and the ones that elimination makes. The darker a pixel, the more entries it stands for.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(orderings), figsize=(WIDTH, 0.46 * WIDTH), sharey=True)
        for ax, (name, ordering) in zip(axes, orderings.items(), strict=True):
            H, L = _filled(system, ordering)
            extent = (0, L.shape[0], L.shape[0], 0)
            ax.imshow(_picture(H, L), extent=extent, interpolation="nearest")
            ax.set_title(f"{name}\n{L.nnz:,} nonzeros in $L$")
            ax.set_xlabel("column")
            ax.locator_params(nbins=5)
        axes[0].set_ylabel("row")
        keys = [
            Patch(color=BLUE, label="entry of $H$"),
            Patch(color=ORANGE, label="fill-in of $L$"),
        ]
        figure.legend(handles=keys, loc="outside lower center", ncols=2, frameon=False)
        figure.suptitle(title, fontsize=9)
        figure.savefig(path, dpi=DPI)
        plt.close(figure)


def _filled(system: ex.SymmetricMatrix, ordering: Any) -> tuple[ex.Pattern, ex.Pattern]:
    """The lower triangles of P H P^T and of its factor.

    A factorization may permute a given order further, to an equivalent one (a postorder of the
    elimination tree) with the same fill-in: that is undone for the picture.
    """
    F = ex.cholesky(system, ordering=ordering)
    place = np.arange(F.shape[0]) if isinstance(ordering, str) else np.argsort(ordering)
    return _moved(system.pattern, place), _moved(F.L.pattern, place[F.permutation])


def _moved(lower: ex.Pattern, place: np.ndarray) -> ex.Pattern:
    """The symmetric pattern whose row and column k have become row and column place[k]."""
    row, column = place[lower.rows], place[lower.columns]
    return ex.Pattern.from_coo(
        np.maximum(row, column), np.minimum(row, column), lower.shape, symmetric=True
    )


def _picture(H: ex.Pattern, L: ex.Pattern) -> np.ndarray:
    """Pixels colored by the shares of the two kinds of entries, and as dark as they are many."""
    n = L.shape[0]
    cells = min(n, 400)
    given = _count(H.rows, H.columns, n, cells)
    fill = _count(L.rows, L.columns, n, cells) - given
    above = H.rows != H.columns
    given += _count(H.columns[above], H.rows[above], n, cells)
    total = given + fill
    share = (given / np.maximum(total, 1))[..., None]
    color = share * np.array(to_rgb(BLUE)) + (1 - share) * np.array(to_rgb(ORANGE))
    width = np.bincount(np.arange(n) * cells // n)
    density = (total / np.outer(width, width))[..., None]
    return 1 - density**0.4 * (1 - color)  # the power lets single entries show


def _count(row: np.ndarray, column: np.ndarray, n: int, cells: int) -> np.ndarray:
    """How many of the entries fall into each of cells x cells squares."""
    index = (row.astype(np.int64) * cells // n) * cells + column.astype(np.int64) * cells // n
    return np.bincount(index, minlength=cells**2).reshape(cells, cells)
