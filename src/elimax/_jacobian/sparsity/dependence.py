"""What each element of an array depends on: a boolean matrix with a row for each, a column for each input.

Rows are in the order of the raveled array. Rules for primitives are composed of four operations on such
matrices: rows are taken by an index map, united pairwise, united in groups, or multiplied by a pattern.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

Dependence: TypeAlias = Any  # a boolean scipy.sparse.csr_array
MISSING = -1  # in an index map: an element that depends on nothing
LARGEST = 2**25
_DENSE = 100  # steps of a dense product in the time of one of a sparse one
_SMALL = 2**23  # elements of matrices that may be multiplied as dense ones


class TooDense(Exception):
    """A dependence outgrew `LARGEST` entries: such a pattern is of no use."""


def identity(n: int) -> Dependence:
    """Every input depends on itself."""
    return _csr(np.arange(n + 1), np.arange(n), n)


def take(D: Dependence, index: np.ndarray) -> Dependence:
    """Row i of the result is row index[i]; empty where that is `MISSING`.

    **Raises:** `TooDense`, as all that can make a dependence larger.
    """
    flat = index.reshape(-1).astype(np.int64)
    counts = np.diff(D.indptr)
    kept = flat >= 0
    lengths = np.where(kept, counts[flat], 0) if counts.size else np.zeros(flat.size, np.int64)
    pointers = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    check_size(pointers[-1])
    starts = D.indptr[flat] if counts.size else pointers[:-1]
    source = np.arange(pointers[-1]) + np.repeat(starts - pointers[:-1], lengths)
    return _csr(pointers, D.indices[source], D.shape[1])


def union(dependences: Sequence[Dependence | None]) -> Dependence | None:
    """The union of dependences of one shape, element by element; None stands for none at all."""
    found = [D for D in dependences if D is not None]
    if not found:
        return None
    total = found[0]
    for D in found[1:]:
        total = total + D
        check_size(total.nnz)
    return total


def stack(dependences: Sequence[Dependence | None], sizes: Sequence[int]) -> Dependence | None:
    """Rows of one below those of the other; None stands for `sizes[k]` empty rows."""
    width = next((D.shape[1] for D in dependences if D is not None), None)
    if width is None:
        return None
    parts = [
        sp.csr_array((size, width), dtype=bool) if D is None else D
        for D, size in zip(dependences, sizes, strict=True)
    ]
    return sp.csr_array(sp.vstack(parts, format="csr"))


def group(D: Dependence, groups: np.ndarray, n_groups: int) -> Dependence:
    """Row g of the result is the union of all rows whose group is g."""
    rows = np.arange(groups.size)
    kept = groups.reshape(-1) >= 0
    ones = np.ones(np.count_nonzero(kept), bool)
    selection = (ones, (groups.reshape(-1)[kept], rows[kept]))
    return multiply(sp.csr_array(selection, (n_groups, groups.size)), D)


def multiply(pattern: sp.csr_array, D: Dependence) -> Dependence:
    """Row i of the result is the union of the rows that row i of the pattern names."""
    steps = float(np.diff(D.indptr)[pattern.indices].sum(dtype=np.float64))
    (m, n), k = pattern.shape, D.shape[1]
    if steps > float(m) * n * k / _DENSE and max(m * n, n * k, m * k) <= _SMALL:
        dense = pattern.toarray().astype(np.float32) @ D.toarray().astype(np.float32)
        return sp.csr_array(dense > 0)
    check_size(steps / 16)
    product = sp.csr_array(pattern @ D)
    check_size(product.nnz)
    return product


def everything(dependences: Sequence[Dependence | None], size: int) -> Dependence | None:
    """Every one of `size` elements depends on all that any of these does."""
    found = [D for D in dependences if D is not None and D.nnz]
    if not found:
        return None
    columns = np.unique(np.concatenate([D.indices for D in found]))
    check_size(float(columns.size) * size)
    pointers = np.arange(size + 1) * columns.size
    return _csr(pointers, np.tile(columns, size), found[0].shape[1])


def check_size(entries: float) -> None:
    """Raises `TooDense` for more entries than `LARGEST`."""
    if entries > LARGEST:
        raise TooDense(f"more than {LARGEST} dependences")


def _csr(pointers: np.ndarray, columns: np.ndarray, width: int) -> Dependence:
    data = np.ones(columns.size, bool)
    return sp.csr_array((data, columns, pointers), (pointers.size - 1, width))
