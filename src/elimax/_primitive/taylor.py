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

Curve = Callable[[jax.Array], list[Any]]


def _with_next_derivative(f: Curve) -> Curve:
    """From t -> [y, ..., y^(k)] to t -> [y, ..., y^(k+1)]."""

    def g(t: jax.Array) -> list[jax.Array]:
        values, tangents = jax.jvp(f, (t,), (jnp.ones_like(t),))
        return [*values, tangents[-1]]

    return g


def _is_inexact(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.inexact)


def _taylor_rule(
    primitive: Any, primals: Sequence[Any], series: Sequence[Sequence[Any]], **params: Any
) -> tuple[Any, Any]:
    """Results and their Taylor coefficients; integers, such as a status, do not depend on t."""

    def operand(t: jax.Array, x: Any, terms: Sequence[Any]) -> Any:
        return x + sum(term * t**k for k, term in enumerate(terms, 1)) if _is_inexact(x) else x

    def evaluate(operands: Sequence[Any]) -> list[Any]:
        results = primitive.bind(*operands, **params)
        return results if primitive.multiple_results else [results]

    def curve(t: jax.Array) -> list[Any]:
        return [
            list(
                filter(
                    _is_inexact, evaluate([*map(functools.partial(operand, t), primals, series)])
                )
            )
        ]

    derivatives: Curve = curve
    for _ in series[0]:
        derivatives = _with_next_derivative(derivatives)
    t = jnp.zeros((), jnp.finfo(primals[0].dtype).dtype)
    coefficients = [[x / math.factorial(k) for x in xs] for k, xs in enumerate(derivatives(t))]
    curves = iter(zip(*coefficients, strict=True))
    results = evaluate(primals)
    series_out = [list(next(curves))[1:] if _is_inexact(x) else jet.zero_series for x in results]
    if primitive.multiple_results:
        return results, series_out
    return results[0], series_out[0]


def define_taylor_rule(primitive: Any) -> None:
    """Lets `jet` through `primitive`."""
    if jet is not None:
        jet.jet_rules[primitive] = functools.partial(_taylor_rule, primitive)
