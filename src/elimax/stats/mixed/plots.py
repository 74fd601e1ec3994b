"""Pictures of fits: caterpillar plots of conditional modes, and residuals."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import scipy.stats
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elimax.stats.mixed.random_term import RandomTerm
from elimax.stats.mixed.results import group_labels

# Okabe and Ito's palette: told apart by readers with any color vision.
_BLUE, _VERMILION, _GRAY = "#0072B2", "#D55E00", "#8C8C8C"
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
    "figure.constrained_layout.use": True,
}
_HALF_WIDTH = 1.959964  # of a 95% interval, in standard deviations
WIDTH = 7.1  # inches: two columns of a journal page
_FEW = 60  # levels that fit under each other with their names
_EXTREMES = 25  # named levels at either end where there are more
_CLOUD = 5000  # points above which a scatter is binned


def caterpillar(
    fit: Any, group: str | None = None, noun: str | None = None, effect: str | None = None
) -> Figure:
    """The conditional modes of a term's coefficients, sorted by the first of them, with 95% intervals.

    The intervals are mode +/- 1.96 standard deviations. They take theta and the fixed effects as known, as
    lme4's condVar does. Terms with many levels are drawn whole, and the ends of their first coefficient once
    more with the names of the levels.

    **Arguments:**

    - `fit`: a fitted mixed model.
    - `group`: the term, by its label in `conditional_modes`; the first if None.
    - `noun`: what a level is; the name of the grouping factor if None.
    - `effect`: what the coefficients are effects on.

    **Raises:** `ValueError` naming the terms there are, for another.
    """
    labels = group_labels(fit.design.terms)
    if group is not None and group not in labels:
        raise ValueError(f"`group` must be one of {', '.join(labels)}, got {group!r}")
    which = 0 if group is None else labels.index(group)
    term, modes = fit.design.terms[which], fit.estimates.modes[which]
    sd = np.sqrt(np.diagonal(fit.conditional_covariances[which], axis1=1, axis2=2))
    noun = term.group if noun is None else noun
    effect = f"effect on {fit.design.formula.response}" if effect is None else effect
    order = np.argsort(modes[:, 0], kind="stable")
    with plt.rc_context(STYLE):
        draw = _with_extremes if len(order) > _FEW else _all_named
        figure = draw(modes, sd, order, term, noun, effect)
        figure.suptitle(
            f"{fit.design.formula.text}\nconditional modes per {noun} and 95% intervals, "
            r"given $\hat\theta$ and $\hat\beta$",
            fontsize=9,
        )
    return figure


def residuals(fit: Any) -> Figure:
    """Scaled residuals against fitted values, and against the quantiles of a normal distribution."""
    fitted, scaled = fit.fitted, fit.scaled_residuals
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 0.45 * WIDTH))
        if len(scaled) > _CLOUD:
            left.hexbin(fitted, scaled, gridsize=60, bins="log", cmap="Blues", linewidths=0)
        else:
            left.scatter(fitted, scaled, s=7, color=_BLUE, alpha=0.6, linewidths=0)
        left.axhline(0, color="black", linewidth=0.5)
        left.set_xlabel("fitted value")
        left.set_ylabel("scaled residual")
        rank = (np.arange(len(scaled)) + 0.5) / len(scaled)
        normal = scipy.stats.norm.ppf(rank)
        right.plot(normal, np.sort(scaled), ".", markersize=3, color=_BLUE)
        right.axline((0, 0), slope=1, color="black", linewidth=0.5)
        right.set_xlabel("normal quantile")
        right.set_ylabel("scaled residual, sorted")
        figure.suptitle(fit.design.formula.text, fontsize=9)
    return figure


def _all_named(
    modes: np.ndarray, sd: np.ndarray, order: np.ndarray, term: RandomTerm, noun: str, effect: str
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
    modes: np.ndarray, sd: np.ndarray, order: np.ndarray, term: RandomTerm, noun: str, effect: str
) -> Figure:
    figure, axes = plt.subplot_mosaic(
        [["all", "all"], ["lowest", "highest"]],
        figsize=(WIDTH, 0.95 * WIDTH),
        height_ratios=[1, 1.3],
    )
    modes, sd = modes[:, 0], sd[:, 0]
    if term.columns[0] != "(Intercept)":
        effect = f"{effect} per unit of {term.columns[0]}"
    _unnamed(axes["all"], modes[order], sd[order])
    axes["all"].set_ylabel(effect)
    axes["all"].set_xlabel(f"rank among {len(order):,} {noun}s")
    observations = np.bincount(term.codes, minlength=len(term.levels))
    for name, part in (("lowest", order[:_EXTREMES]), ("highest", order[-_EXTREMES:])):
        labels = [f"{term.levels[i]} ({observations[i]})" for i in part]
        _named(axes[name], modes[part], sd[part], labels)
        axes[name].set_title(f"the {_EXTREMES} {name}")
        axes[name].set_xlabel(effect)
        axes[name].locator_params(axis="x", nbins=6)
    axes["lowest"].set_ylabel(f"{noun} (number of observations)")
    return figure


def _colors(modes: np.ndarray, sd: np.ndarray) -> list[str]:
    """By whether the interval lies below zero, around it or above it."""
    side = np.sign(modes) * (np.abs(modes) > _HALF_WIDTH * sd)
    return [(_VERMILION, _GRAY, _BLUE)[s] for s in side.astype(int) + 1]


def _unnamed(ax: Axes, modes: np.ndarray, sd: np.ndarray) -> None:
    rank = np.arange(1, len(modes) + 1)
    low, high, colors = modes - _HALF_WIDTH * sd, modes + _HALF_WIDTH * sd, _colors(modes, sd)
    ax.vlines(rank, low, high, colors=colors, linewidths=0.28)
    ax.plot(rank, modes, color="black", linewidth=0.9)
    ax.axhline(0, color="black", linewidth=0.5)
    ax.set_xlim(0, len(modes) + 1)
    words = ((_VERMILION, "below zero"), (_GRAY, "around zero"), (_BLUE, "above zero"))
    for color, where in words:
        label = f"{colors.count(color):,} intervals {where}"
        ax.plot([], [], color=color, linewidth=3, label=label)
    ax.legend(loc="upper left", frameon=False)


def _named(ax: Axes, modes: np.ndarray, sd: np.ndarray, labels: list[str]) -> None:
    place = np.arange(len(modes))
    colors = _colors(modes, sd)
    low, high = modes - _HALF_WIDTH * sd, modes + _HALF_WIDTH * sd
    ax.hlines(place, low, high, colors=colors, linewidths=1.1)
    ax.scatter(modes, place, s=9, c=colors, zorder=3)
    ax.axvline(0, color="black", linewidth=0.5)
    ax.set_yticks(place, labels)
    ax.set_ylim(-0.7, len(modes) - 0.3)
    ax.tick_params(axis="y", length=0)
