"""Structured tensors: partial derivatives of arrays by arrays, a static layout and traced values."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact

from elimax._jacobian.elimination.layout import Layout, coordinates_of, dense
from elimax._jacobian.elimination.layout_algebra import Joint, Product, Reading, Sum, add, product
from elimax._matrix import SparseMatrix
from elimax._primitive.product import gather, scatter
from elimax._structure.index_map import ZERO, IndexMap
from elimax._structure.pattern import Pattern
from elimax._types import DTYPES

_INLINE = 256  # indices that a program may hold itself


@jax.tree_util.register_pytree_node_class
class StructuredTensor:
    """The derivative of an array by another one, as a layout and the values that it places.

    **Attributes:**

    - `layout`: which value stands where (`layout.py`).
    - `value`: of shape `layout.lengths`; or a Python number for all entries alike, 1 in what only moves
        elements, which then costs nothing.
    - `dtype`: of the entries.

    A pytree whose only leaf is the value.

    **Derivative:** all operations are linear in each value.
    """

    layout: Layout
    value: Any
    dtype: np.dtype

    def __init__(self, layout: Layout, value: Any, dtype: Any) -> None:
        self.layout, self.value, self.dtype = layout, value, dtype

    def tree_flatten(self) -> tuple[Any, ...]:
        return (self.value,), (self.layout, self.dtype)

    @classmethod
    def tree_unflatten(cls, static: tuple[Any, ...], leaves: tuple[Any, ...]) -> Self:
        return cls(static[0], leaves[0], static[1])

    @property
    def shape(self) -> tuple[int, ...]:
        """The axes of the differentiated array, then those of the array it is differentiated by."""
        return self.layout.shape

    @property
    def nnz(self) -> int:
        """How many entries may be nonzero."""
        return self.layout.nnz

    @property
    def T(self) -> "StructuredTensor":
        """The transpose: the two groups of axes swapped."""
        return StructuredTensor(self.layout.transposed(), self.value, self.dtype)

    def __repr__(self) -> str:
        out, into = self.layout.out_shape, self.layout.in_shape
        return f"StructuredTensor({out} by {into}, nnz={self.nnz}, dtype={np.dtype(self.dtype)})"

    def __matmul__(self, other: "StructuredTensor") -> "StructuredTensor":
        """The chain rule.

        **Raises:** `ValueError` if the axes in the middle differ.
        """
        if self.layout.in_shape != other.layout.out_shape:
            raise ValueError(f"{self!r} @ {other!r}: the shapes in the middle differ")
        return multiply(product(self.layout, other.layout), self, other)

    def __add__(self, other: "StructuredTensor") -> "StructuredTensor":
        """The sum, on the union of the entries.

        **Raises:** `ValueError` if the axes differ.
        """
        if (self.shape, self.layout.split) != (other.shape, other.layout.split):
            raise ValueError(f"{self!r} + {other!r}: the shapes differ")
        return accumulate(add(self.layout, other.layout), self, other)

    def astype(self, dtype: Any) -> "StructuredTensor":
        """The tensor in another precision."""
        if dtype == self.dtype:
            return self
        value = self.value if _is_number(self.value) else self.value.astype(dtype)
        return StructuredTensor(self.layout, value, dtype)

    def todense(self) -> Inexact[Array, "..."]:
        """The tensor with all of its zeros, of shape `shape`."""
        if self.nnz == 0:
            return jnp.zeros(self.shape, self.dtype)
        whole = dense(self.layout.out_shape, self.layout.in_shape)
        plan = add(self.layout, whole)
        value = _array(_read(self.value, plan.left, self.dtype), self.dtype)
        full = plan.layout
        value = jnp.broadcast_to(value.reshape(_split(plan.left.result, full)), full.sizes)
        order = [at[0] for at in full.attached if at is not None]
        return value.transpose(order).reshape(self.shape)

    def to_sparse_matrix(self) -> SparseMatrix:
        """The matrix of the raveled arrays, on a static pattern.

        **Raises:** `TypeError` if the dtype is not one of a `SparseMatrix`.
        """
        rows, columns = self.coordinates()
        m, n = (math.prod(s) for s in (self.layout.out_shape, self.layout.in_shape))
        pattern, place = Pattern.from_coo_with_map(rows, columns, (m, n))
        value = jnp.broadcast_to(_array(self.value, self.dtype), self.layout.sizes)
        return SparseMatrix(pattern, scatter(value.reshape(-1), place))

    def materialized(self) -> "StructuredTensor":
        """The same tensor, whose value is an array even if it is one number."""
        value = self.value
        if _is_number(value):
            value = jnp.full(self.layout.lengths, value, self.dtype)
        return StructuredTensor(self.layout, value, self.dtype)

    def coordinates(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the entries in the matrix of the raveled arrays, in the order of the values."""
        L = self.layout
        everything = list(range(len(L.sizes)))
        axes = [a for a, at in enumerate(L.attached) if at is not None]
        found = dict(zip(axes, coordinates_of(L, everything, axes), strict=True))
        rows, columns = (np.zeros(L.nnz, np.int64) for _ in range(2))
        for a, c in found.items():
            if a < L.split:
                rows = rows + c * math.prod(L.shape[a + 1 : L.split])
            else:
                columns = columns + c * math.prod(L.shape[a + 1 :])
        return rows, columns


def multiply(plan: Product, left: StructuredTensor, right: StructuredTensor) -> StructuredTensor:
    """The product that was planned for the layouts of the two.

    **Cost:** `plan.muls` multiplications, and gathers where the plan reads by indices.
    """
    dtype = jnp.promote_types(left.dtype, right.dtype)
    x, y = _read(left.value, plan.left, dtype), _read(right.value, plan.right, dtype)
    if not plan.joints:
        return StructuredTensor(plan.layout, _times(x, y), dtype)
    lengths = plan.lengths
    summed = [k for k, joint in enumerate(plan.joints) if joint.made is None]
    x_letters, x = _squeezed(x, plan.left_letters, plan.left.result)
    y_letters, y = _squeezed(y, plan.right_letters, plan.right.result)
    letters = [k for k, n in enumerate(lengths) if n != 1 and k not in summed]
    meet = [k for k in summed if k in x_letters and k in y_letters]
    factor = math.prod(plan.joints[k].size for k in summed if lengths[k] == 1)
    x_only = [k for k in summed if k in x_letters and k not in y_letters]
    y_only = [k for k in summed if k in y_letters and k not in x_letters]
    x, x_letters = _summed(x, x_letters, x_only)
    y, y_letters = _summed(y, y_letters, y_only)
    if meet:
        value = jnp.einsum(x, x_letters, y, y_letters, letters)
    else:
        value = _times(_aligned(x, x_letters, letters), _aligned(y, y_letters, letters))
    value = _times(value, factor) if factor != 1 else value
    kept = [(k, joint) for k, joint in enumerate(plan.joints) if joint.made is not None]
    if any(joint.merged is not None for _, joint in kept):
        value = _array(value, dtype).reshape([lengths[k] for k, _ in kept])
        for axis, (_, joint) in enumerate(kept):
            if joint.merged is not None:
                value = _merge(value, axis, joint)
    if not _is_number(value):
        value = value.reshape(plan.layout.lengths)
    return StructuredTensor(plan.layout, value, dtype)


def accumulate(plan: Sum, left: StructuredTensor, right: StructuredTensor) -> StructuredTensor:
    """The sum that was planned for the layouts of the two."""
    dtype = jnp.promote_types(left.dtype, right.dtype)
    terms = []
    for tensor, reading in ((left, plan.left), (right, plan.right)):
        value = _read(tensor.value, reading, dtype)
        terms.append(
            value if _is_number(value) else value.reshape(_split(reading.result, plan.layout))
        )
    value = terms[0] + terms[1]
    if not _is_number(value):
        value = jnp.broadcast_to(value, plan.layout.lengths)
    return StructuredTensor(plan.layout, value, dtype)


def _split(lengths: Sequence[int], L: Layout) -> tuple[int, ...]:
    """Lengths of a value whose last axis stands for the last index axes of L."""
    n = len(lengths)
    if n == len(L.sizes):
        return tuple(lengths)
    rest = L.sizes[n - 1 :]
    return (*lengths[: n - 1], *(rest if lengths[-1] != 1 else (1,) * len(rest)))


# -- numbers


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | complex)


def _array(value: Any, dtype: Any) -> Array:
    return jnp.asarray(value, dtype) if _is_number(value) else value


def _times(x: Any, y: Any) -> Any:
    """The product, for which a factor of one costs nothing."""
    if _is_number(x) and x in (1, -1):
        return y if x == 1 else -y
    if _is_number(y) and y in (1, -1):
        return x if y == 1 else -x
    return x * y


def _read(value: Any, reading: Reading, dtype: Any) -> Any:
    """The value along the axes that the reading makes."""
    if _is_number(value):
        if not any(reading.varies):
            return value
        value = jnp.full(reading.lengths, value, dtype)
    groups = list(zip(reading.groups, reading.varies, strict=True))
    order = [k for group, _ in groups for k in group]
    if order != sorted(order):
        value = value.transpose(order)
    lengths = [
        reading.sizes[k] if varies and len(group) > 1 else reading.lengths[k]
        for group, varies in groups
        for k in group
    ]
    if value.shape != tuple(lengths):
        value = jnp.broadcast_to(value, lengths)
    flat = [
        (n if len(group) != 1 else reading.lengths[group[0]]) if varies else 1
        for (group, varies), n in zip(groups, reading.whole, strict=True)
    ]
    if value.shape != tuple(flat):
        value = value.reshape(flat)
    for axis, index in enumerate(reading.indices):
        if index is not None and reading.varies[axis]:
            whole = reading.whole[axis]
            if value.shape[axis] != whole:
                shape = (*value.shape[:axis], whole, *value.shape[axis + 1 :])
                value = jnp.broadcast_to(value, shape)
            value = _take(value, axis, index)
    return value


def _take(value: Array, axis: int, index: np.ndarray) -> Array:
    """Reads along an axis by constant indices; zero where they are negative."""
    n = value.shape[axis]
    if index.size == 0 or n == 0:
        shape = (*value.shape[:axis], index.size, *value.shape[axis + 1 :])
        return jnp.zeros(shape, value.dtype)
    inside = np.flatnonzero(index >= 0)
    if inside.size == n and np.array_equal(index[inside], np.arange(n)):
        steps = np.diff(inside)
        step = int(steps[0]) if steps.size else 1
        if (steps == step).all():  # spaced evenly: zeros around and between
            config = [(0, 0, 0)] * value.ndim
            config[axis] = (int(inside[0]), int(index.size - 1 - inside[-1]), step - 1)
            return jax.lax.pad(value, jnp.zeros((), value.dtype), config)
    if inside.size == index.size:
        steps = np.diff(index)
        step = int(steps[0]) if steps.size else 1
        if step > 0 and (steps == step).all():
            return jax.lax.slice_in_dim(value, int(index[0]), int(index[-1]) + 1, step, axis)
    if index.size > _INLINE and np.dtype(value.dtype).name in DTYPES:
        source = IndexMap(np.where(index < 0, ZERO, index), n)
        return _along(lambda x: gather(x, source), value, axis)
    taken = jnp.take(value, np.maximum(index, 0), axis)
    if inside.size == index.size:
        return taken
    mask = (index >= 0).reshape([-1 if d == axis else 1 for d in range(value.ndim)])
    return jnp.where(mask, taken, jnp.zeros((), value.dtype))


def _merge(value: Array, axis: int, joint: Joint) -> Array:
    """Sums the pairs along an axis that add to the same entry; they follow one another."""
    assert joint.merged is not None
    n, places = joint.stored, joint.merged
    shape = (*value.shape[:axis], joint.size, *value.shape[axis + 1 :])
    value = jnp.broadcast_to(value, shape)
    each = joint.size // n
    if each * n == joint.size and np.array_equal(places, np.repeat(np.arange(n), each)):
        return value.reshape((*shape[:axis], n, each, *shape[axis + 1 :])).sum(axis + 1)
    if joint.size > _INLINE and np.dtype(value.dtype).name in DTYPES:
        target = IndexMap(places, n)
        return _along(lambda x: scatter(x, target), value, axis)
    by_axis = jax.ops.segment_sum(jnp.moveaxis(value, axis, 0), places, n, indices_are_sorted=True)
    return jnp.moveaxis(by_axis, 0, axis)


def _along(function: Callable[[Array], Array], value: Array, axis: int) -> Array:
    """A function of vectors along one axis."""
    moved = jnp.moveaxis(value, axis, -1)
    flat = moved.reshape(math.prod(moved.shape[:-1]), moved.shape[-1])
    done = function(flat[0])[None] if flat.shape[0] == 1 else jax.vmap(function)(flat)
    return jnp.moveaxis(done.reshape(*moved.shape[:-1], done.shape[-1]), -1, axis)


def _squeezed(value: Any, letters: Sequence[int], lengths: Sequence[int]) -> tuple[list[int], Any]:
    """Without the axes along which the value is constant."""
    if _is_number(value):
        return [], value
    kept = [(k, n) for k, n in zip(letters, lengths, strict=True) if n != 1]
    return [k for k, _ in kept], value.reshape([n for _, n in kept])


def _summed(value: Any, letters: list[int], over: list[int]) -> tuple[Any, list[int]]:
    """The sum along some letters."""
    if not over:
        return value, letters
    axes = tuple(k for k, letter in enumerate(letters) if letter in over)
    return value.sum(axes), [k for k in letters if k not in over]


def _aligned(value: Any, letters: list[int], target: list[int]) -> Any:
    """With an axis of length 1 for each letter that it lacks; both are in increasing order."""
    if _is_number(value) or letters == target:
        return value
    lengths = dict(zip(letters, value.shape, strict=True))
    return value.reshape([lengths.get(k, 1) for k in target])
