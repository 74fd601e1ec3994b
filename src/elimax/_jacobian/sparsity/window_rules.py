"""Primitives that read, or write to, a window around every place: sums, maxima and convolutions."""

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from elimax._jacobian.sparsity.dependence import (
    MISSING,
    Dependence,
    check_size,
    everything,
    group,
    multiply,
    take,
    union,
)
from elimax._jacobian.sparsity.equation import Equation, Results, pairs, rule


def _read_along(
    n: int, size: int, place: np.ndarray, stride: int, dilation: int, low: int, base: int
) -> np.ndarray:
    """For each place of a window, and each of n results, the element of `size` it reads, or MISSING."""
    position = np.arange(n) * stride + place[:, None] * dilation - low
    source, rest = np.divmod(position, base)
    return np.where((rest == 0) & (source >= 0) & (source < size), source, MISSING)


def _readings(
    shape: tuple[int, ...], result: tuple[int, ...], p: dict[str, Any]
) -> Iterator[np.ndarray]:
    """For each place in the window, the position that every result finds there."""
    window, ones = p["window_dimensions"], (1,) * len(shape)
    check_size(float(math.prod(window)) * math.prod(result))
    read = [
        _read_along(n, size, np.arange(k), stride, dilation, padding[0], base)
        for n, size, k, stride, dilation, padding, base in zip(
            result,
            shape,
            window,
            p["window_strides"],
            p.get("window_dilation", ones),
            p["padding"],
            p.get("base_dilation", ones),
            strict=True,
        )
    ]
    positions = np.arange(math.prod(shape)).reshape(shape)
    for place in np.ndindex(*window):
        yield _combined(positions, [lines[k] for lines, k in zip(read, place, strict=True)])


def _combined(positions: np.ndarray, lines: list[np.ndarray]) -> np.ndarray:
    """The positions at the crossings of lines, MISSING where one of them is."""
    crossed = np.ix_(*lines)
    missing = functools.reduce(np.logical_or, (line == MISSING for line in crossed), False)
    if not positions.size:
        return np.full(np.broadcast_shapes(*(line.shape for line in crossed)), MISSING)
    return np.where(missing, MISSING, positions[crossed])


@rule("reduce_window_sum", "reduce_window_max", "reduce_window_min", "reduce_window")
def _reduce_window(e: Equation) -> Results:
    """Of several operands together, which may be combined in any way, with an initial value for each."""
    n = len(e.results)
    together = union(e.dependences[:n])
    size = math.prod(e.results[0].shape)
    found = [everything(e.dependences[n:], size)]
    if together is not None:
        readings = _readings(e.operands[0].shape, e.results[0].shape, e.params)
        found += [take(together, index) for index in readings]
    return [union(found)] * n


@rule("select_and_gather_add")
def _select_and_gather(e: Equation) -> Results:
    """One element of each window, which the values of the other operand choose."""
    D = e.only
    readings = _readings(e.operands[0].shape, e.results[0].shape, e.params)
    return [union([take(D, index) for index in readings])]


@rule("select_and_scatter_add")
def _select_and_scatter(e: Equation) -> Results:
    """Each element of the source is added to one element of its window, chosen by the other operand."""
    D, shape = e.dependences[0], e.results[0].shape
    if D is None:
        return [None]
    readings = _readings(shape, e.operands[0].shape, e.params)
    return [union([group(D, index, math.prod(shape)) for index in readings])]


# -- convolutions


@rule("conv_general_dilated")
def _convolution(e: Equation) -> Results:
    """For every tap of the kernel, where it reads the signal, and with which weights."""
    return [union([_convolved(e, side) for side in (0, 1)])]


def _convolved(e: Equation, side: int) -> Dependence | None:
    """What a convolution depends on through its signal (side 0) or its kernel (side 1)."""
    D = e.dependences[side]
    if D is None:
        return None
    weights = e.constant(1 - side) if e.dependences[1 - side] is None else None
    nonzero = None if weights is None else np.ravel(weights != 0)
    rows, columns = [], []
    for result, signal, kernel in _taps(e):
        mine, other = (signal, kernel) if side == 0 else (kernel, signal)
        arrays = np.broadcast_arrays(result, mine, other, signal)
        result, mine, other, signal = (x.ravel() for x in arrays)
        kept = signal != MISSING
        if nonzero is not None:
            kept = kept & nonzero[np.maximum(other, 0)]
        rows.append(result[kept])
        columns.append(mine[kept])
    shape = (math.prod(e.results[0].shape), math.prod(e.operands[side].shape))
    if not rows:
        return None
    return multiply(pairs(np.concatenate(rows), np.concatenate(columns), shape), D)


def _taps(e: Equation) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For every tap, the positions of all results, and of what they read in the signal and in the kernel.

    The axes are: groups of the batch, batch, groups of features, features, space, features of the kernel.
    """
    p = e.params
    numbers = p["dimension_numbers"]
    signal = e.positions(0).transpose(numbers.lhs_spec)  # batch, features, space
    kernel = e.positions(1).transpose(numbers.rhs_spec)  # results' features, features, space
    result = np.arange(math.prod(e.results[0].shape)).reshape(e.results[0].shape)
    result = result.transpose(numbers.out_spec)
    check_size(float(kernel.size) * result.size / max(kernel.shape[0], 1))
    groups, batches = p["feature_group_count"], p["batch_group_count"]
    depth, space = kernel.shape[1], result.shape[2:]
    each = kernel.shape[0] // (groups * batches)
    result = result.reshape(result.shape[0], batches, groups, each, *space, 1)
    result = np.moveaxis(result, 1, 0)
    kernel = kernel.reshape(batches, 1, groups, each, depth, *kernel.shape[2:])
    signal = signal.reshape(batches, -1, groups, depth, *signal.shape[2:])
    read = [
        _read_along(n, size, np.arange(k), stride, dilation, padding[0], base)
        for n, size, k, stride, dilation, padding, base in zip(
            space,
            signal.shape[4:],
            kernel.shape[5:],
            p["window_strides"],
            p["rhs_dilation"],
            p["padding"],
            p["lhs_dilation"],
            strict=True,
        )
    ]
    channels = [np.arange(n) for n in signal.shape[:4]]
    for tap in itertools.product(*(range(n) for n in kernel.shape[5:])):
        lines = [axis[k] for axis, k in zip(read, tap, strict=True)]
        found = _combined(signal, [*channels, *lines])
        found = np.moveaxis(found, 3, -1)[:, :, :, None]
        weight = kernel[(slice(None),) * 5 + tap]
        weight = weight.reshape(*weight.shape[:4], *[1] * len(space), depth)
        yield result, found, weight
