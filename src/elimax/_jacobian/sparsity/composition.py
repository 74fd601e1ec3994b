"""Many steps of carry <- J carry + v at once, where J is a boolean matrix and v a dependence.

After T steps that is J^T carry + sum_t J^(T - 1 - t) v_t, in O(log T) products: by squaring J where all v_t
are the same, in a tree where they are not, and as prefix sums where the carries of all steps are asked for
(Hillis, Steele, CACM 29 (1986) 1170-1183). None stands for a dependence on nothing.
"""

import numpy as np
import scipy.sparse as sp

from elimax._jacobian.sparsity.dependence import (
    MISSING,
    Dependence,
    TooDense,
    check_size,
    group,
    identity,
    multiply,
    take,
    union,
)

_SWEEPS = 64  # that look for a fixed point


def each(M: sp.csr_array, steps: int, later: int = 0) -> sp.csr_array:
    """M for the block of every step; from the block that came `later` steps before."""
    check_size(float(M.nnz) * steps)
    return sp.csr_array(sp.kron(sp.eye_array(steps, k=-later, dtype=bool), M, format="csr"))


def powers(
    J: sp.csr_array, start: Dependence | None, v: Dependence | None, steps: int
) -> Dependence | None:
    """The carry after so many steps which are all the same."""
    carry = start
    while steps:
        if steps % 2:
            carry = union([None if carry is None else multiply(J, carry), v])
        steps //= 2
        if steps:
            v = None if v is None else union([v, multiply(J, v)])
            J = multiply(J, J)
    return carry


def reduced(J: sp.csr_array, blocks: Dependence, n_blocks: int) -> Dependence:
    """The last carry: sum_t J^(n - 1 - t) block_t."""
    size = J.shape[0]
    while n_blocks > 1:
        pairs = (n_blocks + 1) // 2
        lines = np.arange(n_blocks * size).reshape(n_blocks, size)
        if n_blocks % 2:
            lines = np.concatenate([np.full((1, size), MISSING), lines])
        earlier, later = take(blocks, lines[::2]), take(blocks, lines[1::2])
        blocks = union([multiply(each(J, pairs), earlier), later])
        n_blocks = pairs
        if n_blocks > 1:
            J = multiply(J, J)
    return blocks


def prefixes(J: sp.csr_array, blocks: Dependence, n_blocks: int) -> Dependence:
    """All carries: block t of the result is sum_(s <= t) J^(t - s) block_s."""
    reach = 1
    while reach < n_blocks and J.nnz:
        blocks = union([blocks, multiply(each(J, n_blocks, reach), blocks)])
        reach *= 2
        if reach < n_blocks:
            J = multiply(J, J)
    return blocks


def any_number(J: sp.csr_array, start: Dependence | None) -> Dependence | None:
    """Whatever any number of steps can bring to the carry: (I + J)^k start for k large enough.

    Where that is too dense a matrix, a few sweeps look for the fixed point that it has; or else all that is
    connected depends on the same.
    """
    if start is None:
        return None
    try:
        reach = sp.csr_array(J + identity(J.shape[0]))
        while True:
            further = multiply(reach, reach)
            if further.nnz == reach.nnz:
                return multiply(reach, start)
            reach = further
    except TooDense:
        found = start
    for _ in range(_SWEEPS):
        further = found + multiply(J, found)
        if further.nnz == found.nnz:
            return found
        found = further
    n, labels = sp.csgraph.connected_components(J, directed=False)
    return take(group(start, labels, n), labels)
