"""Layouts: where the partial derivative of one array by another may be nonzero, told by index axes.

The derivative of an array of shape `out` by one of shape `in` is a tensor with the axes of both. It has one
value for every tuple p of positions on its *index axes*, and every axis a of the tensor is attached to one of
them, s(a), by a static map r_a (or by the identity):

    T[i_1, ..., i_k] = sum over p of  value[p] * prod over a of [ i_a == r_a[p_s(a)] ]

Two axes on one index axis are a Kronecker delta; an axis of its own is dense; a map selects, permutes or
repeats; one index axis under all axes is a list of coordinates. Axes of length 1 are attached to nothing. The
value has length 1 along index axes on which it does not depend.

All of this is integers: products, sums and their operation counts are planned here, and carried out on
numbers in `structured.py`.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Attachment = tuple[int, np.ndarray | None]  # an index axis, and an index for each of its positions


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """The structure of a partial derivative; compared by content.

    **Attributes:**

    - `shape`: the axes of the differentiated array, then those of the array it is differentiated by.
    - `split`: how many of them are the former.
    - `sizes`: of the index axes.
    - `attached`: for every axis, its index axis and map (None: the identity); None if its length is 1.
    - `lengths`: of the value along each index axis: 1 or the size.

    No two positions stand for the same entry.
    """

    shape: tuple[int, ...]
    split: int
    sizes: tuple[int, ...]
    attached: tuple[Attachment | None, ...]
    lengths: tuple[int, ...]

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape[: self.split]

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape[self.split :]

    @property
    def nnz(self) -> int:
        """How many entries may be nonzero."""
        return math.prod(self.sizes)

    @functools.cached_property
    def key(self) -> Any:
        attached = tuple(
            a if a is None or a[1] is None else (a[0], a[1].tobytes()) for a in self.attached
        )
        return self.shape, self.split, self.sizes, self.lengths, attached

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Layout) and self.key == other.key)

    @functools.cached_property
    def _hash(self) -> int:
        return hash(self.key)

    def __hash__(self) -> int:
        return self._hash

    @property
    def constant(self) -> "Layout":
        """The same entries, of one value."""
        return dataclasses.replace(self, lengths=(1,) * len(self.sizes))

    @property
    def full(self) -> "Layout":
        """The same entries, each with a value of its own."""
        return dataclasses.replace(self, lengths=self.sizes)

    def transposed(self) -> "Layout":
        """The layout of the transpose, for the same value."""
        n = self.split
        return Layout(
            self.shape[n:] + self.shape[:n],
            len(self.shape) - n,
            self.sizes,
            self.attached[n:] + self.attached[:n],
            self.lengths,
        )

    def on(self, index_axis: int) -> list[int]:
        """The axes that are attached to an index axis."""
        return [a for a, at in enumerate(self.attached) if at is not None and at[0] == index_axis]


SCALAR = Layout((), 0, (), (), ())


def layout(
    out_shape: Sequence[int],
    in_shape: Sequence[int],
    sizes: Sequence[int],
    on: Sequence[int | Attachment | None],
    lengths: Sequence[int] | None = None,
) -> Layout:
    """A layout by the index axis of every axis; those of length 1 are detached, and index axes of length 1
    that are left with nothing attached are dropped.

    **Raises:** `ValueError` if an index axis of several positions would be left alone.
    """
    shape = (*out_shape, *in_shape)
    attached = [
        None if n == 1 or at is None else at if isinstance(at, tuple) else (int(at), None)
        for n, at in zip(shape, on, strict=True)
    ]
    used = sorted(
        {at[0] for at in attached if at is not None} | {k for k, n in enumerate(sizes) if not n}
    )
    if any(n > 1 for k, n in enumerate(sizes) if k not in used):
        raise ValueError(f"index axes {sizes} with nothing attached: {attached}")
    lengths = sizes if lengths is None else lengths
    return Layout(
        shape,
        len(out_shape),
        tuple(sizes[k] for k in used),
        tuple(None if at is None else (used.index(at[0]), at[1]) for at in attached),
        tuple(lengths[k] for k in used),
    )


def diagonal(shape: Sequence[int]) -> Layout:
    """Every element depends on the same element of an array of the same shape."""
    axes = list(range(len(shape)))
    return layout(shape, shape, shape, axes + axes)


def dense(out_shape: Sequence[int], in_shape: Sequence[int]) -> Layout:
    """Every element depends on every element."""
    shape = (*out_shape, *in_shape)
    return layout(out_shape, in_shape, shape, list(range(len(shape))))


def empty(out_shape: Sequence[int], in_shape: Sequence[int]) -> Layout:
    """Nothing depends on anything."""
    nowhere = np.zeros(0, np.int64)
    return layout(out_shape, in_shape, (0,), [(0, nowhere)] * (len(out_shape) + len(in_shape)))


def from_coordinates(
    out_shape: Sequence[int], in_shape: Sequence[int], rows: np.ndarray, columns: np.ndarray
) -> tuple[Layout, np.ndarray]:
    """The layout of given entries, by their positions in the raveled arrays, and the order of their values.

    Kronecker and dense factors are recognized where they are all that there is.
    """
    order = np.lexsort((columns, rows))
    coordinates = [*unraveled(rows[order], out_shape), *unraveled(columns[order], in_shape)]
    shape = (*out_shape, *in_shape)
    axes = [a for a, n in enumerate(shape) if n != 1]
    sizes, at = factored([coordinates[a] for a in axes], [shape[a] for a in axes], order.size)
    places = dict(zip(axes, at, strict=True))
    on = [places.get(a) for a in range(len(shape))]
    return layout(out_shape, in_shape, sizes, on), order


def factored(
    coordinates: Sequence[np.ndarray], dims: Sequence[int], count: int
) -> tuple[list[int], list[Attachment]]:
    """Index axes for entries in lexicographic order: one for every set of axes with equal coordinates if the
    entries are all combinations of these, else one for all."""
    classes: list[list[int]] = []
    for a, c in enumerate(coordinates):
        for members in classes:
            first = members[0]
            if dims[first] == dims[a] and np.array_equal(coordinates[first], c):
                members.append(a)
                break
        else:
            classes.append([a])
    sizes = [dims[members[0]] for members in classes]
    if math.prod(sizes) == count and classes:
        representatives = [coordinates[members[0]] for members in classes]
        if np.array_equal(keys(representatives, sizes, count), np.arange(count)):
            number = {a: k for k, members in enumerate(classes) for a in members}
            return sizes, [(number[a], None) for a in range(len(dims))]
    return [count], [(0, plain_map(c, n)) for c, n in zip(coordinates, dims, strict=True)]


def plain_map(index: np.ndarray, n: int) -> np.ndarray | None:
    """None for the identity."""
    if index.size == n and np.array_equal(index, np.arange(n)):
        return None
    index = np.ascontiguousarray(index, np.int64)
    index.flags.writeable = False
    return index


def keys(coordinates: Sequence[np.ndarray], dims: Sequence[int], count: int) -> np.ndarray:
    """One integer for each of `count` tuples of coordinates, in lexicographic order."""
    if math.prod(dims) >= 2**62:
        raise OverflowError(f"positions in an array of shape {tuple(dims)} do not fit 64 bits")
    key = np.zeros(count, np.int64)
    for c, n in zip(coordinates, dims, strict=True):
        key = key * n + c
    return key


def unraveled(key: np.ndarray, dims: Sequence[int]) -> list[np.ndarray]:
    """The coordinates of positions in a raveled array."""
    return list(np.unravel_index(key, tuple(dims))) if dims and key.size else [key] * len(dims)


def coordinates_of(L: Layout, index_axes: Sequence[int], axes: Sequence[int]) -> list[np.ndarray]:
    """Where the given axes are at every position of the given index axes, taken in row-major order."""
    sizes = [L.sizes[k] for k in index_axes]
    places = unraveled(np.arange(math.prod(sizes)), sizes)
    by_axis = dict(zip(index_axes, places, strict=True))
    found = []
    for a in axes:
        at = L.attached[a]
        assert at is not None
        found.append(by_axis[at[0]] if at[1] is None else at[1][by_axis[at[0]]])
    return found
