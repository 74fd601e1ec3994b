"""Refined solutions and determinants from LU factors, against dense algebra."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp

from elimax._structure import _native
from elimax._structure.pattern import Pattern

from ..helpers import COMPLEX, SCALARS, tolerance
from .test_lu import Structure, gallery, general, normal

for name in ("refined_solve", "slogdet"):
    handler = getattr(_native.library, f"elimax_{name}")
    jax.ffi.register_ffi_target(f"elimax_{name}_test", jax.ffi.pycapsule(handler), platform="cpu")


class LU:
    def __init__(self, A, row_of_column=None, values=None):
        self.A, self.structure = A, Structure(A, row_of_column)
        self.values = jnp.asarray(A.data if values is None else values)
        self.factor, self.pivots, self.status, _ = self.structure.factorize(self.values)
        self.attributes = {
            name: value
            for name, value in self.structure.attributes.items()
            if name != "not_finite_sentence"
        }

    def solve(self, b, adjoint=False, sentence=""):
        lead = self.values.shape[:-1]
        b = jnp.asarray(b)
        results = [
            jax.ShapeDtypeStruct((*lead, *b.shape[-2:]), b.dtype),
            jax.ShapeDtypeStruct((*lead, b.shape[-1]), np.finfo(b.dtype).dtype),
        ]
        x, errors = jax.ffi.ffi_call("elimax_refined_solve_test", results)(
            self.values,
            self.factor,
            self.pivots,
            b,
            **self.attributes,
            **Pattern.from_scipy(self.A).pin("pattern"),
            storage=np.int64(0),
            adjoint=adjoint,
            sentence=sentence,
        )
        return np.asarray(x), np.asarray(errors)

    def slogdet(self):
        lead = self.values.shape[:-1]
        results = [
            jax.ShapeDtypeStruct(lead, self.values.dtype),
            jax.ShapeDtypeStruct(lead, np.finfo(self.values.dtype).dtype),
        ]
        call = jax.ffi.ffi_call("elimax_slogdet_test", results)
        return call(self.factor, self.pivots, **self.attributes, storage=np.int64(0))


def backward_error(A, x, b):
    """Componentwise, with residuals in extended precision."""
    kind = np.clongdouble if np.iscomplexobj(x) else np.longdouble
    A, x, b = (np.asarray(y).astype(kind) for y in (A, x, b))
    residual, scale = np.abs(b - A @ x), np.abs(A) @ np.abs(x) + np.abs(b)
    return np.max(
        np.where(scale > 0, residual / np.where(scale > 0, scale, 1), 0), axis=0, initial=0
    )


def epsilon(dtype):
    return float(np.finfo(dtype).eps)


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("dtype", SCALARS)
def test_backward_error(dtype, adjoint, rng):
    for name, (A, row_of_column) in gallery(dtype, rng).items():
        if row_of_column is None:
            row_of_column = np.asarray(
                sp.csgraph.maximum_bipartite_matching(sp.csr_array(A.T), "column")
            )
        F = LU(A, row_of_column)
        X = A.toarray().conj().T if adjoint else A.toarray()
        for k in (0, 1, 3, 4, 64, 100):
            b = normal(rng, (A.shape[0], k), dtype)
            x, errors = F.solve(b, adjoint)
            assert x.shape == b.shape and errors.shape == (k,), name
            np.testing.assert_allclose(
                errors, backward_error(X, x, b), rtol=1e-2, atol=1e-3 * epsilon(dtype)
            )
            assert (errors <= 3 * epsilon(dtype)).all(), (name, errors.max())


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_an_ill_conditioned_matrix(dtype, rng):
    A = sp.csc_array(scipy.linalg.hilbert(8).astype(dtype))
    b = normal(rng, (8, 5), dtype)
    x, errors = LU(A).solve(b)
    assert np.linalg.cond(A.toarray()) > 1e10
    assert (errors <= 3 * epsilon(dtype)).all()
    assert (backward_error(A.toarray(), x, b) <= 3 * epsilon(dtype)).all()


def test_small_right_hand_sides_in_parts(rng):
    """Blocks that do not touch have solutions of very different sizes."""
    A, order = general(40, 0.2, np.float64, rng)
    A = sp.csc_array(sp.block_diag([A, A, A]))
    F = LU(A, np.concatenate([order, 40 + order, 80 + order]))
    b = normal(rng, (120, 2), np.float64) * np.repeat([1.0, 1e-30, 0.0], 40)[:, None]
    x, errors = F.solve(b)
    assert (errors <= 3 * epsilon(float)).all()
    assert (backward_error(A.toarray(), x, b) <= 3 * epsilon(float)).all()
    assert not x[80:].any()


@pytest.mark.parametrize("dtype", SCALARS)
def test_determinant(dtype, rng):
    for name, (A, row_of_column) in gallery(dtype, rng).items():
        if row_of_column is None:
            row_of_column = np.asarray(
                sp.csgraph.maximum_bipartite_matching(sp.csr_array(A.T), "column")
            )
        sign, logdet = LU(A, row_of_column).slogdet()
        wide = np.complex128 if dtype in COMPLEX else np.float64
        expected = np.linalg.slogdet(A.toarray().astype(wide))
        assert sign.dtype == dtype and logdet.dtype == np.finfo(dtype).dtype
        np.testing.assert_allclose(sign, expected[0], atol=tolerance(dtype, 10), err_msg=name)
        np.testing.assert_allclose(logdet, expected[1], atol=tolerance(dtype, 10), err_msg=name)


def test_columns_do_not_disturb_each_other(rng):
    A, order = general(50, 0.1, np.float64, rng)
    F = LU(A, order)
    b = normal(rng, (50, 70), np.float64)
    x, errors = F.solve(b)
    b[:, 3], b[7, 20] = np.nan, np.inf
    y, spoiled = F.solve(b)
    assert np.isnan(spoiled[[3, 20]]).all()
    others = np.delete(np.arange(70), [3, 20])
    np.testing.assert_array_equal(y[:, others], x[:, others])
    np.testing.assert_array_equal(spoiled[others], errors[others])


def test_a_factor_that_failed(rng):
    A, order = general(20, 0.2, np.float64, rng)
    values = np.stack([A.data, A.data])
    values[1, 4] = np.nan
    F = LU(A, order, values)
    x, errors = F.solve(np.ones((2, 20, 2)))
    assert np.isfinite(x[0]).all() and np.isnan(x[1]).all()
    assert (errors[0] <= 3 * epsilon(float)).all() and np.isnan(errors[1]).all()
    sign, logdet = F.slogdet()
    assert np.isfinite(logdet[0]) and np.isnan(logdet[1]) and np.isnan(sign[1])


def test_a_singular_matrix(rng):
    A = normal(rng, (30, 30), np.float64) / 4
    A[:, 7] = A[:, 3]
    F = LU(sp.csc_array(A))
    x, errors = F.solve(np.ones((30, 1)))
    assert errors[0] > 1e-10 and np.isfinite(x).all()
    with pytest.raises(Exception, match=r"backward error [0-9.]+e-\d\d is large"):
        F.solve(np.ones((30, 1)), sentence="backward error {error} is large")
    _, errors = F.solve(A @ np.ones((30, 1)))
    assert errors[0] <= 3 * epsilon(float)


PROGRAM = """
import hashlib, sys
import jax, numpy as np, scipy.sparse as sp
jax.config.update("jax_enable_x64", True)
from tests.native.test_refine import LU
rng = np.random.default_rng(0)
n = 24
line = sp.diags_array([-1.0, 2.5, -1.2], offsets=[-1, 0, 1], shape=(n, n))
eye = sp.eye_array(n)
A = sum(sp.kron(sp.kron(*f[:2]), f[2]) for f in ((line, eye, eye), (eye, line, eye), (eye, eye, line)))
A = sp.csc_array(A)
F = LU(A)
digest = hashlib.sha256()
for k in (1, 3, 40, 100):
    for adjoint in (False, True):
        for result in F.solve(rng.normal(size=(n**3, k)), adjoint):
            digest.update(result.tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_results_do_not_depend_on_threads():
    def digest(threads):
        environment = {**os.environ, "ELIMAX_NUM_THREADS": str(threads), "NPROC": "4"}
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    assert digest(1) == digest(2) == digest(3)
