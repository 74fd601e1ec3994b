"""Primitives of Elimax, whose structure is known: each of a batch by itself, on its leading dimensions."""

import math
from typing import Any

import numpy as np
import scipy.sparse as sp

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
from elimax._jacobian.sparsity.equation import (
    Equation,
    Results,
    pairs,
    rule,
    unknown_position,
)
from elimax._structure.index_map import ZERO


def _index(index_map: Any) -> np.ndarray:
    indices = index_map.indices.astype(np.int64)
    return np.where(indices == ZERO, MISSING, np.where(indices < 0, ~indices, indices))


def _lines(shape: tuple[int, ...], rank: int) -> np.ndarray:
    """The positions of an array, one row for each of the batch, its own dimensions raveled."""
    lead = len(shape) - rank
    return np.arange(math.prod(shape)).reshape(math.prod(shape[:lead]), -1)


def _widened(e: Equation, operand: int, rank: int, lead: tuple[int, ...]) -> Dependence | None:
    """An operand with all leading dimensions of the results, of which it may have the first few only."""
    D, shape = e.dependences[operand], e.operands[operand].shape
    own = len(shape) - rank
    if D is None or own == len(lead):
        return D
    placed = e.positions(operand).reshape(*shape[:own], *[1] * (len(lead) - own), *shape[own:])
    return take(D, np.broadcast_to(placed, (*lead, *shape[own:])))


@rule("elimax_guard", "elimax_scale")
def _same(e: Equation) -> Results:
    """Element by element, by values of the other operands."""
    return [_widened(e, 0, 1, e.results[0].shape[:-1])]


def _rank(e: Equation) -> int:
    """The dimensions of what is gathered from, or scattered into."""
    return 2 if e.primitive.name.endswith("_matrix") else 1


@rule("elimax_gather", "elimax_gather_matrix")
def _gather(e: Equation) -> Results:
    index, lines = _index(e.params["index_map"]), _lines(e.operands[0].shape, _rank(e))
    padded = np.append(lines, np.full((len(lines), 1), MISSING), 1)  # index -1 is the last
    return [take(e.only, padded[:, index])]


@rule("elimax_scatter", "elimax_scatter_matrix")
def _scatter(e: Equation) -> Results:
    index, lines = _index(e.params["index_map"]), _lines(e.results[0].shape, _rank(e))
    padded = np.append(lines, np.full((len(lines), 1), MISSING), 1)
    return [group(e.only, padded[:, index], lines.size)]


# -- products


@rule("elimax_product_y", "elimax_product_x")
def _product(e: Equation) -> Results:
    """A x or A^T x for k columns, which alternate; linear in x and in the values."""
    whole, entry = e.params["pattern"].to_general()
    entry, rows, columns = _index(entry), whole.rows, whole.columns
    if e.primitive.name == "elimax_product_x":
        rows, columns = columns, rows
    (*lead, m, k) = e.results[0].shape
    batch, by_value = math.prod(lead), e.dependences[0] is not None
    if by_value and e.dependences[1] is not None:
        return unknown_position(e)
    operand = 0 if by_value else 1
    own = e.operands[operand].shape
    D = _widened(e, operand, 1 + operand, tuple(lead))
    width, n = (1, own[-1]) if by_value else (k, own[-2])
    used = (entry if by_value else columns)[:, None] * width + np.arange(width)
    results = rows[:, None] * k + np.arange(k)
    pattern = pairs(results, np.broadcast_to(used, results.shape), (m * k, n * width))
    return [multiply(sp.csr_array(sp.kron(sp.eye_array(batch), pattern, format="csr")), D)]


@rule("elimax_product_v")
def _outer(e: Equation) -> Results:
    """Entry (i, j) of y x^T, of which x comes first; that of symmetric storage stands for two."""
    pattern, shape = e.params["pattern"], e.results[0].shape
    operand = next(k for k, D in enumerate(e.dependences) if D is not None)
    if e.dependences[1 - operand] is not None:
        return unknown_position(e)
    D = _widened(e, operand, 2, shape[:-1])
    n, k = e.operands[operand].shape[-2:]
    sides = [pattern.columns, pattern.rows]
    sides = sides if pattern.symmetric else [sides[operand]]
    entries = np.concatenate([np.arange(pattern.nnz)] * len(sides))
    used = np.concatenate(sides)[:, None] * k + np.arange(k)
    one = pairs(np.repeat(entries, k), used, (pattern.nnz, n * k))
    batch = math.prod(shape[:-1])
    return [multiply(sp.csr_array(sp.kron(sp.eye_array(batch), one, format="csr")), D)]


@rule("elimax_contract_a", "elimax_contract_b", "elimax_contract_c")
def _contract(e: Equation) -> Results:
    """One slot of sum a_ik b_kj c_ij from the other two, which come in this order."""
    A, B, C = (e.params[name] for name in "abc")
    check_size(float(np.diff(A.column_pointers)[B.rows].sum(dtype=np.float64)))
    counts = np.diff(A.column_pointers)[B.rows]
    starts = np.cumsum(counts) - counts
    b = np.repeat(np.arange(B.nnz), counts)
    a = np.arange(b.size) + np.repeat(A.column_pointers[B.rows] - starts, counts)
    wanted = B.columns[b].astype(np.int64) * C.shape[0] + A.rows[a]
    stored = C.columns.astype(np.int64) * C.shape[0] + C.rows  # in increasing order
    c = np.minimum(np.searchsorted(stored, wanted), max(C.nnz - 1, 0))
    kept = stored[c] == wanted if C.nnz else np.zeros(c.size, bool)
    slots = {"a": a[kept], "b": b[kept], "c": c[kept]}
    sizes = {"a": A.nnz, "b": B.nnz, "c": C.nnz}
    result = e.primitive.name[-1]
    operands = [name for name in "abc" if name != result]
    operand = next(k for k, D in enumerate(e.dependences) if D is not None)
    if e.dependences[1 - operand] is not None:
        return unknown_position(e)
    lead, name = e.results[0].shape[:-1], operands[operand]
    one = pairs(slots[result], slots[name], (sizes[result], sizes[name]))
    whole = sp.kron(sp.eye_array(math.prod(lead)), one, format="csr")
    return [multiply(sp.csr_array(whole), _widened(e, operand, 1, lead))]


# -- solutions


@rule("elimax_solve", "elimax_refined_solve", "elimax_triangular_solve", "elimax_external_solve")
def _solve(e: Equation) -> Results:
    """Within a connected component, all of a solution depends on all of its right-hand side."""
    operand = next(k for k, D in enumerate(e.dependences) if D is not None)
    shape = e.results[0].shape
    right = {"elimax_solve": 2, "elimax_refined_solve": 3, "elimax_external_solve": 2}
    if operand != right.get(e.primitive.name, 1):  # it is not linear in the matrix
        return _dense(e)
    D = _widened(e, operand, 2, shape[:-2])
    labels = _components(_pattern(e.params))
    blocks, k = int(labels.max(initial=-1)) + 1, shape[-1]
    batch = np.arange(math.prod(shape[:-2]))[:, None, None]
    groups = ((batch * blocks + labels[:, None]) * k + np.arange(k)).ravel()
    x = take(group(D, groups, batch.size * blocks * k), groups)
    others = [everything([D], math.prod(y.shape)) for y in e.results[1:]]
    return [x, *others]


@rule("elimax_inverse_gradient", "elimax_pivoted_inverse_gradient")
def _inverse_gradient(e: Equation) -> Results:
    """Derivatives of a log-determinant, which is a sum over connected components."""
    (*lead, nnz) = e.results[0].shape
    pattern = _pattern(e.params)
    labels = _components(pattern)[pattern.columns]
    blocks = int(labels.max(initial=-1)) + 1
    groups = (np.arange(math.prod(lead))[:, None] * blocks + labels).ravel()
    directions = [k for k, D in enumerate(e.dependences) if D is not None]
    if any(e.operands[k].shape[-1:] != (nnz,) for k in directions):
        return _dense(e)
    total = union([_widened(e, k, 1, tuple(lead)) for k in directions])
    return [take(group(total, groups, math.prod(lead) * blocks), groups)]


def _pattern(params: dict[str, Any]) -> Any:
    """Of the matrix, whose values are an operand."""
    if "embedding" in params:
        return params["embedding"].pattern
    return params["pattern"] if "pattern" in params else params["solver"].pattern


def _components(pattern: Any) -> np.ndarray:
    """The connected component of every row and column of a square matrix."""
    return sp.csgraph.connected_components(pattern.to_scipy(), directed=False)[1]


# -- what has no simple structure, or is seldom seen


@rule(
    *("elimax_factor_derivative", "elimax_factor_adjoint", "elimax_factor_values"),
    *("elimax_factor_product_l", "elimax_factor_product_x", "elimax_factor_product_y"),
)
def _dense(e: Equation) -> Results:
    return [everything(e.dependences, math.prod(x.shape)) for x in e.results]
