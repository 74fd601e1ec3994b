"""Partials of any primitive: a pattern of the equation's own derivative, and few products with it."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elimax._jacobian.compressed import Linear, read_off
from elimax._jacobian.elimination.call import Call, Operands, Partial, one
from elimax._jacobian.elimination.layout import Layout, from_coordinates
from elimax._jacobian.sparsity.linear_pattern import linear_pattern
from elimax._structure.color import color
from elimax._structure.coloring import Coloring
from elimax._structure.pattern import Pattern
from elimax._types import DTYPES

_MOVING = {"gather", "dynamic_slice", "scatter-add", "cumsum", "reduce_window_sum", "tile"}


def colored(call: Call, k: int, r: int) -> Partial | None:
    """Entries where the equation's own derivative may have some, read off few products with it."""
    operand, result = call.operands[k], call.results[r]
    forward = None if call.in_reverse_only else _pattern(call, k, r, reverse=False)
    backward = None if forward is not None else _pattern(call, k, r, reverse=True)
    if forward is None and backward is None:
        raise NotImplementedError(
            f"the primitive `{call.name}` has no derivative of operand {k} in either mode"
        )
    pattern = forward if forward is not None else backward.transpose()[0]  # type: ignore[union-attr]
    L, order = from_coordinates(result.shape, operand.shape, pattern.rows, pattern.columns)
    if not pattern.nnz:
        return None
    numbers = [i for i, x in enumerate(call.operands) if not jnp.issubdtype(x.dtype, np.inexact)]
    alone = (
        call.same.count(call.same[k]) == 1
    )  # else elements may be moved to one place, and added up
    if call.name in _MOVING and alone and all(call.known[i] is not None for i in numbers):
        return one(L)
    coloring = color(pattern) if forward is not None else None
    flipped = pattern.transpose()[0]
    if coloring is None or coloring.num_colors > 1:
        by_rows = color(flipped)
        fewer = coloring is None or by_rows.num_colors < coloring.num_colors
        if fewer and (coloring is None or _pattern(call, k, r, reverse=True) is not None):
            L, order = from_coordinates(result.shape, operand.shape, flipped.columns, flipped.rows)
            return Partial(L, _products(call, k, r, by_rows, order, L, reverse=True))
    assert coloring is not None
    return Partial(L, _products(call, k, r, coloring, order, L, reverse=False))


def _products(
    call: Call, k: int, r: int, coloring: Coloring, order: np.ndarray, L: Layout, reverse: bool
) -> Callable[[Operands], Any]:
    operand, result = call.operands[k], call.results[r]
    source, target = (result, operand) if reverse else (operand, result)
    # half precision is read off in single precision
    dtype = source.dtype if source.dtype.name in DTYPES else np.dtype(np.float32)

    def value(operands: Operands) -> Any:
        function, x = call.along(operands, k, r), jnp.asarray(operands[k])
        pull = jax.vjp(function, x)[1] if reverse else None

        def product(t: Any) -> Any:
            t = t.reshape(source.shape).astype(source.dtype)
            y = jax.jvp(function, (x,), (t,))[1] if pull is None else pull(t)[0]
            return y.reshape(-1).astype(target.dtype if target.dtype.name in DTYPES else dtype)

        linear = Linear(product, math.prod(source.shape), dtype)
        found = read_off(coloring, linear).astype(result.dtype)
        if not np.array_equal(order, np.arange(order.size)):
            found = found[order]
        return found.reshape(L.lengths)

    return value


def _pattern(call: Call, k: int, r: int, reverse: bool) -> Pattern | None:
    """Of the Jacobian, or of its transpose; None if JAX has no rule for this mode."""
    operand, result = call.operands[k], call.results[r]
    unknown = [i for i, x in enumerate(call.known) if x is None]
    source, target = (result, operand) if reverse else (operand, result)
    found: list[Pattern | None] = []

    def probe(*values: Any) -> None:
        operands = list(call.known)
        for i, x in zip(unknown, values, strict=True):
            operands[i] = x
        function = call.along(operands, k, r)

        def product(t: Any) -> Any:
            t = t.reshape(source.shape)
            if reverse:
                return jax.vjp(function, operands[k])[1](t)[0].reshape(-1)
            return jax.jvp(function, (operands[k],), (t,))[1].reshape(-1)

        found.append(linear_pattern(product, math.prod(source.shape), source.dtype))

    try:
        jax.eval_shape(probe, *(call.operands[i] for i in unknown))
    except (TypeError, ValueError, NotImplementedError):
        return None
    whole = (math.prod(target.shape), math.prod(source.shape))
    return Pattern.dense(whole) if found[0] is None else found[0]
