"""The figures of the demonstration: fill-in of the factor, and conditional modes with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

import elimax as ex
from lmm.datasets import Problem
from lmm.fitting import Fit
from lmm.model import RandomTerm

matplotlib.use("Agg")

# Okabe and Ito's palette: told apart by readers with any color vision.
BLUE, ORANGE, VERMILION, GRAY = "#0072B2", "#E69F00", "#D55E00", "#8C8C8C"
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "savefig.dpi": 600,
    "figure.constrained_layout.use": True,
}
HALF_WIDTH = 1.959964  # of a 95% interval, in standard deviations
WIDTH = 7.1  # inches: two columns of a journal page


FEW = 60  # levels that fit under each other with their names
EXTREMES = 25  # named levels at either end where there are more


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
        figure.savefig(path)
        plt.close(figure)


def _filled(system: ex.SymmetricMatrix, ordering: Any) -> tuple[ex.Pattern, ex.Pattern]:
    """The lower triangles of P H P^T and of its factor.

    A factorization may permute a given order further, to an equivalent one (a postorder of the
    elimination tree) with the same fill-in: that is undone for the picture.
    """
    F = ex.cholesky(system, ordering=ordering)
    shown = {"natural": np.arange(F.shape[0]), "auto": F.permutation}
    place = np.argsort(shown[ordering] if isinstance(ordering, str) else ordering)
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


def caterpillar(problem: Problem, fit: Fit, which: int, path: Path) -> None:
    """The conditional modes of a term's coefficients, sorted, with 95% intervals.

    The intervals are mode +/- 1.96 standard deviations, from sigma^2 Lambda H^-1 Lambda^T by the
    selected inverse. They take theta and beta as known: the uncertainty of beta is not included, as
    it is not in lme4's condVar. Terms with many levels are drawn whole, and their ends once more
    with the names of the levels.
    """
    term, noun, effect = (
        problem.terms[which],
        problem.nouns[which],
        f"effect on the {problem.effect}",
    )
    modes, sd = fit.modes[which], fit.conditional_sd[which]
    order = np.argsort(modes[:, 0], kind="stable")
    with plt.rc_context(STYLE):
        if len(order) > FEW:
            figure = _with_extremes(modes[:, 0], sd[:, 0], order, term, noun, effect)
        else:
            figure = _all_named(modes, sd, order, term, noun, effect)
        figure.suptitle(
            f"{problem.formula}\nconditional modes per {noun} and 95% intervals, "
            r"given $\hat\theta$ and $\hat\beta$",
            fontsize=9,
        )
        figure.savefig(path)
        plt.close(figure)


def _all_named(
    modes: np.ndarray,
    sd: np.ndarray,
    order: np.ndarray,
    term: RandomTerm,
    noun: str,
    effect: str,
) -> Figure:
    k = modes.shape[1]
    figure, axes = plt.subplots(
        1, k, figsize=(WIDTH * (k + 1) / 3, 1.1 + 0.14 * len(order)), squeeze=False, sharey=True
    )
    for column, ax in enumerate(axes[0]):
        _named(ax, modes[order, column], sd[order, column], [str(v) for v in term.levels[order]])
        name = term.columns[column]
        ax.set_xlabel(effect if name == "(Intercept)" else f"{effect} per unit of {name}")
    axes[0, 0].set_ylabel(noun)
    return figure


def _with_extremes(
    modes: np.ndarray,
    sd: np.ndarray,
    order: np.ndarray,
    term: RandomTerm,
    noun: str,
    effect: str,
) -> Figure:
    figure, axes = plt.subplot_mosaic(
        [["all", "all"], ["lowest", "highest"]],
        figsize=(WIDTH, 0.95 * WIDTH),
        height_ratios=[1, 1.3],
    )
    _unnamed(axes["all"], modes[order], sd[order])
    axes["all"].set_ylabel(effect)
    axes["all"].set_xlabel(f"rank among {len(order):,} {noun}s")
    observations = np.bincount(term.codes)
    for name, part in (("lowest", order[:EXTREMES]), ("highest", order[-EXTREMES:])):
        labels = [f"{term.levels[i]} ({observations[i]})" for i in part]
        _named(axes[name], modes[part], sd[part], labels)
        axes[name].set_title(f"the {EXTREMES} {name}")
        axes[name].set_xlabel(effect)
        axes[name].locator_params(axis="x", nbins=6)
    axes["lowest"].set_ylabel(f"{noun} (number of observations)")
    return figure


def _colors(modes: np.ndarray, sd: np.ndarray) -> list[str]:
    """By whether the interval lies below zero, around it or above it."""
    side = np.sign(modes) * (np.abs(modes) > HALF_WIDTH * sd)
    return [(VERMILION, GRAY, BLUE)[s] for s in side.astype(int) + 1]


def _unnamed(ax: Axes, modes: np.ndarray, sd: np.ndarray) -> None:
    rank = np.arange(1, len(modes) + 1)
    low, high, colors = modes - HALF_WIDTH * sd, modes + HALF_WIDTH * sd, _colors(modes, sd)
    ax.vlines(rank, low, high, colors=colors, linewidths=0.28)
    ax.plot(rank, modes, color="black", linewidth=0.9)
    ax.axhline(0, color="black", linewidth=0.5)
    ax.set_xlim(0, len(modes) + 1)
    for color, words in ((VERMILION, "below zero"), (GRAY, "around zero"), (BLUE, "above zero")):
        ax.plot(
            [], [], color=color, linewidth=3, label=f"{colors.count(color):,} intervals {words}"
        )
    ax.legend(loc="upper left", frameon=False)


def _named(ax: Axes, modes: np.ndarray, sd: np.ndarray, labels: list[str]) -> None:
    place = np.arange(len(modes))
    colors = _colors(modes, sd)
    ax.hlines(
        place, modes - HALF_WIDTH * sd, modes + HALF_WIDTH * sd, colors=colors, linewidths=1.1
    )
    ax.scatter(modes, place, s=9, c=colors, zorder=3)
    ax.axvline(0, color="black", linewidth=0.5)
    ax.set_yticks(place, labels)
    ax.set_ylim(-0.7, len(modes) - 0.3)
    ax.tick_params(axis="y", length=0)
