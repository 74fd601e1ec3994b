"""The scripts that use optimistix and diffrax."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

import newton
from pde import measuring

ROOT = pathlib.Path(__file__).parents[2]
# One thread of BLAS: many that wait for each other would take longer than all the rest.
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1"}


def _run(*command) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        env=ENVIRONMENT,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_newton():
    printed = _run("examples/newton.py", "--quick")
    residuals = re.findall(r"newton +\d+   \|residual\| +(\S+)", printed)
    assert len(residuals) == 6 and float(residuals[-1]) < 1e-14
    assert "newton, LU" in printed and "newton, dense" in printed and "GB" in printed


@pytest.mark.slow
def test_stiff_ode(tmp_path):
    printed = _run("examples/stiff_ode.py", "--quick", "--output", str(tmp_path))
    assert "100.00%" in printed and "Kvaerno3, LU" in printed and "difference quotient" in printed
    (picture,) = tmp_path.iterdir()
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_bundle_adjustment():
    printed = _run("examples/bundle_adjustment.py", "--quick")
    losses = {float(loss) for loss in re.findall(r"steps, loss (\S+),", printed)}
    assert len(losses) == 1  # both methods find the same
    assert "Levenberg-Marquardt, sparse" in printed and "difference quotient" in printed


def test_derivatives_that_do_not_agree_are_a_failure(monkeypatch, capsys):
    monkeypatch.setattr(newton, "check_derivative", lambda size: False)
    monkeypatch.setattr(newton, "QUICK", ())
    monkeypatch.setattr(newton, "QUICK_DENSE", ())
    monkeypatch.setattr(newton, "show_iterations", lambda method, size: None)
    monkeypatch.setattr(measuring, "table", lambda rows, quantity: "")
    assert newton.main(["--quick"]) == 1
    assert "do not agree" in capsys.readouterr().out


def test_the_memory_of_a_process():
    before = measuring.peak()
    held = bytearray(2**28)
    held[:: 2**12] = bytes([1]) * len(held[:: 2**12])
    assert before + 2**26 < measuring.peak() < before + 2**30
