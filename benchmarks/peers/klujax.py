"""klujax (KLU through JAX) as a peer: an LU factorization with partial pivoting, no supernodes.

`factor` is its refactorization, which keeps the pivots of the first factorization; `solve_gradient` calls its
differentiable `solve`, which analyzes and factorizes at every call.
"""

import importlib.metadata
import sys
from collections.abc import Set
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import klujax
import numpy as np

from benchmarks.gallery import read
from benchmarks.peers.peer import residual, right_hand_sides, serve
from benchmarks.peers.solution import SolveGradient


def main(path: Path) -> None:
    """Serve the matrix in the file."""
    jax.config.update("jax_enable_x64", True)
    A = read(path)
    n = A.shape[0]
    coordinates = A.tocoo()
    rows, columns = jnp.asarray(coordinates.row), jnp.asarray(coordinates.col)
    values = jnp.asarray(coordinates.data)
    solve_gradient = SolveGradient(
        lambda values, b, rows, columns: klujax.solve(rows, columns, values, b),
        values,
        jnp.asarray(right_hand_sides(n, 1)[:, 0]),
        rows,
        columns,
    )
    symbolic = klujax.analyze(rows, columns, n)
    numeric = cache(lambda: klujax.factor(rows, columns, values, symbolic))

    def analyze(scale: float):
        return lambda: klujax.analyze(rows, columns, n)

    def factor(scale: float):
        first, scaled = numeric(), jax.block_until_ready(values * scale)
        return lambda: klujax.refactor(rows, columns, scaled, first, symbolic)

    def solve(k: int):
        sides = cache(lambda: jnp.asarray(right_hand_sides(n, k)))

        def operation(scale: float):
            first, scaled = numeric(), jax.block_until_ready(sides() * scale)
            return lambda: jax.block_until_ready(klujax.solve_with_numeric(first, scaled, symbolic))

        return operation

    def check(asked: Set[str]) -> dict[str, float]:
        klujax.refactor(rows, columns, values, numeric(), symbolic)
        b = right_hand_sides(n, 1)
        x = klujax.solve_with_numeric(numeric(), jnp.asarray(b), symbolic)
        gradient_error = solve_gradient.error() if "solve_gradient" in asked else 0.0
        return {"residual": max(residual(A, np.asarray(x), b), gradient_error)}

    operations = {
        "analyze": analyze,
        "factor": factor,
        "solve_1": solve(1),
        "solve_64": solve(64),
        "solve_gradient": solve_gradient.operation,
    }
    serve(f"klujax {importlib.metadata.version('klujax')}", operations, check)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
