"""Taylor mode: `jax.experimental.jet` through any primitive that has derivatives of every order.

Along the curve x(t) = x_0 + x_1 t + ... + x_K t^K of the operands, the k-th Taylor coefficient of the result
is its k-th derivative at t = 0, divided by k!. The derivatives come from K nested jvps; under `jit`, what
they have in common is computed once.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

try:  # experimental: a JAX may come without it, and then it has no Taylor mode
    from jax.experimental import jet
except ImportError:
    jet = None  # type: ignore[assignment]

Curve = Callable[[jax.Array], list[jax.Array]]


def _with_next_derivative(f: Curve) -> Curve:
    """From t -> [y, ..., y^(k)] to t -> [y, ..., y^(k+1)]."""

    def g(t: jax.Array) -> list[jax.Array]:
        values, tangents = jax.jvp(f, (t,), (jnp.ones_like(t),))
        return [*values, tangents[-1]]

    return g


def _taylor_rule(
    primitive: Any, primals: Sequence[Any], series: Sequence[Sequence[Any]], **params: Any
) -> tuple[Any, Any]:
    """Results and their Taylor coefficients; of several results, the first alone depends on t."""

    def operand(t: jax.Array, x: Any, terms: Sequence[Any]) -> Any:
        return x + sum(term * t**k for k, term in enumerate(terms, 1))

    def curve(t: jax.Array) -> Any:
        return primitive.bind(*map(functools.partial(operand, t), primals, series), **params)

    def first(t: jax.Array) -> list[jax.Array]:
        return [curve(t)[0] if primitive.multiple_results else curve(t)]

    derivatives: Curve = first
    for _ in series[0]:
        derivatives = _with_next_derivative(derivatives)
    t = jnp.zeros((), jnp.finfo(primals[0].dtype).dtype)
    y, *higher = derivatives(t)
    coefficients = [x / math.factorial(k) for k, x in enumerate(higher, 1)]
    if not primitive.multiple_results:
        return y, coefficients
    constants = primitive.bind(*primals, **params)[1:]
    return [y, *constants], [coefficients, *(jet.zero_series for _ in constants)]


def define_taylor_rule(primitive: Any) -> None:
    """Lets `jet` through `primitive`."""
    if jet is not None:
        jet.jet_rules[primitive] = functools.partial(_taylor_rule, primitive)
