"""A call of a function, as a function of one flat vector: the arguments it is differentiated by.

Everything else that the function takes is kept as it is. Its program, with the constants in it, is the key
under which patterns and colorings are remembered.
"""

import dataclasses
import hashlib
import operator
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elimax._jacobian.space import Space
from elimax._primitive.define import is_traced

Argnums = int | Sequence[int]


@dataclasses.dataclass(frozen=True)
class Call:
    """y = f(x) for flat vectors, beside what else f is given.

    - `function`: (x, others) -> (y, aux).
    - `x`, `others`: the arrays of this call; `jax.ShapeDtypeStruct` where only shapes were given.
    - `columns`, `rows`: what the entries of x and y stand for.
    - `key`: equal for calls of a function that run the same program, with the same constants in it.
    """

    function: Callable[[Any, Sequence[Any]], tuple[Any, Any]]
    x: Any
    others: tuple[Any, ...]
    columns: Space
    rows: Space
    key: Hashable

    @property
    def structs(self) -> tuple[Any, tuple[Any, ...]]:
        """The shapes and dtypes of `x` and `others`."""
        return _struct(self.x), tuple(map(_struct, self.others))

    @property
    def is_concrete(self) -> bool:
        """Whether every array of the call has values that Python can read."""
        arrays = (self.x, *self.others)
        return not any(isinstance(a, jax.ShapeDtypeStruct) or is_traced(a) for a in arrays)

    def value(self, x: Any) -> Any:
        """f(x) beside the other arguments of this call."""
        return self.function(x, self.others)[0]

    def gradient(self) -> "Call":
        """x -> the gradient of a function with one real (or holomorphic) value.

        **Raises:** `ValueError` if it has more than one.
        """
        if self.rows.size != 1:
            raise ValueError(
                f"`f` must return one number to have a Hessian, got outputs {self.rows.structure}; "
                "elimax.jacobian differentiates functions with many"
            )
        holomorphic = jnp.issubdtype(self.columns.dtype, jnp.complexfloating)

        def function(x: Any, others: Sequence[Any]) -> tuple[Any, Any]:
            def scalar(x: Any) -> tuple[Any, Any]:
                y, aux = self.function(x, others)
                return y[0], aux

            return jax.grad(scalar, has_aux=True, holomorphic=holomorphic)(x)

        return dataclasses.replace(self, function=function, rows=self.columns)


def call_of(
    f: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    argnums: Argnums,
    *,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Call:
    """The call f(*args, **kwargs), differentiated by the arguments that `argnums` names.

    **Raises:** `ValueError` for positions that `args` does not have; `TypeError` for arguments or results
    that are not of floating-point numbers, and complex ones unless `holomorphic`.
    """
    chosen = _positions(argnums, len(args))
    vectors = [args[k] for k in chosen]
    _check_numbers("argument", vectors, holomorphic)
    columns = Space.of(jax.tree.map(_struct, vectors))
    rest = [None if k in chosen else a for k, a in enumerate(args)]
    leaves, tree = jax.tree.flatten((rest, dict(kwargs)))
    is_array = [_is_array(leaf) for leaf in leaves]
    fixed = [None if flag else leaf for leaf, flag in zip(leaves, is_array, strict=True)]

    def invoke(vectors: Sequence[Any], others: Sequence[Any]) -> tuple[Any, Any]:
        arrays = iter(others)
        filled = [next(arrays) if flag else x for flag, x in zip(is_array, fixed, strict=True)]
        rest, keywords = jax.tree.unflatten(tree, filled)
        for k, vector in zip(chosen, vectors, strict=True):
            rest[k] = vector
        result = f(*rest, **keywords)
        if not has_aux:
            return result, None
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise TypeError(
                "with has_aux=True, `f` must return a pair (value, aux), got "
                f"{type(result).__name__}"
            )
        return result[0], result[1]

    others = tuple(leaf for leaf, flag in zip(leaves, is_array, strict=True) if flag)
    jaxpr, (result, _) = jax.make_jaxpr(invoke, return_shape=True)(
        columns.structure, list(map(_struct, others))
    )
    _check_numbers("result", result, holomorphic)
    rows = Space.of(result)

    def function(x: Any, others: Sequence[Any]) -> tuple[Any, Any]:
        y, aux = invoke(columns.unravel(x), others)
        return rows.ravel("f", y), aux

    key = (columns, rows, chosen, has_aux, holomorphic, _digest(jaxpr))
    return Call(function, _flat(columns, vectors), others, columns, rows, key)


def _digest(jaxpr: Any) -> bytes:
    """Of a program: its text, without addresses, and its constants, where they are known.

    A function may be another program when it is called again: by a Python value, or since an array that it
    closes over has changed.
    """
    found = hashlib.blake2b(re.sub("0x[0-9a-f]+", "", str(jaxpr.jaxpr)).encode(), digest_size=16)
    for x in jaxpr.consts:
        if not is_traced(x) and not jnp.issubdtype(jnp.result_type(x), jax.dtypes.extended):
            found.update(np.ascontiguousarray(x).tobytes())
    return found.digest()


def _flat(columns: Space, vectors: Sequence[Any]) -> Any:
    """The differentiated arguments in one array; its shape, if any of them is only a shape."""
    if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(vectors)):
        return jax.ShapeDtypeStruct((columns.size,), columns.dtype)
    return columns.ravel("argument", vectors)


def _positions(argnums: Argnums, n_args: int) -> tuple[int, ...]:
    try:
        listed: Sequence[Any] = argnums if isinstance(argnums, tuple | list) else [argnums]
        chosen = tuple(operator.index(k) for k in listed)
    except TypeError as error:
        raise TypeError(
            f"`argnums` must be an integer or a sequence of integers, got {argnums!r}"
        ) from error
    outside = [k for k in chosen if not -n_args <= k < n_args]
    if outside:
        raise ValueError(
            f"`argnums` names the argument at position {outside[0]}, but got {n_args} positional arguments"
        )
    chosen = tuple(k % n_args for k in chosen)
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"`argnums` names an argument twice: {argnums!r}")
    return chosen


def _check_numbers(role: str, tree: Any, holomorphic: bool) -> None:
    """Raises the `TypeError` that names the first leaf which cannot be differentiated."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        dtype = _struct(leaf).dtype
        name = f"{role}{jax.tree_util.keystr(path)}"
        if not jnp.issubdtype(dtype, jnp.inexact):
            raise TypeError(
                f"{name} has dtype {dtype}; derivatives are of floating-point numbers: convert it with "
                "astype(float), or leave it out of `argnums`"
            )
        if jnp.issubdtype(dtype, jnp.complexfloating) != holomorphic:
            raise TypeError(
                f"{name} has dtype {dtype}, but holomorphic={holomorphic}; a function of complex numbers "
                "has one complex derivative only if it is holomorphic, which holomorphic=True declares"
            )


def _is_array(leaf: Any) -> bool:
    """Arrays, and numbers whose value cannot shape a program."""
    return isinstance(
        leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct | float | complex
    )


def _struct(x: Any) -> jax.ShapeDtypeStruct:
    if isinstance(x, jax.ShapeDtypeStruct):
        return x
    aval = jax.typeof(x) if isinstance(x, jax.Array) else None
    weak = isinstance(x, float | complex | int) and not isinstance(x, np.generic)
    if aval is not None:
        return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)
    return jax.ShapeDtypeStruct(np.shape(x), jnp.result_type(x), weak_type=weak)
