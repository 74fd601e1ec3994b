"""How a `vmap` reaches a native kernel: as columns of right-hand sides, or as one more leading dimension.

Either way a batch of any depth is one native call, and an operand that several elements share is not copied
if that can be helped.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from elimax._primitive.kernel import Kernel
from elimax._primitive.sharding import explicit_axes, merge, split

Bind = Callable[..., list[Any]]
Batched = tuple[list[Any], list[int | None]]


def batch_columns(
    kernel: Kernel, i: int, bind: Bind, operands: Sequence[Any], dims: Sequence[Any]
) -> Batched:
    """Only operand `i` has the new batch: it becomes columns, whatever earlier batches there are."""
    x = jnp.moveaxis(operands[i], dims[i], -2)
    *_, batch, k = x.shape
    axes = explicit_axes(x, x.ndim - 2)
    merged = [*operands[:i], merge(x, x.ndim - 2, axes), *operands[i + 1 :]]
    lead = len(kernel.batch_shape(merged))
    results: list[Any] = []
    dims_out: list[int | None] = []
    for y in bind(*merged):
        has_columns = y.ndim > lead
        results.append(split(y, y.ndim - 1, (batch, k), axes) if has_columns else y)
        dims_out.append(y.ndim - 1 if has_columns else None)
    return results, dims_out


def batch_calls(
    kernel: Kernel, bind: Bind, operands: Sequence[Any], dims: Sequence[Any]
) -> Batched:
    """Any other batch: one more leading dimension.

    In front of the others, or behind them if less must be copied so. In front, an operand that has others
    but not the new one is copied; behind them, one that has the new one but not all others.
    """
    leads: list[tuple[Any, ...]] = []
    cores: list[tuple[Any, ...]] = []
    for i, (x, dim) in enumerate(zip(operands, dims, strict=True)):
        shape = tuple(size for d, size in enumerate(x.shape) if d != dim)
        n_leading = len(shape) - kernel.rank(i)
        leads.append(shape[:n_leading])
        cores.append(shape[n_leading:])
    size = next(x.shape[dim] for x, dim in zip(operands, dims, strict=True) if dim is not None)
    full = max(leads, key=len)
    copied_in_front = copied_behind = 0
    for dim, lead, core in zip(dims, leads, cores, strict=True):
        if dim is None and lead:
            copied_in_front += core[0]
        elif dim is not None and len(lead) < len(full):
            copied_behind += core[0]
    place = len(full) if copied_behind < copied_in_front else 0

    def placed(x: Any, dim: int | None, lead: tuple[int, ...], core: tuple[int, ...]) -> Any:
        if dim is None:
            return x if len(lead) <= place else jnp.broadcast_to(x, (size, *x.shape))
        x = jnp.moveaxis(x, dim, min(place, len(lead)))
        if len(lead) >= place:
            return x
        x = jnp.expand_dims(x, tuple(range(len(lead), place)))
        return jnp.broadcast_to(x, (*full, size, *core))

    results = bind(*map(placed, operands, dims, leads, cores))
    return results, [place] * len(results)
