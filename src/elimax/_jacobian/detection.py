"""Where the derivative of a call has its nonzeros, as its program tells; a dense pattern if it does not."""

from collections.abc import Sequence
from typing import Any

import jax

from elimax._jacobian.call import Call
from elimax._jacobian.settle import settle
from elimax._jacobian.sparsity.linear_pattern import linear_pattern
from elimax._structure.pattern import Pattern

_REASON = (
    "it may read entries whose positions are not known when it is traced (arrays of indices that are "
    "arguments)"
)
_ADVICE = "close over index arrays, or pass pattern=P, for P an elimax.Pattern"


def found_pattern(call: Call, name: str, *, local: bool = False) -> Pattern:
    """That of the derivative of `call`, or a dense one; `name` is the matrix, for messages."""
    if local and not call.is_concrete:
        raise ValueError(
            "local=True asks for the pattern at a point, but some argument is traced or only a shape; call "
            "it with arrays, outside of jit, or ask for the pattern that is valid everywhere"
        )
    found: list[Pattern | None] = []
    if local:
        found.append(_pattern_at(call, call.x, call.others))
    else:

        def trace(x: Any, others: Sequence[Any]) -> None:
            found.append(_pattern_at(call, x, others))

        jax.make_jaxpr(trace)(*call.structs)
    return settle(found[0], (call.rows.size, call.columns.size), name, _REASON, _ADVICE)


def _pattern_at(call: Call, x: Any, others: Sequence[Any]) -> Pattern | None:
    def value(x: Any) -> Any:
        return call.function(x, others)[0]

    if call.has_forward_rules:
        return linear_pattern(
            lambda t: jax.jvp(value, (x,), (t,))[1], call.columns.size, call.columns.dtype
        )
    transposed = linear_pattern(
        lambda y: jax.vjp(value, x)[1](y)[0], call.rows.size, call.rows.dtype
    )
    return None if transposed is None else transposed.transpose()[0]


def symmetric_part(pattern: Pattern) -> Pattern:
    """The lower triangle of what a pattern and its transpose share: both hold all of a symmetric matrix."""
    mirrored = pattern.transpose()[0]
    return (pattern if pattern == mirrored else pattern.intersection(mirrored)).lower()[0]
