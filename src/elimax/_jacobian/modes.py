"""Which derivatives a function has rules for: along its arguments, along its results, or both."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from elimax._jacobian.call import Call
from elimax._primitive.define import any_equation


def has_forward_rules(call: Call) -> bool:
    """Whether x' -> J x' can be computed: not if some part has a reverse rule alone, by `jax.custom_vjp`."""

    def along(x: Any, others: Sequence[Any]) -> Any:
        return jax.jvp(lambda x: call.function(x, others)[0], (x,), (x,))[1]

    jaxpr = _traced(along, call)
    # What stands in for the linear part of a custom_vjp function waits to be transposed.
    return jaxpr is not None and not any_equation(jaxpr, lambda e: e.primitive.name == "custom_lin")


def has_reverse_rules(call: Call) -> bool:
    """Whether y -> J^T y can be computed: not through a while loop, or a primitive that is not transposed."""

    def along(x: Any, others: Sequence[Any]) -> Any:
        y, backward = jax.vjp(lambda x: call.function(x, others)[0], x)
        return backward(y)

    return _traced(along, call) is not None


def _traced(function: Callable[..., Any], call: Call) -> Any:
    try:
        return jax.make_jaxpr(function)(*call.structs).jaxpr
    except (TypeError, ValueError, NotImplementedError):
        return None
