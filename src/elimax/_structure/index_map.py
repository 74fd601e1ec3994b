"""Index arrays, checked and frozen; index maps: where every value of one array is found in another.

A map sends position p of its output to `indices[p]` of its input. A negative index `~q` stands for the
conjugate of input q, as the upper triangle of a Hermitian matrix is read from its lower one; `ZERO` stands
for a structural zero. *Gathering* by a map reads the output from the input; *scattering* is the transpose,
which sums into the input. With the map `[1, ~0, ZERO]`,

    gather:  (a, b)    ->  (b, conj a, 0)
    scatter: (x, y, z) ->  (conj y, x)
"""

import dataclasses
import functools
import operator
from typing import Any

import numpy as np

from elimax._structure.structure import Structure

ZERO = -(2**31)
LARGEST = 2**31 - 1


def index_array(name: str, indices: Any) -> np.ndarray:
    """`indices` as a one-dimensional int64 array.

    **Raises:** `TypeError` if they are traced by JAX or not integers, `ValueError` if not one-dimensional.
    """
    try:
        array = np.asarray(indices)
    except TypeError as error:
        raise TypeError(
            f"`{name}` must be concrete integers, got a {type(indices).__name__}: sparsity patterns are "
            "static. Build the pattern outside of jit, vmap and grad, and let only the values be traced."
        ) from error
    if array.size and not np.issubdtype(array.dtype, np.integer):
        hint = "; np.flatnonzero(mask) chooses by a mask" if array.dtype == bool else ""
        raise TypeError(f"`{name}` must be integers, got dtype {array.dtype}{hint}")
    if array.ndim != 1:
        raise ValueError(f"`{name}` must be one-dimensional, got shape {array.shape}")
    return array.astype(np.int64, copy=False)


def matrix_shape(shape: Any) -> tuple[int, int]:
    """`shape` as two integers.

    **Raises:** `TypeError` if it is something else, `ValueError` if one is negative or too large.
    """
    try:
        m, n = map(operator.index, shape)
    except (TypeError, ValueError) as error:
        raise TypeError(f"`shape` must be two integers, got {shape!r}") from error
    if not (0 <= m <= LARGEST and 0 <= n <= LARGEST):
        raise ValueError(f"`shape` must lie within 32-bit integers, got {(m, n)}")
    return m, n


def check_range(name: str, indices: np.ndarray, size: int) -> None:
    """Raises the `ValueError` that names the first index outside of 0 .. size - 1."""
    outside = np.flatnonzero((indices < 0) | (indices >= size))
    if outside.size:
        k = outside[0]
        raise ValueError(f"`{name}`: entry {k} is {indices[k]}, outside of 0 .. {size - 1}")


def frozen(array: np.ndarray) -> np.ndarray:
    """A read-only int32 version of `array`; a copy if the array could still be written to."""
    if array.dtype != np.int32 or array.flags.writeable or not array.flags.c_contiguous:
        array = np.array(array, np.int32)
        array.flags.writeable = False
    return array


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class IndexMap(Structure):
    """An immutable map of positions, compared and hashed by content.

    **Arguments:**

    - `indices`: for each position of the output, a position of the input, `~` a position (conjugated), or
        `ZERO`.
    - `input_size`: the length of the input.

    **Raises:** `ValueError` if an index lies outside of the input.
    """

    kind = "map"
    indices: np.ndarray
    input_size: int

    def __post_init__(self) -> None:
        indices = frozen(self.indices)
        plain = np.where(indices < 0, ~indices, indices)
        outside = np.flatnonzero((plain >= self.input_size) & (indices != ZERO))
        if outside.size:
            p = outside[0]
            raise ValueError(
                f"index map: entry {p} is {indices[p]}, outside of an input of {self.input_size} values"
            )
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "input_size", int(self.input_size))

    @property
    def output_size(self) -> int:
        return self.indices.size

    @property
    def content(self) -> tuple[tuple[int, ...], tuple[np.ndarray, ...]]:
        return (self.input_size,), (self.indices,)

    @functools.cached_property
    def is_identity(self) -> bool:
        """Whether gathering by this map returns its input."""
        size = self.output_size
        return size == self.input_size and np.array_equal(self.indices, np.arange(size))

    @functools.cached_property
    def unconjugated(self) -> "IndexMap":
        """The same map for symmetric instead of Hermitian values: `~q` becomes `q`."""
        marked = (self.indices < 0) & (self.indices != ZERO)
        return IndexMap(np.where(marked, ~self.indices, self.indices), self.input_size)

    def __repr__(self) -> str:
        return f"IndexMap({self.output_size} from {self.input_size})"
