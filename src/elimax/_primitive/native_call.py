"""Calls of native handlers, and how the structures that they need reach them.

A compiled program names its structures by hash. In this process they are pinned when the program is lowered.
A program that is lowered for export carries their content as well: `elimax_restore` makes the structure from
it where it is not pinned, and hands an operand on to the kernel, which therefore runs after it.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any

import jax
import numpy as np

from elimax._structure import _native
from elimax._structure.structure import Structure, cached

targets: list[str] = []


def register(name: str) -> str:
    """Makes the native handler `elimax_NAME` known to XLA; the name of the target."""
    target = f"elimax_{name}"
    handler = jax.ffi.pycapsule(getattr(_native.library, target))
    jax.ffi.register_ffi_target(target, handler, platform="cpu")
    jax.ffi.register_ffi_target_as_batch_partitionable(target)
    if target not in targets:
        targets.append(target)
    return target


def with_structures(
    operands: Sequence[jax.Array], attributes: Mapping[str, Any], restored: Set[int] | None
) -> tuple[list[jax.Array], dict[str, Any]]:
    """What a handler gets: a structure under the name NAME reaches it as NAME_high and NAME_low.

    In a program for export, `restored` are the (upper) hashes of structures that need not be restored.
    """
    plain: dict[str, Any] = {}
    structures: dict[Structure, None] = {}  # in the order in which they are built
    for name, value in attributes.items():
        if isinstance(value, Structure):
            plain |= value.pin(name)
            if restored is not None and int(plain[f"{name}_high"]) not in restored:
                structures |= dict.fromkeys(_from_the_ground(value))
        else:
            plain[name] = value
    *others, last = operands  # seldom a large one
    return [*others, functools.reduce(_restore, structures, last)], plain


def restored_for(operands: Sequence[Any]) -> Set[int]:
    """The hashes of the structures that the native calls used whose results these MLIR values are.

    They need not be restored for what reads the results: passing a factor on unchanged would copy it.
    """
    restored: set[int] = set()
    for operand in operands:
        attributes = getattr(operand.owner, "attributes", {})  # an argument is owned by a block
        if "mhlo.backend_config" in attributes:
            config = attributes["mhlo.backend_config"]
            restored.update(item.attr.value for item in config if item.name.endswith("_high"))
    return restored


def _from_the_ground(structure: Structure) -> Iterator[Structure]:
    for foundation in structure.foundations:
        yield from _from_the_ground(foundation)
    yield structure


_RESTORE = register("restore")


def _restore(operand: jax.Array, structure: Structure) -> jax.Array:
    """`operand`, once the structure is pinned."""
    restore = jax.ffi.ffi_call(
        _RESTORE,
        jax.ShapeDtypeStruct(operand.shape, operand.dtype),
        input_output_aliases={0: 0},
    )
    _, arrays = structure.content
    return restore(
        operand,
        *(_constants(structure)() if arrays else ()),
        kind=structure.kind,
        preamble=structure.preamble,
        **_native.hash_attributes("content", structure.digest),
    )


@cached(64)
def _constants(structure: Structure) -> Callable[[], tuple[np.ndarray, ...]]:
    """The arrays of the content, as a function of the exported program: it holds them once."""
    _, arrays = structure.content

    def constants() -> tuple[np.ndarray, ...]:
        return arrays

    constants.__name__ = f"elimax_{structure.kind}"
    return jax.jit(constants)
