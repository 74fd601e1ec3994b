"""The structure of LU: matched rows, embeddings, identity and errors."""

import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elimax._structure import _native
from elimax._structure.archive import pack, unpack
from elimax._structure.lu_symbolic import GeneralEmbedding, LUSymbolic, analyze_lu, paired
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import analyze

from .elimination import grid

CYCLE = Pattern.from_coo(np.arange(6), (np.arange(6) + 1) % 6, (6, 6))  # nothing on the diagonal


@st.composite
def matched_patterns(draw, max_n: int = 10) -> Pattern:
    """Square patterns with a perfect matching, which is hidden among other entries."""
    n = draw(st.integers(0, max_n))
    hidden = draw(st.permutations(range(n)))
    index = st.integers(0, max(0, n - 1))
    entries = draw(st.lists(st.tuples(index, index), max_size=2 * n)) if n else []
    i, j = np.array([*zip(hidden, range(n), strict=True), *entries], int).reshape(-1, 2).T
    return Pattern.from_coo(i, j, (n, n))


@given(matched_patterns(), st.sampled_from(["auto", "amd", "nd", "natural"]))
def test_matched_rows_make_a_diagonal(pattern, ordering):
    symbolic = analyze_lu(pattern, ordering)
    dense = pattern.to_scipy().toarray()
    rows, columns = symbolic.row_permutation, symbolic.column_permutation
    assert dense[rows][:, columns].diagonal().all()
    assert symbolic.symbolic.method == "supernodal"
    B = dense[symbolic.matching]
    expected = np.tril(B | B.T | np.eye(symbolic.n, dtype=bool))
    assert np.array_equal(np.tril(symbolic.symbolic.pattern.to_scipy().toarray()), expected)


@given(matched_patterns(), st.data())
def test_embedding_accepts_exactly_the_filled_pattern(pattern, data):
    n = pattern.shape[0]
    symbolic = analyze_lu(pattern)
    L = symbolic.symbolic.factor_pattern()[0].to_scipy().toarray()
    filled = np.zeros((n, n), bool)
    filled[np.ix_(symbolic.row_permutation, symbolic.column_permutation)] = L | L.T
    inside = Pattern.from_coo(*np.nonzero(filled), (n, n))
    assert symbolic.embedding(inside).pattern == inside
    outside = np.argwhere(~filled)
    if outside.size:
        r, c = outside[data.draw(st.integers(0, len(outside) - 1))]
        larger = inside.union(Pattern.from_coo([r], [c], (n, n)))
        with pytest.raises(ValueError, match=rf"the entry \({r}, {c}\) lies outside of the filled"):
            symbolic.embedding(larger)


@given(matched_patterns())
def test_pickling_reproduces_everything(pattern):
    symbolic = analyze_lu(pattern)
    embedding = symbolic.embedding(pattern)
    for structure in (symbolic, embedding):
        for copy in (
            pickle.loads(pickle.dumps(structure)),
            unpack(type(structure), pack(structure)),
        ):
            assert copy == structure and hash(copy) == hash(structure)
    copy = pickle.loads(pickle.dumps(embedding))
    assert copy.pin("embedding") == embedding.pin("embedding")
    for name, _ in _native._EMBEDDING_ARRAYS:
        mine = _native.embedding_array(embedding._handle, name)
        assert np.array_equal(mine, _native.embedding_array(copy._handle, name))


def test_sizes_of_a_dense_matrix():
    """2/3 n^3 - n^2/2 - n/6 operations, n^2 nonzeros."""
    symbolic = analyze_lu(Pattern.dense((7, 7)))
    assert symbolic.nnz == 49
    assert symbolic.flops == 2 * 7**3 / 3 - 7**2 / 2 - 7 / 6
    assert symbolic.supernodes == 1 and symbolic.n == 7


def test_magnitudes_choose_the_matching():
    pattern = Pattern.dense((2, 2))
    assert analyze_lu(pattern).matching.tolist() == [0, 1]
    symbolic = analyze_lu(pattern, magnitudes=np.array([1.0, 2.0, 3.0, 1.0]))
    assert symbolic.matching.tolist() == [1, 0]
    assert symbolic != analyze_lu(pattern)


def test_analyzing_again_is_a_look_up_only_without_magnitudes():
    assert analyze_lu(CYCLE) is analyze_lu(CYCLE)
    magnitudes = np.ones(6)
    first, second = analyze_lu(CYCLE, "amd", magnitudes), analyze_lu(CYCLE, "amd", magnitudes)
    assert first == second and first is not second
    assert first.embedding(CYCLE) is second.embedding(CYCLE)


def test_a_given_permutation_orders_columns():
    sequence = np.random.default_rng(0).permutation(6)
    symbolic = analyze_lu(CYCLE, sequence)
    assert np.array_equal(symbolic.symbolic.sequence, sequence) and symbolic.ordering == "given"
    assert symbolic is analyze_lu(CYCLE, sequence.tolist())


def test_a_symmetric_matrix_has_the_structure_of_cholesky():
    lower = grid(20, 20)
    assert analyze_lu(lower.to_general()[0]).symbolic == analyze(lower, method="supernodal")


def test_repr_says_what_matters():
    text = repr(analyze_lu(CYCLE, "natural"))
    assert text == (
        "LUSymbolic(n=6, nnz(L+U)=6, flops=0, supernodes=6, matched off the diagonal=6, "
        "ordering='natural')"
    )


def test_embedding_of_another_shape():
    with pytest.raises(ValueError, match=r"shape \(3, 3\), but what was analyzed has \(6, 6\)"):
        analyze_lu(CYCLE).embedding(Pattern.eye(3))
    with pytest.raises(ValueError, match="takes a general pattern, got a symmetric one"):
        analyze_lu(CYCLE).embedding(Pattern.eye(6, symmetric=True))


@pytest.mark.parametrize(
    ("pattern", "ordering", "error", "message"),
    [
        (np.eye(2), "auto", TypeError, "expected a Pattern, got a ndarray"),
        (Pattern.dense((2, 3)), "auto", ValueError, r"must be square, got shape \(2, 3\)"),
        (Pattern.eye(3, symmetric=True), "auto", ValueError, "takes a general pattern"),
        (Pattern.from_coo([0, 0], [0, 1], (2, 2)), "auto", ValueError, "structural rank is 1 of 2"),
        (CYCLE, "metis", ValueError, '"auto", "amd", "nd", "natural" or a permutation'),
        (CYCLE, [0, 1], ValueError, "permutation of the 6 rows of the pattern, got 2 entries"),
    ],
)
def test_refuses(pattern, ordering, error, message):
    with pytest.raises(error, match=message):
        analyze_lu(pattern, ordering)


def test_parts_must_belong_together():
    good = analyze_lu(CYCLE)
    with pytest.raises(ValueError, match="`matching` must hold every one of the 6 rows once"):
        LUSymbolic(CYCLE, np.zeros(6, np.int32), good.symbolic)
    with pytest.raises(ValueError, match="`matching` must hold every one of the 6 rows once"):
        GeneralEmbedding(good.symbolic, CYCLE, np.arange(5))
    with pytest.raises(ValueError, match="is not for the pattern of A with matched rows"):
        LUSymbolic(CYCLE, np.arange(6), good.symbolic)
    single = analyze(paired(CYCLE, good.matching), method="simplicial")
    with pytest.raises(ValueError, match="must be supernodal"):
        LUSymbolic(CYCLE, good.matching, single)


def test_nothing():
    empty = Pattern.from_coo([], [], (0, 0))
    symbolic = analyze_lu(empty)
    assert symbolic.nnz == 0 and symbolic.flops == 0
    assert symbolic.embedding(empty).pattern == empty


def test_reason_is_shown():
    assert re.search(r"ordering='amd' \(auto: predicted .* s, too little", repr(analyze_lu(CYCLE)))
