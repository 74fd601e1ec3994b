"""Implicit steps of a nonlinear diffusion in three dimensions, too large to factorize at every step.

u_t = div(k(u) grad u) with k(u) = 1 + 4 u^2 on a cube of size^3 cells without flux through its walls. A step
of the implicit Euler method, with k at the old values, solves with a positive definite matrix that changes
from step to step:

    (I / dt + K(u_old)) u_new = u_old / dt.

In three dimensions the factor of such a matrix has a hundred times as many entries as the matrix itself. The
script takes the same steps in several ways: with a factorization at each of them; by conjugate gradients with
the factor of the first one throughout (stale); with incomplete factors, new ones for each step, or of the
first step; and with no preconditioner. Each is one compiled `lax.scan`, whose state carries the
preconditioner.

    python examples/preconditioned.py                    # 48^3 = 110,592 cells; half a minute
    python examples/preconditioned.py --size 100 --ways "incomplete; plain"   # a million
"""

import argparse
import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np

import elimax as ex

STEP = 4e-3
TOLERANCE = 1e-8


@functools.cache
def edges(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The two cells of every face between cells, along each axis in turn."""
    cells = np.arange(size**3).reshape(size, size, size)
    low = [np.delete(cells, -1, axis).ravel() for axis in range(3)]
    high = [np.delete(cells, 0, axis).ravel() for axis in range(3)]
    return np.concatenate(low), np.concatenate(high)


def system(u: jax.Array) -> ex.SymmetricMatrix:
    """I / dt + K(u): each face adds its conductance to two diagonal entries, and takes it from one off it."""
    size = u.shape[0]
    low, high = edges(size)
    cells = np.arange(size**3)
    conductances = []
    for axis in range(3):
        v = jnp.moveaxis(u, axis, 0)
        face = 1 + 4 * (0.5 * (v[1:] + v[:-1])) ** 2
        conductances.append(jnp.moveaxis(face, 0, axis).reshape(-1))
    c = jnp.concatenate(conductances) * size**2
    rows = np.concatenate([high, low, high, cells])
    columns = np.concatenate([low, low, high, cells])
    values = jnp.concatenate([-c, c, c, jnp.full(size**3, 1 / STEP)])
    A = ex.SymmetricMatrix.from_coo(rows, columns, values, (size**3, size**3))
    return A.as_positive_definite()


CG = lx.CG(rtol=TOLERANCE, atol=TOLERANCE)
DIRECT, INCOMPLETE = ex.SparseCholesky(), ex.SparseILU(modified=True)
# The solver of each step; what preconditions it; whether that is made anew at each step.
WAYS: dict[str, tuple[lx.AbstractLinearSolver, lx.AbstractLinearSolver | None, bool]] = {
    "factorize": (DIRECT, None, False),
    "stale": (CG, DIRECT, False),
    "incomplete": (CG, INCOMPLETE, True),
    "incomplete, stale": (CG, INCOMPLETE, False),
    "plain": (CG, None, False),
}


@functools.partial(jax.jit, static_argnames=("way", "steps"))
def march(u: jax.Array, way: str, steps: int) -> tuple[jax.Array, jax.Array]:
    """The solution after the steps, and the iterations that each of them took."""
    solver, maker, anew = WAYS[way]
    first = None if maker is None else ex.preconditioner(ex.SparseLinearOperator(system(u)), maker)

    def step(state: tuple[jax.Array, Any], _: None) -> tuple[tuple[jax.Array, Any], jax.Array]:
        u, M = state
        operator = ex.SparseLinearOperator(system(u))
        if anew:
            M = ex.preconditioner(operator, maker)
        options = {} if maker is None else {"preconditioner": M}
        if solver is CG:
            options["y0"] = u.reshape(-1)
        solution = lx.linear_solve(operator, u.reshape(-1) / STEP, solver, options=options)
        iterations = solution.stats.get("num_steps", jnp.zeros((), int))
        return (solution.value.reshape(u.shape), M), iterations

    (u, _), iterations = jax.lax.scan(step, (u, first), length=steps)
    return u, iterations


def initial(size: int) -> jax.Array:
    """Two warm balls."""
    x = (jnp.arange(size) + 0.5) / size
    X, Y, Z = jnp.meshgrid(x, x, x, indexing="ij")
    near = (X - 0.3) ** 2 + (Y - 0.3) ** 2 + (Z - 0.4) ** 2
    far = (X - 0.7) ** 2 + (Y - 0.6) ** 2 + (Z - 0.6) ** 2
    return jnp.exp(-40 * near) + 0.8 * jnp.exp(-60 * far)


def main(arguments: list[str] | None = None) -> None:
    """Prints a line for each way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=48, help="cells along each axis")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--ways", default=";".join(WAYS), help="of " + "; ".join(WAYS))
    parser.add_argument("--quick", action="store_true", help="8^3 cells, three steps")
    options = parser.parse_args(arguments)
    size, steps = (8, 3) if options.quick else (options.size, options.steps)
    jax.config.update("jax_enable_x64", True)
    u = initial(size)
    ways = [name.strip() for name in options.ways.split(";")]
    unknown = [way for way in ways if way not in WAYS]
    if unknown:
        parser.error(f"--ways: {unknown[0]!r} is none of {'; '.join(WAYS)}")
    A = system(u)
    print(f"{size}^3 = {size**3:,} cells, {steps} steps; {A.nnz:,} entries in the lower triangle")
    if any(DIRECT in WAYS[way] for way in ways):
        entries = ex.analyze(A).nnz
        print(f"  a factor has {entries:,} entries, {entries / A.nnz:.0f} times as many")
    reference = None
    for way in ways:
        start = time.perf_counter()
        compiled = march.lower(u, way, steps).compile()
        compiling = time.perf_counter() - start
        start = time.perf_counter()
        result, iterations = jax.block_until_ready(compiled(u))
        running = time.perf_counter() - start
        reference = result if reference is None else reference
        difference = float(jnp.abs(result - reference).max() / jnp.abs(reference).max())
        counts = " ".join(map(str, iterations.tolist())) if iterations.any() else "-"
        print(
            f"  {way:18} {running / steps:8.3f} s a step (compiled in {compiling:.1f} s), "
            f"iterations {counts}; differs by {difference:.0e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
