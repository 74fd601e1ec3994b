"""Pairs of columns: which there are, and that they get into the same supernode."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elimax._structure import _native
from elimax._structure.ldl_symbolic import analyze_ldl, partners
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import analyze

from .elimination import eliminate, from_edges, grid, patterns


def without_diagonal(n: int, edges, diagonal=()) -> Pattern:
    """A graph of which only some vertices have a diagonal entry."""
    i, j = np.array([*edges, *((k, k) for k in diagonal)], int).reshape(-1, 2).T
    return Pattern.from_coo(np.maximum(i, j), np.minimum(i, j), (n, n), symmetric=True)


def saddle_point(n: int, m: int) -> Pattern:
    """[H B^T; B 0] with m constraints on three neighbors each; H tridiagonal."""
    edges = [(k, k + 1) for k in range(n - 1)]
    edges += [(n + c, (3 * c + k) % n) for c in range(m) for k in range(3)]
    return without_diagonal(n + m, edges, range(n))


def groups(pattern: Pattern, magnitudes=None) -> np.ndarray:
    """Which columns are paired, where none is allowed to follow."""
    return partners(pattern, magnitudes)[0].group


def is_singular(pattern: Pattern) -> bool:
    try:
        groups(pattern)
    except ValueError as error:
        assert "structurally singular" in str(error)
        return True
    return False


@given(patterns(max_n=10))
def test_every_column_without_diagonal_entry_gets_a_neighbor(pattern):
    if is_singular(pattern):
        return
    n = pattern.shape[0]
    group = groups(pattern)
    dense = pattern.to_scipy().toarray()
    assert np.array_equal(group[group], group)  # groups are named by members, their lowest
    assert (group <= np.arange(n)).all()
    size = np.bincount(group, minlength=n)
    missing = ~dense.diagonal()
    assert (size <= 3).all() and (size[group[missing]] >= 2).all()
    for lowest in np.flatnonzero(size > 1):
        members = np.flatnonzero(group == lowest)
        assert missing[members].any()
        assert missing[members].all() or members.size == 2
        assert (dense[np.ix_(members, members)].sum(0) > 0).all()


@given(patterns(max_n=12), st.sampled_from(["auto", "amd", "nd", "natural", "given"]), st.randoms())
def test_groups_get_into_the_same_supernode(pattern, ordering, random):
    if is_singular(pattern):
        return
    n = pattern.shape[0]
    sequence = random.sample(range(n), n) if ordering == "given" else ordering
    symbolic = analyze_ldl(pattern, sequence)
    check_groups(symbolic, groups(pattern))
    assert symbolic.embedding(pattern).pattern == pattern


def check_groups(symbolic, group):
    """In one supernode, and side by side in the proposed sequence."""
    number = np.argsort(symbolic.permutation)
    supernode = np.repeat(np.arange(symbolic.supernodes), np.diff(symbolic.super))
    assert np.array_equal(supernode[number], supernode[number[group]])
    position = np.argsort(symbolic.sequence)
    for lowest in np.flatnonzero(np.bincount(group, minlength=group.size) > 1):
        assert np.ptp(position[group == lowest]) == np.sum(group == lowest) - 1


@pytest.mark.parametrize("ordering", ["amd", "nd", "natural"])
def test_groups_of_a_saddle_point_get_into_the_same_supernode(ordering):
    pattern = saddle_point(300, 90)
    group = groups(pattern)
    assert np.array_equal(np.bincount(np.bincount(group)[group]), [0, 210, 180])
    check_groups(analyze_ldl(pattern, ordering), group)
    fundamental = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0) + (
        0.0,
    ) * 5  # nothing but what groups themselves demand
    symbolic = analyze_ldl(pattern, ordering)
    A = symbolic.pattern
    handle = _native.analyze(
        390, A.column_pointers, A.rows, symbolic.sequence, fundamental, "supernodal"
    )
    number = np.argsort(_native.symbolic_array(handle, "permutation"))
    supers = np.diff(_native.symbolic_array(handle, "super"))
    supernode = np.repeat(np.arange(supers.size), supers)
    assert np.array_equal(supernode[number], supernode[number[group]])


@given(patterns(max_n=10))
def test_analyzed_pattern_is_the_smallest_in_which_groups_are_alike(pattern):
    if is_singular(pattern):
        return
    group = groups(pattern)
    dense = pattern.to_scipy().toarray() | np.eye(pattern.shape[0], dtype=bool)
    alike = group[:, None] == group
    analyzed = analyze_ldl(pattern).pattern.to_scipy().toarray()
    if (group != np.arange(group.size)).any():
        assert np.array_equal(analyzed, alike @ dense @ alike)
    else:
        assert np.array_equal(analyzed | np.eye(group.size, dtype=bool), dense)


def test_a_full_diagonal_makes_no_pairs():
    assert analyze_ldl(grid(9, 9)) == analyze(grid(9, 9), method="supernodal")


def test_cycles():
    ring = [(k, (k + 1) % 6) for k in range(6)]
    assert groups(without_diagonal(6, ring)).tolist() in ([0, 0, 2, 2, 4, 4], [0, 1, 1, 3, 3, 0])
    triangle = [(0, 1), (1, 2), (0, 2)]
    assert groups(without_diagonal(3, triangle)).tolist() == [0, 0, 0]
    assert np.bincount(groups(without_diagonal(3, triangle, [1]))).max() == 2


def test_two_strong_columns_are_no_pair():
    """Moved far off the diagonal by large entries, and yet no pair: their own entries are as large."""
    pattern = Pattern.dense((4, 4)).lower()[0]
    assert groups(pattern, np.ones(10)).tolist() == [0, 1, 2, 3]
    diagonal = pattern.rows == pattern.columns
    assert groups(pattern, np.where(diagonal, 0.5, 1.0)).tolist() == [0, 1, 2, 3]
    weak = groups(pattern, np.where(diagonal, 1e-9, 1.0))
    assert sorted(np.bincount(weak)) in ([0, 0, 2, 2], [0, 0, 0, 4], [0, 2, 2])


@given(st.integers(0, 10**6))
def test_positive_definite_values_make_no_pairs(seed):
    """However badly scaled: |a_ij|^2 < a_ii a_jj."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-8, 8, 9)
    X = rng.normal(size=(9, 9))
    A = (X @ X.T + 5 * np.eye(9)) * scale * scale[:, None]
    pattern = Pattern.dense((9, 9)).lower()[0]
    magnitudes = np.abs(A[pattern.rows, pattern.columns])
    assert np.array_equal(groups(pattern, magnitudes), np.arange(9))


def test_small_values_need_partners_whatever_the_scale(rng):
    """A zero block, stored: only values tell. Rows and columns scaled by any factors change nothing."""
    pattern = saddle_point(30, 9).with_diagonal()
    scale = 10.0 ** rng.uniform(-6, 6, 39)
    zero = (pattern.rows == pattern.columns) & (pattern.rows >= 30)
    magnitudes = np.where(zero, 0.0, rng.uniform(1, 2, pattern.nnz))
    plain = groups(pattern, magnitudes)
    assert (np.bincount(plain)[plain[30:]] == 2).all() and np.sum(plain != np.arange(39)) == 9
    scaled = groups(pattern, magnitudes * scale[pattern.rows] * scale[pattern.columns])
    assert (np.bincount(scaled)[scaled[30:]] == 2).all()
    assert np.array_equal(groups(pattern), np.arange(39))  # the pattern alone does not tell


def test_a_zero_follows_a_large_diagonal_entry_if_that_makes_less_fill():
    """One constraint on all variables: its pair would fill everything."""
    n = 50
    pattern = without_diagonal(n + 1, [(n, k) for k in range(n)], range(n))
    symbolic = analyze_ldl(pattern, magnitudes=np.ones(pattern.nnz))
    assert symbolic.nnz == 2 * n + 1 and symbolic.permutation[-1] == n
    assert analyze_ldl(pattern).nnz > symbolic.nnz


@pytest.mark.parametrize("ordering", ["amd", "nd", "natural", "given"])
def test_what_has_to_follow_does(ordering, rng):
    pattern = saddle_point(60, 18).with_diagonal()
    zero = (pattern.rows == pattern.columns) & (pattern.rows >= 60)
    magnitudes = np.where(zero, 0.0, 1.0)
    magnitudes[pattern.rows == pattern.columns] *= 1e-4 ** (
        rng.uniform(size=78) < 0.3
    )  # some are weak
    pairs, followers = partners(pattern, magnitudes)
    following = np.flatnonzero(followers.behind >= 0)
    leaders = followers.behind[following]
    assert following.size and np.unique(leaders).size == leaders.size
    assert np.array_equal(followers.group[following], following)
    assert np.array_equal(followers.group[leaders], leaders)
    assert np.array_equal(pairs.group[following], pairs.group[leaders])
    sequence = rng.permutation(78) if ordering == "given" else ordering
    symbolic = analyze_ldl(pattern, sequence, magnitudes)
    position = np.argsort(symbolic.sequence)
    followed = (position[following] > position[leaders]).all()
    check_groups(symbolic, followers.group if followed else pairs.group)


def test_fill_is_that_of_the_analyzed_pattern():
    symbolic = analyze_ldl(saddle_point(40, 12))
    exact = eliminate(symbolic.pattern, symbolic.permutation)
    assert symbolic.nnz == sum(exact.counts)


def test_analyzing_again_is_a_look_up_only_without_magnitudes():
    pattern = saddle_point(20, 5)
    assert analyze_ldl(pattern) is analyze_ldl(pattern)
    magnitudes = np.ones(pattern.nnz)
    first, second = (analyze_ldl(pattern, "amd", magnitudes) for _ in range(2))
    assert first == second and first is not second
    assert pickle.loads(pickle.dumps(first)) == first


@pytest.mark.parametrize(
    ("pattern", "ordering", "error", "message"),
    [
        (np.eye(2), "auto", TypeError, "expected a Pattern, got a ndarray"),
        (Pattern.eye(3), "auto", ValueError, "must be symmetric, got a general one"),
        (from_edges(3, []), "metis", ValueError, '"auto", "amd", "nd", "natural" or a permutation'),
        (from_edges(3, []), [0], ValueError, "permutation of the 3 rows of the pattern"),
        (
            without_diagonal(3, [(0, 1), (0, 2)], [0]),
            "auto",
            ValueError,
            "rank is 2 of 3, .* all entries of the 2 columns 1, 2 lie in row 0",
        ),
    ],
)
def test_refuses(pattern, ordering, error, message):
    with pytest.raises(error, match=message):
        analyze_ldl(pattern, ordering)


def test_refuses_magnitudes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"each of the 4 entries of the pattern, got shape \(3,\)"):
        analyze_ldl(from_edges(3, [(0, 1)]), magnitudes=np.ones(3))


def test_nothing():
    empty = Pattern.from_coo([], [], (0, 0), symmetric=True)
    assert analyze_ldl(empty).nnz == 0
    assert analyze_ldl(empty, magnitudes=np.ones(0)).nnz == 0
