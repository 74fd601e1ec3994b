"""Real matrices, with certified log-determinants and entries of inverses; used in place from shared/."""

import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex

from .helpers import SHARED, index, read_matrix, spd_names, tolerance

NAMES = spd_names()


def _condition(record: dict) -> float:
    return float(record["facts"].get("cond2") or 1e8)


@pytest.mark.parametrize("name", NAMES)
def test_positive_definite_matrix(name, rng):
    A = sp.csc_array(read_matrix(name))
    record = index()[name]
    n, condition = A.shape[0], _condition(record)
    S = ex.SymmetricMatrix.from_scipy(A)
    F = ex.cholesky(S)

    # Solve: backward error, whatever the condition number.
    x = rng.normal(size=n)
    b = A @ x
    x = np.asarray(F.solve(b))
    residual = np.abs(A @ x - b)
    assert np.max(residual) <= tolerance(np.float64) * (
        np.max(abs(A) @ np.abs(x)) + np.max(np.abs(b))
    )

    # Log-determinant: a perturbation of relative size eps moves it by at most n eps cond.
    certified = record.get("high_precision", {}).get("logabsdet")
    if certified is not None:
        bound = tolerance(np.float64) * max(abs(float(certified)), condition)
        assert abs(float(F.logdet()) - float(certified)) <= bound

    # Selected inverse: every certified entry of it, or its diagonal at sampled places.
    Z = F.selected_inverse().todense() if n <= 1000 else None
    rtol = min(1e-3, tolerance(np.float64, condition))
    if Z is not None and "inv_file" in record.get("high_precision", {}):
        reference = np.load(SHARED / "matrices" / record["high_precision"]["inv_file"])
        expected = reference["inv_ij"]
        error = np.abs(Z[reference["row"], reference["col"]] - expected)
        assert np.max(error) <= rtol * np.max(np.abs(expected))
    if "diaginv_sample" in record:
        sample = np.load(SHARED / "matrices" / record["diaginv_sample"]["file"])
        variance = np.asarray(F.inverse_diagonal())
        np.testing.assert_allclose(variance[sample["idx"]], sample["diag_inv"].real, rtol=rtol)


NOT_DEFINITE = [
    name
    for name, record in index().items()
    if record["kind"] in ("sym-psd", "sym-indef", "sym-singular", "sym-negdef")
    and record["rows"] == record["cols"]
    and record["nnz"] < 500_000
]


@pytest.mark.parametrize("name", NOT_DEFINITE)
def test_matrix_that_is_not_positive_definite_is_flagged(name):
    A = ex.SymmetricMatrix.from_scipy(sp.csc_array(read_matrix(name)))
    F = ex.cholesky(A, ordering="amd", throw=False)
    assert int(F.status) > 0
    assert np.isnan(F.logdet())


def test_there_are_matrices_to_test_where_shared_is_present(shared):
    assert len(NAMES) > 10 and len(NOT_DEFINITE) > 5
