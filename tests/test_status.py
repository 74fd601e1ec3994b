"""Failure is a value, and says where; with throw=True it is an error that names the column."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex

from .helpers import SCALARS, spd


def _grid_laplacian(m: int) -> sp.csc_array:
    """The Neumann Laplacian of a square grid: positive semidefinite, constants in its null space."""
    T = sp.diags_array([-np.ones(m - 1), -np.ones(m - 1)], offsets=[-1, 1])
    W = sp.kron(T, sp.eye_array(m)) + sp.kron(sp.eye_array(m), T)
    return sp.csc_array(W - sp.diags_array(np.asarray(W.sum(0))))


def _outputs(F, b):
    return (
        F.solve(b),
        F.half_solve(b),
        F.logdet(),
        F.selected_inverse().values,
        F.inverse_diagonal(),
        F.L.values,
    )


@pytest.mark.parametrize("dtype", SCALARS)
@pytest.mark.parametrize("column", [0, 17, 71])
def test_indefinite_matrix_names_the_column(dtype, column):
    A = sp.lil_array(spd("grid_2d", dtype))
    A[column, column] = -1.0
    A = ex.SymmetricMatrix.from_scipy(sp.csc_array(A))
    with pytest.raises(ex.FactorizationError, match="not positive definite") as error:
        ex.cholesky(A, ordering="natural")
    assert error.value.column == column
    assert f"column {column}" in str(error.value)
    F = ex.cholesky(A, ordering="natural", throw=False)
    assert int(F.status) == 1 + column
    for output in _outputs(F, np.ones(72, dtype)):
        assert np.all(np.isnan(output))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("ordering", ["amd", "natural"])
def test_not_finite_input_names_the_entry(bad, ordering):
    A = ex.SymmetricMatrix.from_scipy(spd("random"))
    entry = 33
    A = A.with_values(A.values.at[entry].set(bad))
    with pytest.raises(ex.FactorizationError, match="NaN or infinite") as error:
        ex.cholesky(A, ordering=ordering)
    assert error.value.entry == entry
    F = ex.cholesky(A, ordering=ordering, throw=False)
    assert int(F.status) == -1 and int(F.detail) == entry
    for output in _outputs(F, np.ones(70)):
        assert np.all(np.isnan(output))


def _normalized(A: sp.csc_array) -> sp.csc_array:
    """D^-1/2 A D^-1/2: rounding errors of the entries no longer cancel."""
    scale = sp.diags_array(A.diagonal() ** -0.5)
    return sp.csc_array(scale @ A @ scale)


def _path_laplacian(n: int) -> sp.csc_array:
    degree = np.r_[1.0, np.full(n - 2, 2.0), 1.0]
    one = np.ones(n - 1)
    return sp.csc_array(sp.diags_array([-one, degree, -one], offsets=[-1, 0, 1]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ordering", ["amd", "nd", "natural"])
@pytest.mark.parametrize(
    "build",
    [
        lambda: _grid_laplacian(5),
        lambda: _grid_laplacian(60),
        lambda: _grid_laplacian(200),
        lambda: _normalized(_grid_laplacian(60)),
        lambda: _normalized(_path_laplacian(300)),
        lambda: _normalized(_path_laplacian(30_000)),
    ],
    ids=[
        "grid5",
        "grid60",
        "grid200",
        "normalized_grid",
        "normalized_path300",
        "normalized_path30000",
    ],
)
def test_numerically_semidefinite_matrix_is_flagged(build, ordering, dtype):
    """Its last pivot is a rounding error instead of a zero, as often positive as not."""
    A = ex.SymmetricMatrix.from_scipy(build().astype(dtype))
    F = ex.cholesky(A, ordering=ordering, throw=False)
    assert int(F.status) > 0
    assert np.isnan(F.logdet())


@pytest.mark.parametrize("seed", range(10))
def test_low_rank_gram_matrix_is_flagged(seed):
    B = sp.random_array((30, 40), density=0.2, rng=np.random.default_rng(seed))
    F = ex.cholesky(ex.SymmetricMatrix.from_scipy(sp.csc_array(B.T @ B)), throw=False)
    assert int(F.status) > 0


def test_just_definite_matrix_is_not_flagged():
    A = _grid_laplacian(40) + 1e-9 * sp.eye_array(1600)
    F = ex.cholesky(ex.SymmetricMatrix.from_scipy(sp.csc_array(A)), throw=False)
    assert int(F.status) == 0
    expected = np.linalg.slogdet(A.toarray())[1]
    np.testing.assert_allclose(F.logdet(), expected, rtol=1e-6)


def test_under_jit_the_running_program_raises():
    A = ex.SymmetricMatrix.from_scipy(spd("banded"))
    bad = A.values.at[0].set(-1.0)
    for function in (
        lambda v: ex.cholesky(A.with_values(v), ordering="natural").logdet(),
        jax.grad(lambda v: ex.cholesky(A.with_values(v), ordering="natural").logdet()),
    ):
        with pytest.raises(Exception, match=r"not positive definite.*column 0"):
            jax.block_until_ready(jax.jit(function)(bad))
        assert np.all(np.isfinite(jax.jit(function)(A.values)))  # the process is none the worse


def test_under_vmap_the_error_names_the_batch_element():
    A = ex.SymmetricMatrix.from_scipy(spd("banded"))
    batch = jnp.stack([A.values, A.values.at[0].set(-1.0), A.values])
    with pytest.raises(Exception, match=r"column 0.*batch element 1"):
        jax.block_until_ready(
            jax.vmap(lambda v: ex.cholesky(A.with_values(v), ordering="natural").logdet())(batch)
        )
    quiet = jax.vmap(lambda v: ex.cholesky(A.with_values(v), throw=False).logdet())(batch)
    good = ex.cholesky(A).logdet()
    np.testing.assert_array_equal(quiet, [good, np.nan, good])


def test_an_error_outside_of_a_trace_is_pythons():
    A = ex.SymmetricMatrix.from_scipy(sp.csc_array(-np.eye(3)))
    with pytest.raises(ArithmeticError):
        ex.cholesky(A).solve(np.ones(3))


def test_triangular_solve_with_a_zero_on_the_diagonal():
    T = ex.SparseMatrix.from_dense(np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 1]]))
    with pytest.raises(ex.FactorizationError, match="column 1"):
        ex.triangular_solve(T, np.ones(3))
    x = ex.triangular_solve(T, np.ones(3), throw=False)
    assert np.all(np.isnan(x))
    with pytest.raises(Exception, match="column 1"):
        jax.block_until_ready(jax.jit(lambda b: ex.triangular_solve(T, b))(jnp.ones(3)))
    assert np.all(np.isfinite(ex.triangular_solve(T, np.ones(3), unit_diagonal=True)))
