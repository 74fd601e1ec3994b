"""One matrix on several threads: the same numbers to the last bit, and ELIMAX_NUM_THREADS."""

import hashlib
import os
import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
import hashlib, sys
import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
import elimax as ex

def path(n):
    return sp.diags([-np.ones(n - 1), 2.0 * np.ones(n), -np.ones(n - 1)], [-1, 0, 1])

def grid(*sides):
    A = sp.csc_matrix((1, 1))
    for side in sides:
        A = sp.kronsum(A, path(side))
    return (A + 0.1 * sp.identity(A.shape[0])).tocsc()

sizes, dtype = {sizes}, "{dtype}"
S = ex.SymmetricMatrix.from_scipy(grid(*sizes).astype(dtype))
rng = np.random.default_rng(0)
v, w = S.values, S.values * rng.uniform(0.5, 1.0, S.nnz).astype(dtype)
b = rng.normal(size=(S.shape[0], 3)).astype(dtype)

def compute(v, w, b):
    F = ex.cholesky(S.with_values(v), throw=False)
    gradient = jax.grad(lambda v: ex.cholesky(S.with_values(v), throw=False).logdet().real)
    score = jax.grad(lambda v: (ex.cholesky(S.with_values(v), throw=False).half_solve(b).real ** 2).sum())
    return (F.L.values, F.logdet(), F.solve(b), F.solve(b[:, 0]), F.inverse_diagonal(),
            *jax.jvp(gradient, (v,), (w,)), *jax.jvp(score, (v,), (w,)))

digest = hashlib.sha256()
for x in jax.jit(compute)(v, w, b):
    assert np.isfinite(x).all()
    digest.update(np.ascontiguousarray(x).tobytes())
failed = ex.cholesky(S.with_values(v.at[jnp.array([7, S.nnz // 2, S.nnz - 1])].set(-9)), throw=False)
digest.update(np.asarray(failed.status).tobytes())
print(digest.hexdigest())
"""


def run(program: str, threads: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"NPROC": "6", "ELIMAX_NUM_THREADS": threads}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("sizes", "dtype"),
    [((90, 90), "float64"), ((13, 13, 13), "float64"), ((9, 9, 20), "complex64")],
)
def test_results_do_not_depend_on_the_number_of_threads(sizes, dtype):
    program = PROGRAM.replace("{sizes}", repr(sizes)).replace("{dtype}", dtype)
    runs = [run(program, threads) for threads in ("1", "2", "5")]
    for one in runs:
        assert one.returncode == 0, one.stderr
    digests = {one.stdout.strip() for one in runs}
    assert len(digests) == 1 and len(digests.pop()) == 2 * hashlib.sha256().digest_size


@pytest.mark.parametrize("threads", ["0", "-2", "two", "1.5"])
def test_a_number_of_threads_that_is_none(threads):
    """An error at every call, also when the variable is gone: it is read once."""
    program = """
        import contextlib, os, numpy as np, elimax as ex
        A = ex.SymmetricMatrix(ex.Pattern.eye(3, symmetric=True), np.ones(3, np.float32))
        with contextlib.suppress(Exception):
            ex.cholesky(A).logdet()
        del os.environ["ELIMAX_NUM_THREADS"]
        ex.cholesky(A).logdet()
    """
    failed = run(program, threads)
    assert failed.returncode != 0
    assert "ELIMAX_NUM_THREADS must be a positive integer or not be set" in failed.stderr
    assert repr(threads) in failed.stderr


def test_an_empty_number_of_threads_is_no_limit():
    program = """
        import numpy as np, elimax as ex
        print(ex.cholesky(ex.SymmetricMatrix.from_dense(np.eye(3, dtype=np.float32))).logdet())
    """
    assert run(program, "").stdout.strip() == "0.0"
