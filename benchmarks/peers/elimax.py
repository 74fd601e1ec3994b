"""Elimax itself, called as a user calls it: jitted JAX functions, values as an argument.

`factor` ends with the whole factor in memory. `gradient` is jax.value_and_grad of logdet, from the
values: it contains the factorization. `solve_*` and `selected_inverse` start from a factor.
"""

import sys
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import elimax as ex
from benchmarks.gallery import read
from benchmarks.machine import revision
from benchmarks.peers.peer import residual, right_hand_sides, serve
from elimax._structure import structure


def main(path: Path) -> None:
    """Serve the matrix in the file."""
    jax.config.update("jax_enable_x64", True)
    A = read(path)
    n = A.shape[0]
    Q = ex.SymmetricMatrix.from_scipy(A)
    symbolic = ex.analyze(Q)

    def cholesky(values: jax.Array) -> ex.Cholesky:
        return ex.cholesky(Q.with_values(values), throw=False)

    factor = jax.jit(cholesky)
    logdet = jax.jit(lambda values: cholesky(values).logdet())
    gradient = jax.jit(jax.value_and_grad(lambda values: cholesky(values).logdet()))
    solve = jax.jit(lambda F, b: F.solve(b))
    selected_inverse = jax.jit(lambda F: F.selected_inverse().values)
    factored = cache(lambda: jax.block_until_ready(factor(Q.values)))

    def of_values(function):
        def operation(scale: float):
            factored.cache_clear()  # one factor in memory at a time
            scaled = jax.block_until_ready(Q.values * scale)
            return lambda: jax.block_until_ready(function(scaled))

        return operation

    def of_factor(k: int):
        b = jnp.asarray(right_hand_sides(n, k))

        def operation(scale: float):
            F, scaled = factored(), jax.block_until_ready(b * scale)
            return lambda: jax.block_until_ready(solve(F, scaled))

        return operation

    def of_scaled_factor(scale: float):
        factored.cache_clear()
        F = jax.block_until_ready(factor(Q.values * scale))
        return lambda: jax.block_until_ready(selected_inverse(F))

    def check() -> dict[str, float]:
        b = right_hand_sides(n, 1)
        x = np.asarray(solve(factored(), jnp.asarray(b)))
        return {"residual": residual(A, x, b), "logdet": float(logdet(Q.values))}

    def analyze(scale: float):
        structure.forget()  # a pattern is analyzed once and remembered
        return lambda: ex.analyze(Q)

    operations = {
        "analyze": analyze,
        "factor": of_values(factor),
        "solve_1": of_factor(1),
        "solve_64": of_factor(64),
        "logdet": of_values(logdet),
        "gradient": of_values(gradient),
        "selected_inverse": of_scaled_factor,
    }
    serve(f"elimax {revision()}", operations, check, symbolic.flops, symbolic.nnz)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
