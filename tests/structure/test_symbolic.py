"""Supernodes, their rows, the layout of the factor, embeddings and identity."""

import pickle
import re

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elimax._structure import _native
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import RELAXATION, SINGLE_COLUMN, Embedding, Symbolic, analyze

from .elimination import eliminate, from_edges, grid, path, permuted_patterns, star

RELAXATIONS = {
    "fundamental": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
    "some": (5.0, 0.3, 0.5, 0.05, 0.0, 0.8),
    "as in use": RELAXATION,
    "one per tree": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "single columns": RELAXATION,  # the simplicial method
}


def arrays(case: tuple[Pattern, np.ndarray], relaxation: str) -> dict[str, np.ndarray]:
    """Analyzed with another relaxation than the one that `Symbolic` has."""
    pattern, sequence = case
    method = "simplicial" if relaxation == "single columns" else "supernodal"
    handle = _native.analyze(
        pattern.shape[0],
        pattern.column_pointers,
        pattern.rows,
        np.asarray(sequence, np.int32),
        RELAXATIONS[relaxation] + SINGLE_COLUMN,
        method,
    )
    return {name: _native.symbolic_array(handle, name) for name, _ in _native._SYMBOLIC_ARRAYS}


relaxed = pytest.mark.parametrize("relaxation", RELAXATIONS)


def fronts(s: dict[str, np.ndarray]) -> list[tuple[list[int], list[int]]]:
    """Columns and rows below, for every supernode."""
    return [
        (
            list(range(s["super"][k], s["super"][k + 1])),
            s["rows"][s["row_ptr"][k] : s["row_ptr"][k + 1]].tolist(),
        )
        for k in range(s["super_parent"].size)
    ]


@relaxed
@given(permuted_patterns())
def test_supernodes_hold_the_structure_of_their_columns(relaxation, case):
    s = arrays(case, relaxation)
    exact = eliminate(case[0], s["permutation"])
    assert [j for columns, _ in fronts(s) for j in columns] == list(range(case[0].shape[0]))
    for columns, rows in fronts(s):
        assert columns
        assert rows == sorted(set().union(*(exact.columns[j] for j in columns)) - set(columns))


@given(permuted_patterns())
def test_fundamental_supernodes_are_maximal_chains_without_zeros(case):
    s = arrays(case, "fundamental")
    exact = eliminate(case[0], s["permutation"])
    children = np.bincount(np.array(exact.parent, int) + 1, minlength=case[0].shape[0] + 1)[1:]
    starts = set(s["super"].tolist())
    for j in range(1, case[0].shape[0]):
        continues = exact.parent[j - 1] == j and exact.counts[j - 1] == exact.counts[j] + 1
        assert (j not in starts) == (continues and children[j] == 1)


@given(permuted_patterns())
def test_fundamental_supernodes_hold_no_zeros(case):
    s = arrays(case, "fundamental")
    entries = sum(len(c) * (len(c) + 1) // 2 + len(c) * len(r) for c, r in fronts(s))
    assert entries == s["counts"].sum()


@given(permuted_patterns())
def test_single_columns_are_the_compressed_columns_of_the_factor(case):
    s = arrays(case, "single columns")
    n = case[0].shape[0]
    assert s["super"].tolist() == list(range(n + 1))
    assert s["super_parent"].tolist() == s["parent"].tolist()
    assert s["panel"].tolist() == [0, *np.cumsum(s["counts"], dtype=int)]


@given(permuted_patterns())
def test_with_all_zeros_every_tree_is_one_supernode(case):
    s = arrays(case, "one per tree")
    assert s["super_parent"].tolist() == [-1] * int((s["parent"] == -1).sum())


@relaxed
@given(permuted_patterns())
def test_tree_of_supernodes(relaxation, case):
    """The parent owns the first row below; descendants come right before a supernode (postorder)."""
    s = arrays(case, relaxation)
    owner = np.repeat(np.arange(s["super_parent"].size), np.diff(s["super"]))
    size = np.ones(s["super_parent"].size, int)
    for k, (_, rows) in enumerate(fronts(s)):
        assert s["super_parent"][k] == (owner[rows[0]] if rows else -1)
        if rows:
            assert s["super_parent"][k] > k
            size[s["super_parent"][k]] += size[k]
    for k, parent in enumerate(s["super_parent"]):
        assert parent == -1 or k > parent - size[parent]


@relaxed
@given(permuted_patterns())
def test_relative_indices_find_the_rows_in_the_front_of_the_parent(relaxation, case):
    s = arrays(case, relaxation)
    front = [columns + rows for columns, rows in fronts(s)]
    for k, (_, rows) in enumerate(fronts(s)):
        relative = s["relative"][s["row_ptr"][k] : s["row_ptr"][k + 1]]
        assert [front[s["super_parent"][k]][p] for p in relative] == rows


@relaxed
@given(permuted_patterns())
def test_panels_follow_each_other(relaxation, case):
    s = arrays(case, relaxation)
    sizes = [len(c) * (len(c) + len(r)) for c, r in fronts(s)]
    assert s["panel"].tolist() == [0, *np.cumsum(sizes, dtype=int)]


def test_sizes():
    symbolic = analyze(grid(12, 12), "nd")
    below = np.diff(symbolic.row_ptr)
    assert 0 < symbolic.workspace < symbolic.n + (below**2).sum()
    assert symbolic.max_below == below.max()
    assert symbolic.max_columns == np.diff(symbolic.super).max()
    assert symbolic.max_rows == (below + np.diff(symbolic.super)).max()
    assert symbolic.factor_size == symbolic.panel[-1]


def test_children_that_need_most_go_first():
    """A comb of small subtrees beside a large one: the large one first, so that none waits meanwhile."""
    clique = [(i, j) for j in range(20) for i in range(j + 1, 20)]
    teeth = [(k, 60) for k in range(20, 60)]
    pattern = from_edges(61, [*clique, *teeth, (19, 60), (18, 60)])
    s = arrays((pattern, np.arange(61)), "fundamental")
    assert s["super"][1] == 20 or s["counts"][0] == 20  # the clique is eliminated first


# ---------------------------------------------------------------------------------------------
# Embeddings and the pattern of L


@given(permuted_patterns())
def test_factor_pattern_is_exact(case):
    pattern, sequence = case
    symbolic = Symbolic(pattern, sequence, "given")
    L, gather = symbolic.factor_pattern()
    exact = eliminate(pattern, symbolic.permutation)
    for j, column in enumerate(exact.columns):
        below = L.rows[L.column_pointers[j] : L.column_pointers[j + 1]]
        assert below.tolist() == sorted(column)
    # Every gathered position holds its row and column, and no two are the same.
    where = {}
    s = {name: getattr(symbolic, name) for name in ("super", "super_parent", "row_ptr", "rows")}
    for k, (columns, rows) in enumerate(fronts(s)):
        for c, j in enumerate(columns):
            for r, i in enumerate(columns + rows):
                where[symbolic.panel[k] + c * len(columns + rows) + r] = (i, j)
    found = [where[p] for p in gather.indices.tolist()]
    assert found == list(zip(L.rows.tolist(), L.columns.tolist(), strict=True))


@given(permuted_patterns(), st.data())
def test_embedding_accepts_exactly_the_filled_pattern(case, data):
    """Any pattern inside L + L^T has a place, one with an entry outside is refused by that entry's name."""
    pattern, sequence = case
    n = pattern.shape[0]
    symbolic = Symbolic(pattern, sequence, "given")
    pivots, L = symbolic.permutation, symbolic.factor_pattern()[0]
    i, j = pivots[L.rows], pivots[L.columns]
    filled = Pattern.from_coo(np.maximum(i, j), np.minimum(i, j), (n, n), symmetric=True)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=L.nnz, max_size=L.nnz)), bool)
    some = Pattern.from_coo(filled.rows[kept], filled.columns[kept], (n, n), symmetric=True)
    assert symbolic.embedding(filled).pattern == filled
    assert symbolic.embedding(some).pattern == some

    padding = set()  # zeros that relaxation added have a place, too
    s = {name: getattr(symbolic, name) for name in ("super", "super_parent", "row_ptr", "rows")}
    for columns, rows in fronts(s):
        padding |= {
            (max(pivots[[r, c]]), min(pivots[[r, c]])) for c in columns for r in columns + rows
        }
    outside = sorted({(r, c) for r in range(n) for c in range(r + 1)} - padding)
    if outside:
        r, c = outside[data.draw(st.integers(0, len(outside) - 1))]
        larger = filled.union(Pattern.from_coo([r], [c], (n, n), symmetric=True))
        with pytest.raises(ValueError, match=rf"the entry \({r}, {c}\) lies outside of the filled"):
            symbolic.embedding(larger)


def test_embedding_of_another_shape():
    with pytest.raises(ValueError, match=r"shape \(4, 4\), but what was analyzed has \(3, 3\)"):
        analyze(path(3)).embedding(path(4))


def test_embedding_of_a_general_pattern():
    with pytest.raises(ValueError, match="must be symmetric, got a general one"):
        analyze(path(3)).embedding(Pattern.eye(3))


def test_embedding_is_cached_and_pickles():
    symbolic = analyze(grid(4, 4))
    embedding = symbolic.embedding(grid(4, 4))
    assert symbolic.embedding(grid(4, 4)) is embedding
    copy = pickle.loads(pickle.dumps(embedding))
    assert copy == embedding and hash(copy) == hash(embedding) and copy.pin() == embedding.pin()
    assert embedding != symbolic.embedding(Pattern.eye(16, symmetric=True))
    assert isinstance(embedding, Embedding) and "nnz=40" in repr(embedding)


# ---------------------------------------------------------------------------------------------
# Identity, cache, errors


def test_analyzing_again_is_a_look_up():
    assert analyze(grid(5, 5), "amd") is analyze(grid(5, 5), "amd")
    sequence = np.arange(25)[::-1]
    assert analyze(grid(5, 5), sequence) is analyze(grid(5, 5), sequence.tolist())
    assert analyze(grid(5, 5), sequence) is not analyze(grid(5, 5), np.arange(25))


@given(permuted_patterns())
def test_pickling_reproduces_everything(case):
    symbolic = Symbolic(case[0], case[1], "given")
    copy = pickle.loads(pickle.dumps(symbolic))
    assert copy == symbolic and hash(copy) == hash(symbolic) and copy.pin() == symbolic.pin()
    for name, _ in _native._SYMBOLIC_ARRAYS:
        mine = _native.symbolic_array(symbolic._handle, name)
        assert np.array_equal(mine, _native.symbolic_array(copy._handle, name))


def test_digest_tells_patterns_and_sequences_apart():
    a, b = grid(4, 4), path(16)
    forward, backward = np.arange(16, dtype=np.int32), np.arange(16, dtype=np.int32)[::-1]
    symbolics = [Symbolic(p, s, "given") for p in (a, b) for s in (forward, backward)]
    assert len(set(symbolics)) == 4
    assert Symbolic(a, forward, "natural") == symbolics[0]
    assert symbolics[0] != "a string"


def test_auto_is_minimum_degree_where_work_is_small():
    chosen = analyze(grid(20, 20))
    assert chosen == analyze(grid(20, 20), "amd") and chosen is analyze(grid(20, 20))
    assert chosen.ordering == "amd"
    assert re.search(
        r"ordering='amd' \(auto: predicted .* s, too little to try 'nd'\)", repr(chosen)
    )


def test_auto_tries_nested_dissection_where_work_is_large():
    pattern = grid(26, 26, 26)
    chosen, amd, nd = analyze(pattern), analyze(pattern, "amd"), analyze(pattern, "nd")
    assert nd.predicted_time < amd.predicted_time
    assert chosen == nd and chosen != amd
    assert re.search(r"ordering='nd' \(auto: predicted .* s, 'amd' .* s\)", repr(chosen))


def test_auto_keeps_minimum_degree_where_dissecting_does_not_help():
    pattern = Pattern.dense((300, 300)).lower()[0]
    chosen = analyze(pattern)
    assert chosen.ordering == "amd" and "'nd'" in repr(chosen)


def test_auto_of_nothing():
    empty = Pattern.from_coo([], [], (0, 0), symmetric=True)
    assert analyze(empty).supernodes == 0
    assert analyze(empty, []).nnz == 0
    assert analyze(empty).embedding(empty).pattern == empty
    assert analyze(empty).factor_pattern()[0].nnz == 0


def test_depth_is_no_problem():
    """A chain of 200,000 supernodes and a star of as many."""
    n = 200_000
    assert analyze(path(n), "natural").nnz == 2 * n - 1
    assert analyze(star(n, n - 1), "natural").nnz == 2 * n - 1
    assert analyze(star(n, 0), "amd").nnz == 2 * n - 1


def test_repr_says_what_matters():
    text = repr(analyze(path(10), "natural"))
    assert text.startswith("Symbolic(n=10, nnz(L)=19, flops=37, supernodes=")
    assert text.endswith("method='simplicial', ordering='natural')")


def test_arrays_are_read_only():
    symbolic = analyze(grid(20, 20))
    names = "permutation parent column_counts super super_parent row_ptr rows relative panel"
    for name in names.split():
        with pytest.raises(ValueError, match="read-only"):
            getattr(symbolic, name)[0] = 7


@pytest.mark.parametrize("argument", [Pattern.eye(3), Pattern.dense((3, 2))])
def test_refuses_general_patterns(argument):
    with pytest.raises(ValueError, match=r"must be symmetric, got a general one of shape \(3, "):
        analyze(argument)


def test_constructor_refuses_what_would_crash():
    with pytest.raises(ValueError, match="permutation of the 3 rows"):
        Symbolic(path(3), np.arange(2), "given")
    with pytest.raises(ValueError, match="must be symmetric"):
        Symbolic(Pattern.eye(3), np.arange(3), "given")


def test_refuses_what_is_not_a_pattern():
    with pytest.raises(TypeError, match="expected a Pattern, got a ndarray"):
        analyze(np.eye(3))


def test_refuses_an_unknown_ordering():
    with pytest.raises(ValueError, match='"auto", "amd", "nd", "natural" or a permutation'):
        analyze(path(3), "fastest")


@pytest.mark.parametrize("method", ["supernodal", "simplicial"])
def test_a_method_can_be_demanded(method):
    symbolic = analyze(grid(8, 8), "amd", method)
    assert symbolic.method == method and f"method='{method}'" in repr(symbolic)
    assert symbolic is analyze(grid(8, 8), "amd", method)
    assert pickle.loads(pickle.dumps(symbolic)) == symbolic
    assert symbolic.predicted_time > 0


def test_the_method_is_part_of_the_identity():
    one, other = (analyze(star(9, 8), "natural", m) for m in ("supernodal", "simplicial"))
    assert one != other and one.pin() != other.pin()


def test_the_automatic_method_is_the_faster_one():
    for pattern in (path(500), grid(20, 20), grid(6, 6, 6)):
        each = [analyze(pattern, "amd", method) for method in ("supernodal", "simplicial")]
        chosen = analyze(pattern, "amd")
        assert chosen == min(each, key=lambda symbolic: symbolic.predicted_time)
        assert chosen.predicted_time == min(symbolic.predicted_time for symbolic in each)


def test_refuses_an_unknown_method():
    with pytest.raises(ValueError, match='"auto", "supernodal" or "simplicial", got \'fast\''):
        analyze(path(3), method="fast")


def test_works_under_a_trace():
    """The analysis is of static structure: calling it while JAX traces changes nothing."""
    assert jax.jit(lambda x: x * analyze(path(3)).nnz)(1.0) == 5.0
