"""Where the entries of a general pattern sit in the panels of L and of U^H, against the dense matrix."""

import numpy as np
import pytest
import scipy.sparse as sp

from elimax._structure import _native
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import analyze


def matched(n, density, rng):
    """A matrix of distinct values on a random pattern, and a matching of its rows with its columns."""
    A = sp.random_array((n, n), density=density, rng=rng, format="lil")
    row_of_column = rng.permutation(n).astype(np.int32)
    unmatched = n // 4  # columns whose diagonal entries are no values
    A[row_of_column[unmatched:], np.arange(unmatched, n)] = 1
    A = sp.csc_array(A)
    A.data = 1.0 + np.arange(A.nnz)
    return A, row_of_column


def embedded(A, row_of_column, analyzed=None):
    B = abs(A if analyzed is None else analyzed)[row_of_column]
    symmetric = sp.csc_array(B + B.T + sp.eye_array(A.shape[0]))
    symbolic = analyze(Pattern.from_scipy(symmetric, symmetric=True), "amd", "supernodal")
    handle, outside = _native.embed_general(
        symbolic._handle,
        A.shape[0],
        A.indptr.astype(np.int32),
        A.indices.astype(np.int32),
        row_of_column,
    )
    return symbolic, handle, outside


@pytest.mark.parametrize(("n", "density"), [(0, 0.5), (1, 0.5), (9, 0.3), (60, 0.04), (60, 0.3)])
def test_entries_of_a_general_pattern(n, density, rng):
    A, row_of_column = matched(n, density, rng)
    symbolic, handle, outside = embedded(A, row_of_column)
    assert outside == -1
    read = {name: _native.embedding_array(handle, name) for name, _ in _native._EMBEDDING_ARRAYS}
    np.testing.assert_array_equal(read["row_order"], row_of_column[symbolic.permutation])

    expected = A[read["row_order"]][:, symbolic.permutation].toarray()
    got = np.zeros((n, n))
    super, panel = (_native.symbolic_array(symbolic._handle, name) for name in ("super", "panel"))
    row_ptr, below = (
        _native.symbolic_array(symbolic._handle, name) for name in ("row_ptr", "rows")
    )
    for s in range(len(super) - 1):
        own = np.arange(super[s], super[s + 1])
        rows = np.concatenate([own, below[row_ptr[s] : row_ptr[s + 1]]])
        assert panel[s + 1] - panel[s] == len(rows) * len(own)
        for p in range(read["ptr"][s], read["ptr"][s + 1]):
            source, (upper, target) = (
                read["source"][p],
                divmod(read["target"][p], len(rows) * len(own)),
            )
            i, j = rows[target % len(rows)], own[target // len(rows)]
            assert upper == (source < 0) and (not upper or i not in own)
            got[(j, i) if upper else (i, j)] = A.data[~source if upper else source]
    np.testing.assert_array_equal(got, expected)

    diagonal = read["diagonal"]
    stored = diagonal >= 0
    np.testing.assert_array_equal(stored, np.diag(expected) != 0)
    np.testing.assert_array_equal(A.data[diagonal[stored]], np.diag(expected)[stored])


def test_an_entry_outside_of_what_was_analyzed(rng):
    n = 30
    row_of_column = rng.permutation(n).astype(np.int32)
    diagonal = sp.csc_array((np.ones(n), (row_of_column, np.arange(n))), (n, n))
    A = diagonal.tolil()
    A[row_of_column[3], 7] = 2
    A = sp.csc_array(A)
    _, handle, outside = embedded(A, row_of_column, analyzed=diagonal)
    assert handle is None and A.data[outside] == 2
