"""What it costs to call PyAMG from a compiled program, instead of from Python.

One V-cycle of smoothed aggregation on a 2-D Laplacian, directly and through `elimax.adapters.pyamg`, in
turns: as a jitted call for every solve, and as steps of a `lax.scan` in one program. The overhead is the
median over turns of what is added to the direct calls. That of a jitted call contains JAX's own dispatch,
which is shown as well: a jitted addition in the same place, with caches as cold.
"""

import statistics
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pyamg
import scipy.sparse as sp

import elimax as ex
from elimax.adapters.pyamg import smoothed_aggregation

SIDES = (32, 100)
TARGET = 200.0  # microseconds
TURNS = 300
STEPS = 20


def microseconds(call: Callable[[], object]) -> float:
    """The time of one call, result awaited."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return 1e6 * (time.perf_counter() - start)


def measure(side: int) -> dict[str, float]:
    """Microseconds: of a direct solve, what a jitted call and a step of a scan add, of an addition."""
    grid = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(side, side))
    S = ex.SymmetricMatrix.from_scipy(sp.kronsum(grid, grid))
    A = ex.SparseLinearOperator(S, lx.positive_semidefinite_tag)
    np.random.seed(0)  # noqa: NPY002, of PyAMG's estimates of spectral radii
    hierarchy = pyamg.smoothed_aggregation_solver(sp.csr_array(S.to_scipy()))
    solver = smoothed_aggregation(tol=0, maxiter=1, accel=None)
    np.random.seed(0)  # noqa: NPY002
    state = jax.jit(lambda A: solver.init(A, {}))(A)
    b = np.random.default_rng(0).normal(size=side * side)
    c = jnp.asarray(b)

    def step(b, _):
        return lx.linear_solve(A, b, solver, state=state, throw=False).value, None

    solve = jax.jit(lambda b: step(b, None)[0])
    scan = jax.jit(lambda b: jax.lax.scan(step, b, length=STEPS)[0])
    add = jax.jit(lambda b: b + 1)

    def direct() -> np.ndarray:
        return hierarchy.solve(b, tol=0, maxiter=1)

    def directly() -> np.ndarray:
        x = b
        for _ in range(STEPS):
            x = hierarchy.solve(x, tol=0, maxiter=1)
        return x

    np.testing.assert_allclose(solve(c), direct(), rtol=1e-9)
    np.testing.assert_allclose(scan(c), directly(), rtol=1e-9)
    turns: list[list[float]] = []
    for turn in range(TURNS):
        one, call = microseconds(direct), microseconds(lambda: solve(c))
        microseconds(direct)
        dispatch = microseconds(lambda: add(c))
        turns.append([one, call - one, dispatch])
        if turn % STEPS == 0:
            steps = microseconds(lambda: scan(c)) - microseconds(directly)
            turns[-1].append(steps / STEPS)
    assert solver.counts.setups == 1, "every solve has the same hierarchy"
    names = ("direct", "call", "addition", "step")
    columns = [[turn[i] for turn in turns if i < len(turn)] for i in range(len(names))]
    return dict(zip(names, map(statistics.median, columns), strict=True))


def main() -> int:
    """Print the table; 1 if a target is missed."""
    jax.config.update("jax_enable_x64", True)
    print(
        f"Microseconds; target for what a solve costs beside PyAMG, and JAX's dispatch: {TARGET:.0f}"
    )
    print("| n | PyAMG, one V-cycle | + a step of a scan | + a jitted call | a jitted addition |")
    print("|---:|---:|---:|---:|---:|")
    missed = False
    for side in SIDES:
        t = measure(side)
        missed |= max(t["call"] - t["addition"], t["step"]) > TARGET
        figures = " | ".join(f"{t[name]:.0f}" for name in ("direct", "step", "call", "addition"))
        print(f"| {side * side:,} | {figures} |")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
