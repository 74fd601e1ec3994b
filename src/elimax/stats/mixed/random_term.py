"""Random terms (columns | group) as arrays, and their templates Lambda(theta).

The coefficients of a term with k columns and m levels are b = (I_m kron T) u with u ~ N(0, I): T is k x k,
lower triangular, and T T^T the covariance of one level's coefficients relative to the residual variance
(for a model without one, the covariance itself). theta holds the lower triangles of all T, column by column,
term after term; Lambda(theta) is block diagonal with a copy of T per level.

Source: Bates, Maechler, Bolker and Walker, JSS 67(1), 2015, section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Array, Float

Sizes = tuple[tuple[int, int], ...]  # per term: levels, columns


@dataclass(frozen=True, eq=False, repr=False)
class RandomTerm:
    """A random term (columns | group): every level has one coefficient per column.

    **Attributes:**

    - `group`: the name of the grouping factor, as "batch:cask".
    - `levels`: the labels of its levels, (levels,).
    - `codes`: the level of every observation, integers (n,).
    - `design`: the values of the columns, (n, k).
    - `columns`: their names.
    """

    group: str
    levels: np.ndarray
    codes: np.ndarray
    design: np.ndarray
    columns: tuple[str, ...] = ("(Intercept)",)

    @classmethod
    def from_labels(
        cls,
        group: str,
        labels: np.ndarray,
        design: np.ndarray,
        columns: tuple[str, ...] = ("(Intercept)",),
    ) -> RandomTerm:
        """The term whose levels are the sorted distinct `labels`, (n,)."""
        levels, codes = np.unique(labels, return_inverse=True)
        return cls(group, levels, codes, design, columns)

    @property
    def size(self) -> tuple[int, int]:
        """Levels, and columns."""
        return len(self.levels), self.design.shape[1]


def starts(sizes: Sequence[tuple[int, int]]) -> np.ndarray:
    """Where the coefficients of each term start in b, and where the last one ends."""
    return np.cumsum([0] + [levels * k for levels, k in sizes])


def triangle(k: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows and columns of a lower triangle, column by column."""
    column, row = np.triu_indices(k)
    return row, column


def count(sizes: Sizes) -> int:
    """How many components theta has."""
    return sum(k * (k + 1) // 2 for _, k in sizes)


def templates(sizes: Sizes, theta: Float[Array, " t"] | np.ndarray) -> list[Any]:
    """The Cholesky factors T of the relative covariances, (k, k), one per term.

    NumPy arrays of a NumPy theta, traced ones of a traced one. **Derivative:** linear.
    """
    result, start = [], 0
    for _, k in sizes:
        row, column = triangle(k)
        place = np.zeros((k, k), int)
        place[row, column] = start + np.arange(len(row))
        result.append(theta[place] * np.tri(k, dtype=theta.dtype))
        start += len(row)
    return result


def on_diagonal(sizes: Sizes) -> np.ndarray:
    """Which components of theta are diagonal entries of a template."""
    triangles = [triangle(k) for _, k in sizes]
    return np.concatenate([row == column for row, column in triangles])


def identity(sizes: Sizes) -> np.ndarray:
    """The theta of Lambda = I."""
    return on_diagonal(sizes).astype(float)


def template_columns(sizes: Sizes) -> list[np.ndarray]:
    """The components of theta in each column of each template, its diagonal entry first."""
    columns, start = [], 0
    for _, k in sizes:
        for length in range(k, 0, -1):
            columns.append(np.arange(start, start + length))
            start += length
    return columns


def with_positive_diagonals(sizes: Sizes, theta: np.ndarray) -> np.ndarray:
    """The same covariances with columns of the templates reversed where their diagonal is negative."""
    theta = theta.copy()
    for column in template_columns(sizes):
        if theta[column[0]] < 0:
            theta[column] *= -1
    return theta + 0.0  # no -0


def theta_names(terms: Sequence[RandomTerm]) -> list[str]:
    """Of every component, as lme4 has it: "Subject.(Intercept)", "Subject.Days.(Intercept)"."""
    names = []
    for term in terms:
        for row, column in zip(*triangle(len(term.columns)), strict=True):
            effects = dict.fromkeys((term.columns[row], term.columns[column]))
            names.append(".".join((term.group, *effects)))
    return names
