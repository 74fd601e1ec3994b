"""The sparsity pattern of a linear function, from its jaxpr.

Every equation is interpreted by what its results depend on (`dependence.py`, `equation.py`); values are
not looked at, but for constant indices. A Jacobian's pattern is that of its Jacobian-vector product, whose
jaxpr has custom rules, `stop_gradient` and integer casts behind it already; a primitive that only values go
through needs no rule there.

A primitive without a rule is taken to be dense: each of its results depends on everything that any of its
operands does, so that there may be more than is needed. There is also more where a value that is computed is
always zero, as the elements of a gradient that a slice drops: zeros are known of constants only. What is
written into mutable arrays (`jax.new_ref`) is not followed: such a function is too dense to say.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import scipy.sparse as sp

from elimax._jacobian.sparsity import (
    elimax_rules as elimax_rules,  # registers its rules, as the others
)
from elimax._jacobian.sparsity import indexing_rules as indexing_rules
from elimax._jacobian.sparsity import moving_rules as moving_rules
from elimax._jacobian.sparsity import uniting_rules as uniting_rules
from elimax._jacobian.sparsity import window_rules as window_rules
from elimax._jacobian.sparsity.control_flow import CONTROL_FLOW
from elimax._jacobian.sparsity.dependence import Dependence, TooDense, everything, identity
from elimax._jacobian.sparsity.equation import RULES, Equation
from elimax._jacobian.sparsity.values import Known, folded, is_array, numbers
from elimax._primitive.define import is_traced
from elimax._structure.pattern import Pattern

_CALLS = {
    *("jit", "pjit", "closed_call", "core_call", "call", "remat2", "checkpoint", "custom_jvp_call"),
    *(
        "custom_vjp_call",
        "custom_vjp_call_jaxpr",
        "linear_call",
        "custom_partitioning",
        "eval_jaxpr",
    ),
}
_BODIES = ("jaxpr", "call_jaxpr", "fun_jaxpr", "callee", "call")  # what the jaxpr of a call goes by
# Dense linear algebra, and solves of lineax: their results depend on all of their operands.
_DENSE = {"lu", "cholesky", "eigh", "qr", "svd", "householder_product", "linear_solve"}


def linear_pattern(function: Callable[..., Any], n: int, dtype: Any) -> Pattern | None:
    """Where the matrix of a linear function may have nonzeros, or None if that is too dense to say.

    **Arguments:**

    - `function`: from vectors of shape (n,) to vectors of shape (m,).
    - `n`, `dtype`: of its argument.

    **Warns:** `UserWarning` naming a primitive that is taken to be dense because there is no rule for it.

    **Cost:** about one step for every entry of the pattern and every equation.
    """
    jaxpr = jax.make_jaxpr(function)(jax.ShapeDtypeStruct((n,), dtype))
    (result,) = jaxpr.out_avals
    shape = (math.prod(result.shape), n)
    try:
        (D,), _ = _interpret(jaxpr, [identity(n)], [None])
    except TooDense:
        return None
    return Pattern.from_scipy(sp.csc_array(shape, dtype=bool) if D is None else sp.csc_array(D))


def _interpret(
    jaxpr: Any, dependences: Sequence[Dependence | None], known: Sequence[Known]
) -> tuple[list[Dependence | None], list[Known]]:
    """What the results of a jaxpr depend on, and those that are known, from the same of its arguments."""
    inner = getattr(jaxpr, "jaxpr", jaxpr)
    depends: dict[Any, Dependence | None] = dict(zip(inner.invars, dependences, strict=True))
    values: dict[Any, Known] = dict(zip(inner.invars, known, strict=True))
    for variable, constant in zip(inner.constvars, getattr(jaxpr, "consts", ()), strict=True):
        values[variable] = None if is_traced(constant) else numbers(constant)
    last: dict[Any, int] = {}
    for k, equation in enumerate(inner.eqns):
        last.update((v, k) for v in equation.invars if not hasattr(v, "val"))
    kept = {v for v in inner.outvars if not hasattr(v, "val")}

    def dependence(v: Any) -> Dependence | None:
        return None if hasattr(v, "val") else depends.get(v)

    def value(v: Any) -> Known:
        return numbers(v.val) if hasattr(v, "val") else values.get(v)

    for k, equation in enumerate(inner.eqns):
        found, constants = _apply(
            equation, [dependence(v) for v in equation.invars], [value(v) for v in equation.invars]
        )
        depends.update(zip(equation.outvars, found, strict=True))
        values.update(zip(equation.outvars, constants, strict=True))
        for v in equation.invars:
            if not hasattr(v, "val") and last[v] == k and v not in kept:
                depends.pop(v, None)
                values.pop(v, None)
    return [dependence(v) for v in inner.outvars], [value(v) for v in inner.outvars]


def _apply(
    equation: Any, dependences: list[Dependence | None], known: list[Known]
) -> tuple[list[Dependence | None], list[Known]]:
    name = equation.primitive.name
    if any(type(v.aval).__name__ == "AbstractRef" for v in (*equation.invars, *equation.outvars)):
        raise TooDense(f"`{name}` reads or writes a mutable array")
    nothing: list[Any] = [None] * len(equation.outvars)
    if not nothing:
        return [], []  # it has effects only
    depends_on_nothing = all(D is None or not D.nnz for D in dependences)
    if name in _CALLS or _is_on_one_device(equation):
        bodies = (equation.params.get(key) for key in _BODIES)
        return _interpret(next(body for body in bodies if body is not None), dependences, known)
    if depends_on_nothing and (name not in CONTROL_FLOW or all(map(is_array, known))):
        return nothing, folded(equation, known)
    if name in CONTROL_FLOW:
        return CONTROL_FLOW[name](_interpret, equation, dependences, known)
    results = [v.aval for v in equation.outvars]
    try:
        e = Equation(
            equation.primitive,
            equation.params,
            tuple(v.aval for v in equation.invars),
            tuple(results),
            tuple(dependences),
            tuple(known),
        )
        return RULES[name](e), nothing
    except LookupError:
        if name not in _DENSE:
            warnings.warn(
                f"the sparsity of the primitive `{name}` is not known: each of its results is taken to "
                "depend on all of its operands; pass a pattern if that is not so",
                UserWarning,
                stacklevel=2,
            )
        return [everything(dependences, math.prod(x.shape)) for x in results], nothing


def _is_on_one_device(equation: Any) -> bool:
    """Whether this is a `shard_map` that divides nothing."""
    return equation.primitive.name == "shard_map" and equation.params["mesh"].size == 1
