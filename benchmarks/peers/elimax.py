"""Elimax itself, called as a user calls it: jitted JAX functions, values as an argument.

`factor` ends with the whole factor in memory. `gradient` is jax.value_and_grad of logdet, from the
values: it contains the factorization. `solve_*` and `selected_inverse` start from a factor. `analyze` orders
by minimum degree; the numeric operations have the ordering that a user gets.
"""

import sys
from collections.abc import Set
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import elimax as ex
from benchmarks.gallery import read
from benchmarks.machine import revision
from benchmarks.peers.peer import residual, right_hand_sides, serve
from benchmarks.peers.solution import SolveGradient
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
    selected_inverse = jax.jit(lambda F: F.selected_inverse())
    solve_gradient = SolveGradient(
        lambda values, b: cholesky(values).solve(b),
        Q.values,
        jnp.asarray(right_hand_sides(n, 1)[:, 0]),
    )
    factored = cache(lambda: jax.block_until_ready(factor(Q.values)))

    def of_values(function, dtype=jnp.float64):
        def operation(scale: float):
            factored.cache_clear()  # one factor in memory at a time
            scaled = jax.block_until_ready((Q.values * scale).astype(dtype))
            return lambda: jax.block_until_ready(function(scaled))

        return operation

    def of_factor(k: int):
        sides = cache(lambda: jnp.asarray(right_hand_sides(n, k)))

        def operation(scale: float):
            F, scaled = factored(), jax.block_until_ready(sides() * scale)
            return lambda: jax.block_until_ready(solve(F, scaled))

        return operation

    def of_scaled_factor(scale: float):
        factored.cache_clear()
        F = jax.block_until_ready(factor(Q.values * scale))
        return lambda: jax.block_until_ready(selected_inverse(F))

    def first_factor(scale: float):
        compiled = factor.lower(Q.values).compile()
        values = jax.block_until_ready(Q.values * scale)
        return lambda: jax.block_until_ready(compiled(values))

    def trace_error() -> float:
        """How far tr(A A^-1) is from n; entries off the diagonal are stored once."""
        Z = selected_inverse(factored())
        trace = 2 * jnp.vdot(Z.values, Q.values) - jnp.vdot(Z.diagonal(), Q.diagonal())
        return float(abs(trace / n - 1))

    def check(asked: Set[str]) -> dict[str, float]:
        b = right_hand_sides(n, 1)
        errors = [residual(A, np.asarray(solve(factored(), jnp.asarray(b))), b)]
        if "solve_gradient" in asked:
            errors.append(solve_gradient.error())
        if "selected_inverse" in asked:
            errors.append(trace_error())
        answers = {"residual": max(errors)}
        return answers | {"logdet": float(logdet(Q.values))} if "logdet" in asked else answers

    def analyze(scale: float):
        structure.forget()  # a pattern is analyzed once and remembered
        return lambda: ex.analyze(Q, ordering="amd")

    operations = {
        "analyze": analyze,
        "analyze_again": lambda scale: lambda: ex.analyze(Q),
        "factor": of_values(factor),
        "factor_float32": of_values(factor, jnp.float32),
        "solve_1": of_factor(1),
        "solve_64": of_factor(64),
        "logdet": of_values(logdet),
        "gradient": of_values(gradient),
        "solve_gradient": solve_gradient.operation,
        "selected_inverse": of_scaled_factor,
        "memory": first_factor,
    }
    serve(f"elimax {revision()}", operations, check, symbolic.flops, symbolic.nnz)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
