"""Fields on a line: independent elements, random walks of order 1 and 2, seasonal patterns.

Source: Rue and Held, Gaussian Markov Random Fields (2005), sections 3.3 and 3.4; Lindgren and Rue, Scand. J.
Statist. 35 (2008), for the RW2 in continuous time.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import ArrayLike, Float

from elimax.stats.gaussian import NullSpace
from elimax.stats.precision.family import Precision, count, structured
from elimax.stats.precision.scaling import scaled


def iid(n: int) -> Precision:
    """Independent elements: tau I. Hyperparameter: tau, their precision."""
    return structured("iid", sp.eye_array(count("n", n)), None, 0)


def rw1(
    positions: int | Float[ArrayLike, " n"],
    cyclic: bool = False,
    period: float | None = None,
    scale: bool = False,
) -> Precision:
    """Random walk: steps x_{i+1} - x_i ~ N(0, d_i / tau) over gaps d_i. Null space: the level.

    **Arguments:**

    - `positions`: how many elements, one apart; or increasing positions.
    - `cyclic`: whether a step leads from the last element to the first one.
    - `period`: of cyclic positions; by default the last gap is the mean of the others.
    - `scale`: R scaled so that the geometric mean of the marginal variances is 1 at tau = 1 (Sorbye and Rue
      2014).

    Hyperparameter: tau, the precision of a step over one unit (of R scaled: about that of an element).

    **Raises:** `TypeError` and `ValueError` for positions that do not increase, or too few of them.
    """
    _, gaps = _positions(positions, cyclic, period, least=3 if cyclic else 2)
    D = _differences(gaps, cyclic)
    R = D.T @ sp.diags_array(1 / gaps) @ D
    return _walk("rw1", R, NullSpace.constant(R.shape[0]), scale)


def rw2(
    positions: int | Float[ArrayLike, " n"],
    cyclic: bool = False,
    period: float | None = None,
    scale: bool = False,
) -> Precision:
    """Random walk of order 2: second differences x_{i-1} - 2 x_i + x_{i+1} ~ N(0, 1 / tau).

    For positions that are not one apart it is the Galerkin approximation of the integrated Wiener process.
    Null space: level and slope (cyclic: the level).

    **Arguments:** as for `rw1`. Hyperparameter: tau, the precision of a second difference over unit gaps.

    **Raises:** `TypeError` and `ValueError` for positions that do not increase, or fewer than 3.
    """
    t, gaps = _positions(positions, cyclic, period, least=3)
    n = t.size
    D = _differences(gaps, cyclic)
    slopes = sp.diags_array(1 / gaps) @ D
    if cyclic:
        turns = sp.csr_array(sp.eye_array(n) - sp.eye_array(n).tocsr()[np.arange(n) - 1])
        width = (gaps + np.roll(gaps, 1)) / 2
    else:
        turns = _differences(gaps[1:], False)
        width = (gaps[1:] + gaps[:-1]) / 2
    H = turns @ slopes
    R = H.T @ sp.diags_array(1 / width) @ H
    space = NullSpace.constant(n) if cyclic else NullSpace.polynomial(t, 1)
    return _walk("rw2", R, space, scale)


def seasonal(n: int, period: int) -> Precision:
    """Seasonal pattern: sums of `period` consecutive elements ~ N(0, 1 / tau). Hyperparameter: tau.

    Null space: all patterns of this period that sum to zero, period - 1 of them.

    **Raises:** `TypeError` and `ValueError` for n < period or a period below 2.
    """
    m = count("period", period, 2)
    n = count("n", n, m)
    S = sp.diags_array([np.ones(n - m + 1)] * m, offsets=range(m), shape=(n - m + 1, n))
    seasons = (np.arange(n)[:, None] % m == np.arange(m - 1)).astype(float)
    last = (np.arange(n) % m == m - 1).astype(float)
    return structured("seasonal", S.T @ S, NullSpace(seasons - last[:, None]), 0)


def _walk(name: str, R: Any, space: NullSpace, scale: bool) -> Precision:
    if scale:
        R = scaled(R, space, np.zeros(space.n, np.int64))
    return structured(name, R, space, 1)


def _positions(
    positions: Any, cyclic: bool, period: float | None, least: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and the gaps between them, round the circle if cyclic."""
    if isinstance(positions, int | np.integer) and not isinstance(positions, bool):
        t = np.arange(count("positions", positions, least), dtype=float)
        last = 1.0
    else:
        t = np.asarray(positions, np.float64)
        if t.ndim != 1 or t.size < least:
            raise ValueError(
                f"`positions` must be at least {least} numbers, or how many there are, got shape {t.shape}"
            )
        last = float(np.mean(np.diff(t)))
    gaps = np.diff(t)
    if cyclic:
        gaps = np.append(gaps, last if period is None else period - (t[-1] - t[0]))
    if not (gaps > 0).all():
        i = int(np.argmin(gaps > 0))
        raise ValueError(
            f"`positions` must increase (and stay within a period), but the gap after element {i} is "
            f"{gaps[i]}"
        )
    return t, gaps


def _differences(gaps: np.ndarray, cyclic: bool) -> sp.csr_array:
    """x_{i+1} - x_i, a row for each gap."""
    n = gaps.size + (not cyclic)
    row = np.arange(gaps.size)
    ones = np.ones(gaps.size)
    entries = np.concatenate([-ones, ones])
    columns = np.concatenate([row, (row + 1) % n])
    return sp.csr_array((entries, (np.tile(row, 2), columns)), (gaps.size, n))
