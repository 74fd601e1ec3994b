"""Products and sums of layouts: which values meet, where the results lie, and how many operations that takes.

Nothing here looks at numbers. A plan tells how values are read, multiplied and added; `structured.py` does
so.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from elimax._jacobian.elimination.layout import (
    Attachment,
    Layout,
    coordinates_of,
    factored,
    keys,
    layout,
    unraveled,
)


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a value is brought onto other index axes.

    **Attributes:**

    - `groups`: for every new axis, the old ones that are flattened into it.
    - `indices`: for every new axis, the position that is read for each of its own, -1 for a zero; None for
        all of them in order.
    - `sizes`, `lengths`: of the old index axes, and of the value along them.
    """

    groups: tuple[tuple[int, ...], ...]
    indices: tuple[np.ndarray | None, ...]
    sizes: tuple[int, ...]
    lengths: tuple[int, ...]

    @functools.cached_property
    def varies(self) -> tuple[bool, ...]:
        """Whether the new value depends on the position along each new axis."""
        return tuple(
            any(self.lengths[k] != 1 for k in group)
            or (index is not None and bool((index < 0).any()))
            for group, index in zip(self.groups, self.indices, strict=True)
        )

    @functools.cached_property
    def whole(self) -> tuple[int, ...]:
        """How many positions there are in each group of old axes."""
        return tuple(math.prod(self.sizes[k] for k in group) for group in self.groups)

    @functools.cached_property
    def result(self) -> tuple[int, ...]:
        """The lengths of the new value."""
        return tuple(
            (n if index is None else index.size) if varies else 1
            for n, index, varies in zip(self.whole, self.indices, self.varies, strict=True)
        )


def _reading(
    L: Layout, groups: Sequence[Sequence[int]], indices: Sequence[np.ndarray | None]
) -> Reading:
    return Reading(tuple(map(tuple, groups)), tuple(indices), L.sizes, L.lengths)


def _none_if_all(index: np.ndarray, n: int) -> np.ndarray | None:
    return None if index.size == n and np.array_equal(index, np.arange(n)) else index


# -- products


@dataclasses.dataclass(frozen=True)
class Joint:
    """An index axis of a product: a letter of an einsum.

    **Attributes:**

    - `size`: how many pairs of positions of the two factors there are.
    - `left`, `right`: index axes of the factors, if they have a part in it, and what is read along them.
    - `made`: the sizes of the index axes of the result that it turns into; None if it is summed over.
    - `merged`: the entry of the result that every pair adds to, if several add to one.
    """

    size: int
    left: tuple[int, ...] | None
    right: tuple[int, ...] | None
    left_index: np.ndarray | None = None
    right_index: np.ndarray | None = None
    made: tuple[int, ...] | None = None
    merged: np.ndarray | None = None

    @property
    def stored(self) -> int:
        """How many entries of the result it stands for."""
        return 1 if self.made is None else math.prod(self.made)


@dataclasses.dataclass(frozen=True)
class Product:
    """How two values are multiplied.

    **Attributes:**

    - `joints`: the letters.
    - `left`, `right`: how the factors are read; along `left_letters` and `right_letters` then.
    - `layout`: of the result.
    - `muls`, `adds`: scalar operations.
    """

    joints: tuple[Joint, ...]
    left: Reading
    right: Reading
    left_letters: tuple[int, ...]
    right_letters: tuple[int, ...]
    layout: Layout
    muls: int
    adds: int

    @property
    def lengths(self) -> tuple[int, ...]:
        """Of the elementwise product along the letters."""
        found = [1] * len(self.joints)
        for letters, reading in (
            (self.left_letters, self.left),
            (self.right_letters, self.right),
        ):
            for k, n in zip(letters, reading.result, strict=True):
                found[k] = n if n != 1 else found[k]
        return tuple(found)


def product(L: Layout, R: Layout) -> Product:
    """L R: the chain rule, where R is the derivative of what L is differentiated by.

    **Cost:** a sort of the entries along index axes whose maps are not identities; else nothing.
    """
    n_out = L.split
    shape = L.out_shape + R.in_shape
    joints: list[Joint] = []
    placed: list[tuple[list[int], list[Attachment]]] = []  # axes of the result, by joint
    pairs, alone_left, alone_right = _components(L, R)
    for k in alone_left:
        joints.append(Joint(L.sizes[k], (k,), None, made=(L.sizes[k],)))
        axes = [a for a in L.on(k) if a < n_out]
        placed.append((axes, [(0, _map(L, a)) for a in axes]))
    for P, Q, middle in pairs:
        joint, axes, at = _joined(L, R, P, Q, middle)
        joints.append(joint)
        placed.append((axes, at))
    for k in alone_right:
        joints.append(Joint(R.sizes[k], None, (k,), made=(R.sizes[k],)))
        mine = [a for a in R.on(k) if a >= R.split]
        placed.append(([n_out + a - R.split for a in mine], [(0, _map(R, a)) for a in mine]))

    letters_left = [k for k, j in enumerate(joints) if j.left is not None]
    letters_right = [k for k, j in enumerate(joints) if j.right is not None]
    left = _reading(
        L,
        [joints[k].left or () for k in letters_left],
        [joints[k].left_index for k in letters_left],
    )
    right = _reading(
        R,
        [joints[k].right or () for k in letters_right],
        [joints[k].right_index for k in letters_right],
    )
    plan = Product(tuple(joints), left, right, tuple(letters_left), tuple(letters_right), L, 0, 0)
    sizes: list[int] = []
    lengths: list[int] = []
    on: list[Attachment | None] = [None] * len(shape)
    stored = 1
    for joint, n, (axes, at) in zip(joints, plan.lengths, placed, strict=True):
        if joint.made is None:
            continue
        for a, (k, index) in zip(axes, at, strict=True):
            on[a] = (len(sizes) + k, index)
        varies = n != 1 or joint.merged is not None
        sizes += joint.made
        lengths += joint.made if varies else [1] * len(joint.made)
        stored *= joint.stored if varies else 1
    made = layout(L.out_shape, R.in_shape, sizes, on, lengths)
    muls = math.prod(plan.lengths)
    return dataclasses.replace(plan, layout=made, muls=muls, adds=max(0, muls - stored))


def _map(L: Layout, axis: int) -> np.ndarray | None:
    at = L.attached[axis]
    return None if at is None else at[1]


def _components(
    L: Layout, R: Layout
) -> tuple[list[tuple[list[int], list[int], list[int]]], list[int], list[int]]:
    """Index axes of both that meet on axes of the middle array, with these; and those that meet none."""
    groups: list[tuple[set[int], set[int], list[int]]] = []
    for m in range(R.split):
        at_left, at_right = L.attached[L.split + m], R.attached[m]
        if at_left is None or at_right is None:
            continue
        P, Q, middle = {at_left[0]}, {at_right[0]}, [m]
        apart = []
        for group in groups:
            if group[0] & P or group[1] & Q:
                P, Q, middle = P | group[0], Q | group[1], group[2] + middle
            else:
                apart.append(group)
        groups = [*apart, (P, Q, middle)]
    used_left = set().union(*(g[0] for g in groups))
    used_right = set().union(*(g[1] for g in groups))
    return (
        [(sorted(P), sorted(Q), sorted(middle)) for P, Q, middle in groups],
        [k for k in range(len(L.sizes)) if k not in used_left],
        [k for k in range(len(R.sizes)) if k not in used_right],
    )


def _joined(
    L: Layout, R: Layout, P: list[int], Q: list[int], middle: list[int]
) -> tuple[Joint, list[int], list[Attachment]]:
    """The pairs of positions on P and on Q that stand for the same place in the middle."""
    n_out = L.split
    out = [a for k in P for a in L.on(k) if a < n_out]
    into = [a for k in Q for a in R.on(k) if a >= R.split]
    axes = [*out, *(n_out + a - R.split for a in into)]
    maps = [_map(L, n_out + m) for m in middle] + [_map(R, m) for m in middle]
    maps += [_map(L, a) for a in out] + [_map(R, a) for a in into]
    if len(P) == len(Q) == 1 and all(index is None for index in maps):
        size = L.sizes[P[0]]
        at: list[Attachment] = [(0, None)] * len(axes)
        return Joint(size, (P[0],), (Q[0],), made=(size,) if axes else None), axes, at
    order = sorted(range(len(axes)), key=axes.__getitem__)
    p, q = _pairs(L, R, P, Q, middle)
    found = [c[p] for c in coordinates_of(L, P, out)] + [c[q] for c in coordinates_of(R, Q, into)]
    found, axes = [found[k] for k in order], [axes[k] for k in order]
    dims = [(L.out_shape + R.in_shape)[a] for a in axes]
    made, merged = None, None
    at = []
    if axes:
        key = keys(found, dims, p.size)
        if (key[1:] < key[:-1]).any():
            by_key = np.argsort(key, kind="stable")
            p, q, key = p[by_key], q[by_key], key[by_key]
            found = [c[by_key] for c in found]
        first = np.ones(key.size, bool)
        first[1:] = key[1:] != key[:-1]
        if not first.all():
            merged = np.cumsum(first) - 1
            found = [c[first] for c in found]
        sizes, at = factored(found, dims, int(first.sum()))
        made = tuple(sizes)
    p_read, q_read = _none_if_all(p, _positions(L, P)), _none_if_all(q, _positions(R, Q))
    return Joint(p.size, tuple(P), tuple(Q), p_read, q_read, made, merged), axes, at


def _pairs(
    L: Layout, R: Layout, P: list[int], Q: list[int], middle: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    dims = [R.shape[m] for m in middle]
    n_left, n_right = _positions(L, P), _positions(R, Q)
    left = keys(coordinates_of(L, P, [L.split + m for m in middle]), dims, n_left)
    right = keys(coordinates_of(R, Q, middle), dims, n_right)
    order = np.argsort(right, kind="stable")
    ordered = right[order]
    start = np.searchsorted(ordered, left, "left")
    count = np.searchsorted(ordered, left, "right") - start
    p = np.repeat(np.arange(left.size), count)
    within = np.arange(p.size) - np.repeat(np.cumsum(count) - count, count)
    return p, order[np.repeat(start, count) + within]


# -- sums


@dataclasses.dataclass(frozen=True)
class Sum:
    """How two values are added.

    **Attributes:**

    - `left`, `right`: how the terms are read.
    - `layout`: of the result, of whose value a term may lack lengths, to be broadcast.
    - `adds`: scalar additions: the entries that both terms have.
    """

    left: Reading
    right: Reading
    layout: Layout
    adds: int


def add(L: Layout, R: Layout) -> Sum:
    """The union of two layouts of the same shape.

    Where they are alike nothing moves. Index axes in which they differ become one list of coordinates, or
    dense if at least half of it would be filled.

    **Cost:** a sort of the entries along index axes in which they differ.
    """
    if L is R:
        plain = _reading(L, [[k] for k in range(len(L.sizes))], [None] * len(L.sizes))
        return Sum(plain, plain, L, math.prod(L.lengths))
    alike, left_rest, right_rest, axes = _differences(L, R)
    sizes = [L.sizes[k] for k, _ in alike]
    on: list[Attachment | None] = [None] * len(L.shape)
    for number, (k, _) in enumerate(alike):
        for a in L.on(k):
            on[a] = (number, _map(L, a))
    left_groups, right_groups = [[k] for k, _ in alike], [[k] for _, k in alike]
    left_indices: list[np.ndarray | None] = [None] * len(alike)
    right_indices: list[np.ndarray | None] = [None] * len(alike)
    both = 1
    if left_rest or right_rest:
        dims = [L.shape[a] for a in axes]
        left = keys(coordinates_of(L, left_rest, axes), dims, _positions(L, left_rest))
        right = keys(coordinates_of(R, right_rest, axes), dims, _positions(R, right_rest))
        union = np.union1d(left, right)
        both = left.size + right.size - union.size
        if 2 * union.size >= math.prod(dims):
            union = np.arange(math.prod(dims))
        made, at = factored(unraveled(union, dims), dims, union.size)
        for a, (k, index) in zip(axes, at, strict=True):
            on[a] = (len(alike) + k, index)
        sizes += made
        left_groups.append(left_rest)
        right_groups.append(right_rest)
        left_indices.append(_placed(left, union))
        right_indices.append(_placed(right, union))
    readings = _reading(L, left_groups, left_indices), _reading(R, right_groups, right_indices)
    lengths = [
        m if m != 1 else n for m, n in zip(readings[0].result, readings[1].result, strict=True)
    ]
    adds = both * math.prod(lengths[: len(alike)])
    if left_rest or right_rest:
        made = sizes[len(alike) :]
        lengths[len(alike) :] = made if lengths[-1] != 1 else [1] * len(made)
    return Sum(*readings, layout(L.out_shape, L.in_shape, sizes, on, lengths), adds)


def _placed(found: np.ndarray, union: np.ndarray) -> np.ndarray | None:
    """Where in `found`, within the sorted `union`, each element of that is; -1 for those it lacks."""
    index = np.full(union.size, -1)
    index[np.searchsorted(union, found)] = np.arange(found.size)
    return _none_if_all(index, found.size)


def _differences(
    L: Layout, R: Layout
) -> tuple[list[tuple[int, int]], list[int], list[int], list[int]]:
    """Pairs of equal index axes; the other index axes of both, and the axes on those."""
    alike = []
    for k in range(len(L.sizes)):
        on = L.on(k)
        at = R.attached[on[0]] if on else None
        if at is None or L.sizes[k] != R.sizes[at[0]] or R.on(at[0]) != on:
            continue
        if all(_same(_map(L, a), _map(R, a)) for a in on):
            alike.append((k, at[0]))
    left, right = {k for k, _ in alike}, {k for _, k in alike}
    left_rest = [k for k in range(len(L.sizes)) if k not in left]
    right_rest = [k for k in range(len(R.sizes)) if k not in right]
    axes = {a for k in left_rest for a in L.on(k)} | {a for k in right_rest for a in R.on(k)}
    return alike, left_rest, right_rest, sorted(axes)


def _positions(L: Layout, index_axes: Sequence[int]) -> int:
    return math.prod(L.sizes[k] for k in index_axes)


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        return a is b
    return a is b or np.array_equal(a, b)
