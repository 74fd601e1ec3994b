"""What a jitted call costs when there is next to nothing to compute: a 5 x 5 matrix.

The line before the last two is a jitted addition: the part of the cost that is JAX's dispatch. The last two
are one step of a `lax.scan` that factorizes a new matrix at every step.
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
STEPS = 1000


def microseconds(call: Callable[[], object], calls: int = CALLS) -> float:
    """Median over rounds of the mean time of a call, result awaited."""
    jax.block_until_ready(call())
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(calls):
            jax.block_until_ready(call())
        rounds.append((time.perf_counter() - start) / calls)
    return 1e6 * statistics.median(rounds)


def main() -> None:
    """Print one line per call."""
    jax.config.update("jax_enable_x64", True)
    Q = ex.SymmetricMatrix.from_scipy(sp.csc_matrix(tridiagonal(5)))
    F = ex.cholesky(Q)
    b = jnp.ones(5)
    solve = jax.jit(lambda F, b: F.solve(b))
    solve_closed = jax.jit(lambda b: F.solve(b))
    gradient = jax.jit(jax.value_and_grad(lambda v: ex.cholesky(Q.with_values(v)).logdet()))
    add = jax.jit(lambda b: b + 1)

    def chain(V: jax.Array, b: jax.Array) -> jax.Array:
        """b -> A^-1 b, a new matrix at every step."""
        return jax.lax.scan(lambda b, v: (ex.cholesky(Q.with_values(v)).solve(b), None), b, V)[0]

    scan = jax.jit(chain)
    scan_gradient = jax.jit(jax.grad(lambda V, b: jnp.sum(chain(V, b))))
    V = jnp.tile(Q.values, (STEPS, 1))
    calls = {
        "F.solve(b), factor and b arguments": lambda: solve(F, b),
        "F.solve(b), b argument": lambda: solve_closed(b),
        "value and gradient of logdet": lambda: gradient(Q.values),
        "b + 1": lambda: add(b),
    }
    scans = {
        "scan: factorization and solve": lambda: scan(V, b),
        "scan: value and gradient": lambda: scan_gradient(V, b),
    }
    for name, call in calls.items():
        print(f"{name:36s} {microseconds(call):6.1f} us")
    for name, call in scans.items():
        print(f"{name:36s} {microseconds(call, calls=20) / STEPS:6.1f} us a step")


if __name__ == "__main__":
    main()
