"""Primitives that move elements to where indices say, which are known, or stand for every position."""

import math
from typing import Any

import jax
import numpy as np
import scipy.sparse as sp

from elimax._jacobian.dependence import MISSING, group, take, union
from elimax._jacobian.equation import Equation, Results, moved, named, on_host, rule, united

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
    window = tuple(
        slice(first := 0 if s is None else min(max(int(s), 0), m - n), first + n)
        for s, n, m in _lines(starts, sizes, index)
    )
    return [take(D, index[window])]


def _lines(*columns: Any) -> list[tuple[Any, Any, Any]]:
    starts, sizes, index = columns
    return list(zip(starts, sizes, index.shape, strict=True))


@rule("dynamic_update_slice")
def _dynamic_update_slice(e: Equation) -> Results:
    operand, update = e.dependences[:2]
    shape, sizes = e.operands[0].shape, e.operands[1].shape
    starts = [e.constant(k + 2) for k in range(len(shape))]
    index = np.full(shape, MISSING)
    known = all(s is not None or n == m for s, n, m in zip(starts, sizes, shape, strict=True))
    if known:
        window = tuple(
            slice(first := 0 if s is None else min(max(int(s), 0), m - n), first + n)
            for s, n, m in zip(starts, sizes, shape, strict=True)
        )
        index[window] = e.positions(1)
        kept = np.where(index == MISSING, e.positions(0), MISSING)
        return [union([moved(operand, kept), moved(update, index)])]
    if update is None:
        return [operand]
    moving = [n < m for n, m in zip(sizes, shape, strict=True)]
    update, members = united(update, e.positions(1), moving)
    first = members[tuple(slice(0, 1) if flag else slice(None) for flag in moving)]
    return [union([operand, take(update, np.broadcast_to(first, shape))])]


# -- gather and scatter


@rule("gather")
def _gather(e: Equation) -> Results:
    D, indices = e.dependences[0], e.constant(1)
    if D is None:
        return [None]
    numbers = e.params["dimension_numbers"]
    options = {"slice_sizes": e.params["slice_sizes"], "mode": e.params["mode"]}
    if indices is not None:
        return [take(D, _read(e.positions(), indices, numbers, **options))]
    D, members = united(D, e.positions(), named(numbers.start_index_map, e.operands[0].shape))
    zeros = np.zeros(e.operands[1].shape, np.int32)
    return [take(D, _read(members, zeros, numbers, **options | {"mode": "clip"}))]


def _read(positions: np.ndarray, indices: np.ndarray, numbers: Any, **options: Any) -> np.ndarray:
    """What JAX's own gather takes from an array of positions."""
    with on_host():
        read = jax.lax.gather(
            positions.astype(np.int32), indices, numbers, fill_value=MISSING, **options
        )
    return np.asarray(read).astype(np.int64)


@rule("scatter-add", "scatter-sub", "scatter-mul", "scatter")
def _scatter(e: Equation) -> Results:
    """The transpose of a gather: every element of the updates goes where that one would read it."""
    operand, _, updates = e.dependences
    if updates is None and e.primitive.name != "scatter":
        return [operand]
    numbers, shape = e.params["dimension_numbers"], e.operands[0].shape
    window = iter(e.operands[2].shape[d] for d in numbers.update_window_dims)
    fixed = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    sizes = [1 if axis in fixed else next(window) for axis in range(len(shape))]
    reading = jax.lax.GatherDimensionNumbers(
        offset_dims=numbers.update_window_dims,
        collapsed_slice_dims=numbers.inserted_window_dims,
        start_index_map=numbers.scatter_dims_to_operand_dims,
        operand_batching_dims=numbers.operand_batching_dims,
        start_indices_batching_dims=numbers.scatter_indices_batching_dims,
    )
    indices = e.constant(1)
    n = math.prod(shape)
    if indices is not None:
        place = _read(e.positions(), indices, reading, slice_sizes=sizes, mode=e.params["mode"])
        added = None if updates is None else group(updates, place, n)
        if operand is not None and e.primitive.name == "scatter":
            kept = np.arange(n)
            kept[place[place >= 0]] = MISSING  # overwritten
            operand = take(operand, kept)
        return [union([operand, added])]
    if updates is None:
        return [operand]
    axes = named(numbers.scatter_dims_to_operand_dims, shape)
    everywhere, members = united(sp.csr_array((n, 1), dtype=bool), e.positions(), axes)
    zeros = np.zeros(e.operands[1].shape, np.int32)
    place = _read(members, zeros, reading, slice_sizes=sizes, mode="clip")
    return [union([operand, take(group(updates, place, everywhere.shape[0]), members)])]
