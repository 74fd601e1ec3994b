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
) -> tuple[list[Any], Any]:
    """The explicit mesh axes of the batch, one per leading dimension, and of the columns; or None for each.

    `operands` are types, `ranks` tells how many dimensions of each are not the batch, `columns` which
    operands have columns as their last dimension.

    **Raises:** `ValueError` for any other sharded dimension, and for a batch that is sharded in two ways.
    """
    batch: list[Any] = []
    column = None
    for i, (x, rank) in enumerate(zip(operands, ranks, strict=True)):
        spec = list(x.sharding.spec)
        if i in columns:
            column = spec.pop()
            rank -= 1
        lead, core = spec[: len(spec) - rank], spec[len(spec) - rank :]
        batch += [None] * (len(lead) - len(batch))
        known = [b if a is None else a for a, b in zip(lead, batch, strict=False)]
        if any(a is not None for a in core) or any(
            b not in (None, a) for a, b in zip(known, batch, strict=False)
        ):
            raise ValueError(
                f"{name}: operand {i} of type {x.str_short()} is sharded over a mesh with explicit axes, but "
                "only a batch can be (in the same way in all operands), and the columns of right-hand sides. "
                "Use jax.sharding.reshard first."
            )
        batch[: len(lead)] = known
    return batch, column


def result_type(operands: Sequence[Any], shape: Any, batch: Sequence[Any], column: Any) -> Any:
    """The type of a result with those mesh axes, on the mesh of the operands and varying as they do."""
    like = next((x for x in operands if not x.sharding.mesh.empty), operands[0])
    spec = [*batch, *(None for _ in shape.shape[len(batch) :])]
    if column is not None:
        spec[-1] = column
    sharding = NamedSharding(like.sharding.mesh, PartitionSpec(*spec))
    return like.update(shape=shape.shape, dtype=shape.dtype, weak_type=False, sharding=sharding)


def explicit_axes(x: Any, at: int) -> tuple[Any, Any]:
    """The explicit mesh axes of dimensions `at` and `at + 1`."""
    spec = jax.typeof(x).sharding.spec
    return spec[at], spec[at + 1]


def merge(x: Any, at: int, axes: tuple[Any, Any]) -> Any:
    """Dimensions `at` and `at + 1` of x as one, which is sharded over the explicit mesh axes of both."""
    shape = (*x.shape[:at], x.shape[at] * x.shape[at + 1], *x.shape[at + 2 :])
    names = [axis if isinstance(axis, tuple) else (axis,) for axis in axes if axis is not None]
    return _reshape(x, shape, at, 2, [sum(names, ())], axes)


def split(x: Any, at: int, sizes: tuple[int, int], axes: tuple[Any, Any]) -> Any:
    """Dimension `at` of x as two of these sizes, sharded over one of the explicit mesh axes each."""
    return _reshape(x, (*x.shape[:at], *sizes, *x.shape[at + 1 :]), at, 1, axes, axes)


def _reshape(
    x: Any, shape: Sequence[int], at: int, width: int, spec: Sequence[Any], axes: tuple[Any, Any]
) -> Any:
    """JAX itself knows what becomes of a sharded outer dimension, but nothing of an inner one."""
    sharding = jax.typeof(x).sharding
    if axes[1] is None or sharding.mesh.empty:
        return x.reshape(shape)
    spec = (*sharding.spec[:at], *spec, *sharding.spec[at + width :])
    return jax.lax.reshape(
        x, shape, out_sharding=NamedSharding(sharding.mesh, PartitionSpec(*spec))
    )
