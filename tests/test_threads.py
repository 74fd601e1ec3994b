"""Many threads of one process: the same and different compiled functions, caches and analyses at once.

`make tsan` runs this under ThreadSanitizer.
"""

import threading
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import elimax as ex

from .helpers import spd, stored

THREADS = 8


def on_threads(work: Callable[[int], None]) -> None:
    """Runs work(0), ..., work(7) on threads that start together; raises what any of them raises."""
    together = threading.Barrier(THREADS)
    raised: list[BaseException] = []

    def run(thread: int) -> None:
        together.wait()
        try:
            work(thread)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def evaluate(S: ex.SymmetricMatrix, v):
    """What follows from one factor, and a gradient."""

    def loss(v):
        F = ex.cholesky(S.with_values(v), throw=False)
        b = jnp.ones(S.shape[0], v.dtype)
        return F.logdet() + jnp.sum(F.solve(b).real) + jnp.sum(F.half_solve(b).real ** 2)

    F = ex.cholesky(S.with_values(v), throw=False)
    return F.status, F.L.values, F.inverse_diagonal(), jax.value_and_grad(loss)(v)


def assert_equal(got, expected) -> None:
    jax.tree.map(np.testing.assert_array_equal, got, expected)


def test_compiled_functions(rng):
    """Batches, some with a failing element, of several patterns and dtypes: each has its own answer."""
    calls = []
    for name in ("grid_2d", "grid_3d", "random"):
        for dtype in (np.float64, np.complex64):
            A = spd(name, dtype)
            S = ex.SymmetricMatrix.from_scipy(A)
            compiled = jax.jit(jax.vmap(lambda v, S=S: evaluate(S, v)))
            for _ in range(2):
                values = stored(A) * rng.uniform(0.5, 2, (40, 1)).astype(dtype)
                values[7, 0] = -1
                calls.append((compiled, values, jax.block_until_ready(compiled(values))))

    def work(thread: int) -> None:
        for i in range(3 * len(calls)):
            compiled, values, expected = calls[(thread + i) % len(calls)]
            assert_equal(compiled(values), expected)

    on_threads(work)


def test_analysis_and_compilation(rng):
    """All threads meet the same new patterns: analyzed, pinned, compiled and run by whoever comes first."""
    matrices = [spd(name) for name in ("banded", "grid_2d", "arrow_first")]
    values = [stored(A) for A in matrices]
    permutations = [rng.permutation(A.shape[0]) for A in matrices]
    expected = [np.linalg.slogdet(A.toarray())[1] for A in matrices]

    def work(thread: int) -> None:
        for i in range(len(matrices)):
            which = (thread + i) % len(matrices)
            S = ex.SymmetricMatrix.from_scipy(matrices[which])
            symbolic = ex.analyze(S, ordering=permutations[which])
            logdet = jax.jit(
                lambda v, S=S, s=symbolic: ex.cholesky(S.with_values(v), symbolic=s).logdet()
            )
            for got in (logdet(values[which]), ex.cholesky(S, symbolic=symbolic).logdet()):
                np.testing.assert_allclose(got, expected[which], rtol=1e-12)

    on_threads(work)


def test_clearing_structures_meanwhile():
    """A call whose structures another thread clears fails and says so, or is right; it is never wrong."""
    A = spd("grid_2d")
    expected = np.linalg.slogdet(A.toarray())[1]
    answers = []

    def work(thread: int) -> None:
        for _ in range(12):
            if thread == 0:
                ex.clear_structures()
                continue
            try:
                S = ex.SymmetricMatrix.from_scipy(A)
                answers.append(
                    float(jax.jit(lambda v, S=S: ex.cholesky(S.with_values(v)).logdet())(S.values))
                )
            except Exception as error:  # its type is JAX's
                assert "clear_structures" in str(error)

    on_threads(work)
    jax.clear_caches()
    np.testing.assert_allclose(answers, expected, rtol=1e-12)
    assert answers
