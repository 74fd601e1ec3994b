"""Solve with any sparse triangular matrix."""

import numpy as np
from jaxtyping import Array, Inexact, Int

from elimax._primitive.define import define
from elimax._primitive.kernel import Kernel, Shape
from elimax._results import ZERO_DIAGONAL_SENTENCE
from elimax._structure.pattern import Pattern


def _results(t: Shape, b: Shape, *, pattern, lower, transpose, unit_diagonal, throw):
    return b, Shape((), np.dtype(np.int32))


def _attributes(
    *, pattern: Pattern, lower: bool, transpose: bool, unit_diagonal: bool, throw: bool
):
    return {
        "pattern": pattern,
        "lower": lower,
        "transpose": transpose,
        "unit_diagonal": unit_diagonal,
        "sentence": ZERO_DIAGONAL_SENTENCE if throw else "",
    }


triangular_solve_p = define(
    Kernel("triangular_solve", (1, 2), _results, _attributes, columns=1), multiple_results=True
)


def triangular_solve(
    t: Inexact[Array, " nnz"],
    b: Inexact[Array, "n k"],
    pattern: Pattern,
    lower: bool,
    transpose: bool,
    unit_diagonal: bool,
    throw: bool,
) -> tuple[Inexact[Array, "n k"], Int[Array, ""]]:
    """op(T)^-1 b and the status.

    `pattern` holds nothing but the triangle, without the diagonal if that is one.
    """
    x, status = triangular_solve_p.bind(
        t,
        b,
        pattern=pattern,
        lower=lower,
        transpose=transpose,
        unit_diagonal=unit_diagonal,
        throw=throw,
    )
    return x, status
