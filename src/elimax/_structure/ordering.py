"""Fill-reducing orderings: in which sequence to eliminate the vertices of a symmetric pattern.

An ordering is a permutation: `permutation[k]` is the row and column of A that becomes the k-th pivot. All of
them depend on the pattern alone, never on time, seeds or the machine, so that every process that sees the
pattern lowers the same program.
"""

from collections.abc import Sequence

import numpy as np
import pymetis

from elimax._structure import _native
from elimax._structure.index_map import frozen, index_array
from elimax._structure.pattern import Pattern

Ordering = str | Sequence[int] | np.ndarray

_SEED = 0


def order(pattern: Pattern, ordering: Ordering) -> np.ndarray:
    """A permutation of a symmetric pattern.

    **Arguments:**

    - `ordering`: "amd" (approximate minimum degree), "nd" (nested dissection by METIS), "natural" (as
      given) or a permutation. `symbolic.analyze` also knows "auto", which compares what they lead to.

    **Returns:** int32, read-only.

    **Raises:** `ValueError` for an unknown name or an array that is not a permutation of all rows;
    `TypeError` for one that does not hold concrete integers.

    **Cost:** in practice O(nnz log n) for "amd"; some microseconds per entry for "nd".

    **Source:** Amestoy, Davis and Duff, SIAM J. Matrix Anal. Appl. 17 (1996); Karypis and Kumar, SIAM J. Sci.
    Comput. 20 (1998).
    """
    n = pattern.shape[0]
    if not isinstance(ordering, str):
        return given(n, ordering)
    match ordering:
        case "natural":
            permutation = np.arange(n, dtype=np.int32)
        case "amd":
            permutation = _native.amd(n, pattern.column_pointers, pattern.rows)
        case "nd":
            permutation = _nested_dissection(pattern)
        case "colamd":
            raise ValueError(
                '`ordering` "colamd" is for an LU factorization that follows the columns of A; here LU has '
                'the structure of a symmetric pattern, so use "amd" or "nd"'
            )
        case _:
            raise ValueError(
                f'`ordering` must be "auto", "amd", "nd", "natural" or a permutation, got {ordering!r}'
            )
    permutation.flags.writeable = False
    return permutation


def given(n: int, permutation: Sequence[int] | np.ndarray) -> np.ndarray:
    """The caller's permutation, checked."""
    array = index_array("ordering", permutation)
    if array.size != n:
        raise ValueError(
            f"`ordering` must be a permutation of the {n} rows of the pattern, got {array.size} entries"
        )
    outside = np.flatnonzero((array < 0) | (array >= n))
    if outside.size:
        k = outside[0]
        raise ValueError(f"`ordering`: entry {k} is {array[k]}, outside of 0 .. {n - 1}")
    missing = np.flatnonzero(np.bincount(array, minlength=n) == 0)
    if missing.size:
        raise ValueError(
            f"`ordering` must be a permutation, but {missing[0]} does not occur in it and some other "
            "entry occurs twice"
        )
    return frozen(array)


def _nested_dissection(pattern: Pattern) -> np.ndarray:
    n = pattern.shape[0]
    below = pattern.rows != pattern.columns
    rows, cols = pattern.rows[below], pattern.columns[below]
    if not rows.size:
        return np.arange(n, dtype=np.int32)
    # METIS wants every edge from both of its ends.
    source = np.concatenate([cols, rows])
    neighbor = np.concatenate([rows, cols])[np.argsort(source, kind="stable")]
    pointers = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(source, minlength=n), out=pointers[1:])
    graph = pymetis.CSRAdjacency(pointers, neighbor.astype(np.int64))
    permutation, _ = pymetis.nested_dissection(graph, options=pymetis.Options(seed=_SEED))
    return np.array(permutation, np.int32)
