"""JAX's own sparse solve as a peer: on a CPU SciPy's, which orders by COLAMD and factorizes at every call."""

import sys
from collections.abc import Set
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse.linalg import spsolve

from benchmarks.gallery import read
from benchmarks.peers.peer import residual, right_hand_sides, serve
from benchmarks.peers.solution import SolveGradient


def main(path: Path) -> None:
    """Serve the matrix in the file."""
    jax.config.update("jax_enable_x64", True)
    A = read(path)
    columns, ptr = jnp.asarray(A.indices), jnp.asarray(A.indptr)  # of rows, as A is symmetric
    values, b = jnp.asarray(A.data), right_hand_sides(A.shape[0], 1)[:, 0]

    def solve(values: jax.Array, b: jax.Array, columns: jax.Array, ptr: jax.Array) -> jax.Array:
        return spsolve(values, columns, ptr, b)

    gradient = SolveGradient(solve, values, jnp.asarray(b), columns, ptr)

    def check(asked: Set[str]) -> dict[str, float]:
        x = np.asarray(spsolve(values, columns, ptr, jnp.asarray(b)))
        return {"residual": max(residual(A, x, b), gradient.error())}

    serve(f"jax {jax.__version__}", {"solve_gradient": gradient.operation}, check)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
