"""Linear primitives over hashed structure: products with sparse matrices, gathers and scatters.

A product is one slot of a form that is linear in each of its arguments,

    t(v, x, y) = sum_ij  y_i A(v)_ij x_j        sparse times dense: v are the stored values of A
    t(a, b, c) = sum_ijl c_il A_ij B_jl         sparse times sparse, all three on fixed patterns

and computing a slot means computing the gradient with respect to it, from the other two. Derivatives of a
slot are again slots of the same form (`derivative.py`), so the family is closed. Conjugation makes
Hermitian storage and index maps linear over the real numbers only: transposes are then taken, as JAX does,
under the pairing Re(sum s v).
"""

import enum
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact

from elimax._structure.index_map import IndexMap
from elimax._structure.pattern import Pattern
from elimax._types import Values, promote

from .define import Kernel, Primitive, Shape, define


class Storage(enum.IntEnum):
    """How stored values stand for a matrix; a symmetric one stores its lower triangle."""

    GENERAL = 0
    SYMMETRIC = 1
    HERMITIAN = 2


# -- sparse times dense


def _product_attributes(*, pattern: Pattern, storage: Storage) -> dict[str, Any]:
    return {**pattern.pin("pattern"), "storage": np.int64(storage)}


def _fold_into_columns(primitive: Primitive, operands: Any, dims: Any, **params: Any) -> Any:
    """A batch of right-hand sides and one matrix: more columns, one pass over the values."""
    v, x = operands
    if dims[0] is not None or v.ndim != 1 or x.ndim != 3:
        return None
    x = jnp.moveaxis(x, dims[1], 1)
    n, batch, k = x.shape
    y = primitive.bind(v, x.reshape(n, batch * k), **params)
    return y.reshape(y.shape[0], batch, k), 1


product_v_p = define(
    Kernel(
        "product_v",
        ranks=(2, 2),
        results=lambda x, y, *, pattern, storage: Shape((pattern.nnz,), x.dtype),
        attributes=_product_attributes,
    )
)
product_x_p = define(
    Kernel(
        "product_x",
        ranks=(1, 2),
        results=lambda v, y, *, pattern, storage: Shape((pattern.shape[1], y.shape[1]), y.dtype),
        attributes=_product_attributes,
        fold=lambda *operands, **params: _fold_into_columns(product_x_p, *operands, **params),
    )
)
product_y_p = define(
    Kernel(
        "product_y",
        ranks=(1, 2),
        results=lambda v, x, *, pattern, storage: Shape((pattern.shape[0], x.shape[1]), x.dtype),
        attributes=_product_attributes,
        fold=lambda *operands, **params: _fold_into_columns(product_y_p, *operands, **params),
    )
)


def matrix_times_dense(
    pattern: Pattern,
    storage: Storage,
    values: Values,
    x: Inexact[Array, "n *k"],
    transpose: bool = False,
) -> Inexact[Array, "m *k"]:
    """A x, or A^T x (not conjugated), for one column or several.

    **Raises:** `ValueError` if the shapes do not fit.

    **Cost:** one pass over the values.
    """
    n = pattern.shape[0] if transpose else pattern.shape[1]
    if x.ndim not in (1, 2) or x.shape[0] != n:
        expected = f"({n},) or ({n}, k)"
        raise ValueError(
            f"a matrix of shape {pattern.shape}{', transposed,' if transpose else ''} times a dense array of "
            f"shape {x.shape}: the array must have shape {expected}"
        )
    values, x = promote(values, x)
    primitive = product_x_p if transpose else product_y_p
    columns = x if x.ndim == 2 else x[:, None]
    y = primitive.bind(values, columns, pattern=pattern, storage=storage)
    return y if x.ndim == 2 else y[:, 0]


# -- sparse times sparse


def _contract(slot: str) -> Primitive:
    def attributes(**patterns: Pattern) -> dict[str, Any]:
        attributes: dict[str, Any] = {}
        for name, pattern in patterns.items():
            attributes.update(pattern.pin(name))
        return attributes

    return define(
        Kernel(
            f"contract_{slot}",
            ranks=(1, 1),
            results=lambda left, right, **patterns: Shape((patterns[slot].nnz,), left.dtype),
            attributes=attributes,
        )
    )


contract_a_p, contract_b_p, contract_c_p = _contract("a"), _contract("b"), _contract("c")


def matrix_times_matrix(
    A: Pattern,
    a: Inexact[Array, " nnz_a"],
    B: Pattern,
    b: Inexact[Array, " nnz_b"],
    C: Pattern,
) -> Inexact[Array, " nnz_c"]:
    """The values of A B on the pattern `C`; entries outside of it are dropped.

    **Cost:** one step per multiplication of A B, and a pass over the columns of C.

    **Source:** Gustavson, ACM TOMS 4 (1978) 250-269.
    """
    a, b = promote(a, b)
    return contract_c_p.bind(a, b, a=A, b=B, c=C)


# -- index maps


def _map_attributes(*, index_map: IndexMap) -> dict[str, Any]:
    return index_map.pin("map")


gather_p = define(
    Kernel(
        "gather",
        ranks=(1,),
        results=lambda x, *, index_map: Shape((index_map.output_size,), x.dtype),
        attributes=_map_attributes,
    )
)
scatter_p = define(
    Kernel(
        "scatter",
        ranks=(1,),
        results=lambda x, *, index_map: Shape((index_map.input_size,), x.dtype),
        attributes=_map_attributes,
    )
)


def gather(
    index_map: IndexMap, values: Inexact[Array, " input_size"]
) -> Inexact[Array, " output_size"]:
    """Reads every position of the output from where the map says.

    **Derivative:** the transpose is `scatter`.
    """
    return values if index_map.is_identity else gather_p.bind(values, index_map=index_map)


def scatter(
    index_map: IndexMap, values: Inexact[Array, " output_size"]
) -> Inexact[Array, " input_size"]:
    """Sums every position of the map's output into its input.

    **Derivative:** the transpose is `gather`.
    """
    return values if index_map.is_identity else scatter_p.bind(values, index_map=index_map)
