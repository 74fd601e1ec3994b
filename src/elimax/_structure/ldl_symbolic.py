"""Symbolic LDL^T factorization: which columns need another one before they can be pivots.

A column whose diagonal entry is zero, or small next to what connects it, is no pivot by itself. A symmetric
matching gives it a partner. Both are eliminated together, as a pair; or, if the diagonal entry of the partner
is known to be large, the column follows at any time after it, for then its own diagonal is filled.

The pattern is compressed: every pair becomes one vertex, the vertices are ordered, and the ordering is
expanded again. So that both columns of a pair get into the same supernode, side by side, each of them is
given the entries of the other: the pattern that is analyzed is then larger than that of A. Inside a supernode
kernels are free to choose pivots of order 1 or 2.

            x . a          columns 0 and 2 of the pattern on the left are a pair, for    x a x
            . x b          the entry (2, 2) is missing. They get each other's entries,   a x b
            a b .          as on the right.                                              x b x
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse

from elimax._structure import _native
from elimax._structure.matching import checked_magnitudes, perfect_matching
from elimax._structure.ordering import Ordering, given, order
from elimax._structure.pattern import Pattern
from elimax._structure.structure import cached
from elimax._structure.symbolic import Symbolic, analyze, check_symmetric, choose

# A diagonal entry of a scaled matrix, in which no entry is larger than 1, is small below this. At 0.1, L has
# up to a third more entries (ACTIVSg200_AC of the SuiteSparse collection), and no matrix fares better.
_WEAK = 0.01


class Partners(NamedTuple):
    """What columns need another one for.

    **Attributes:**

    - `group`: the lowest column of the pair that every column belongs to: its own number, if it is single. A
      group of three is possible where an odd number of columns can be paired with each other only.
    - `behind`: the column that a single one has to follow, or -1.
    """

    group: np.ndarray
    behind: np.ndarray


def analyze_ldl(
    pattern: Pattern, ordering: Ordering = "auto", magnitudes: np.ndarray | None = None
) -> Symbolic:
    """The symbolic LDL^T factorization of a symmetric pattern.

    Without magnitudes, columns that lack a diagonal entry are paired. With magnitudes so are those whose
    diagonal entry is small, or they follow a partner whose own one is large, if that is predicted to be
    faster.

    **Arguments:**

    - `ordering`: "auto", "amd", "nd", "natural" or a permutation. The columns of a pair follow each other,
      where the first of them is; a column that has to follow another one is moved behind it.
    - `magnitudes`: the absolute value of every entry.

    **Returns:** a supernodal `Symbolic`, of a pattern that is larger than the given one if there are pairs.
    Without magnitudes the latest ones are kept, so that analyzing a pattern again is a look-up.

    **Raises:** `TypeError` if `pattern` is not a `Pattern`; `ValueError` if it is not symmetric, or
    structurally singular (naming rows and columns), for an `ordering` that is neither known nor a
    permutation, or for magnitudes that do not fit, are negative or not finite.

    **Cost:** that of the matching, if a diagonal entry is missing or magnitudes are given, and of `analyze`.

    **Source:** Duff and Pralet, SIAM J. Matrix Anal. Appl. 27 (2005).
    """
    if not isinstance(pattern, Pattern):
        raise TypeError(f"analyze: expected a Pattern, got a {type(pattern).__name__}")
    check_symmetric(pattern)
    n = pattern.shape[0]
    name, permutation = (
        (ordering, b"") if isinstance(ordering, str) else ("given", given(n, ordering).tobytes())
    )
    if magnitudes is None:
        return _analyze(pattern, name, permutation)
    candidates = partners(pattern, magnitudes)
    return min(
        (_ordered(pattern, candidate, name, permutation) for candidate in candidates),
        key=lambda symbolic: symbolic.predicted_time,
    )


@cached(16)
def _analyze(pattern: Pattern, name: str, permutation: bytes) -> Symbolic:
    return _ordered(pattern, partners(pattern)[0], name, permutation)


def partners(pattern: Pattern, magnitudes: np.ndarray | None = None) -> list[Partners]:
    """Pairs of columns; with magnitudes, as a second choice, columns that follow others instead.

    **Raises:** `ValueError` if the pattern is structurally singular.
    """
    n = pattern.shape[0]
    whole, mirror = pattern.to_general()
    diagonal = pattern.diagonal().indices
    present = diagonal >= 0
    nowhere = np.full(n, -1, np.int32)
    if magnitudes is None:
        if present.all():
            return [Partners(np.arange(n, dtype=np.int32), nowhere)]
        matching = perfect_matching(whole)
        return [Partners(_pairs(matching.row_of_column, ~present), nowhere)]
    magnitudes = checked_magnitudes(pattern, magnitudes)
    matching = perfect_matching(whole, magnitudes[mirror.unconjugated.indices])
    size = np.zeros(n)
    size[present] = magnitudes[diagonal[present]]
    with np.errstate(divide="ignore"):
        scaled = np.log2(size) + matching.row_scale + matching.column_scale
    weak = scaled < np.log2(_WEAK)
    group = _pairs(matching.row_of_column, weak)
    higher = np.flatnonzero((group != np.arange(n)) & (weak != weak[group]))
    if not higher.size:
        return [Partners(group, nowhere)]
    # A pair of a weak and a strong column, divided: the weak one follows.
    lower, divided, behind = group[higher], group.copy(), nowhere.copy()
    divided[higher] = higher
    behind[np.where(weak[higher], higher, lower)] = np.where(weak[higher], lower, higher)
    return [Partners(group, nowhere), Partners(divided, behind)]


def _pairs(row_of_column: np.ndarray, weak: np.ndarray) -> np.ndarray:
    return _native.symmetric_matching(row_of_column, weak.astype(np.int32))


def _ordered(pattern: Pattern, partners: Partners, name: str, permutation: bytes) -> Symbolic:
    n = pattern.shape[0]
    sequence = np.frombuffer(permutation, np.int32)
    follower = np.flatnonzero(partners.behind >= 0)
    if not follower.size and np.array_equal(partners.group, np.arange(n)):
        return analyze(pattern, sequence if name == "given" else name, "supernodal")
    _, vertex = np.unique(partners.group, return_inverse=True)
    compressed = _compressed(pattern, vertex)
    leader = vertex[partners.behind[follower]]
    follower = vertex[follower]
    members = np.argsort(vertex, kind="stable")

    def expanded(name: str) -> np.ndarray:
        position = np.full(compressed.shape[0], float(n))
        if name == "given":
            np.minimum.at(position, vertex[sequence], np.arange(n))
        else:
            position[order(compressed, name)] = np.arange(compressed.shape[0])
        position[follower] = np.maximum(position[follower], position[leader] + 0.5)
        return members[np.argsort(position[vertex[members]], kind="stable")]

    return choose(_expanded(compressed, vertex), name, expanded, "supernodal")


def _compressed(pattern: Pattern, vertex: np.ndarray) -> Pattern:
    """The pattern of the graph in which the columns of a group are one vertex."""
    m = int(vertex.max()) + 1
    i, j = vertex[pattern.rows], vertex[pattern.columns]
    graph = Pattern.from_coo(np.maximum(i, j), np.minimum(i, j), (m, m), True)
    return graph.with_diagonal()


def _expanded(compressed: Pattern, vertex: np.ndarray) -> Pattern:
    """The pattern in which adjacent vertices stand for groups with all entries between them."""
    n, m = vertex.size, compressed.shape[0]
    member = scipy.sparse.csr_array((np.ones(n, bool), (np.arange(n), vertex)), (n, m))
    return Pattern.from_scipy(member @ compressed.to_scipy() @ member.T, symmetric=True)
