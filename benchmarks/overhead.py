"""What a jitted call costs when there is next to nothing to compute: a 5 x 5 matrix.

The last line is a jitted addition: the part of the cost that is JAX's dispatch.
"""

import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import scipy.sparse as sp

import elimax as ex
from benchmarks.gallery import tridiagonal

CALLS = 2000
ROUNDS = 9


def microseconds(call: Callable[[], object]) -> float:
    """Median over rounds of the mean time of a call, result awaited."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            jax.block_until_ready(call())
        rounds.append((time.perf_counter() - start) / CALLS)
    return 1e6 * statistics.median(rounds)


def main() -> None:
    """Print one line per call."""
    jax.config.update("jax_enable_x64", True)
    Q = ex.SymmetricMatrix.from_scipy(sp.csc_matrix(tridiagonal(5)))
    F = ex.cholesky(Q)
    b = jnp.ones(5)
    solve = jax.jit(lambda F, b: F.solve(b))
    solve_closed = jax.jit(lambda b: F.solve(b))
    gradient = jax.jit(jax.value_and_grad(lambda v: ex.logdet(Q.with_values(v))))
    add = jax.jit(lambda b: b + 1)
    calls = {
        "F.solve(b), factor and b arguments": lambda: solve(F, b),
        "F.solve(b), b argument": lambda: solve_closed(b),
        "value and gradient of logdet": lambda: gradient(Q.values),
        "b + 1": lambda: add(b),
    }
    for name, call in calls.items():
        call()
        print(f"{name:36s} {microseconds(call):6.1f} us")


if __name__ == "__main__":
    main()
