"""Primitives that unite elements: sums, products, solutions, transforms."""

import math
from typing import Any

import numpy as np

from elimax._jacobian.sparsity.dependence import (
    Dependence,
    check_size,
    everything,
    group,
    multiply,
    take,
    union,
)
from elimax._jacobian.sparsity.equation import (
    Equation,
    Results,
    along,
    named,
    pairs,
    rule,
    united,
    unknown_position,
)

# -- sums


@rule("reduce_sum")
def _reduce_sum(e: Equation) -> Results:
    return [_reduced(e, e.only)]


def _reduced(e: Equation, D: Dependence) -> Dependence:
    axes = e.params["dimensions" if e.primitive.name == "reduce" else "axes"]
    result = np.arange(math.prod(e.results[0].shape))
    kept = [1 if axis in axes else n for axis, n in enumerate(e.operands[0].shape)]
    groups = np.broadcast_to(result.reshape(kept), e.operands[0].shape)
    return group(D, groups, result.size)


@rule("reduce")
def _reduce(e: Equation) -> Results:
    """Of several operands together, which may be combined in any way, with an initial value for each."""
    n = len(e.operands) // 2
    together = union(e.dependences[:n])
    sums = None if together is None else _reduced(e, together)
    total = union([sums, everything(e.dependences[n:], math.prod(e.results[0].shape))])
    return [total] * n


@rule("cumsum")
def _cumsum(e: Equation) -> Results:
    """One after the other along the axis."""
    axis, size = e.params["axis"], math.prod(e.operands[0].shape)
    n = e.operands[0].shape[axis]
    check_size(0.5 * n * size)
    triangle = np.tri(n, dtype=bool)
    return [along(e, 0, axis, triangle.T if e.params["reverse"] else triangle)]


# -- solutions


@rule("triangular_solve")
def _triangular_solve(e: Equation) -> Results:
    """Elements of a solution depend on those of the right-hand side that come before them in the triangle,
    or, if the matrix is known, on those from which its entries lead to them."""
    p, shape = e.params, e.operands[1].shape
    if e.dependences[1] is None or e.dependences[0] is not None:
        return unknown_position(e)
    n = e.operands[0].shape[-1]
    check_size(0.5 * n * math.prod(shape))
    triangle = np.tri(n, dtype=bool)
    reach = triangle if p["lower"] else triangle.T
    matrix = e.constant(0)
    if matrix is not None:
        entries = np.any(matrix != 0, axis=tuple(range(matrix.ndim - 2))) & reach
        reach = np.eye(n, dtype=bool) | entries
        for _ in range(max(n - 1, 1).bit_length()):
            reach = (reach.astype(np.float32) @ reach.astype(np.float32)) > 0
    reach = reach.T if p["transpose_a"] else reach
    axis = len(shape) - (2 if p["left_side"] else 1)
    return [along(e, 1, axis, reach if p["left_side"] else reach.T)]


@rule("tridiagonal_solve")
def _tridiagonal_solve(e: Equation) -> Results:
    """Every element of a solution depends on all of its right-hand side, which is the last operand."""
    *matrix, right = e.dependences
    if right is None or any(D is not None for D in matrix):
        return unknown_position(e)
    shape = e.operands[-1].shape
    return [take(*united(right, e.positions(len(matrix)), named([len(shape) - 2], shape)))]


@rule("fft")
def _fft(e: Equation) -> Results:
    """Every element of a transform depends on all of its input."""
    lengths = len(e.params["fft_lengths"])
    shape, result = e.operands[0].shape, e.results[0].shape
    batch = math.prod(shape[: len(shape) - lengths])
    n, m = (math.prod(x[len(x) - lengths :]) for x in (shape, result))
    D = group(e.only, np.repeat(np.arange(batch), n), batch)
    return [take(D, np.repeat(np.arange(batch), m))]


# -- products


@rule("dot_general")
def _dot_general(e: Equation) -> Results:
    (contract, batch) = e.params["dimension_numbers"]
    return [union([_contracted(e, side, contract, batch) for side in (0, 1)])]


@rule("ragged_dot_general")
def _ragged_dot(e: Equation) -> Results:
    """Rows of the left factor, each times that matrix of the right one whose group it is in: as if the
    groups were contracted. Other uses, as the transposed ones, are not told apart."""
    numbers = e.params["ragged_dot_dimension_numbers"]
    (mine, others), (batch, _) = numbers.dot_dimension_numbers
    if batch or numbers.lhs_ragged_dimensions[0] in mine or e.dependences[2] is not None:
        return unknown_position(e)
    found = []
    for side, contracted in ((0, mine), (1, (*others, *numbers.rhs_group_dimensions))):
        D, shape = e.dependences[side], e.operands[side].shape
        if D is None:
            continue
        free = [axis for axis in range(len(shape)) if axis not in contracted]
        D, members = united(D, e.positions(side), named(contracted, shape))
        first = members[tuple(slice(None) if axis in free else 0 for axis in range(len(shape)))]
        result = e.results[0].shape
        left = (*first.shape, *[1] * (len(result) - first.ndim))
        found.append(take(D, np.broadcast_to(first.reshape(left) if side == 0 else first, result)))
    return [union(found)]


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
    weights = e.constant(1 - side) if e.dependences[1 - side] is None else None
    if weights is None:
        groups = np.broadcast_to(
            np.arange(n_batch * n_free).reshape(n_batch, n_free, 1), mine.shape
        )
        members = np.empty(mine.size, np.int64)
        members[mine.ravel()] = groups.ravel()
        index = np.empty(place.size, np.int64)
        index[place.ravel()] = np.repeat(np.arange(n_batch * n_free), n_other)
        return take(group(D, members, n_batch * n_free), index)
    b, o, k = np.nonzero(arranged(1 - side, weights) != 0)
    check_size(float(b.size) * n_free)
    return multiply(pairs(place[b, :, o], mine[b, :, k], (place.size, mine.size)), D)


@rule("bcoo_dot_general")
def _sparse_product(e: Equation) -> Results:
    """Entries of a sparse matrix times a dense array; without batches."""
    p = e.params
    (mine, others), batch = p["dimension_numbers"]
    indices, shape = e.constant(1), p["lhs_spinfo"].shape
    plain = not any(batch) and len(e.operands[0].shape) == 1
    if indices is None or not plain or indices.shape[-1] != len(shape):
        return unknown_position(e)
    inside = np.flatnonzero(np.all(indices < np.asarray(shape), axis=1))
    columns = indices[inside].T
    free = [axis for axis in range(len(shape)) if axis not in mine]
    lines = np.moveaxis(e.positions(2), others, range(len(others)))
    n_lines = math.prod(lines.shape[len(others) :])
    read = lines[tuple(columns[axis] for axis in mine)].reshape(inside.size, n_lines)
    rows = np.zeros(inside.size, np.int64)
    for axis in free:
        rows = rows * shape[axis] + columns[axis]
    results = rows[:, None] * n_lines + np.arange(n_lines)
    size = math.prod(e.results[0].shape)
    found = []
    for D, used in zip(e.dependences[::2], (inside[:, None], read), strict=True):
        if D is not None:
            entries = np.broadcast_to(used, results.shape)
            found.append(multiply(pairs(results, entries, (size, D.shape[0])), D))
    return [union(found)]


@rule("bcoo_dot_general_sampled")
def _sampled_product(e: Equation) -> Results:
    """Some entries of a product of dense arrays, which their indices name; without batches."""
    contracted, batch = e.params["dimension_numbers"]
    indices = e.constant(2)
    if indices is None or any(batch) or len(indices.shape) != 2:
        return unknown_position(e)
    columns, found = list(indices.T), []
    for k, D in enumerate(e.dependences[:2]):
        lines = np.moveaxis(e.positions(k), contracted[k], range(-len(contracted[k]), 0))
        free = lines.ndim - len(contracted[k])
        place, columns = columns[:free], columns[free:]
        if D is not None:
            place = [np.minimum(axis, n - 1) for axis, n in zip(place, lines.shape, strict=False)]
            read = lines[tuple(place)].reshape(len(indices), -1)
            rows = np.broadcast_to(np.arange(len(indices))[:, None], read.shape)
            found.append(multiply(pairs(rows, read, (len(indices), D.shape[0])), D))
    return [union(found)]
