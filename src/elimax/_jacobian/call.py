"""A call of a function, as a function of one flat vector: the arguments it is differentiated by.

Everything else that the function takes is kept as it is. Its program, with the constants in it, is the key
under which patterns and colorings are remembered.
"""

import dataclasses
import functools
import hashlib
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elimax._jacobian.arguments import (
    Argnums,
    Auxiliary,
    check_function,
    check_numbers,
    is_array,
    positions,
    struct,
    trace,
)
from elimax._jacobian.space import Space
from elimax._primitive.define import any_equation, is_traced


@dataclasses.dataclass(frozen=True)
class Call:
    """y = f(x) for flat vectors, beside what else f is given.

    - `function`: (x, others) -> (y, the arrays beside it).
    - `x`, `others`: the arrays of this call; `jax.ShapeDtypeStruct` where only shapes were given.
    - `columns`, `rows`: what the entries of x and y stand for.
    - `key`: equal for calls of a function that run the same program, with the same constants in it.
    - `auxiliary`: puts together what f returns beside its value.
    """

    function: Callable[[Any, Sequence[Any]], tuple[Any, Any]]
    x: Any
    others: tuple[Any, ...]
    columns: Space
    rows: Space
    key: Hashable
    auxiliary: Auxiliary

    @property
    def structs(self) -> tuple[Any, tuple[Any, ...]]:
        """The shapes and dtypes of `x` and `others`."""
        return struct(self.x), tuple(map(struct, self.others))

    @property
    def is_concrete(self) -> bool:
        """Whether every array of the call has values that Python can read."""
        return not self.is_abstract and not any(map(is_traced, (self.x, *self.others)))

    @property
    def is_abstract(self) -> bool:
        """Whether some argument is only a shape."""
        return any(isinstance(a, jax.ShapeDtypeStruct) for a in (self.x, *self.others))

    def value(self, x: Any) -> Any:
        """f(x) beside the other arguments of this call."""
        return self.function(x, self.others)[0]

    @functools.cached_property
    def has_forward_rules(self) -> bool:
        """Whether x' -> J x' can be computed: not if some part has a reverse rule alone, `jax.custom_vjp`."""

        def along(x: Any, others: Sequence[Any]) -> Any:
            return jax.jvp(lambda x: self.function(x, others)[0], (x,), (x,))[1]

        jaxpr = self._traced(along)
        # What stands in for the linear part of a custom_vjp function waits to be transposed.
        waits = jaxpr is not None and any_equation(
            jaxpr, lambda e: e.primitive.name == "custom_lin"
        )
        return jaxpr is not None and not waits

    @functools.cached_property
    def has_reverse_rules(self) -> bool:
        """Whether y -> J^T y can be computed: not through a while loop, or what is not transposed."""

        def along(x: Any, others: Sequence[Any]) -> Any:
            y, backward = jax.vjp(lambda x: self.function(x, others)[0], x)
            return backward(y)

        return self._traced(along) is not None

    def _traced(self, function: Callable[..., Any]) -> Any:
        try:
            return jax.make_jaxpr(function)(*self.structs).jaxpr
        except (TypeError, ValueError, NotImplementedError):
            return None

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
    check_function(f)
    chosen = positions(argnums, len(args))
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"`argnums` names an argument twice: {argnums!r}")
    vectors = [args[k] for k in chosen]
    check_numbers("argument", vectors, holomorphic)
    columns = Space.of(jax.tree.map(struct, vectors))
    rest = [None if k in chosen else a for k, a in enumerate(args)]
    leaves, tree = jax.tree.flatten((rest, dict(kwargs)))
    fixed = [None if is_array(leaf) else leaf for leaf in leaves]
    traced = [is_array(leaf) for leaf in leaves]
    auxiliary = Auxiliary()

    def invoke(vectors: Sequence[Any], others: Sequence[Any]) -> tuple[Any, list[Any]]:
        arrays = iter(others)
        filled = [next(arrays) if flag else x for flag, x in zip(traced, fixed, strict=True)]
        rest, keywords = jax.tree.unflatten(tree, filled)
        for k, vector in zip(chosen, vectors, strict=True):
            rest[k] = vector
        value, aux = auxiliary.split(f, f(*rest, **keywords), has_aux)
        check_numbers("result", value, holomorphic)
        return value, aux

    others = tuple(leaf for leaf in leaves if is_array(leaf))
    jaxpr, (result, _) = trace(f, invoke, columns.structure, list(map(struct, others)))
    rows = Space.of(result)

    def function(x: Any, others: Sequence[Any]) -> tuple[Any, Any]:
        y, aux = invoke(columns.unravel(x), others)
        return rows.ravel("f", y), aux

    key = (columns, rows, chosen, has_aux, holomorphic, _digest(jaxpr))
    return Call(function, _flat(columns, vectors), others, columns, rows, key, auxiliary)


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
