"""sparsax (CHOLMOD through JAX) as a peer: the closest neighbor, with logdet and gradients.

It takes the coordinates of the upper triangle. Its selected inverse has no entry that starts from a
factor: that time contains the factorization.
"""

import importlib.metadata
import sys
from collections.abc import Set
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
import sparsax

from benchmarks.gallery import read
from benchmarks.peers.peer import residual, right_hand_sides, serve
from benchmarks.peers.solution import SolveGradient


def main(path: Path) -> None:
    """Serve the matrix in the file."""
    jax.config.update("jax_enable_x64", True)
    A = read(path)
    n = A.shape[0]
    upper = sp.triu(A, format="coo")
    rows = jnp.asarray(upper.row.astype(np.int32))
    columns = jnp.asarray(upper.col.astype(np.int32))
    values = jnp.asarray(upper.data)

    logdet = jax.jit(lambda values: sparsax.logdet(rows, columns, values, n))
    gradient = jax.jit(jax.value_and_grad(lambda values: sparsax.logdet(rows, columns, values, n)))
    selected_inverse = jax.jit(lambda values: sparsax.selinv(rows, columns, values, n))
    factor = jax.jit(lambda values: sparsax.factor(rows, columns, values, n))
    solve_factor = jax.jit(sparsax.solve_factor)
    solve_gradient = SolveGradient(
        lambda values, b, rows, columns: sparsax.solve(rows, columns, values, b),
        values,
        jnp.asarray(right_hand_sides(n, 1)[:, 0]),
        rows,
        columns,
    )
    token = cache(lambda: factor(values))

    def of_values(function):
        def operation(scale: float):
            scaled = jax.block_until_ready(values * scale)
            return lambda: jax.block_until_ready(function(scaled))

        return operation

    def of_factor(k: int):
        sides = cache(lambda: jnp.asarray(right_hand_sides(n, k)))

        def operation(scale: float):
            factored, scaled = token(), jax.block_until_ready(sides() * scale)
            return lambda: jax.block_until_ready(solve_factor(factored, scaled))

        return operation

    def factor_operation(scale: float):
        token.cache_clear()  # sparsax keeps few factors: the one in the token would go stale
        return of_values(factor)(scale)

    def check(asked: Set[str]) -> dict[str, float]:
        b = right_hand_sides(n, 1)
        x = np.asarray(solve_factor(factor(values), jnp.asarray(b)))
        gradient_error = solve_gradient.error() if "solve_gradient" in asked else 0.0
        answers = {"residual": max(residual(A, x, b), gradient_error)}
        return answers | {"logdet": float(logdet(values))} if "logdet" in asked else answers

    operations = {
        "factor": factor_operation,
        "solve_1": of_factor(1),
        "solve_64": of_factor(64),
        "logdet": of_values(logdet),
        "gradient": of_values(gradient),
        "solve_gradient": solve_gradient.operation,
        "selected_inverse": of_values(selected_inverse),
    }
    serve(f"sparsax {importlib.metadata.version('sparsax')}", operations, check)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
