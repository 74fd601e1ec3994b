"""Values of A -> values of the factor, and a status.

The factor is a cache: it is computed from `stop_gradient(A)` and every primitive that reads it takes the
values of A as well, so that derivatives are with respect to A and the numeric factorization is shared.
"""

import jax
import numpy as np
from jaxtyping import Array, Inexact, Int

from elimax._primitive.define import define
from elimax._primitive.kernel import Kernel, Shape, check_values
from elimax._results import NOT_FINITE_SENTENCE, NOT_POSITIVE_DEFINITE_SENTENCE
from elimax._structure.index_map import IndexMap
from elimax._structure.symbolic import Embedding, Symbolic


def _results(a: Shape, *, symbolic: Symbolic, embedding: Embedding, throw: bool):
    status = Shape((), np.dtype(np.int32))
    return Shape((symbolic.factor_size,), a.dtype), status, status


def _attributes(*, symbolic: Symbolic, embedding: Embedding, throw: bool):
    return {
        "symbolic": symbolic,
        "embedding": embedding,
        "pivot_sentence": NOT_POSITIVE_DEFINITE_SENTENCE if throw else "",
        "not_finite_sentence": NOT_FINITE_SENTENCE if throw else "",
    }


cholesky_p = define(Kernel("cholesky", (1,), _results, _attributes), multiple_results=True)


def cholesky_factor(
    a: Inexact[Array, " nnz"], symbolic: Symbolic, embedding: Embedding, throw: bool
) -> tuple[Inexact[Array, " size"], Int[Array, ""], Int[Array, ""]]:
    """The factor of P A P^T = L L^H, its status and the detail of the status.

    With `throw`, a failure is an error of the running program. The factor has no derivative of its own.
    """
    check_values(embedding.pattern.nnz, a)
    a = jax.lax.stop_gradient(a)
    factor, status, detail = cholesky_p.bind(a, symbolic=symbolic, embedding=embedding, throw=throw)
    return factor, status, detail


def _values_results(a: Shape, factor: Shape, *, symbolic, embedding, index_map: IndexMap):
    return Shape((index_map.output_size,), factor.dtype)


def _values_attributes(*, symbolic, embedding, index_map: IndexMap):
    return {"map": index_map, "rank": 1}


factor_values_p = define(
    Kernel(
        "factor_values",
        (1, 1),
        _values_results,
        _values_attributes,
        target="gather",
        n_derivative_only=1,
    )
)


def factor_values(
    a: Inexact[Array, " nnz"],
    factor: Inexact[Array, " size"],
    symbolic: Symbolic,
    embedding: Embedding,
    index_map: IndexMap,
) -> Inexact[Array, " lnz"]:
    """The values of L on its exact pattern, out of the panels."""
    check_values(embedding.pattern.nnz, a)
    check_values(symbolic.factor_size, factor)
    return factor_values_p.bind(
        a, factor, symbolic=symbolic, embedding=embedding, index_map=index_map
    )
