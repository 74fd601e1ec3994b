"""An operator that is only known by its products, and where its nonzeros are."""

import functools

import lineax as lx

from elimax._jacobian.settle import settle
from elimax._jacobian.space import Space
from elimax._jacobian.sparsity.linear_pattern import linear_pattern
from elimax._jacobian.verification import Product, markable
from elimax._structure.pattern import Pattern

_REASON = (
    "it may read entries whose positions are not known when it is traced (arrays of indices that it closes "
    "over are arguments of lineax's jit)"
)
_ADVICE = "tag it with its pattern, tags=P, pass pattern=P, or materialise it outside of jit"


def product_of(operator: lx.AbstractLinearOperator) -> Product:
    """x -> A x for flat vectors; what does not depend on x is computed once."""
    columns, rows = Space.of(operator.in_structure()), Space.of(operator.out_structure())
    linear = lx.linearise(operator) if isinstance(operator, lx.JacobianLinearOperator) else operator
    return lambda x: rows.ravel("the operator's product", linear.mv(columns.unravel(x)))


def known_pattern(operator: lx.AbstractLinearOperator, pattern: Pattern | None) -> Pattern | None:
    """The pattern of an operator that its tags tell, or else the given one; None if there is none.

    **Raises:** `ValueError` if it does not have the operator's shape, `TypeError` if it is no pattern.
    """
    shape = (operator.out_size(), operator.in_size())
    tagged = [tag for tag in getattr(operator, "tags", ()) if isinstance(tag, Pattern)]
    if tagged:
        pattern = functools.reduce(Pattern.intersection, tagged)
    elif lx.is_tridiagonal(operator):
        pattern = Pattern.band(shape, 1, 1)
    if pattern is None:
        return None
    if not isinstance(pattern, Pattern):
        raise TypeError(f"`pattern` must be a Pattern, got {type(pattern).__name__}")
    if pattern.shape != shape:
        raise ValueError(
            f"`pattern` must have the shape of the operator, {shape}, got {pattern.shape}"
        )
    return pattern.to_general()[0]


def found_pattern(operator: lx.AbstractLinearOperator) -> Pattern:
    """The pattern that the operator's program tells; a dense one if that tells nothing, and it is small.

    **Raises:** `ValueError` if it is large. **Warns:** `UserWarning` if a matrix of some size is dense.
    """
    columns = Space.of(operator.in_structure())
    pattern = linear_pattern(product_of(operator), columns.size, columns.dtype)
    shape = (operator.out_size(), columns.size)
    return markable(settle(pattern, shape, f"this {type(operator).__name__}", _REASON, _ADVICE))
