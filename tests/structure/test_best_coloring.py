"""`order="auto"`: optimal on structure, at least as good as any order, linear where rows are long."""

import itertools
import json
import time

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex
from elimax._structure import lattice
from elimax._structure.colorable import KINDS
from elimax._structure.greedy import ORDERS
from elimax._structure.pattern import Pattern

from ..helpers import index, read_matrix
from .colorings import arrow, has_stars, is_acyclic, is_distance_2, stencil, two_species


def counts(pattern: Pattern, *kinds: str) -> tuple[int, ...]:
    return tuple(ex.color(pattern, kind).num_colors for kind in kinds)


# ---------------------------------------------------------------------------------------------
# Closed forms


@pytest.mark.parametrize("lower, upper", [(0, 0), (1, 1), (2, 0), (0, 3), (3, 2), (-1, 4)])
def test_bands_take_as_many_colors_as_they_have_diagonals(lower, upper):
    P = Pattern.band((50, 50), lower, upper)
    for order in ("auto", "natural"):
        for kind in ("column", "row"):
            assert ex.color(P, kind, order).num_colors == lower + upper + 1


@pytest.mark.parametrize("b", [0, 1, 2, 5, 70])
def test_symmetric_bands(b):
    """2 floor(rho / 2) + 1 and floor(rho / 2) + 1 for the width rho = 2 b + 1: Gebremedhin et al. (2007)."""
    P = Pattern.band((300, 300), b, b)
    for order in ("auto", "natural"):
        assert ex.color(P, "star", order).num_colors == 2 * b + 1
        assert ex.color(P, "acyclic", order).num_colors == b + 1


def test_blocks_take_as_many_colors_as_the_largest_has_columns():
    P = Pattern.from_scipy(sp.block_diag([np.ones((k, k)) for k in (3, 1, 5, 4)], format="csc"))
    assert counts(P, *KINDS) == (5, 5, 5, 5, 5)


def shuffled(pattern: Pattern, seed: int) -> Pattern:
    order = np.random.default_rng(seed).permutation(pattern.shape[0])
    return Pattern.from_coo(order[pattern.rows], order[pattern.columns], pattern.shape)


LATTICES = {
    # name: pattern, colors of columns, of a star coloring at most, of an acyclic one at most
    "path": (stencil(40), 3, 3, 2),
    "5-point": (stencil(20, 30), 5, 5, 3),
    "5-point, narrow": (stencil(4, 50), 5, 5, 3),
    "5-point, periodic": (stencil(20, 25, periodic=True), 5, 5, 5),
    "5-point, periodic, 2^m": (stencil(32, 32, periodic=True), 8, 8, 6),
    "9-point": (stencil(20, 30, box=True), 9, 9, 5),
    "9-point, periodic": (stencil(15, 21, periodic=True, box=True), 9, 9, 7),
    "7-point": (stencil(11, 12, 13), 7, 7, 4),
    "7-point, periodic": (stencil(10, 10, 10, periodic=True), 10, 10, 7),
    "27-point": (stencil(8, 9, 10, box=True), 27, 27, 14),
    "2 species": (two_species(18, False, False), 6, 6, 4),
    "2 species, blocked": (two_species(18, False, True), 6, 6, 4),
    "2 species, periodic": (two_species(18, True, False), 6, 6, 6),
    "2 species, periodic, blocked": (two_species(18, True, True), 6, 6, 6),
    "2 species, periodic, 2^m": (two_species(16, True, False), 8, 8, 6),
    "2 species, periodic, blocked, 2^m": (two_species(16, True, True), 8, 8, 6),
}


@pytest.mark.parametrize("name", LATTICES)
def test_lattices(name):
    P, expected, star, acyclic = LATTICES[name]
    S = P.to_scipy().toarray()
    columns = ex.color(P)
    assert is_distance_2(S, columns.colors)
    assert columns.num_colors <= expected
    assert counts(P, "row", "bidirectional") == (columns.num_colors, columns.num_colors)
    by_star, by_trees = ex.color(P, "star"), ex.color(P, "acyclic")
    assert has_stars(S, by_star.colors) and is_acyclic(S, by_trees.colors)
    assert by_star.num_colors <= star
    assert by_trees.num_colors <= acyclic


def test_groups_are_all_abelian_groups():
    """As many as the products of partitions of the exponents of the order's primes."""
    partitions = {0: 1, 1: 1, 2: 2, 3: 3, 4: 5, 5: 7}
    for k in range(1, 49):
        found = list(lattice._groups(k))
        assert all(np.prod(g) == k for g in found) and len(set(found)) == len(found)
        assert all(b % a == 0 for g in found for a, b in itertools.pairwise(g))
        exponents = [sum(k % p**e == 0 for e in range(1, 6)) for p in (2, 3, 5, 7, 11, 13)]
        if k % 17 and k % 19 and k % 23 and k not in (29, 31, 37, 41, 43, 47):
            assert len(found) == np.prod([partitions[e] for e in exponents])


def test_a_lattice_is_not_trusted_to_be_one():
    """One entry in the way of each proposal: the colors are valid, if more."""
    P = stencil(20, 30)
    rows, columns = np.append(P.rows, [0, 17]), np.append(P.columns, [123, 456])
    spoilt = Pattern.from_coo(rows, columns, P.shape)
    assert is_distance_2(spoilt.to_scipy().toarray(), ex.color(spoilt).colors)
    both = Pattern.from_coo(np.append(rows, [123, 456]), np.append(columns, [0, 17]), P.shape)
    S = both.to_scipy().toarray()
    assert has_stars(S, ex.color(both, "star").colors)
    assert is_acyclic(S, ex.color(both, "acyclic").colors)


# ---------------------------------------------------------------------------------------------
# Against the orders, and against other packages


@hypothesis.given(st.integers(1, 40), st.floats(0, 0.3), st.integers(0, 2**31))
def test_auto_is_at_least_as_good_as_any_order(n, density, seed):
    S = sp.random_array((n, n), density=density, rng=seed, format="csc")
    P, Q = Pattern.from_scipy(S), Pattern.from_scipy(sp.csc_array(S + S.T + sp.eye_array(n)))
    for kind in KINDS:
        pattern = Q if kind in ("star", "acyclic") else P
        fewest = min(ex.color(pattern, kind, order).num_colors for order in ORDERS)
        assert ex.color(pattern, kind).num_colors <= fewest
    assert counts(P, "bidirectional")[0] <= min(counts(P, "column", "row"))


def reference(shared) -> dict:
    path = shared / "matrices" / "colour_refs" / "colpack_counts.json"
    found = {name: c for name, c in json.loads(path.read_text()).items() if name in index()}
    return {name: c for name, c in found.items() if index()[name]["nnz"] <= 100_000}


def test_reference_counts(shared):
    """Greedy coloring in the natural order is determined by the pattern: every count of ColPack is met."""
    references = reference(shared)
    assert len(references) > 80
    for name, expected in references.items():
        P = Pattern.from_scipy(sp.csc_array(read_matrix(name)))
        found = [ex.color(P, kind, "natural").num_colors for kind in ("column", "row")]
        assert found == [expected[kind]["NATURAL"] for kind in ("pd2_col", "pd2_row")], name
        assert found[0] >= expected["lower_bound_col"]


def test_reference_counts_of_symmetric_patterns(shared):
    """Star colorings in the natural order take at most as many colors as ColPack's do, and "auto" at most as
    many as the best of its orders, up to ties, which are broken otherwise."""
    for name, expected in reference(shared).items():
        if "STAR" not in expected or index()[name]["nnz"] > 20_000:
            continue
        P = Pattern.from_scipy(sp.csc_array(read_matrix(name)))
        P = P.union(P.transpose()[0])
        for kind, key in (("star", "STAR"), ("acyclic", "ACYCLIC_FOR_INDIRECT_RECOVERY")):
            theirs = expected[key]
            assert ex.color(P, kind, "natural").num_colors <= theirs["NATURAL"], name
            best = min(theirs.values())
            assert ex.color(P, kind).num_colors <= max(best + 1, 1.1 * best), name


# ---------------------------------------------------------------------------------------------
# Hubs, and patterns that are large or dense


@pytest.mark.parametrize("kind, colors", [("star", 2), ("acyclic", 2), ("bidirectional", 3)])
def test_an_arrow_takes_a_few_colors(kind, colors):
    P = arrow(100_000)
    for order in ("auto", "natural", "smallest_last") if kind != "bidirectional" else ("auto",):
        start = time.perf_counter()
        assert ex.color(P, kind, order).num_colors == colors
        assert time.perf_counter() - start < 5  # 0.1 s, and hours if it were quadratic


def test_columns_of_an_arrow_differ():
    n = 100_000
    P = arrow(n)
    for kind, order in itertools.product(("column", "row"), ("auto", "natural", "smallest_last")):
        start = time.perf_counter()
        assert ex.color(P, kind, order).num_colors == n
        assert time.perf_counter() - start < 5


def test_a_band_with_long_rows_and_columns():
    n, band = 10_000, Pattern.band((10_000, 10_000), 2, 2)
    P = band.union(arrow(n, 5))
    start = time.perf_counter()
    assert counts(P, "star", "acyclic", "bidirectional") <= (10, 8, 15)
    assert time.perf_counter() - start < 20  # 1 s


def test_dense_patterns_are_seen_at_once():
    n = 1500
    P = Pattern.dense((n, n))
    assert P.nnz == n * n
    start = time.perf_counter()
    assert counts(P, *KINDS) == (n,) * 5
    assert time.perf_counter() - start < 10  # 0.4 s
    assert counts(Pattern.dense((3, 200)), "column", "row", "bidirectional") == (200, 3, 3)


def test_large_lattices():
    P = stencil(300, 300)
    start = time.perf_counter()
    assert counts(P, *KINDS) == (5, 5, 5, 3, 5)
    assert time.perf_counter() - start < 20  # 0.5 s
