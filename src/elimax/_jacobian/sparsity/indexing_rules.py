"""Primitives that move elements to where indices say, which are known, or stand for every position."""

import math
from typing import Any

import jax
import numpy as np

from elimax._jacobian.sparsity.dependence import MISSING, group, take, union
from elimax._jacobian.sparsity.equation import Equation, Results, moved, rule, united
from elimax._jacobian.sparsity.values import Partly, Varying, on_host

# -- dynamic slices


@rule("dynamic_slice")
def _dynamic_slice(e: Equation) -> Results:
    D = e.dependences[0]
    sizes = e.params["slice_sizes"]
    if D is None:
        return [None]
    starts = [e.constant(k + 1) for k in range(len(sizes))]
    index = e.positions()
    D, index = united(D, index, [s is None and n < m for s, n, m in _lines(starts, sizes, index)])
    return [take(D, index[_window(starts, sizes, index)])]


def _lines(*columns: Any) -> list[tuple[Any, Any, Any]]:
    starts, sizes, index = columns
    return list(zip(starts, sizes, index.shape, strict=True))


def _window(starts: Any, sizes: Any, index: np.ndarray) -> tuple[slice, ...]:
    """As JAX clamps it."""
    return tuple(
        slice(first := 0 if s is None else min(max(int(s), 0), m - n), first + n)
        for s, n, m in _lines(starts, sizes, index)
    )


@rule("dynamic_update_slice")
def _dynamic_update_slice(e: Equation) -> Results:
    operand, update = e.dependences[:2]
    shape, sizes = e.operands[0].shape, e.operands[1].shape
    starts = [e.constant(k + 2) for k in range(len(shape))]
    index = np.full(shape, MISSING)
    moving = [s is None and n < m for s, n, m in _lines(starts, sizes, index)]
    if not any(moving):
        index[_window(starts, sizes, index)] = e.positions(1)
        kept = np.where(index == MISSING, e.positions(0), MISSING)
        return [union([moved(operand, kept), moved(update, index)])]
    if update is None:
        return [operand]
    update, members = united(update, e.positions(1), moving)
    first = members[tuple(slice(0, 1) if flag else slice(None) for flag in moving)]
    where = _window([0 if f else s for f, s in zip(moving, starts, strict=True)], sizes, index)
    where = tuple(slice(None) if f else w for f, w in zip(moving, where, strict=True))
    index[where] = np.broadcast_to(first, index[where].shape)
    return [union([operand, take(update, index)])]


# -- gather and scatter


@rule("gather")
def _gather(e: Equation) -> Results:
    D = e.dependences[0]
    if D is None:
        return [None]
    numbers, sizes = e.params["dimension_numbers"], e.params["slice_sizes"]
    indices, free = _known_indices(e, numbers.start_index_map, sizes)
    if not any(free):
        return [take(D, _read(e.positions(), indices, numbers, sizes, e.params["mode"]))]
    D, members = united(D, e.positions(), free)
    return [take(D, _read(members, indices, numbers, sizes, e.params["mode"]))]


@rule("scatter-add", "scatter-sub", "scatter-mul", "scatter")
def _scatter(e: Equation) -> Results:
    """The transpose of a gather: every element of the updates goes where that one would read it."""
    operand, _, updates = e.dependences
    replaces = e.primitive.name == "scatter"
    if (updates is None and not replaces) or not e.positions().size:
        return [operand]
    numbers, shape = e.params["dimension_numbers"], e.operands[0].shape
    window = iter(e.operands[2].shape[d] for d in numbers.update_window_dims)
    fixed = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    sizes = tuple(1 if axis in fixed else next(window) for axis in range(len(shape)))
    reading = jax.lax.GatherDimensionNumbers(
        offset_dims=numbers.update_window_dims,
        collapsed_slice_dims=numbers.inserted_window_dims,
        start_index_map=numbers.scatter_dims_to_operand_dims,
        operand_batching_dims=numbers.operand_batching_dims,
        start_indices_batching_dims=numbers.scatter_indices_batching_dims,
    )
    indices, free = _known_indices(e, numbers.scatter_dims_to_operand_dims, sizes)
    n = math.prod(shape)
    if not any(free):
        place = _read(e.positions(), indices, reading, sizes, e.params["mode"])
        added = None if updates is None else group(updates, place, n)
        if operand is not None and replaces:
            kept = np.arange(n)
            kept[place[place >= 0]] = MISSING  # overwritten
            operand = take(operand, kept)
        return [union([operand, added])]
    if updates is None:
        return [operand]
    along = tuple(axis for axis, flag in enumerate(free) if flag)
    lines = np.broadcast_to(e.positions().min(axis=along, keepdims=True), shape)
    place = _read(lines, indices, reading, sizes, e.params["mode"])
    return [union([operand, take(group(updates, place, n), lines)])]


def _known_indices(e: Equation, axes: Any, sizes: Any) -> tuple[np.ndarray, list[bool]]:
    """The indices with zeros where they are not known, and the axes along which slices may be anywhere.

    The last axis of the indices counts the axes of the operand. A slice as long as its axis has one place.
    """
    shape, known = e.operands[0].shape, e.known[1]
    free = [False] * len(shape)
    if (indices := e.constant(1)) is not None:
        return indices, free
    indices = np.zeros(e.operands[1].shape, np.int64)
    columns = np.zeros(len(axes), bool)
    if isinstance(known, Partly):
        Varying(known.loops).ask()
        columns = np.all(known.known, axis=tuple(range(known.known.ndim - 1)))
        indices[..., columns] = known.values[..., columns]
    for axis, flag in zip(axes, columns, strict=True):
        free[axis] = not flag and sizes[axis] < shape[axis]
    if not any(free):  # each index is known, or clamped to zero
        indices[..., ~columns] = 0
    return indices, free


def _read(
    positions: np.ndarray, indices: np.ndarray, numbers: Any, sizes: Any, mode: Any
) -> np.ndarray:
    """What JAX's own gather takes from an array of positions."""
    with on_host():
        read = jax.lax.gather(
            positions.astype(np.int32),
            indices,
            numbers,
            slice_sizes=sizes,
            mode=mode,
            fill_value=MISSING,
        )
    return np.asarray(read).astype(np.int64)
