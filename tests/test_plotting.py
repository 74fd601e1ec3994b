"""Pictures, checked by what is drawn where."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import elimax as ex

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def ink(ax) -> np.ndarray:
    """Where the one image of some axes is not white."""
    (image,) = ax.get_images()
    return (np.asarray(image.get_array()) < 1).any(-1)


def arrow(n):
    i = np.arange(n)
    zero = np.zeros(n, int)
    return ex.Pattern.from_coo(np.r_[i, zero, i], np.r_[i, i, zero], (n, n))


def test_patterns_and_matrices():
    P = ex.Pattern.from_coo([0, 1, 3], [0, 2, 1], (4, 3))
    for what in (P, ex.SparseMatrix(P, np.ones(3))):
        ax = ex.spy(what)
        assert np.array_equal(ink(ax), P.to_scipy().toarray())
    symmetric = ex.Pattern.from_coo([0, 2], [0, 1], (3, 3), symmetric=True)
    ax = plt.figure().add_subplot()
    assert ex.spy(symmetric, ax) is ax
    assert np.array_equal(ink(ax), symmetric.to_general()[0].to_scipy().toarray())
    assert "3 entries" in ax.get_title()


def test_large_patterns_are_binned():
    ax = ex.spy(ex.Pattern.eye(10_000))
    assert ink(ax).shape == (600, 600)
    assert np.array_equal(ink(ax), np.eye(600) > 0)


@pytest.mark.parametrize("kind", ["column", "row", "bidirectional", "star", "acyclic"])
def test_colorings(kind):
    P = arrow(9)
    coloring = ex.color(P, kind)
    axes = ex.spy(coloring)
    whole = P.to_scipy().toarray()
    assert np.array_equal(ink(axes[0]), whole)
    sides = (coloring.num_column_colors > 0) + (coloring.num_row_colors > 0)
    assert len(axes) == 1 + sides
    shapes = [ink(ax).shape for ax in axes[1:]]
    expected = [(9, coloring.num_column_colors)] * (coloring.num_column_colors > 0)
    expected += [(coloring.num_row_colors, 9)] * (coloring.num_row_colors > 0)
    assert shapes == expected
    # Every entry has a place of its own in the products.
    assert sum(ink(ax).sum() for ax in axes[1:]) == coloring.pattern.nnz


def test_empty_ones():
    for P in (ex.Pattern.eye(0), ex.Pattern.from_coo([], [], (3, 2))):
        assert not ink(ex.spy(P)).any()
        ex.spy(ex.color(P))


def test_errors():
    with pytest.raises(TypeError, match="`what` must be a Pattern, a sparse matrix or a Coloring"):
        ex.spy(np.eye(3))
