"""What the kernels cost in factorizations: the units in which docs/transformations.md counts.

One line per matrix: a factorization in milliseconds, then everything else in units of that. They take turns,
so that the drift of a noisy machine hits all alike; a figure is the median over the rounds of the second of
two runs in a row.
"""

import argparse
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import elimax as ex
from benchmarks import machine
from benchmarks.batch import take_turns
from benchmarks.gallery import grid2d, grid3d, tridiagonal

MATRICES = {
    "lap2d_316": lambda: grid2d(316),
    "lap3d_30": lambda: grid3d(30),
    "tridiag_1e5": lambda: tridiagonal(100_000),
}


def calls(Q: ex.SymmetricMatrix) -> dict[str, Callable[[], Any]]:
    """Compiled calls, of which each runs one kernel for a given factor."""
    F = ex.cholesky(Q)
    b = jnp.ones(Q.shape[0])
    w = F.L.values

    def with_values(v: jax.Array) -> ex.Cholesky:
        """The factor as a function of the values of A, which derivatives are taken in."""
        return ex.Cholesky(Q.with_values(v), F.symbolic, F.values, F.status, F.detail)

    def variances(v: jax.Array) -> jax.Array:
        return with_values(v).inverse_diagonal()

    def lower(v: jax.Array) -> jax.Array:
        return with_values(v).L.values

    def along(f: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
        return lambda v: jax.jvp(f, (v,), (v,))[1]

    def adjoint(v: jax.Array) -> jax.Array:
        return jax.vjp(lower, v)[1](w)[0]

    kernels = {
        "factorization": lambda v: ex.cholesky(Q.with_values(v), throw=False).values,
        "S": lambda v: with_values(v).solve(b),
        "H": lambda v: with_values(v).half_solve(b),
        "G": variances,
        "G'": along(variances),
        "D": along(lower),
        "adjoint": adjoint,
        "D'": along(along(lower)),
        "adjoint'": along(adjoint),
    }
    return {name: functools.partial(jax.jit(f), Q.values) for name, f in kernels.items()}


def main() -> None:
    """Print a line per matrix."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="turns of each kernel")
    options = parser.parse_args()
    machine.confine(1)
    print(machine.description(1))
    jax.config.update("jax_enable_x64", True)
    for name, matrix in MATRICES.items():
        found = take_turns(calls(ex.SymmetricMatrix.from_scipy(matrix())), options.rounds)
        unit = found.pop("factorization")
        ratios = ", ".join(f"{kernel} {time / unit:.2f}" for kernel, time in found.items())
        print(f"{name}: {unit:.1f} ms; {ratios}", flush=True)


if __name__ == "__main__":
    main()
