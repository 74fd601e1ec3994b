"""f(a, b) = |x|^2 / 2 with A(a) x = b, and its gradient in a and b: an operation of every peer in JAX."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks.peers.peer import Operation

Solve = Callable[..., jax.Array]
"""From the values of A, in whatever form a library takes them, b and its indices to x: differentiable."""


class SolveGradient:
    """The compiled value and gradient of f for one library's `solve`.

    Indices are arguments of the compiled program: as constants, XLA computes with them for minutes.
    """

    def __init__(self, solve: Solve, values: jax.Array, b: jax.Array, *indices: jax.Array):
        def f(values: jax.Array, b: jax.Array, *indices: jax.Array) -> jax.Array:
            return jnp.sum(solve(values, b, *indices) ** 2) / 2

        self._call = jax.jit(jax.value_and_grad(f, argnums=(0, 1)))
        self._values, self._rest = values, (b, *indices)

    @property
    def operation(self) -> Operation:
        """New values at every call."""

        def operation(scale: float):
            values = jax.block_until_ready(self._values * scale)
            return lambda: jax.block_until_ready(self._call(values, *self._rest))

        return operation

    def error(self) -> float:
        """How far Euler's relations are from holding: f is homogeneous, of degree -2 in a and 2 in b."""
        f, (by_values, by_b) = self._call(self._values, *self._rest)
        sums = jnp.array([jnp.vdot(by_values, self._values), -jnp.vdot(by_b, self._rest[0])])
        return float(jnp.nan_to_num(jnp.abs(sums / (2 * f) + 1).max(), nan=jnp.inf))
