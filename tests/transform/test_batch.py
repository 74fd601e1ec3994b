"""A batch is one native call on several threads, and its elements know nothing of each other.

Whatever is computed of one element is, bit for bit, what it is without the batch and what it is next to
elements that fail: one that is not positive definite, and one with a NaN.
"""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex
from elimax._structure._native import counted

from ..derivatives import draw
from ..helpers import SCALARS, lower_triangle, spd, stored

SIZE = 64
INDEFINITE, NOT_FINITE = 11, 40  # the elements that fail
COLUMN = 5  # of the indefinite one
OTHERS = [i for i in range(SIZE) if i not in (INDEFINITE, NOT_FINITE)]


def everything(S: ex.SymmetricMatrix):
    """A function of one matrix and its right-hand sides: the factor, what follows from it, and gradients."""

    def loss(v, b):
        F = ex.cholesky(S.with_values(v), throw=False)
        outputs = (F.solve(b), F.half_solve(b[:, 0]), F.L.values, F.selected_inverse().values)
        return F.logdet() + sum(jnp.sum(jnp.real(x * jnp.conj(x))) for x in outputs)

    def compute(v, b):
        F = ex.cholesky(S.with_values(v), throw=False)
        gradient = jax.grad(loss, (0, 1))
        return {
            "status": (F.status, F.detail),
            "factor": F.L.values,
            "logdet": F.logdet(),
            "solve": (F.solve(b[:, 0]), F.solve(b), F.half_solve(b[:, 0])),
            "inverse": (F.selected_inverse().values, F.inverse_diagonal()),
            "product": F.matrix @ b,
            "gradient": gradient(v, b),
            "second": jax.jvp(gradient, (v, b), (v, b))[1],
        }

    return compute


def values_of(A, rng) -> np.ndarray:
    return stored(A) * rng.uniform(0.5, 2.0, (SIZE, 1)).astype(A.dtype)


def spoiled(A, values: np.ndarray) -> np.ndarray:
    """The batch with two elements that cannot be factorized."""
    bad = values.copy()
    bad[INDEFINITE, lower_triangle(A).indptr[COLUMN]] = -1
    bad[NOT_FINITE, 7] = np.nan
    return bad


def assert_equal(a, b) -> None:
    """Bit for bit, but for the sign of a zero."""
    jax.tree.map(np.testing.assert_array_equal, a, b)


def with_odd_factor(A: sp.csc_array) -> sp.csc_array:
    """A, or A and one unknown more: its factor has an odd size, those of neighbors are not aligned alike."""
    one_more = sp.block_diag([A, sp.eye_array(1, dtype=A.dtype)], format="csc")
    sizes = [
        ex.analyze(ex.Pattern.from_scipy(B, symmetric=True)).factor_size for B in (A, one_more)
    ]
    assert sum(sizes) % 2 == 1
    return A if sizes[0] % 2 else one_more


@pytest.mark.parametrize(
    ("name", "dtype"), [*(("grid_2d", dtype) for dtype in SCALARS), ("grid_3d", np.float64)]
)
def test_failure_stays_with_its_element(name, dtype, rng):
    A = with_odd_factor(spd(name, dtype))
    S = ex.SymmetricMatrix.from_scipy(A)
    good = values_of(A, rng)
    b = draw(rng, (SIZE, A.shape[0], 3), dtype)
    single = jax.jit(everything(S))
    batched = jax.jit(jax.vmap(everything(S)))

    among_good, among_bad = batched(good, b), batched(spoiled(A, good), b)
    assert_equal(*(jax.tree.map(lambda x: x[np.array(OTHERS)], y) for y in (among_good, among_bad)))
    for i in (0, INDEFINITE, SIZE - 1):
        assert_equal(jax.tree.map(lambda x, i=i: x[i], among_good), single(good[i], b[i]))

    status, detail = among_bad.pop("status")
    assert status[INDEFINITE] > 0 and status[NOT_FINITE] == -1 and detail[NOT_FINITE] == 7
    assert np.count_nonzero(status) == 2
    among_bad.pop("product")  # knows nothing of the factorization
    for output in jax.tree.leaves(among_bad):
        failed = output[np.array([INDEFINITE, NOT_FINITE])]
        assert np.isnan(failed).reshape(2, -1).all(axis=1).all()


@pytest.mark.parametrize("size", [0, 1, 300])
def test_batch_of_any_size(size, rng):
    A = spd("grid_2d")
    S = ex.SymmetricMatrix.from_scipy(A)
    values = stored(A) * rng.uniform(0.5, 2.0, (size, 1))
    b = rng.normal(size=(size, A.shape[0], 3))
    single = jax.jit(everything(S))
    for batched in (jax.vmap(single), jax.jit(jax.vmap(everything(S)))):
        got = batched(values, b)
        for output in jax.tree.leaves(got):
            assert output.shape[0] == size
        for i in range(size):
            assert_equal(jax.tree.map(lambda x, i=i: x[i], got), single(values[i], b[i]))


def test_nested_batches_are_one_call(rng):
    A = spd("grid_2d")
    S = ex.SymmetricMatrix.from_scipy(A)
    values = spoiled(A, values_of(A, rng)).reshape(2, 4, 8, -1)

    def compute(v):
        F = ex.cholesky(S.with_values(v), throw=False)
        return F.status, F.logdet(), F.selected_inverse().values

    nested = jax.jit(jax.vmap(jax.vmap(jax.vmap(compute, 1), 0), 0))
    got = nested(values.swapaxes(2, 3))
    flat = jax.jit(jax.vmap(compute))(values.reshape(SIZE, -1))
    assert_equal(got, jax.tree.map(lambda x: x.reshape(2, 4, 8, *x.shape[1:]), flat))


def test_counters_count_matrices(rng):
    A = spd("grid_2d")
    S = ex.SymmetricMatrix.from_scipy(A)
    factorize = jax.jit(jax.vmap(lambda v: ex.cholesky(S.with_values(v), throw=False).logdet()))
    before = counted("factorization")
    jax.block_until_ready(factorize(values_of(A, rng)))
    assert counted("factorization") - before == SIZE


@pytest.mark.parametrize("first", [0, 5, 63])
@pytest.mark.parametrize("wrap", [jax.jit, lambda f: f])
def test_error_names_the_first_element_that_fails(wrap, first, rng):
    A = spd("grid_3d")
    S = ex.SymmetricMatrix.from_scipy(A)
    values = values_of(A, rng)
    for i in {first, *range(first, SIZE, 7)}:
        values[i, lower_triangle(A).indptr[COLUMN + i % 3]] = -1
    logdet = wrap(jax.vmap(lambda v: ex.cholesky(S.with_values(v), ordering="natural").logdet()))
    for _ in range(20):
        with pytest.raises(Exception, match="not positive definite") as error:  # its type is JAX's
            jax.block_until_ready(logdet(values))
        assert f"pivot of column {COLUMN + first % 3} " in str(error.value)
        assert f"(batch element {first})" in str(error.value)


def _thread_times() -> dict[str, int]:
    """Nanoseconds that every thread of this process has run."""
    tasks = pathlib.Path("/proc/self/task").iterdir()
    return {task.name: int((task / "schedstat").read_text().split()[0]) for task in tasks}


@pytest.mark.skipif(not pathlib.Path("/proc/self/schedstat").exists(), reason="needs Linux")
def test_batch_is_spread_over_threads(rng):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core")
    A = spd("grid_3d")
    S = ex.SymmetricMatrix.from_scipy(A)
    values = np.tile(stored(A), (4000, 1))
    inverse = jax.jit(
        jax.vmap(lambda v: ex.cholesky(S.with_values(v), throw=False).selected_inverse().values)
    )
    jax.block_until_ready(inverse(values))

    def share_of_helpers() -> float:
        before = _thread_times()
        jax.block_until_ready(inverse(values))  # just one call: the next may run on another thread
        spent = [time - before.get(thread, 0) for thread, time in _thread_times().items()]
        return 1 - max(spent) / sum(spent)

    # On a busy machine a helper may come late, but not every time.
    assert any(share_of_helpers() > 0.2 for _ in range(20))
