"""Primitives that unite elements: sums, products, transforms."""

import functools
import math
from typing import Any

import numpy as np
import scipy.sparse as sp

from elimax._jacobian.dependence import (
    MISSING,
    Dependence,
    check_size,
    group,
    multiply,
    take,
    union,
)
from elimax._jacobian.equation import (
    Equation,
    Results,
    named,
    on_host,
    rule,
    united,
    unknown_position,
)
from elimax._structure.index_map import ZERO


@rule("reduce_sum")
def _reduce_sum(e: Equation) -> Results:
    axes = e.params["axes"]
    result = np.arange(math.prod(e.results[0].shape))
    kept = [1 if axis in axes else n for axis, n in enumerate(e.operands[0].shape)]
    groups = np.broadcast_to(result.reshape(kept), e.operands[0].shape)
    return [group(e.only, groups, result.size)]


@rule("cumsum")
def _cumsum(e: Equation) -> Results:
    """One after the other along the axis."""
    index = np.moveaxis(e.positions(), e.params["axis"], 0)
    index = index[::-1] if e.params["reverse"] else index
    lines = index.reshape(index.shape[0], -1)
    n, m = lines.shape
    check_size(0.5 * n * n * m)
    i, j = np.tril_indices(n)
    pairs = (lines[i].ravel(), lines[j].ravel())
    pattern = sp.csr_array((np.ones(pairs[0].size, bool), pairs), (n * m, n * m))
    return [multiply(pattern, e.only)]


@rule("triangular_solve", "tridiagonal_solve")
def _solve(e: Equation) -> Results:
    """Every element of a solution depends on all of its right-hand side, which is the last operand."""
    *matrix, right = e.dependences
    if right is None or any(D is not None for D in matrix):
        return unknown_position(e)
    shape = e.operands[-1].shape
    axis = len(shape) - (2 if e.params.get("left_side", True) else 1)
    return [take(*united(right, e.positions(len(matrix)), named([axis], shape)))]


@rule("reduce_window_sum")
def _reduce_window_sum(e: Equation) -> Results:
    """For each place in the window, the element that every result finds there."""
    p, shape = e.params, e.operands[0].shape
    window = p["window_dimensions"]
    check_size(float(math.prod(window)) * math.prod(e.results[0].shape))
    read = []
    for axis, size in enumerate(shape):
        start = np.arange(e.results[0].shape[axis]) * p["window_strides"][axis]
        place = np.arange(window[axis]) * p["window_dilation"][axis]
        position = start + place[:, None] - p["padding"][axis][0]
        source, rest = np.divmod(position, p["base_dilation"][axis])
        read.append(np.where((rest == 0) & (source >= 0) & (source < size), source, MISSING))
    found = []
    for place in np.ndindex(*window):
        lines = np.ix_(*(read[axis][k] for axis, k in enumerate(place)))
        missing = functools.reduce(np.logical_or, (line == MISSING for line in lines))
        found.append(take(e.only, np.where(missing, MISSING, e.positions()[lines])))
    return [union(found)]


@rule("fft")
def _fft(e: Equation) -> Results:
    """Every element of a transform depends on all of its input."""
    lengths = len(e.params["fft_lengths"])
    shape, result = e.operands[0].shape, e.results[0].shape
    batch = math.prod(shape[: len(shape) - lengths])
    n, m = (math.prod(x[len(x) - lengths :]) for x in (shape, result))
    D = group(e.only, np.repeat(np.arange(batch), n), batch)
    return [take(D, np.repeat(np.arange(batch), m))]


@rule("dot_general")
def _dot_general(e: Equation) -> Results:
    (contract, batch) = e.params["dimension_numbers"]
    return [union([_contracted(e, side, contract, batch) for side in (0, 1)])]


def _contracted(e: Equation, side: int, contract: Any, batch: Any) -> Dependence | None:
    """What a product depends on through one of its factors: its elements along the contracted axes, or those
    of them that the other factor, if it is known, does not multiply by zero."""
    D = e.dependences[side]
    if D is None:
        return None

    def arranged(k: int, array: np.ndarray) -> np.ndarray:
        """batch x free x contracted."""
        axes = (*batch[k], *contract[k])
        free = [axis for axis in range(array.ndim) if axis not in axes]
        order = (*batch[k], *free, *contract[k])
        sizes = [math.prod(array.shape[a] for a in part) for part in (batch[k], free, contract[k])]
        return array.transpose(order).reshape(sizes)

    mine = arranged(side, e.positions(side))
    others = arranged(1 - side, e.positions(1 - side))
    n_batch, n_free, _ = mine.shape
    n_other = others.shape[1]
    place = np.arange(n_batch * n_free * n_other)
    place = place.reshape((n_batch, n_free, n_other) if side == 0 else (n_batch, n_other, n_free))
    place = place if side == 0 else place.swapaxes(1, 2)  # batch x mine x other
    weights = e.constant(1 - side)
    if weights is None:
        groups = np.broadcast_to(
            np.arange(n_batch * n_free).reshape(n_batch, n_free, 1), mine.shape
        )
        united = np.empty(mine.size, np.int64)
        united[mine.ravel()] = groups.ravel()
        index = np.empty(place.size, np.int64)
        index[place.ravel()] = np.repeat(np.arange(n_batch * n_free), n_other)
        return take(group(D, united, n_batch * n_free), index)
    b, o, k = np.nonzero(arranged(1 - side, weights) != 0)
    rows = place[b, :, o].ravel()
    pairs = (rows, mine[b, :, k].ravel())
    pattern = sp.csr_array((np.ones(rows.size, bool), pairs), (place.size, mine.size))
    return multiply(pattern, D)


@rule("conv_general_dilated")
def _convolution(e: Equation) -> Results:
    """By the signal: for every tap of the kernel, a convolution of positions tells where it reads."""
    if e.dependences[1] is not None:
        return unknown_position(e)
    kernel = e.operands[1].shape
    spec = e.params["dimension_numbers"].rhs_spec
    position = (1 + e.positions()).astype(np.float32)
    if position.size >= 2**24:  # more than the digits count
        return unknown_position(e)
    taps = math.prod(kernel) // kernel[spec[0]]
    check_size(float(taps) * position.size)
    found = []
    for tap in range(taps):
        weights = np.zeros((kernel[spec[0]], taps), np.float32)
        weights[:, tap] = 1
        weights = weights.reshape([kernel[axis] for axis in spec]).transpose(np.argsort(spec))
        params = e.params | {"preferred_element_type": None, "precision": None}
        with on_host():
            read = np.asarray(e.primitive.bind(position, weights, **params))
        found.append(take(e.only, read.round().astype(np.int64) - 1))
    return [union(found)]


# -- primitives of Elimax


@rule("elimax_scatter")
def _elimax_scatter(e: Equation) -> Results:
    index_map = e.params["index_map"]
    indices = index_map.indices.astype(np.int64)
    plain = np.where(indices == ZERO, MISSING, np.where(indices < 0, ~indices, indices))
    return [group(e.only, plain, index_map.input_size)]


@rule("elimax_product_y", "elimax_product_x")
def _elimax_product(e: Equation) -> Results:
    """A x or A^T x for k columns, whose elements alternate."""
    if e.dependences[0] is not None:
        return unknown_position(e)
    pattern = e.params["pattern"].to_scipy()
    pattern = pattern.T if e.primitive.name == "elimax_product_x" else pattern
    columns = sp.eye_array(e.operands[1].shape[1], dtype=bool)
    return [multiply(sp.csr_array(sp.kron(pattern, columns, format="csr")), e.only)]
