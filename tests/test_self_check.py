"""`python -m elimax`: what it prints, and that its checks can fail."""

import math
import re
import subprocess
import sys

import jax.numpy as jnp
import pytest

import elimax as ex
from elimax import _self_check
from elimax._self_check import Check, laplacian, self_check


def test_report_of_an_installation():
    run = subprocess.run([sys.executable, "-m", "elimax"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert re.search(r"jax \d+\.\d+", run.stdout)
    assert re.search(r"kernels use x86-64-v[234]|baseline", run.stdout)
    assert run.stdout.count(" ok\n") == len(list(self_check(5)))
    assert "none failed" in run.stdout


def test_checks_pass_at_another_size():
    checks = list(self_check(12))
    assert all(check.passed for check in checks), checks
    assert all(check.error > 0 or check.name == "LDL: inertia" for check in checks)


def test_a_wrong_result_fails(monkeypatch):
    monkeypatch.setattr(
        _self_check, "laplacian", lambda k: laplacian(k) + 1e-3 * ex.SymmetricMatrix.eye(k * k)
    )
    failed = [check.name for check in self_check(12) if not check.passed]
    assert failed == [
        "Cholesky: log-determinant",
        "... its gradient and second derivative",
        "... selected inverse",
        "Laplace approximation",
    ]


@pytest.mark.parametrize("error", [math.nan, math.inf, 2e-6])
def test_an_error_beyond_the_tolerance_fails(error):
    assert not Check("solution", error, 1e-6, 0.0).passed


def test_laplacian_is_the_five_point_stencil():
    dense = laplacian(3).todense()
    assert dense[4].tolist() == [0, -1, 0, -1, 4, -1, 0, -1, 0]
    assert jnp.array_equal(dense, dense.T)
