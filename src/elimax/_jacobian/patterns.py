"""Patterns of derivatives, to be asked for and to be checked."""

from collections.abc import Callable
from typing import Any

from elimax._jacobian.arguments import Argnums, name_of
from elimax._jacobian.call import Call, call_of
from elimax._jacobian.check import verified
from elimax._jacobian.detection import found_pattern, symmetric_part
from elimax._structure.color import color
from elimax._structure.coloring import Coloring
from elimax._structure.pattern import Pattern


def jacobian_pattern(
    f: Callable[..., Any],
    *args: Any,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    local: bool = False,
    verify: bool = True,
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
    - `verify`: compare the matrix that this pattern yields with three products of the function, at the point
        of the call or at two random ones, if the function can be run there. That compiles the function.

    **Raises:** `TypeError` for arguments or results that are not of floating-point numbers; `ValueError` if
    the pattern cannot be found and a dense one would have more than 2^24 entries, with `verify` if an entry
    is missing, and, with `local`, if only shapes are given or values are traced.

    **Warns:** `UserWarning` if the Jacobian is taken to be dense, and naming each primitive that has no rule:
    each of its results is taken to depend on all that its operands do. Nothing is ever missing.

    **Cost:** about one step for each entry of the pattern and each equation of the function's program.

    **Source:** boolean propagation through the program of the Jacobian-vector product (Griewank and Walther,
    *Evaluating Derivatives*, section 7.1), so that custom derivative rules and `stop_gradient` are respected.
    """
    call = call_of(f, args, kwargs, argnums, has_aux=has_aux, holomorphic=holomorphic)
    pattern = found_pattern(call, f"the Jacobian of {name_of(f)}", local=local)
    if verify:
        verified(call, _colored(call, pattern), is_given=False, name=name_of(f))
    return pattern


def hessian_pattern(
    f: Callable[..., Any],
    *args: Any,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    local: bool = False,
    verify: bool = True,
    **kwargs: Any,
) -> Pattern:
    """Where the Hessian of a function with one value can be nonzero: a symmetric pattern.

    Arguments, errors and cost are those of `jacobian_pattern`, of the gradient.

    **Raises:** `ValueError` if `f` returns more than one number.
    """
    call = call_of(f, args, kwargs, argnums, has_aux=has_aux, holomorphic=holomorphic)
    gradient = call.gradient()
    pattern = symmetric_part(found_pattern(gradient, f"the Hessian of {name_of(f)}", local=local))
    if verify:
        verified(gradient, color(pattern, "star"), is_given=False, name=name_of(f))
    return pattern


def check_pattern(
    f: Callable[..., Any],
    *args: Any,
    pattern: Pattern | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    **kwargs: Any,
) -> None:
    """Verifies a sparsity pattern by random probes.

    Derivatives of the function along vectors without structure are compared with products of the matrix that
    is read off by this pattern.

    **Arguments:**

    - `f`, `args`, `kwargs`, `argnums`, `has_aux`, `holomorphic`: as for `elimax.jacobian_pattern`; the point
        at which it is verified, or two random ones if only shapes are given.
    - `pattern`: of the Jacobian; or, if `f` has one value and it has a row for each variable, of the Hessian;
        the one that `elimax.jacobian_pattern` finds if None.

    **Raises:** `ValueError` naming the first row in which an entry is missing that is not zero here, or if
    the pattern has another shape; `TypeError` where the function cannot be evaluated: it closes over traced
    values, or fails at random points.

    **Cost:** one product for each color of the pattern, and three for the probes.
    """
    if pattern is not None and not isinstance(pattern, Pattern):
        raise TypeError(f"`pattern` must be a Pattern, got {type(pattern).__name__}")
    call = call_of(f, args, kwargs, argnums, has_aux=has_aux, holomorphic=holomorphic)
    n = call.columns.size
    is_hessian = call.rows.size == 1 and pattern is not None and pattern.shape == (n, n) != (1, 1)
    is_hessian = is_hessian or (pattern is not None and pattern.symmetric and call.rows.size == 1)
    call = call.gradient() if is_hessian else call
    shape = (call.rows.size, call.columns.size)
    if pattern is None:
        pattern = found_pattern(call, f"the Jacobian of {name_of(f)}")
    elif pattern.shape != shape:
        raise ValueError(
            f"`pattern` must have the shape of the derivative, {shape}, got {pattern.shape}"
        )
    coloring = color(pattern, "star") if is_hessian else _colored(call, pattern)
    if not verified(call, coloring, is_given=True, name=name_of(f)):
        raise TypeError(
            f"{name_of(f)} cannot be evaluated here: it closes over traced values, or fails at random "
            "points; call check_pattern outside of jit, with arrays"
        )


def _colored(call: Call, pattern: Pattern) -> Coloring:
    """By columns if the function has the derivatives for that, else by rows."""
    return color(pattern, "column" if call.has_forward_rules else "row")
