"""The benchmark of factorizations that pivot, on small matrices."""

import numpy as np
import pytest
import scipy.sparse as sp
from benchmarks import pivoting
from benchmarks.gallery import grid2d


@pytest.mark.parametrize(
    ("make", "calls_of"),
    [
        (lambda: pivoting.network(200), pivoting.lu_calls),
        (lambda: pivoting.convection_diffusion(12), pivoting.lu_calls),
        (lambda: grid2d(12), pivoting.ldl_calls),
    ],
)
def test_everybody_is_timed(make, calls_of, capsys):
    pivoting.compare("title", {"name": make}, calls_of, rounds=1, turn=0.0)
    printed = capsys.readouterr().out
    assert "title, factor / " in printed and "geometric mean" in printed and "Error" not in printed


def test_the_generated_matrices_are_unsymmetric_and_regular():
    for A in (pivoting.network(200), pivoting.convection_diffusion(12)):
        assert abs(A - A.T).max() > 0.1
        assert np.linalg.cond(A.toarray()) < 1e6


def test_a_matrix_that_a_peer_refuses_is_left_out(capsys):
    singular = sp.csc_array((3, 3))
    pivoting.compare("title", {"name": lambda: singular}, pivoting.lu_calls, rounds=1, turn=0.0)
    assert "name: ValueError: the matrix is structurally singular" in capsys.readouterr().out
