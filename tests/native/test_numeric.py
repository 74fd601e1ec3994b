"""The numeric kernels over a Symbolic, against dense formulas: factor, solves, log det, and every G_k."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

from elimax._primitive.factor import cholesky_factor
from elimax._primitive.selected_inverse import inverse_gradient, logdet
from elimax._primitive.solve import solve
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import analyze

from ..helpers import (
    GALLERY,
    SCALARS,
    assert_close,
    dense,
    spd,
    stored,
    tolerance,
)


def factorize(A, values=None):
    """Values of A and of its factor, and the static arguments of every primitive."""
    pattern = Pattern.from_scipy(A, symmetric=True)
    symbolic = analyze(pattern, "amd", "supernodal")
    embedding = symbolic.embedding(pattern)
    a = jnp.asarray(stored(A) if values is None else values)
    factor, status, detail = cholesky_factor(a, symbolic, embedding, False)
    return a, factor, dict(symbolic=symbolic, embedding=embedding), (int(status), int(detail))


def normal(rng, shape, dtype):
    x = rng.standard_normal(shape) + (
        1j * rng.standard_normal(shape) if np.issubdtype(dtype, complex) else 0
    )
    return x.astype(dtype)


def wide(dtype):
    """Fronts wider than every block of the kernels: a dense block, its border, and loose vertices."""
    n, block = 260, 200
    keep = np.zeros((n, n), bool)
    keep[:block, :block] = True
    keep[block:, ::40] = True
    X = np.tril(normal(np.random.default_rng(0), (n, n), dtype) * keep, -1)
    dominant = 2 * np.abs(X).sum(0) + 2 * np.abs(X).sum(1) + 1
    return sp.csc_array(X + X.conj().T + np.diag(dominant)).astype(dtype)


@pytest.mark.parametrize("name", GALLERY)
def test_solve_and_its_halves(name, rng):
    A = spd(name)
    a, factor, static, status = factorize(A)
    assert status == (0, 0)
    for k in (1, 65):
        b = normal(rng, (A.shape[0], k), np.float64)
        x = solve(a, factor, b, **static)
        assert (
            np.abs(A @ x - b).max() < tolerance(np.float64) * (abs(A) @ np.abs(x) + np.abs(b)).max()
        )
        y = solve(a, factor, b, **static, part="forward")
        assert_close(solve(a, factor, y, **static, part="backward"), x, tolerance(np.float64))
        assert_close(np.sum(y * y, 0), np.sum(b * x, 0), tolerance(np.float64))


@pytest.mark.parametrize("dtype", SCALARS)
@pytest.mark.parametrize("name", ["wide", "grid_2d"])
def test_solves_with_any_number_of_right_hand_sides(name, dtype, rng):
    A = wide(dtype) if name == "wide" else spd(name, dtype)
    a, factor, static, _ = factorize(A)
    oracle = A.toarray().astype(np.promote_types(dtype, np.float64))
    for k in (1, 2, 3, 4, 5, 9, 64, 67):
        b = normal(rng, (A.shape[0], k), dtype)
        x = np.linalg.solve(oracle, b)
        scale = np.abs(x).max()
        close = tolerance(dtype) * scale * np.linalg.cond(oracle)
        assert np.abs(solve(a, factor, b, **static) - x).max() < close
        y = solve(a, factor, b, **static, part="forward")
        assert np.abs(solve(a, factor, y, **static, part="backward") - x).max() < close


def test_a_bad_right_hand_side_spoils_only_its_component(rng):
    A = spd("disconnected")
    a, factor, static, _ = factorize(A)
    _, component = sp.csgraph.connected_components(A)
    bad = component == component[0]
    assert bad.any() and not bad.all()
    for k in (1, 8):
        b = normal(rng, (A.shape[0], k), np.float64)
        x = solve(a, factor, b, **static)
        spoiled = np.where(bad[:, None], np.nan, b)
        for part in ("whole", "forward"):
            got, expected = (solve(a, factor, v, **static, part=part) for v in (spoiled, b))
            assert np.isnan(got).any()
            clean = ~np.isnan(got)
            assert clean.any() and np.array_equal(got[clean], expected[clean])
        assert np.array_equal(np.isnan(solve(a, factor, spoiled, **static)).any(1), bad)
        assert np.isfinite(x).all()


@pytest.mark.parametrize("dtype", SCALARS)
@pytest.mark.parametrize("name", ["wide", "one", "arrow_last", "grid_2d", "disconnected", "dense"])
def test_log_determinant_and_gradients_of_every_order(name, dtype, rng):
    A = wide(dtype) if name == "wide" else spd(name, dtype)
    a, factor, static, status = factorize(A)
    assert status == (0, 0)
    oracle = A.toarray().astype(np.promote_types(dtype, np.float64))
    assert_close(logdet(a, factor, **static), np.linalg.slogdet(oracle)[1], tolerance(dtype))

    inverse = np.linalg.inv(oracle)
    pattern = static["embedding"].pattern
    rows, columns = pattern.rows, np.repeat(np.arange(A.shape[0]), np.diff(pattern.column_pointers))
    directions = [normal(rng, a.shape, dtype) for _ in range(3)]
    for order in range(4):
        # The coefficient of e_1 ... e_k of (A + sum e_i V_i)^-1.
        V = [np.asarray(dense(A, v)) @ inverse for v in directions[:order]]
        Z = sum(
            (-1) ** order * np.linalg.multi_dot([inverse, *path, np.eye(len(inverse))])
            for path in itertools.permutations(V)
        )
        expected = np.where(rows == columns, Z[rows, columns].real, 2 * Z[rows, columns].conj())
        actual = inverse_gradient(a, factor, *directions[:order], **static)
        assert_close(actual, expected, tolerance(dtype, 10))


@pytest.mark.parametrize("dtype", SCALARS)
def test_failure_names_the_column_and_spreads_nan(dtype):
    A = spd("grid_2d", dtype)
    pattern = Pattern.from_scipy(A, symmetric=True)
    column = 17
    values = stored(A).copy()
    values[pattern.column_pointers[column]] = -1
    a, factor, static, status = factorize(A, values=values)
    assert status == (1 + column, 0)
    b = np.ones((A.shape[0], 2), dtype)
    outputs = [factor, logdet(a, factor, **static)]
    outputs += [solve(a, factor, b[:, :k], **static) for k in (1, 2)]
    outputs += [inverse_gradient(a, factor, *[a] * order, **static) for order in range(3)]
    assert all(np.isnan(x).all() for x in outputs)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["one", "grid_2d", "arrow_last", "disconnected"])
def test_value_that_is_not_finite_is_found(name, bad, rng):
    A = spd(name)
    position = int(rng.integers(stored(A).size))
    values = stored(A).copy()
    values[position] = bad
    _, factor, _, status = factorize(A, values=values)
    assert status == (-1, position)
    assert np.isnan(factor).all()


@pytest.mark.parametrize("dtype", SCALARS)
@pytest.mark.parametrize("shape", [(300,), (25, 25), (7, 8, 9)])
def test_semidefinite_matrix_is_not_factorized(shape, dtype):
    """The Laplacian of a grid without boundary condition: its last pivot is pure rounding error."""
    neighbors = sp.csc_array((1, 1))
    for m in shape:
        path = sp.diags_array([np.ones(m - 1)] * 2, offsets=[-1, 1])
        neighbors = sp.kronsum(neighbors, path)
    degree = sp.diags_array(np.asarray(neighbors.sum(0)).ravel())
    A = sp.csc_array(degree - neighbors).astype(dtype)
    assert factorize(A)[3][0] > 0
    assert factorize(sp.csc_array(A + 0.01 * degree).astype(dtype))[3] == (0, 0)


def test_result_is_the_same_on_every_run():
    A = spd("grid_3d")
    first = factorize(A)
    second = factorize(A)
    assert np.array_equal(first[1], second[1])
    gradient = [inverse_gradient(run[0], run[1], run[0], **run[2]) for run in (first, second)]
    assert np.array_equal(*gradient)
