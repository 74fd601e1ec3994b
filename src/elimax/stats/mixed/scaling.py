"""Coordinates of theta in which the columns of random terms have no units.

A term's columns are D = D~ M with orthonormal columns of D~ / sqrt(n) and M lower triangular, so that
D T = D~ (M T), and M T is lower triangular as T is. Its entries say what the random effects add to the
response in residual standard deviations, whatever the columns are measured in: a search for them need not
know that x is a year or a concentration in moles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from elimax.stats.mixed.random_term import Sizes, count, templates, triangle

_DEPENDENT = 1e-7


def scale_of(design: np.ndarray) -> np.ndarray:
    """M, (k, k), of a term's columns (n, k); diagonal where these depend on each other."""
    n, k = design.shape
    size = np.linalg.norm(design, axis=0) / np.sqrt(n)
    size[size == 0] = 1.0
    reversed_ = np.asarray(np.linalg.qr(design[:, ::-1] / size[::-1], mode="r"))
    if len(reversed_) < k or np.min(np.abs(np.diagonal(reversed_))) < _DEPENDENT * np.sqrt(n):
        return np.diag(size)
    M = reversed_[::-1, ::-1] * size / np.sqrt(n)
    return M * np.sign(np.diagonal(M))[:, None]


@dataclass(frozen=True, eq=False, repr=False)
class Scaling:
    """theta = `unscale` @ scaled theta, (t, t)."""

    unscale: np.ndarray

    @classmethod
    def of(cls, sizes: Sizes, scales: Sequence[np.ndarray]) -> Scaling:
        """From the M of each term."""
        columns, triangles = [], [triangle(k) for _, k in sizes]
        for unit in np.eye(count(sizes)):
            parts = [
                scipy.linalg.solve_triangular(M, T, lower=True)[row, column]
                for M, T, (row, column) in zip(
                    scales, templates(sizes, unit), triangles, strict=True
                )
            ]
            columns.append(np.concatenate(parts))
        return cls(np.stack(columns, axis=1))

    def theta(self, scaled: np.ndarray) -> np.ndarray:
        """In the units of the columns, (t,)."""
        return self.unscale @ scaled

    def gradient(self, gradient: np.ndarray) -> np.ndarray:
        """With respect to scaled theta, from that with respect to theta."""
        return self.unscale.T @ gradient
