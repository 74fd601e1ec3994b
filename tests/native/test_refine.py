"""Refined solutions, determinants and inertias from LDL and LU factors, against dense algebra."""

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

from ..helpers import COMPLEX, SCALARS, stored, tolerance
from . import test_ldl
from .test_ldl import HERMITIAN, KINDS, Factor
from .test_lu import Structure, gallery, general, normal

GENERAL = 0

for name in ("refined_solve", "slogdet", "inertia"):
    handler = getattr(_native.library, f"elimax_{name}")
    jax.ffi.register_ffi_target(f"elimax_{name}_test", jax.ffi.pycapsule(handler), platform="cpu")


class Solver:
    """A factorization and what is computed from it."""

    def __init__(self, pattern, values, factor, pivots, attributes, storage):
        self.operands = jnp.asarray(values), jnp.asarray(factor), jnp.asarray(pivots)
        self.symbolic, self.embedding = attributes
        self.pattern = pattern.pin("pattern")
        self.storage = np.int64(storage)
        self.lead = np.shape(values)[:-1]

    def solve(self, b, adjoint=False, sentence=""):
        b = jnp.asarray(b)
        results = [
            jax.ShapeDtypeStruct((*self.lead, *b.shape[-2:]), b.dtype),
            jax.ShapeDtypeStruct((*self.lead, b.shape[-1]), np.finfo(b.dtype).dtype),
        ]
        call = jax.ffi.ffi_call("elimax_refined_solve_test", results)
        structures = self.symbolic | self.embedding | self.pattern
        options = dict(storage=self.storage, adjoint=adjoint, refine=True, sentence=sentence)
        return map(np.asarray, call(*self.operands, b, **structures, **options))

    def slogdet(self):
        dtype = self.operands[1].dtype
        results = [
            jax.ShapeDtypeStruct(self.lead, dtype),
            jax.ShapeDtypeStruct(self.lead, np.finfo(dtype).dtype),
        ]
        call = jax.ffi.ffi_call("elimax_slogdet_test", results)
        structures = self.symbolic | self.embedding
        return call(*self.operands[1:], **structures, storage=self.storage)

    def inertia(self):
        results = jax.ShapeDtypeStruct((*self.lead, 3), np.int32)
        call = jax.ffi.ffi_call("elimax_inertia_test", results)
        return call(*self.operands[1:], **self.symbolic, storage=self.storage)


class LU(Solver):
    def __init__(self, A, row_of_column=None, values=None):
        self.structure = Structure(A, row_of_column)
        values = A.data if values is None else values
        factor, pivots, self.status, _ = self.structure.factorize(values)
        found = {k: v for k, v in self.structure.attributes.items() if k != "not_finite_sentence"}
        attributes = [
            {k: v for k, v in found.items() if k.startswith(name)}
            for name in ("symbolic", "embedding")
        ]
        super().__init__(Pattern.from_scipy(A), values, factor, pivots, attributes, GENERAL)


class LDL(Solver):
    def __init__(self, A, storage, values=None):
        values = stored(A) if values is None else values
        found = Factor(A, storage, values)
        self.status, _ = found.status
        pattern = Pattern.from_scipy(A, symmetric=True)
        attributes = (
            found.symbolic.pin("symbolic"),
            found.symbolic.embedding(pattern).pin("embedding"),
        )
        super().__init__(pattern, values, found.values, found.pivots, attributes, storage)


def matching(A):
    return np.asarray(sp.csgraph.maximum_bipartite_matching(sp.csr_array(A.T), "column"))


def lu_gallery(dtype, rng):
    for name, (A, row_of_column) in gallery(dtype, rng).items():
        yield name, A, LU(A, matching(A) if row_of_column is None else row_of_column)


def ldl_gallery(dtype, storage, rng):
    for name, A in test_ldl.gallery(dtype, storage, rng).items():
        yield name, A, LDL(A, storage)


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


def check_backward_errors(name, A, solver, adjoint, dtype, rng):
    X = A.toarray().conj().T if adjoint else A.toarray()
    for k in (0, 1, 3, 4, 64, 100) if name == "denser" else (1, 5):
        b = normal(rng, (A.shape[0], k), dtype)
        x, errors = solver.solve(b, adjoint)
        assert x.shape == b.shape and errors.shape == (k,), name
        expected = backward_error(X, x, b)
        np.testing.assert_allclose(errors, expected, rtol=1e-2, atol=1e-3 * epsilon(dtype))
        assert (errors <= 3 * epsilon(dtype)).all(), (name, errors.max())


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("dtype", SCALARS)
def test_backward_error_by_lu(dtype, adjoint, rng):
    for name, A, solver in lu_gallery(dtype, rng):
        check_backward_errors(name, A, solver, adjoint, dtype, rng)


@pytest.mark.parametrize(("dtype", "storage"), KINDS)
def test_backward_error_by_ldl(dtype, storage, rng):
    for name, A, solver in ldl_gallery(dtype, storage, rng):
        check_backward_errors(name, A, solver, False, dtype, rng)


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


def check_determinant(name, A, solver, dtype):
    sign, logdet = solver.slogdet()
    wide = np.complex128 if dtype in COMPLEX else np.float64
    expected = np.linalg.slogdet(A.toarray().astype(wide))
    assert sign.dtype == dtype and logdet.dtype == np.finfo(dtype).dtype
    allowed = tolerance(dtype, 1 + np.linalg.cond(A.toarray()) if A.nnz else 1)
    np.testing.assert_allclose(sign, expected[0], atol=allowed, err_msg=name)
    np.testing.assert_allclose(logdet, expected[1], atol=allowed, err_msg=name)


@pytest.mark.parametrize("dtype", SCALARS)
def test_determinant_by_lu(dtype, rng):
    for name, A, solver in lu_gallery(dtype, rng):
        check_determinant(name, A, solver, dtype)


@pytest.mark.parametrize(("dtype", "storage"), KINDS)
def test_determinant_and_inertia_by_ldl(dtype, storage, rng):
    for name, A, solver in ldl_gallery(dtype, storage, rng):
        check_determinant(name, A, solver, dtype)
        if storage == HERMITIAN:
            eigenvalues = np.linalg.eigvalsh(A.toarray())
            expected = (eigenvalues > 0).sum(), (eigenvalues < 0).sum(), 0
            np.testing.assert_array_equal(solver.inertia(), expected, err_msg=name)
            assert np.imag(solver.slogdet()[0]) == 0


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
    A[11] = 0
    stored_zeros = sp.csc_array(np.where(A == 0, 1, A))
    F = LU(stored_zeros, values=A.T.ravel())
    x, errors = F.solve(np.ones((30, 1)))
    assert errors[0] == 1 and np.isfinite(x).all()
    with pytest.raises(Exception, match=r"backward error 1.0e\+00 is large"):
        F.solve(np.ones((30, 1)), sentence="backward error {error} is large")
    _, errors = F.solve(A @ np.ones((30, 1)))
    assert errors[0] <= 3 * epsilon(float)


def test_unknowns_that_a_right_hand_side_does_not_reach(rng):
    """They come out as zeros, not as rounding errors that solve nothing."""
    blocks = [normal(rng, (15, 15), np.float64) for _ in range(3)]
    A = sp.block_array([[blocks[0], blocks[1]], [None, blocks[2]]])
    A = A.toarray()[rng.permutation(30)][:, rng.permutation(30)] / 4
    A = sp.csc_array(A)
    x, errors = LU(A, matching(A)).solve(np.eye(30))
    assert (errors <= 10 * epsilon(float)).all()
    assert (backward_error(A.toarray(), x, np.eye(30)) <= 10 * epsilon(float)).all()


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
