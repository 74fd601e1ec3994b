"""A^-1 b and A^-H b from a factorization that pivots, by iterative refinement."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact

from elimax._primitive.define import define
from elimax._primitive.kernel import Kernel, Shape
from elimax._primitive.pivoted import Factored
from elimax._primitive.product import STORAGES, Storage
from elimax._results import REFINEMENT_STAGNATED_SENTENCE


def _results(a: Shape, factor: Shape, pivots: Shape, b: Shape, **structure: Any):
    return b, Shape((b.shape[1],), np.finfo(b.dtype).dtype)


def _attributes(*, symbolic, embedding, storage: Storage, adjoint: bool, refine: bool, throw: bool):
    return {
        "symbolic": symbolic,
        "embedding": embedding,
        "pattern": embedding.pattern,
        "storage": STORAGES.index(storage),
        "adjoint": adjoint,
        "refine": refine,
        "sentence": REFINEMENT_STAGNATED_SENTENCE if throw else "",
    }


refined_solve_p = define(
    Kernel("refined_solve", (1, 1, 1, 2), _results, _attributes, columns=3), multiple_results=True
)


def refined_solve(
    factored: Factored,
    b: Inexact[Array, "n k"],
    transpose: bool = False,
    refine: bool = True,
    throw: bool = False,
) -> tuple[Inexact[Array, "n k"], Float[Array, " k"]]:
    """A^-1 b, or A^-T b, and the componentwise backward error of every column.

    With `throw`, one above ten roundings is an error of the running program. Without `refine` it is what one
    pass over the factor gives, and the errors are not measured, but zero.
    """
    adjoint = transpose and factored.storage == "general"
    conjugated = transpose and factored.storage != "symmetric"
    x, errors = refined_solve_p.bind(
        *factored.operands,
        jnp.conj(b) if conjugated else b,
        adjoint=adjoint,
        refine=refine,
        throw=throw,
        **factored.structure,
    )
    return jnp.conj(x) if conjugated else x, errors
