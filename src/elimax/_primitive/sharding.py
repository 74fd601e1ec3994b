"""How the operands and results of a primitive are spread over devices, as JAX's types tell it.

Inside of `jax.shard_map` a type names the mesh axes along which a value *varies*, that is, may differ from
device to device. On a mesh with explicit axes a type names the axes over which each dimension is *sharded*:
in our primitives the batch and the columns of right-hand sides can be, because nothing flows between them.
"""

import functools
from collections.abc import Collection, Sequence
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

# The names of JAX 0.8.0, and the later ones.
if hasattr(jax.lax, "pcast"):
    _vary = functools.partial(jax.lax.pcast, to="varying")
else:
    _vary = vars(jax.lax)["pvary"]


def _varying(x: Any) -> frozenset[Any]:
    aval = jax.typeof(x)
    return aval.mat.varying if hasattr(aval, "mat") else aval.vma


def vary_alike(operands: Sequence[Any]) -> Sequence[Any]:
    """Casts all operands to vary along every mesh axis that one of them varies along.

    The transpose of the cast is a sum over the devices: a derivative with respect to an operand that all
    devices share collects what each of them contributes.
    """
    if not any(isinstance(x, jax.core.Tracer) for x in operands):
        return operands
    varying = [_varying(x) for x in operands]
    union = frozenset().union(*varying)
    return [
        _vary(x, tuple(sorted(union - axes, key=str))) if axes != union else x
        for x, axes in zip(operands, varying, strict=True)
    ]


def sharded_axes(
    name: str, operands: Sequence[Any], ranks: Sequence[int], columns: Collection[int]
) -> tuple[Any, Any]:
    """The explicit mesh axes of the batch and of the columns; None where they are not sharded.

    `operands` are types, `ranks` tells how many dimensions of each are not the batch, `columns` which
    operands have columns as their last dimension.

    **Raises:** `ValueError` for any other sharded dimension, and for a batch that is sharded in two ways.
    """
    batch = column = None
    for i, (x, rank) in enumerate(zip(operands, ranks, strict=True)):
        spec = list(x.sharding.spec)
        if i in columns:
            column = spec.pop()
            rank -= 1
        lead, core = spec[: len(spec) - rank], spec[len(spec) - rank :]
        axes = [a for a in (batch, *lead) if a is not None]
        if any(a is not None for a in core) or any(a != axes[0] for a in axes):
            raise ValueError(
                f"{name}: operand {i} of type {x.str_short()} is sharded over a mesh with explicit axes, but "
                "only a batch can be (in the same way in all operands), and the columns of right-hand sides. "
                "Use jax.sharding.reshard first."
            )
        batch = axes[0] if axes else None
    return batch, column


def result_type(operands: Sequence[Any], shape: Any, batch: Any, column: Any) -> Any:
    """The type of a result with those mesh axes, on the mesh of the operands and varying as they do."""
    like = next((x for x in operands if not x.sharding.mesh.empty), operands[0])
    spec = [None] * len(shape.shape)
    if batch is not None:
        spec[0] = batch
    if column is not None:
        spec[-1] = column
    sharding = NamedSharding(like.sharding.mesh, PartitionSpec(*spec))
    return like.update(shape=shape.shape, dtype=shape.dtype, weak_type=False, sharding=sharding)
