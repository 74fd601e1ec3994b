"""Estimates of mixed models as tables, and as the text of a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from elimax.stats.mixed.random_term import RandomTerm


def group_labels(terms: Sequence[RandomTerm]) -> list[str]:
    """The name of every term: that of its group, with .1, .2, ... behind it for further terms."""
    seen: Counter[str] = Counter()
    labels = []
    for term in terms:
        labels.append(f"{term.group}.{seen[term.group]}" if seen[term.group] else term.group)
        seen[term.group] += 1
    return labels


def coefficient_table(names: Sequence[str], beta: np.ndarray, vcov: np.ndarray) -> pd.DataFrame:
    """Estimates, their standard errors, and the ratios of both."""
    error = np.sqrt(np.diagonal(vcov))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = beta / error
    return pd.DataFrame(
        {"estimate": beta, "std_error": error, "t_value": ratio},
        index=pd.Index(names, name="effect"),
    )


def variance_table(
    terms: Sequence[RandomTerm], covariances: Sequence[np.ndarray], sigma: float | None
) -> pd.DataFrame:
    """Variances and covariances of the random effects, and of the residuals, as lme4's VarCorr.

    A row with `var2` is a covariance, and its `sdcor` a correlation (NaN next to a zero variance).
    """
    rows: list[tuple[str, str | None, str | None, float, float]] = []
    for label, term, covariance in zip(group_labels(terms), terms, covariances, strict=True):
        sd = np.sqrt(np.diagonal(covariance))
        rows += [(label, name, None, s**2, s) for name, s in zip(term.columns, sd, strict=True)]
        for j, first in enumerate(term.columns):
            for i in range(j + 1, len(sd)):
                product = sd[i] * sd[j]
                value = covariance[i, j]
                correlation = value / product if product > 0 else np.nan
                rows.append((label, first, term.columns[i], value, correlation))
    if sigma is not None:
        rows.append(("Residual", None, None, sigma**2, sigma))
    return pd.DataFrame(rows, columns=["grp", "var1", "var2", "vcov", "sdcor"])


def modes_table(
    terms: Sequence[RandomTerm], modes: Sequence[np.ndarray], sds: Sequence[np.ndarray]
) -> pd.DataFrame:
    """One row per random effect: its term, its column, its level, its mode and conditional sd."""
    parts = [
        pd.DataFrame(
            {
                "grp": label,
                "effect": name,
                "level": term.levels,
                "mode": mode[:, column],
                "sd": sd[:, column],
            }
        )
        for label, term, mode, sd in zip(group_labels(terms), terms, modes, sds, strict=True)
        for column, name in enumerate(term.columns)
    ]
    return pd.concat(parts, ignore_index=True)


def modes_by_group(
    terms: Sequence[RandomTerm], modes: Sequence[np.ndarray]
) -> dict[str, pd.DataFrame]:
    """Per grouping factor its levels as rows and the columns of all of its terms, as lme4's ranef."""
    tables: dict[str, pd.DataFrame] = {}
    for term, mode in zip(terms, modes, strict=True):
        index = pd.Index(term.levels, name=term.group)
        table = pd.DataFrame(mode, index=index, columns=list(term.columns))
        tables[term.group] = tables[term.group].join(table) if term.group in tables else table
    return tables


# ---------------------------------------------------------------------------------------------
# Text


def random_effects_text(
    terms: Sequence[RandomTerm], covariances: Sequence[np.ndarray], sigma: float | None
) -> str:
    """The block of a summary on variances, with correlations beside them."""
    rows = [("Groups", "Name", "Variance", "Std.Dev.", "Corr")]
    for label, term, covariance in zip(group_labels(terms), terms, covariances, strict=True):
        sd = np.sqrt(np.diagonal(covariance))
        for i, name in enumerate(term.columns):
            products = sd[i] * sd[:i]
            correlations = [
                f"{value / product:5.2f}" if product > 0 else "  NaN"
                for value, product in zip(covariance[i, :i], products, strict=True)
            ]
            group = label if i == 0 else ""
            rows.append((group, name, f"{sd[i] ** 2:.5g}", f"{sd[i]:.5g}", " ".join(correlations)))
    if sigma is not None:
        rows.append(("Residual", "", f"{sigma**2:.5g}", f"{sigma:.5g}", ""))
    return "\n".join(["Random effects:", *_aligned(rows, "<<>><")])


def groups_text(n: int, missing: int, terms: Sequence[RandomTerm]) -> str:
    """How many observations and levels there are."""
    levels = {term.group: len(term.levels) for term in terms}
    text = f"Number of obs: {n}, groups: " + "; ".join(f"{g}, {m}" for g, m in levels.items())
    return text + (f"\n({missing} rows with missing values left out)" if missing else "")


def fixed_effects_text(table: pd.DataFrame, headers: Sequence[str]) -> str:
    """The block of a summary on fixed effects: estimates and what follows from them."""
    rows = [("", *headers)]
    for name, values in table.iterrows():
        rows.append(
            (
                str(name),
                *(f"{value:.4f}" if abs(value) < 1e6 else f"{value:.6g}" for value in values),
            )
        )
    return "\n".join(["Fixed effects:", *_aligned(rows, "<" + ">" * len(headers))])


def quantiles_text(title: str, values: np.ndarray) -> str:
    """The five numbers of a summary of residuals."""
    names = ("Min", "1Q", "Median", "3Q", "Max")
    numbers = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    return "\n".join([title, *_aligned([names, tuple(f"{x:.4f}" for x in numbers)], ">>>>>")])


def correlations_text(names: Sequence[str], vcov: np.ndarray) -> str:
    """The correlations of the fixed effects, lower triangle; empty for fewer than two of them."""
    if not 2 <= len(names) <= 12:
        return ""
    sd = np.sqrt(np.diagonal(vcov))
    short = [name[:8] for name in names]
    rows = [("", *short[:-1])]
    for i in range(1, len(names)):
        cells = [
            f"{vcov[i, j] / (sd[i] * sd[j]):.3f}" if j < i else "" for j in range(len(names) - 1)
        ]
        rows.append((names[i], *cells))
    return "\n".join(
        ["Correlation of fixed effects:", *_aligned(rows, "<" + ">" * (len(names) - 1))]
    )


def _aligned(rows: Sequence[tuple[str, ...]], sides: str) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        " "
        + " ".join(
            f"{cell:{side}{w}}" for cell, side, w in zip(row, sides, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def remarks_text(
    converged: bool, singular: bool, gradient_norm: float, aliased: Sequence[str]
) -> str:
    """What a reader should know of how the fit ended; empty if there is nothing."""
    lines = []
    if aliased:
        lines.append(
            f"Left out of the fixed effects, being spanned by others: {', '.join(aliased)}."
        )
    if singular:
        lines.append(
            "The fit is singular: a variance is zero or a correlation 1 or -1. This is a boundary estimate, "
            "not a failure:\nthe data show no variation there beyond that of the residuals."
        )
    if not converged:
        lines.append(
            f"The search for theta did NOT converge (norm of the gradient {gradient_norm:.1e}): do not trust "
            "these numbers."
        )
    return "\n".join(lines)
