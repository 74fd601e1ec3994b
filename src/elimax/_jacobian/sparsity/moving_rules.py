"""Primitives that move elements, or combine them one by one."""

import math

import numpy as np

from elimax._jacobian.sparsity.dependence import MISSING, Dependence, stack, take, union
from elimax._jacobian.sparsity.equation import Equation, Results, moved, rule, spread

# -- element by element


@rule(
    *("add", "add_any", "sub", "div", "neg", "real", "imag", "conj", "complex", "squeeze"),
    *("convert_element_type", "reduce_precision", "copy", "device_put", "sharding_constraint"),
    *("optimization_barrier", "reshard", "pvary", "pcast", "psum", "psum_invariant", "name"),
)
def _elementwise(e: Equation) -> Results:
    """Sums over devices among them, as they are seen only where there is one (`linear_pattern.py`)."""
    if len(e.results) > 1:  # each operand has a result of its own
        return list(e.dependences)
    return [union([_spread(e, k) for k in range(len(e.operands))])]


@rule("mul")
def _mul(e: Equation) -> Results:
    """What a constant multiplies by zero is dropped."""
    parts = []
    for k in (0, 1):
        D, factor = _spread(e, k), None
        if D is not None and e.dependences[1 - k] is None:
            factor = e.constant(1 - k)
        if factor is not None and not np.all(factor):
            nonzero = np.broadcast_to(factor != 0, e.results[0].shape)
            D = moved(D, np.where(nonzero, np.arange(nonzero.size).reshape(nonzero.shape), MISSING))
        parts.append(D)
    return [union(parts)]


def _spread(e: Equation, operand: int) -> Dependence | None:
    return spread(e, operand, e.results[0].shape)


@rule("select_n")
def _select(e: Equation) -> Results:
    cases = [_spread(e, k) for k in range(1, len(e.operands))]
    which = e.constant(0)
    if which is not None:  # then each element is that of one case
        which = np.broadcast_to(which, e.results[0].shape).astype(int)
        index = np.arange(which.size).reshape(which.shape)
        cases = [moved(D, np.where(which == k, index, MISSING)) for k, D in enumerate(cases)]
    return [union(cases)]


# -- index maps


@rule("reshape")
def _reshape(e: Equation) -> Results:
    order = e.params["dimensions"]
    return [e.only if order is None else take(e.only, e.positions().transpose(order))]


@rule("tile")
def _tile(e: Equation) -> Results:
    return [take(e.only, np.tile(e.positions(), e.params["reps"]))]


@rule("transpose")
def _transpose(e: Equation) -> Results:
    return [take(e.only, e.positions().transpose(e.params["permutation"]))]


@rule("rev")
def _rev(e: Equation) -> Results:
    return [take(e.only, np.flip(e.positions(), e.params["dimensions"]))]


@rule("broadcast_in_dim")
def _broadcast(e: Equation) -> Results:
    shape, where = e.params["shape"], e.params["broadcast_dimensions"]
    placed = [1] * len(shape)
    for axis, dimension in enumerate(where):
        placed[dimension] = e.operands[0].shape[axis]
    return [take(e.only, np.broadcast_to(e.positions().reshape(placed), shape))]


@rule("slice")
def _slice(e: Equation) -> Results:
    start, limit = e.params["start_indices"], e.params["limit_indices"]
    strides = e.params["strides"] or (1,) * len(start)
    return [take(e.only, e.positions()[tuple(map(slice, start, limit, strides))])]


@rule("pad")
def _pad(e: Equation) -> Results:
    index = e.positions()
    for axis, (low, high, interior) in enumerate(e.params["padding_config"]):
        size = index.shape[axis]
        place = low + np.arange(size) * (interior + 1)
        length = low + high + size + max(0, size - 1) * interior
        inside = np.flatnonzero((place >= 0) & (place < length))
        source = np.full(length, MISSING)
        source[place[inside]] = inside
        padded = np.take(index, np.maximum(source, 0), axis) if size else np.zeros(1, int)
        missing = (source < 0).reshape([-1 if d == axis else 1 for d in range(index.ndim)])
        shape = [length if d == axis else s for d, s in enumerate(index.shape)]
        index = np.where(missing, MISSING, np.broadcast_to(padded, shape))
    padding = np.where(index == MISSING, 0, MISSING)
    return [union([moved(e.dependences[0], index), moved(e.dependences[1], padding)])]


@rule("concatenate")
def _concatenate(e: Equation) -> Results:
    sizes = [math.prod(x.shape) for x in e.operands]
    offsets = np.cumsum(sizes) - sizes
    parts = [e.positions(k) + offset for k, offset in enumerate(offsets)]
    together = stack(e.dependences, sizes)
    axis = e.params["dimension"]
    return [None if together is None else take(together, np.concatenate(parts, axis))]


@rule("stack")
def _stack(e: Equation) -> Results:
    sizes = [math.prod(x.shape) for x in e.operands]
    parts = [e.positions(k) + k * sizes[0] for k in range(len(sizes))]
    together = stack(e.dependences, sizes)
    return [None if together is None else take(together, np.stack(parts, e.params["axis"]))]


@rule("unstack")
def _unstack(e: Equation) -> Results:
    return [take(e.only, part) for part in np.moveaxis(e.positions(), e.params["axis"], 0)]


@rule("split")
def _split(e: Equation) -> Results:
    stops = np.cumsum(e.params["sizes"])[:-1]
    return [take(e.only, part) for part in np.split(e.positions(), stops, e.params["axis"])]
