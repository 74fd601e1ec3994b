"""Factorizations that pivot: LDL^H of symmetric and LU of general matrices.

Values of A -> values of the factor, the pivots that were chosen within each supernode, and a status. As with
Cholesky (`factor.py`), the factor is a cache, computed from `stop_gradient(A)`: primitives that read it take
the values of A as well, and derivatives are with respect to A.

The values are those of an equilibrated matrix (`scaling.py`).
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Inexact, Int

from elimax._primitive.define import define
from elimax._primitive.kernel import Kernel, Shape, check_values
from elimax._primitive.product import STORAGES, Storage
from elimax._results import NOT_FINITE_SENTENCE
from elimax._structure.lu_symbolic import GeneralEmbedding
from elimax._structure.symbolic import Embedding, Symbolic


class Factored(NamedTuple):
    """What a kernel reads of a factorization: static structure, values of A, factor and pivots."""

    symbolic: Symbolic
    embedding: Embedding | GeneralEmbedding
    storage: Storage
    a: Inexact[Array, " nnz"]
    factor: Inexact[Array, " size"]
    pivots: Int[Array, " n"]

    @property
    def structure(self) -> dict[str, Any]:
        return dict(symbolic=self.symbolic, embedding=self.embedding, storage=self.storage)

    @property
    def operands(self) -> tuple[Array, Array, Array]:
        check_values(self.embedding.pattern.nnz, self.a)
        check_values(factor_size(self.symbolic, self.storage), self.factor)
        return self.a, self.factor, self.pivots


def factor_size(symbolic: Symbolic, storage: Storage) -> int:
    """Numbers in the factor: panels of L and of U^H, or panels of L and the block diagonal D."""
    if storage == "general":
        return 2 * symbolic.factor_size
    return symbolic.factor_size + 2 * symbolic.n


def _results(a: Shape, *, symbolic: Symbolic, embedding: Any, storage: Storage, throw: bool):
    integer = np.dtype(np.int32)
    return (
        Shape((factor_size(symbolic, storage),), a.dtype),
        Shape((symbolic.n,), integer),
        Shape((), integer),
        Shape((), integer),
    )


def _attributes(*, symbolic: Symbolic, embedding: Any, throw: bool) -> dict[str, Any]:
    return {
        "symbolic": symbolic,
        "embedding": embedding,
        "not_finite_sentence": NOT_FINITE_SENTENCE if throw else "",
    }


def _ldl_attributes(*, storage: Storage, **others: Any) -> dict[str, Any]:
    return {**_attributes(**others), "storage": STORAGES.index(storage)}


def _lu_attributes(*, storage: Storage, **others: Any) -> dict[str, Any]:
    return _attributes(**others)


ldl_p = define(Kernel("ldl", (1,), _results, _ldl_attributes), multiple_results=True)
lu_p = define(Kernel("lu", (1,), _results, _lu_attributes), multiple_results=True)


def pivoted_factor(
    a: Inexact[Array, " nnz"],
    symbolic: Symbolic,
    embedding: Embedding | GeneralEmbedding,
    storage: Storage,
    throw: bool,
) -> tuple[Inexact[Array, " size"], Int[Array, " n"], Int[Array, ""], Int[Array, ""]]:
    """The factor, its pivots, its status and the detail of that.

    With `throw`, a value that is not finite is an error of the running program; perturbed pivots are not.
    """
    check_values(embedding.pattern.nnz, a)
    factor_p = lu_p if storage == "general" else ldl_p
    factor, pivots, status, detail = factor_p.bind(
        jax.lax.stop_gradient(a),
        symbolic=symbolic,
        embedding=embedding,
        storage=storage,
        throw=throw,
    )
    return factor, pivots, status, detail
