"""Partials of primitives that move elements along axes: each value is one."""

import math
from collections.abc import Sequence

import numpy as np

from elimax._jacobian.elimination.call import Call, Partial, one, rule
from elimax._jacobian.elimination.layout import Attachment, from_coordinates, layout, plain_map


@rule("broadcast_in_dim")
def _broadcast(call: Call, k: int, r: int) -> Partial:
    shape = call.results[0].shape
    on = [*range(len(shape)), *call.params["broadcast_dimensions"]]
    return one(layout(shape, call.operands[0].shape, shape, on))


@rule("transpose")
def _transpose(call: Call, k: int, r: int) -> Partial:
    shape, order = call.results[0].shape, call.params["permutation"]
    return one(
        layout(
            shape, call.operands[0].shape, shape, [*range(len(shape)), *np.argsort(order).tolist()]
        )
    )


@rule("squeeze")
def _squeeze(call: Call, k: int, r: int) -> Partial:
    shape, operand = call.results[0].shape, call.operands[0].shape
    kept = [a for a in range(len(operand)) if a not in call.params["dimensions"]]
    into: list[int | Attachment | None] = [None] * len(operand)
    for number, a in enumerate(kept):
        into[a] = number
    return one(layout(shape, operand, shape, [*range(len(shape)), *into]))


@rule("reshape")
def _reshape(call: Call, k: int, r: int) -> Partial:
    """Axes are split and joined within groups of equal size."""
    operand, result = call.operands[0].shape, call.results[0].shape
    order = call.params.get("dimensions")
    order = list(range(len(operand))) if order is None else list(order)
    read = [operand[a] for a in order]
    sizes: list[int] = []
    on: list[int | Attachment | None] = [None] * (len(result) + len(operand))
    if math.prod(result) == 0:
        return one(from_coordinates(result, operand, np.zeros(0, int), np.zeros(0, int))[0])
    i = j = 0
    while i < len(result) or j < len(read):
        ends = i + (i < len(result)), j + (j < len(read))
        while (m := math.prod(result[i : ends[0]])) != (n := math.prod(read[j : ends[1]])):
            ends = (ends[0] + 1, ends[1]) if m < n else (ends[0], ends[1] + 1)
        axes = [(a, result[a]) for a in range(i, ends[0])]
        axes_in = [(len(result) + order[b], read[b]) for b in range(j, ends[1])]
        for group in (axes, axes_in):
            dims = [d for _, d in group]
            places = np.unravel_index(np.arange(m), dims) if len(dims) > 1 else [None]
            for k, ((a, _), place) in enumerate(zip(group, places, strict=False)):
                on[a] = (len(sizes), None if place is None else plain_map(place, dims[k]))
        sizes.append(m)
        i, j = ends
    return one(layout(result, operand, sizes, on))


def _selection(
    call: Call, k: int, r: int, axis: int, out_index: np.ndarray, in_index: np.ndarray
) -> Partial:
    """Elements of one axis become some of the same axis of the result; the other axes stay."""
    shape, operand = call.results[r].shape, call.operands[k].shape
    sizes = [out_index.size if a == axis else n for a, n in enumerate(shape)]
    on: list[Attachment] = [*((a, None) for a in range(len(shape)))] * 2
    on[axis] = (axis, plain_map(out_index, shape[axis]))
    on[len(shape) + axis] = (axis, plain_map(in_index, operand[axis]))
    return one(layout(shape, operand, sizes, on))


def _selections(call: Call, indices: Sequence[tuple[np.ndarray, np.ndarray]]) -> Partial:
    """Along every axis, which elements of the result are which of the operand."""
    shape, operand = call.results[0].shape, call.operands[0].shape
    on = [
        (a, plain_map(out, n)) for a, ((out, _), n) in enumerate(zip(indices, shape, strict=True))
    ]
    on += [
        (a, plain_map(into, n))
        for a, ((_, into), n) in enumerate(zip(indices, operand, strict=True))
    ]
    return one(layout(shape, operand, [out.size for out, _ in indices], on))


@rule("slice")
def _slice(call: Call, k: int, r: int) -> Partial:
    starts = call.params["start_indices"]
    strides = call.params["strides"] or (1,) * len(starts)
    counts = [np.arange(n) for n in call.results[0].shape]
    return _selections(
        call, [(c, s + d * c) for c, s, d in zip(counts, starts, strides, strict=True)]
    )


@rule("rev")
def _rev(call: Call, k: int, r: int) -> Partial:
    counts = [np.arange(n) for n in call.results[0].shape]
    flipped = call.params["dimensions"]
    return _selections(call, [(c, c[::-1] if a in flipped else c) for a, c in enumerate(counts)])


@rule("pad")
def _pad(call: Call, k: int, r: int) -> Partial | None:
    operand, shape = call.operands[0].shape, call.results[0].shape
    indices = []
    for n, length, (low, _, between) in zip(
        operand, shape, call.params["padding_config"], strict=True
    ):
        place = low + np.arange(n) * (between + 1)
        inside = np.flatnonzero((place >= 0) & (place < length))
        indices.append((place[inside], inside))
    if k == 0:
        return _selections(call, indices)
    taken = np.zeros(shape, bool)
    taken[np.ix_(*(out for out, _ in indices))] = True
    rows = np.flatnonzero(~taken)
    return one(from_coordinates(shape, (), rows, np.zeros_like(rows))[0])


@rule("concatenate")
def _concatenate(call: Call, k: int, r: int) -> Partial:
    axis = call.params["dimension"]
    sizes = [x.shape[axis] for x in call.operands]
    count = np.arange(sizes[k])
    return _selection(call, k, r, axis, sum(sizes[:k]) + count, count)


@rule("split")
def _split(call: Call, k: int, r: int) -> Partial:
    sizes, axis = [int(n) for n in call.params["sizes"]], call.params["axis"]
    count = np.arange(sizes[r])
    return _selection(call, k, r, axis, count, sum(sizes[:r]) + count)


@rule("stack", "unstack")
def _stack(call: Call, k: int, r: int) -> Partial:
    """An axis that only one of the two arrays has, at one position of it."""
    axis = call.params["axis"]
    shape, operand = call.results[r].shape, call.operands[k].shape
    small = operand if call.name == "stack" else shape
    plain = list(range(len(small)))
    at: list[int | Attachment] = list(plain)
    at.insert(axis, (len(small), np.array([k if call.name == "stack" else r])))
    on = [*at, *plain] if call.name == "stack" else [*plain, *at]
    return one(layout(shape, operand, [*small, 1], on))
