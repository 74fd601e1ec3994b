"""One native call in a program for several devices: what each of them computes.

XLA divides a custom call along one dimension only: the leading one, of all operands and results alike. So a
call is brought into that form. A batch is divided into groups, and what the whole batch shares is repeated
for each group; the columns of right-hand sides, which nothing connects, become a batch of groups of columns.
The number of groups is the greatest common divisor of the size and the number of devices: a batch, or
columns, that are sharded evenly remain where they are, and no device computes what only pads an uneven shard.
Of a nested batch the first dimension is divided that has so many groups, or else all of them together.

**Cost:** with one device, none. With several, a device holds a copy of a shared operand for each of its
groups: one, if the batch is sharded over all devices.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

Arrays = Sequence[jax.Array]


class Division(NamedTuple):
    """The operands in groups, the leading dimensions of the results, and how to join these."""

    operands: list[jax.Array]
    batch: tuple[int, ...]
    join: Callable[[Arrays], Arrays]


def divide(
    operands: Arrays,
    ranks: Sequence[int],
    columns: int | None,
    summed: Sequence[int],
    batch: tuple[int, ...],
    devices: int,
) -> Division | None:
    """The operands of a native call in groups; None if there is nothing to divide.

    `ranks`, `columns` and `summed` are those of the kernel (define.py), `batch` are the leading dimensions
    of its results.
    """
    if devices == 1:
        return None
    column_operands = set(summed) if columns is None else {columns}
    counts = [operands[i].shape[-1] for i in column_operands]
    size = math.prod(batch) if batch or not counts else counts[0]
    groups = math.gcd(size, devices)
    if groups == 1 or size == 0:
        return None
    if not batch:
        divided = [
            _columns_to_groups(x, groups) if i in column_operands else _repeat(x, groups)
            for i, x in enumerate(operands)
        ]
        return Division(divided, (groups,), _join_sums if summed else _join_columns)
    along = next((d for d, n in enumerate(batch) if n % groups == 0), None)
    if along is None:  # sharded over several dimensions, if at all
        divided = [_all_to_groups(x, rank, groups) for x, rank in zip(operands, ranks, strict=True)]
        join = functools.partial(_join_all, batch)
        return Division(divided, (groups, size // groups), join)
    divided = [
        _one_to_groups(x, along, groups) if x.ndim - rank > along else _repeat(x, groups)
        for x, rank in zip(operands, ranks, strict=True)
    ]
    rest = (*batch[:along], batch[along] // groups, *batch[along + 1 :])
    return Division(divided, (groups, *rest), functools.partial(_join_one, along, batch))


def _repeat(x: jax.Array, groups: int) -> jax.Array:
    return jnp.broadcast_to(x, (groups, *x.shape))


def _one_to_groups(x: jax.Array, along: int, groups: int) -> jax.Array:
    """One dimension in equal groups; their number becomes the leading dimension."""
    shape = (*x.shape[:along], groups, x.shape[along] // groups, *x.shape[along + 1 :])
    return jnp.moveaxis(x.reshape(shape), along, 0)


def _join_one(along: int, batch: tuple[int, ...], results: Arrays) -> Arrays:
    moved = [jnp.moveaxis(x, 0, along) for x in results]
    return [x.reshape(*batch, *x.shape[len(batch) + 1 :]) for x in moved]


def _all_to_groups(x: jax.Array, rank: int, groups: int) -> jax.Array:
    """The elements of an operand of that rank, one after the other, in equal groups.

    Those that serve several elements of the batch are repeated as often as it takes to fill every group.
    """
    lead, core = x.shape[: x.ndim - rank], x.shape[x.ndim - rank :]
    elements = math.prod(lead)
    filled = math.lcm(elements, groups)
    x = jnp.broadcast_to(x.reshape(elements, 1, *core), (elements, filled // elements, *core))
    return x.reshape(groups, filled // groups, *core)


def _join_all(batch: tuple[int, ...], results: Arrays) -> Arrays:
    return [x.reshape(*batch, *x.shape[2:]) for x in results]


def _columns_to_groups(x: jax.Array, groups: int) -> jax.Array:
    n, k = x.shape
    return jnp.moveaxis(x.reshape(n, groups, k // groups), 1, 0)


def _join_columns(results: Arrays) -> Arrays:
    def join(y: jax.Array) -> jax.Array:
        if y.ndim == 1:
            return y.max(axis=0)  # a status, the same in all groups
        y = jnp.moveaxis(y, 0, -2)
        return y.reshape(*y.shape[:-2], y.shape[-2] * y.shape[-1])

    return [join(y) for y in results]


def _join_sums(results: Arrays) -> Arrays:
    return [x.sum(axis=0) for x in results]


def sharding_rule(operands: Arrays, results: Arrays) -> str:
    """The rule, in Shardy's notation, by which sharding spreads from operands to results and back.

    The leading dimensions are the same, i; every other one is on its own, and not divided.
    """
    sizes = [operands[0].shape[0]]

    def dimensions(x: jax.Array) -> str:
        first = len(sizes)
        sizes.extend(x.shape[1:])
        return f"[{', '.join(map(_factor, [0, *range(first, len(sizes))]))}]"

    left, right = (", ".join(map(dimensions, xs)) for xs in (operands, results))
    factors = ", ".join(f"{_factor(i)}={size}" for i, size in enumerate(sizes))
    return f"#sdy.op_sharding_rule<({left})->({right}) {{{factors}}}, custom>"


def _factor(i: int) -> str:
    """Shardy's name of the i-th factor: i, j, ..., z, z_1, z_2, ..."""
    letters = "ijklmnopqrstuvwxyz"
    return letters[i] if i < len(letters) else f"z_{i - len(letters) + 1}"
