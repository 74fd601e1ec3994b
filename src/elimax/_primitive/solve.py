"""A^-1 b from the Cholesky factor, and its triangular halves."""

from typing import Literal

from jaxtyping import Array, Inexact

from elimax._primitive.define import define
from elimax._primitive.kernel import Kernel, Shape, check_values
from elimax._structure.symbolic import Embedding, Symbolic

Part = Literal["whole", "forward", "backward"]
_PARTS = ("whole", "forward", "backward")  # the numbers of SolvePart in numeric.h


def _results(a: Shape, factor: Shape, b: Shape, *, symbolic, embedding, part):
    return b


def _attributes(*, symbolic: Symbolic, embedding: Embedding, part: Part):
    return {"symbolic": symbolic, "part": _PARTS.index(part)}


solve_p = define(Kernel("solve", (1, 1, 2), _results, _attributes, n_derivative_only=1, columns=2))


def solve(
    a: Inexact[Array, " nnz"],
    factor: Inexact[Array, " size"],
    b: Inexact[Array, "n k"],
    symbolic: Symbolic,
    embedding: Embedding,
    part: Part = "whole",
) -> Inexact[Array, "n k"]:
    """A^-1 b; or one half of it: L^-1 P b (`forward`), P^T L^-H b (`backward`)."""
    check_values(embedding.pattern.nnz, a)
    check_values(symbolic.factor_size, factor)
    return solve_p.bind(a, factor, b, symbolic=symbolic, embedding=embedding, part=part)
