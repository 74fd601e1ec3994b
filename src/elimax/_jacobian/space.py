"""Vectors as functions and lineax see them, pytrees of arrays, and as a matrix sees them, flat arrays."""

import dataclasses
import math
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact, PyTree


@dataclasses.dataclass(frozen=True)
class Space:
    """The shapes and dtypes of a pytree of arrays: static, hashable, and the way to flat vectors and back."""

    leaves: tuple[jax.ShapeDtypeStruct, ...]
    tree: Any

    @classmethod
    def of(cls, structure: PyTree) -> Self:
        """The space of vectors like `structure`, a pytree of arrays or `jax.ShapeDtypeStruct`."""
        leaves, tree = jax.tree.flatten(structure)
        return cls(tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in leaves), tree)

    @classmethod
    def flat(cls, size: int, dtype: Any) -> Self:
        """That of plain vectors."""
        return cls.of(jax.ShapeDtypeStruct((size,), dtype))

    @property
    def structure(self) -> PyTree[jax.ShapeDtypeStruct]:
        return jax.tree.unflatten(self.tree, self.leaves)

    @property
    def size(self) -> int:
        return sum(math.prod(leaf.shape) for leaf in self.leaves)

    @property
    def dtype(self) -> np.dtype:
        """What the dtypes of the leaves are promoted to; the default float if there are none."""
        with jax.numpy_dtype_promotion("standard"):
            return (
                jnp.result_type(*(leaf.dtype for leaf in self.leaves))
                if self.leaves
                else np.dtype(float)
            )

    def ravel(self, name: str, vector: PyTree[Inexact[Array, "..."]]) -> Inexact[Array, " size"]:
        """All entries of a vector in one array.

        **Raises:** `ValueError` naming the argument if the vector is not of this space.
        """
        leaves, tree = jax.tree.flatten(vector)
        shapes = [jnp.shape(x) for x in leaves]
        if tree != self.tree or shapes != [leaf.shape for leaf in self.leaves]:
            found = jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x).name), vector)
            raise ValueError(
                f"`{name}` must have the structure {self.structure} of the operator, got {found}"
            )
        dtype = self.dtype
        flat = [jnp.asarray(x, dtype).reshape(-1) for x in leaves]
        return flat[0] if len(flat) == 1 else jnp.concatenate([jnp.zeros(0, dtype), *flat])

    def unravel(self, flat: Inexact[Array, " size"]) -> PyTree[Inexact[Array, "..."]]:
        """The vector whose entries are those of `flat`, each leaf in its own dtype."""
        stops = np.cumsum([math.prod(leaf.shape) for leaf in self.leaves])[:-1]
        parts = [flat] if len(self.leaves) == 1 else jnp.split(flat, stops) if self.leaves else []
        leaves = [
            _cast(part, leaf.dtype).reshape(leaf.shape)
            for part, leaf in zip(parts, self.leaves, strict=True)
        ]
        return jax.tree.unflatten(self.tree, leaves)


def _cast(x: Inexact[Array, " size"], dtype: Any) -> Inexact[Array, " size"]:
    real = jnp.iscomplexobj(x) and not jnp.issubdtype(dtype, jnp.complexfloating)
    return (x.real if real else x).astype(dtype)
