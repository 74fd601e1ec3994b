"""Where the derivatives of a function have their nonzeros, from its program."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from elimax._jacobian.call import Argnums, Call, call_of
from elimax._jacobian.modes import has_forward_rules
from elimax._jacobian.settle import settle
from elimax._jacobian.sparsity import linear_pattern
from elimax._structure.pattern import Pattern

_REASON = (
    "it may read entries whose positions are not known when it is traced (arrays of indices that are "
    "arguments)"
)
_ADVICE = "close over index arrays, or pass pattern=P, for P an elimax.Pattern"


def jacobian_pattern(
    f: Callable[..., Any],
    *args: Any,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    local: bool = False,
    **kwargs: Any,
) -> Pattern:
    """Where the Jacobian of a function can be nonzero.

    Rows count the elements of the output, columns those of the arguments that `argnums` names, as
    `jax.tree` flattens them.

    **Arguments:**

    - `f`: any function of JAX, from pytrees to pytrees.
    - `args`, `kwargs`: what it is called with. Of arrays only shapes and dtypes are looked at, and a
        `jax.ShapeDtypeStruct` will do, unless `local`.
    - `argnums`, `has_aux`, `holomorphic`: as for `jax.jacobian`.
    - `local`: the pattern at this point, instead of one that is valid for all values: of each branch that
        depends on values, only the one that is taken counts, and factors that are zero here count as zero.

    **Raises:** `TypeError` for arguments or results that are not of floating-point numbers; `ValueError` if
    the pattern cannot be found and a dense one would have more than 2^24 entries, or, with `local`, if only
    shapes are given or values are traced.

    **Warns:** `UserWarning` if the Jacobian is taken to be dense, and naming each primitive that has no rule:
    each of its results is taken to depend on all that its operands do. Nothing is ever missing.

    **Cost:** about one step for each entry of the pattern and each equation of the function's program.

    **Source:** boolean propagation through the program of the Jacobian-vector product (Griewank and Walther,
    *Evaluating Derivatives*, section 7.1), so that custom derivative rules and `stop_gradient` are respected.
    """
    call = call_of(f, args, kwargs, argnums, has_aux=has_aux, holomorphic=holomorphic)
    return found_pattern(call, f"the Jacobian of {name_of(f)}", local=local)


def hessian_pattern(
    f: Callable[..., Any],
    *args: Any,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    local: bool = False,
    **kwargs: Any,
) -> Pattern:
    """Where the Hessian of a function with one value can be nonzero: a symmetric pattern.

    Arguments, errors and cost are those of `jacobian_pattern`, of the gradient.

    **Raises:** `ValueError` if `f` returns more than one number.
    """
    call = call_of(f, args, kwargs, argnums, has_aux=has_aux, holomorphic=holomorphic)
    return symmetric_part(
        found_pattern(call.gradient(), f"the Hessian of {name_of(f)}", local=local)
    )


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

    if has_forward_rules(call):
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


def name_of(f: Callable[..., Any]) -> str:
    return f"`{getattr(f, '__name__', type(f).__name__)}`"
