"""How a derivative is evaluated: its coloring, found once for a function and the shapes it is called with.

A pattern that was found, rather than given, is not trusted blindly. Once, before it is used, the matrix that
is read off is compared with products of the function: at the point of the call where it has one, at random
points under `jit`. Where even that is not possible, since the function closes over traced values or calls
foreign code, each evaluation takes one more product, and is NaN if it differs.
"""

import dataclasses
import types
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Literal

from elimax._jacobian.arguments import name_of
from elimax._jacobian.call import Call
from elimax._jacobian.check import verified
from elimax._jacobian.compressed import ChunkSize
from elimax._jacobian.detection import found_pattern, symmetric_part
from elimax._jacobian.evaluation import matrix_of, products
from elimax._jacobian.verification import markable, marked
from elimax._structure.color import color
from elimax._structure.coloring import Coloring
from elimax._structure.pattern import Pattern

Kind = Literal["column", "row", "star", "acyclic", "bidirectional", "fewest"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """- `coloring`: what is evaluated, and where the entries are read.
    - `is_checked`: whether it has been compared with products of the function, or need not be.
    """

    coloring: Coloring
    is_checked: bool


Plans = dict[Hashable, Plan]  # by the key of a call and what is asked for
_remembered: weakref.WeakKeyDictionary[Any, Plans] = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for, but for the function and its arguments.

    - `kind`: of the coloring; "fewest" for the one of columns, rows or both that takes fewest products.
    - `pattern`, `coloring`: given ones, or None.
    - `verify`: None compares patterns that were found; True given ones as well; False none.
    """

    kind: Kind
    pattern: Pattern | None
    coloring: Coloring | None
    verify: bool | None

    @property
    def is_symmetric(self) -> bool:
        return self.kind in ("star", "acyclic")


def remembered_plans(f: Callable[..., Any]) -> Plans:
    """The plans of a function: for as long as it lives, or, if equal ones may differ in what they do (bound
    methods, callable objects), for as long as the caller holds on to them."""
    return _remembered.setdefault(f, {}) if isinstance(f, types.FunctionType) else {}


def plan_of(f: Callable[..., Any], call: Call, request: Request, plans: Plans) -> Plan:
    """The plan for this call, from those that are remembered if it is among them."""
    key = (call.key, request)
    if key not in plans:
        plans[key] = _make(f, call, request)
    return plans[key]


def evaluate(call: Call, plan: Plan, chunk_size: ChunkSize) -> tuple[Any, Any]:
    """The derivative at the point of a call, and the auxiliary results of its function."""
    columns, rows, aux = products(call, call.x, call.others, plan.coloring)
    matrix = matrix_of(plan.coloring, columns, rows, chunk_size)
    beside = call.auxiliary.join(aux)
    if plan.is_checked:
        return matrix, beside
    if columns is not None:
        return marked(matrix, columns.product, columns.dtype), beside
    assert rows is not None
    return marked(matrix.T, rows.product, rows.dtype).T, beside


# -- making a plan


def _make(f: Callable[..., Any], call: Call, request: Request) -> Plan:
    is_given = request.pattern is not None or request.coloring is not None
    coloring = _coloring(f, call, request)
    if request.verify is False or (is_given and request.verify is None):
        return Plan(coloring, True)
    is_checked = verified(call, coloring, is_given=is_given, name=name_of(f))
    if not is_checked and coloring.pattern.nnz == 0:
        pattern = markable(coloring.pattern)
        coloring = color(pattern, coloring.kind)
    return Plan(coloring, is_checked)


def _coloring(f: Callable[..., Any], call: Call, request: Request) -> Coloring:
    shape = (call.rows.size, call.columns.size)
    given = request.pattern if request.coloring is None else request.coloring.pattern
    if given is not None and given.shape != shape:
        raise ValueError(
            f"the pattern has shape {given.shape}, but the derivative of {name_of(f)} has shape {shape}: a "
            "row for each element of the result, a column for each of the arguments it is differentiated by"
        )
    _check_modes(f, call, request)
    if request.coloring is not None:
        return request.coloring
    pattern = given
    if pattern is None:
        order = "Hessian" if request.is_symmetric else "Jacobian"
        pattern = found_pattern(call, f"the {order} of {name_of(f)}")
        pattern = symmetric_part(pattern) if request.is_symmetric else pattern
    if request.kind != "fewest":
        return color(pattern, request.kind)
    return _fewest(call, pattern)


def _check_modes(f: Callable[..., Any], call: Call, request: Request) -> None:
    """Raises the `TypeError` that says which derivative a function has no rule for."""
    if request.is_symmetric and not call.has_forward_rules:
        raise TypeError(
            f"{name_of(f)} has no derivatives forward over reverse, which its Hessian is made of: some part "
            "of it has a rule by jax.custom_vjp that is not differentiated further, or a loop whose length "
            "is not known (jax.lax.while_loop), which is not differentiated in reverse"
        )
    if request.kind == "column" and not call.has_forward_rules:
        raise TypeError(
            f"{name_of(f)} has no forward derivatives, since some part of it has a reverse rule alone, by "
            "jax.custom_vjp: use elimax.jacrev, or elimax.jacobian"
        )
    if request.kind == "row" and not call.has_reverse_rules:
        raise TypeError(
            f"{name_of(f)} has no reverse derivatives: it has a loop whose length is not known "
            "(jax.lax.while_loop), or a part that is not transposed; use elimax.jacfwd, or elimax.jacobian"
        )


def _fewest(call: Call, pattern: Pattern) -> Coloring:
    """By columns, rows or both, whichever takes fewest products, as far as the function has rules for it."""
    if not call.has_forward_rules:
        return color(pattern, "row")
    return color(pattern, "bidirectional" if call.has_reverse_rules else "column")
