"""Stencils: colorings of lattices by a linear form of the coordinates, optimal where greedy ones are not.

The columns of a stencil are the points of a lattice: index j stands for the coordinates (j // s) mod size,
one for each of the strides s = 1, N, N M, ..., in whatever order the axes, or several unknowns at a point,
are laid out. Offsets i - j that repeat betray the strides. A homomorphism from coordinates to an abelian
group of k elements, such as

    (i + 2 j) mod 5    for the 5-point stencil         (i + 2 j + 3 k) mod 7    for the 7-point one,

is a coloring of columns with k colors if no difference of two points in the same row goes to zero. There are
few such differences and few homomorphisms, so all are tried for the smallest k; the rows they are tried
on are those at corners, edges, faces and inside, as far as the coordinates are guessed right. What comes out
is a proposal, to be checked against all of the pattern.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from elimax._structure import _native_coloring as native
from elimax._structure._native_coloring import Columns

_MOST_OFFSETS = 128
# More guesses at the coordinates, or more kinds of rows, betray a pattern that is no lattice.
_MOST_CHARTS = 40
_MOST_KINDS = 250
_MOST_HOMOMORPHISMS = 150_000
_MOST_AXES = 4
# The coordinates that points are sampled at: so many at either end of an axis, twice as many in its middle.
_SAMPLED = 3


class Chart(NamedTuple):
    """One guess at the coordinates of the columns.

    **Attributes:**

    - `strides`, `sizes`: of the axes, the first with stride 1.
    - `sample`: the points whose rows are looked at.
    - `own`: [v, axis], the differences between the points of a row and the row's own point.
    - `mutual`: [p, axis], the differences between two points of a row.
    """

    strides: tuple[int, ...]
    sizes: tuple[int, ...]
    sample: np.ndarray
    own: np.ndarray
    mutual: np.ndarray

    def coordinates(self, points: np.ndarray) -> np.ndarray:
        return _coordinates(points, self.strides, self.sizes)


class Proposal(NamedTuple):
    """A homomorphism from the coordinates of a chart to the product of cyclic groups of orders `moduli`."""

    chart: Chart
    moduli: tuple[int, ...]
    images: np.ndarray  # [axis, component]

    def colors(self, points: np.ndarray) -> np.ndarray:
        """The colors of these points."""
        result = np.zeros(points.size, np.int64)
        x = self.chart.coordinates(points)
        for modulus, image in zip(self.moduli, self.images.T, strict=True):
            result = result * modulus + x @ image % modulus
        return result.astype(np.int32)


def charts(rows: Columns) -> list[Chart]:
    """Guesses at the coordinates, the most plausible first, of a square pattern given by its rows; none if it
    has too many diagonals."""
    m, n = rows.shape
    offsets = _offsets(rows)
    if m != n or offsets.size > _MOST_OFFSETS:
        return []
    distances = np.unique(np.abs(offsets))
    strides = [int(s) for s in distances if s > 1 and n % s == 0]
    found: list[tuple[int, ...]] = []
    for length in range(min(_MOST_AXES, len(strides) + 1)):
        for chain in itertools.combinations(strides, length):
            if all(b % a == 0 for a, b in itertools.pairwise(chain)):
                found.append((1, *chain))
    drawn = []
    for chain in found[:_MOST_CHARTS]:
        guess = _chart(rows, chain)
        if guess is not None:
            drawn.append(guess)
    drawn.sort(key=lambda guess: guess[0])
    return [chart for _, chart in drawn]


@dataclasses.dataclass
class Effort:
    """How many products of coordinates and images are left to be computed."""

    left: int


def proposals(chart: Chart, k: int, mutual: bool, effort: Effort) -> Iterator[Proposal]:
    """Every homomorphism to a group of k elements that sends no `mutual`, or no `own`, difference to zero, as
    long as the effort lasts."""
    d = len(chart.strides)
    if k**d > _MOST_HOMOMORPHISMS:
        return
    differences = chart.mutual if mutual else chart.own
    for moduli in _groups(k):
        elements = np.stack(np.unravel_index(np.arange(k), moduli), axis=-1)
        images = np.stack(np.unravel_index(np.arange(k**d), (k,) * d), axis=-1)
        for difference in differences:
            effort.left -= elements[0].size * images.size
            if effort.left < 0:
                return
            image = (difference[:, None] * elements[images]).sum(1) % moduli
            images = images[image.any(1)]
            if not images.size:
                break
        for image in images:
            yield Proposal(chart, moduli, elements[image])


def _offsets(rows: Columns) -> np.ndarray:
    """The distinct differences between column and row of an entry; too many of them if they are too many."""
    m, n = rows.shape
    row = np.repeat(np.arange(n, dtype=np.int32), np.diff(rows.pointers))
    seen = np.zeros(m + n + 1, bool)
    # A part first, which is enough to tell what has no structure.
    for part in (slice(10_000), slice(None)):
        seen[rows.rows[part] - row[part] + n] = True
        offsets = np.flatnonzero(seen) - n
        if offsets.size > _MOST_OFFSETS:
            break
    return offsets


def _coordinates(
    points: np.ndarray, strides: tuple[int, ...], sizes: tuple[int, ...]
) -> np.ndarray:
    return np.stack([points // s % size for s, size in zip(strides, sizes, strict=True)], axis=-1)


def _chart(rows: Columns, strides: tuple[int, ...]) -> tuple[float, Chart] | None:
    """The chart with these strides, and how far apart the points of a row are on it, in the mean; None if
    there are too many kinds of rows on it."""
    n = rows.shape[1]
    sizes = tuple(b // a for a, b in itertools.pairwise((*strides, n)))
    axes = [_ends_and_middle(size) * s for s, size in zip(strides, sizes, strict=True)]
    sample = np.zeros(1, np.int64)
    for axis in axes:
        sample = (axis[:, None] + sample).ravel()
    lengths = np.diff(rows.pointers)[sample]
    row = np.repeat(np.arange(sample.size), lengths)
    start = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    point = rows.rows[np.arange(row.size) + (rows.pointers[sample] - start)[row]]
    apart = _coordinates(point, strides, sizes) - _coordinates(sample[row], strides, sizes)
    far = np.minimum(np.abs(apart), np.array(sizes) - np.abs(apart)).sum() / max(1, row.size)
    own, number = np.unique(apart, axis=0, return_inverse=True)
    number = number.reshape(-1)
    # Rows with the same differences are told by a sum of random weights, and looked at once.
    weight = np.random.default_rng(0).random(len(own))
    code = np.bincount(row, weight[number], minlength=sample.size)
    _, kinds = np.unique(code, return_index=True)
    if kinds.size > _MOST_KINDS or len(own) > _MOST_OFFSETS:
        return None
    together = np.zeros((len(own), len(own)), bool)
    for r in kinds:
        of_row = number[start[r] : start[r] + lengths[r]]
        together[of_row[:, None], of_row] = True
    first, second = np.nonzero(np.triu(together, 1))
    mutual = np.unique(own[second] - own[first], axis=0)
    own = own[own.any(1)]
    return float(far), Chart(strides, sizes, sample, _small_first(own), _small_first(mutual))


def _ends_and_middle(size: int) -> np.ndarray:
    if size <= 5 * _SAMPLED:
        return np.arange(size)
    end, middle = np.arange(_SAMPLED), np.arange(2 * _SAMPLED)
    return np.concatenate([end, size // 2 + middle, size - _SAMPLED + end])


def _small_first(differences: np.ndarray) -> np.ndarray:
    """One of each pair of opposite differences."""
    if not differences.size:
        return differences
    leading = np.take_along_axis(differences, (differences != 0).argmax(1)[:, None], axis=1)
    one_of_pair = np.unique(differences * np.sign(leading), axis=0)
    return one_of_pair[np.argsort(np.abs(one_of_pair).sum(1), kind="stable")]


def _groups(k: int, divisor: int = 1) -> Iterator[tuple[int, ...]]:
    """The abelian groups of k elements, by orders of cyclic groups of which each divides the next."""
    if k % divisor == 0 and (k > 1 or divisor == 1):
        yield (k,)
    for first in range(2, k):
        if k % first == 0 and first % divisor == 0:
            yield from ((first, *rest) for rest in _groups(k // first, first))


def induced(rows: Columns, points: np.ndarray) -> tuple[Columns, np.ndarray]:
    """The part of a symmetric pattern between these points, and the lower entry of each of its entries."""
    points = np.unique(points)
    lengths = np.diff(rows.pointers)[points]
    column = np.repeat(np.arange(points.size), lengths)
    start = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    old = rows.rows[np.arange(column.size) + (rows.pointers[points] - start)[column]]
    new = np.searchsorted(points, old)
    inside = points[np.minimum(new, points.size - 1)] == old
    row, column = new[inside].astype(np.int32), column[inside]
    pointers = np.concatenate([[0], np.cumsum(np.bincount(column, minlength=points.size))])
    part = Columns((points.size, points.size), pointers.astype(np.int32), row)
    _, source = native.transpose(part)
    lower = row >= column
    number = np.cumsum(lower) - 1
    return part, np.where(lower, number, number[source]).astype(np.int32)
