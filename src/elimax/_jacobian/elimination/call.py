"""One equation as the elemental partials see it, and the table of the rules for them."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from elimax._jacobian.elimination.layout import Layout

Operands = Sequence[Any]


@dataclasses.dataclass(frozen=True)
class Call:
    """One equation: a primitive, and what is known of its operands.

    **Attributes:**

    - `operands`, `results`: their shapes and dtypes.
    - `known`: the operands that are constants, on the host; None for others.
    - `same`: for every operand the first one that is the same variable.
    """

    primitive: Any
    params: dict[str, Any]
    operands: tuple[Any, ...]
    results: tuple[Any, ...]
    known: tuple[Any, ...]
    same: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.primitive.name

    def apply(self, operands: Operands) -> list[Any]:
        """The results."""
        bound = self.primitive.get_bind_params(self.params)
        functions, params = bound if isinstance(bound, tuple) else ((), bound)  # by version of JAX
        found = self.primitive.bind(*functions, *operands, **params)
        return list(found) if self.primitive.multiple_results else [found]

    def along(self, operands: Operands, k: int, r: int) -> Callable[[Any], Any]:
        """Result r as a function of operand k.

        A variable that is several operands of a primitive without a rule in the table is all of them at once:
        such primitives may have derivatives for that only.
        """
        one_by_one = self.name in PARTIALS
        places = [i for i, j in enumerate(self.same) if (i == k if one_by_one else j == k)]

        def function(x: Any) -> Any:
            mixed = list(operands)
            for i in places:
                mixed[i] = x
            return self.apply(mixed)[r]

        return function

    @functools.cached_property
    def in_reverse_only(self) -> bool:
        """Whether a custom rule for reverse mode is in it, at any depth."""
        seen = [(self.name, self.params)]
        while seen:
            name, params = seen.pop()
            if name == "custom_vjp_call":
                return True
            for x in jax.tree.leaves(list(params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
                inner = getattr(x, "jaxpr", x)
                seen += [(e.primitive.name, e.params) for e in getattr(inner, "eqns", ())]
        return False


@dataclasses.dataclass(frozen=True)
class Partial:
    """Where the entries of a partial derivative are, and how their values follow from the operands."""

    layout: Layout
    value: Callable[[Operands], Any]


Rule = Callable[[Call, int, int], Partial | None]
PARTIALS: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        PARTIALS.update(dict.fromkeys(names, function))
        return function

    return register


def one(L: Layout, number: int = 1) -> Partial:
    """All entries alike."""
    return Partial(L.constant, lambda operands: number)


def along_ones(call: Call, operands: Operands, k: int, r: int) -> Array:
    """The derivative along the vector of ones."""
    x = jnp.asarray(operands[k])
    if call.in_reverse_only:
        result, pull = jax.vjp(call.along(operands, k, r), x)
        return pull(jnp.ones_like(result))[0]
    return jax.jvp(call.along(operands, k, r), (x,), (jnp.ones_like(x),))[1]
