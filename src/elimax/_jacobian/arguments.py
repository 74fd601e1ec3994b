"""What a function is called with and returns: arrays, which are traced, and all else, which is kept."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elimax._types import DTYPES

Argnums = int | Sequence[int]


def check_function(f: Any) -> None:
    if not callable(f):
        raise TypeError(f"`f` must be a function, got {type(f).__name__}")


def name_of(f: Callable[..., Any]) -> str:
    return f"`{getattr(f, '__name__', type(f).__name__)}`"


def is_array(leaf: Any) -> bool:
    """Arrays, and numbers whose value cannot shape a program."""
    return isinstance(
        leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct | float | complex
    )


def struct(x: Any) -> jax.ShapeDtypeStruct:
    """Shape and dtype of an array.

    **Raises:** `TypeError` for what is none.
    """
    if isinstance(x, jax.ShapeDtypeStruct):
        return x
    if isinstance(x, jax.Array):
        aval = jax.typeof(x)
        return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)
    weak = isinstance(x, float | complex | int) and not isinstance(x, np.generic)
    return jax.ShapeDtypeStruct(np.shape(x), jnp.result_type(x), weak_type=weak)


def positions(argnums: Argnums, n_args: int) -> tuple[int, ...]:
    """The positions that `argnums` names, from 0 on.

    **Raises:** `TypeError` if they are not integers; `ValueError` for those that do not exist.
    """
    try:
        several = isinstance(argnums, tuple | list | np.ndarray)
        listed: Sequence[Any] = argnums if several else [argnums]  # type: ignore[assignment]
        chosen = tuple(operator.index(k) for k in listed)
    except TypeError as error:
        raise TypeError(
            f"`argnums` must be an integer or a sequence of integers, got {argnums!r}"
        ) from error
    outside = [k for k in chosen if not -n_args <= k < n_args]
    if outside:
        raise ValueError(
            f"`argnums` names the argument at position {outside[0]}, but got {n_args} positional arguments; "
            "what is differentiated is passed by position"
        )
    return tuple(k % n_args for k in chosen)


def check_numbers(role: str, tree: Any, holomorphic: bool) -> None:
    """Raises the `TypeError` that names the first leaf which cannot be differentiated."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = f"{role}{jax.tree_util.keystr(path)}"
        if isinstance(leaf, str) or not (is_array(leaf) or np.isscalar(leaf)):
            raise TypeError(f"{name} must be an array of numbers, got {type(leaf).__name__}")
        dtype = struct(leaf).dtype
        if not jnp.issubdtype(dtype, jnp.inexact):
            raise TypeError(
                f"{name} has dtype {dtype}; derivatives are of floating-point numbers: convert it with "
                "astype(float), or leave it out of `argnums`"
            )
        if dtype.name not in DTYPES:
            raise TypeError(
                f"{name} has dtype {dtype}, but sparse matrices hold {', '.join(DTYPES)}: convert it with "
                "astype"
            )
        if jnp.issubdtype(dtype, jnp.complexfloating) != holomorphic:
            raise TypeError(
                f"{name} has dtype {dtype}, but holomorphic={holomorphic}; a function of complex numbers, "
                "all of whose differentiated arguments and results are complex, has one complex derivative "
                "only if it is holomorphic, which holomorphic=True declares"
            )


def trace(f: Callable[..., Any], function: Callable[..., Any], *structs: Any) -> tuple[Any, Any]:
    """The jaxpr of `function`, which calls `f`, and the shapes of its results.

    **Raises:** `TypeError` if `f` looks at values in Python.
    """
    try:
        return jax.make_jaxpr(function, return_shape=True)(*structs)
    except (
        jax.errors.ConcretizationTypeError,
        jax.errors.TracerArrayConversionError,
        jax.errors.TracerIntegerConversionError,
    ) as error:
        raise TypeError(
            f"{name_of(f)} looks at the value of an array in Python (an `if`, a shape, NumPy), but its "
            "sparse derivatives are those of one program for all values: use jnp.where, jax.lax.cond and "
            "jax.numpy; or close over arrays, or pass Python integers, that are not differentiated"
        ) from error


class Auxiliary:
    """What a function returns beside its value: its arrays go through traces, all else is kept here."""

    def __init__(self) -> None:
        self._tree: Any = None
        self._leaves: list[Any] = []

    def split(self, f: Callable[..., Any], result: Any, has_aux: bool) -> tuple[Any, list[Any]]:
        """The value, and the arrays beside it.

        **Raises:** `TypeError` if there should be a pair and is none.
        """
        if has_aux and not (isinstance(result, tuple | list) and len(result) == 2):
            raise TypeError(
                f"with has_aux=True, {name_of(f)} must return a pair (value, aux), got "
                f"{type(result).__name__}"
            )
        value, aux = result if has_aux else (result, None)
        leaves, self._tree = jax.tree.flatten(aux)
        self._leaves = [None if is_array(leaf) else leaf for leaf in leaves]
        self._is_array = [is_array(leaf) for leaf in leaves]
        return value, [leaf for leaf in leaves if is_array(leaf)]

    def join(self, arrays: Sequence[Any]) -> Any:
        """All of it, as the function returned it last."""
        rest = iter(arrays)
        leaves = [
            next(rest) if flag else leaf
            for flag, leaf in zip(self._is_array, self._leaves, strict=True)
        ]
        return jax.tree.unflatten(self._tree, leaves)
