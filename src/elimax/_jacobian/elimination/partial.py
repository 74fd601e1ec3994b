"""Elemental partials: the derivative of one result of an equation by one of its operands.

Where entries lie is a table: for primitives whose structure is that of their axes, of layouts; for all
others, control flow and custom rules among them, the pattern that `linear_pattern` finds in the equation's
Jacobian-vector product. What they are comes from JAX's rule for the primitive: a product with ones where
every row or every column has one entry, one product for each color elsewhere. Only where the rule can say
nothing else the value is known: 1 for what only moves and adds up elements, the other factor for a product.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from elimax._jacobian.elimination import moving_partials as moving_partials  # registers its rules
from elimax._jacobian.elimination.call import (
    PARTIALS,
    Call,
    Operands,
    Partial,
    along_ones,
    one,
    rule,
)
from elimax._jacobian.elimination.colored_partial import colored
from elimax._jacobian.elimination.layout import SCALAR, Layout, layout

_NOTHING = {"stop_gradient", "sign", "floor", "ceil", "round", "nextafter", "zeros_like"}


def partial(call: Call, k: int, r: int) -> Partial | None:
    """The derivative of result r by operand k, or None if it is zero.

    A variable that is an operand several times has the sum of what this is for each of them. Operand and
    result are arrays of real or complex numbers.

    **Warns:** `UserWarning` naming a primitive that is taken to be dense because nothing is known of it.

    **Cost:** integers only, for what is in the table; else a trace of the equation, and its coloring.
    """
    if call.name in _NOTHING or (call.name == "custom_linear_solve" and _is_for_solving(call, k)):
        return None
    rule = PARTIALS.get(call.name)
    if rule is not None:
        return rule(call, k, r)
    if call.same[k] != k:
        return None  # it is in the derivative by the first of them
    if call.operands[k].shape == call.results[r].shape == ():
        return Partial(SCALAR, lambda operands: along_ones(call, operands, k, r))
    return colored(call, k, r)


def _is_for_solving(call: Call, k: int) -> bool:
    """Whether a variable tells a linear solver how to solve, and not what: then nothing is differentiated."""
    lengths = call.params["const_lengths"]
    first, last = lengths.matvec, sum(lengths)
    return all(first <= i < last for i, j in enumerate(call.same) if j == call.same[k])


# -- element by element


def _elementwise(call: Call, k: int, lengths: Sequence[int] | None = None) -> Layout:
    """Axes of length 1, and missing ones, go with every element."""
    shape, operand = call.results[0].shape, call.operands[k].shape
    axes = list(range(len(shape)))
    return layout(shape, operand, shape, axes + axes[: len(operand)], lengths)


@rule(
    *(
        "abs",
        "acos",
        "acosh",
        "asin",
        "asinh",
        "atan",
        "atan2",
        "atanh",
        "bessel_i0e",
        "bessel_i1e",
    ),
    *("cbrt", "clamp", "cos", "cosh", "digamma", "div", "erf", "erf_inv", "erfc", "exp", "exp2"),
    *("expm1", "igamma", "igamma_grad_a", "igammac", "integer_pow", "lgamma", "log", "log1p"),
    *("logistic", "max", "min", "polygamma", "pow", "random_gamma_grad", "reduce_precision"),
    *("regularized_incomplete_beta", "rem", "rsqrt", "select_n", "sin", "sinh", "sqrt", "square"),
    *("tan", "tanh", "zeta"),
)
def _any_elementwise(call: Call, k: int, r: int) -> Partial:
    L = _elementwise(call, k)

    def value(operands: Operands) -> Any:
        return along_ones(call, operands, k, r).reshape(L.lengths)

    return Partial(L, value)


@rule(
    *("add", "add_any", "convert_element_type", "copy", "device_put", "sharding_constraint"),
    *("reshard", "pvary", "copy_p"),
)
def _add(call: Call, k: int, r: int) -> Partial:
    return one(_elementwise(call, k))


@rule("sub")
def _sub(call: Call, k: int, r: int) -> Partial:
    return one(_elementwise(call, k), -1 if k else 1)


@rule("neg")
def _neg(call: Call, k: int, r: int) -> Partial:
    return one(_elementwise(call, k), -1)


@rule("mul")
def _mul(call: Call, k: int, r: int) -> Partial:
    other = call.operands[1 - k].shape
    shape = call.results[0].shape
    L = _elementwise(call, k, other if len(other) == len(shape) else (1,) * len(shape))
    return Partial(L, lambda operands: jnp.asarray(operands[1 - k]).reshape(L.lengths))


@rule("optimization_barrier")
def _each_its_own(call: Call, k: int, r: int) -> Partial | None:
    shape = call.results[r].shape
    axes = list(range(len(shape)))
    return one(layout(shape, shape, shape, axes + axes)) if k == r else None


# -- sums over axes


@rule("reduce_sum")
def _reduce_sum(call: Call, k: int, r: int) -> Partial:
    return one(_reduction(call))


def _reduction(call: Call) -> Layout:
    operand, axes = call.operands[0].shape, call.params["axes"]
    kept = [a for a in range(len(operand)) if a not in axes]
    return layout(call.results[0].shape, operand, operand, [*kept, *range(len(operand))])


@rule("reduce_max", "reduce_min", "reduce_prod")
def _reduce(call: Call, k: int, r: int) -> Partial:
    L = _reduction(call)

    def value(operands: Operands) -> Any:
        result, pull = jax.vjp(call.along(operands, k, r), operands[k])
        return pull(jnp.ones_like(result))[0].reshape(L.lengths)

    return Partial(L, value)


# -- products


@rule("dot_general")
def _dot_general(call: Call, k: int, r: int) -> Partial:
    """The other factor: dense between free and contracted axes, diagonal along the batch."""
    contract, batch = call.params["dimension_numbers"]
    mine, other = call.operands[k].shape, call.operands[1 - k].shape
    free = [
        [a for a in range(len(x.shape)) if a not in (*contract[s], *batch[s])]
        for s, x in enumerate(call.operands)
    ]
    n_batch, n_mine, n_sum = len(batch[k]), len(free[k]), len(contract[k])
    first_mine, first_sum = n_batch, n_batch + n_mine
    first_other = first_sum + n_sum
    sizes = [mine[a] for a in (*batch[k], *free[k], *contract[k])]
    sizes += [other[a] for a in free[1 - k]]
    into = [0] * len(mine)
    for number, a in enumerate((*batch[k], *free[k], *contract[k])):
        into[a] = number
    parts = [range(first_mine, first_sum), range(first_other, len(sizes))]
    out = [*range(n_batch), *parts[k], *parts[1 - k]]
    lengths = [1 if first_mine <= a < first_sum else n for a, n in enumerate(sizes)]
    L = layout(call.results[0].shape, mine, sizes, [*out, *into], lengths)
    order = (*batch[1 - k], *contract[1 - k], *free[1 - k])
    dtype = call.results[0].dtype

    def value(operands: Operands) -> Any:
        factor = jnp.asarray(operands[1 - k]).astype(dtype)
        return factor.transpose(order).reshape(L.lengths)

    return Partial(L, value)
