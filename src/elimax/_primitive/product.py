"""Linear primitives over hashed structure: products with sparse matrices, gathers and scatters.

A product is one slot of a form that is linear in each of its arguments,

    t(v, x, y) = sum_ij  y_i A(v)_ij x_j        sparse times dense: v are the stored values of A
    t(a, b, c) = sum_ijl c_il A_ij B_jl         sparse times sparse, all three on fixed patterns

and computing a slot means computing the gradient with respect to it, from the other two. Derivatives of a
slot are again slots of the same form (`derivative.py`), so the family is closed. Conjugation makes
Hermitian storage and index maps linear over the real numbers only: transposes are then taken, as JAX does,
under the pairing Re(sum s v).
"""

from typing import Any, Literal

from jaxtyping import Array, Inexact

from elimax._primitive.define import Primitive, define
from elimax._primitive.kernel import Kernel, Shape, check_values
from elimax._structure.index_map import IndexMap
from elimax._structure.pattern import Pattern
from elimax._types import Values

Storage = Literal["general", "symmetric", "hermitian"]
STORAGES = ("general", "symmetric", "hermitian")  # the numbers of Storage in numeric.h


# -- sparse times dense


def _product_attributes(*, pattern: Pattern, storage: Storage) -> dict[str, Any]:
    return {"pattern": pattern, "storage": STORAGES.index(storage)}


product_v_p: Primitive = define(
    Kernel(
        "product_v",
        ranks=(2, 2),
        results=lambda x, y, *, pattern, storage: Shape((pattern.nnz,), x.dtype),
        attributes=_product_attributes,
        summed=(0, 1),
    )
)
product_x_p: Primitive = define(
    Kernel(
        "product_x",
        ranks=(1, 2),
        results=lambda v, y, *, pattern, storage: Shape((pattern.shape[1], y.shape[1]), y.dtype),
        attributes=_product_attributes,
        columns=1,
    )
)
product_y_p: Primitive = define(
    Kernel(
        "product_y",
        ranks=(1, 2),
        results=lambda v, x, *, pattern, storage: Shape((pattern.shape[0], x.shape[1]), x.dtype),
        attributes=_product_attributes,
        columns=1,
    )
)


def product(
    values: Values,
    x: Inexact[Array, "n k"],
    pattern: Pattern,
    storage: Storage,
    transpose: bool = False,
) -> Inexact[Array, "m k"]:
    """A x, or A^T x (not conjugated).

    **Cost:** one pass over the values.
    """
    check_values(pattern.nnz, values)
    primitive = product_x_p if transpose else product_y_p
    return primitive.bind(values, x, pattern=pattern, storage=storage)


# -- sparse times sparse


def _contract(slot: str) -> Primitive:
    return define(
        Kernel(
            f"contract_{slot}",
            ranks=(1, 1),
            results=lambda left, right, **patterns: Shape((patterns[slot].nnz,), left.dtype),
            attributes=lambda **patterns: patterns,
        )
    )


contract_a_p, contract_b_p, contract_c_p = _contract("a"), _contract("b"), _contract("c")


def contract(
    a: Inexact[Array, " nnz_a"],
    b: Inexact[Array, " nnz_b"],
    A: Pattern,
    B: Pattern,
    C: Pattern,
) -> Inexact[Array, " nnz_c"]:
    """The values of A B on the general pattern `C`; entries outside of it are dropped.

    **Cost:** one step per multiplication of A B, and a pass over the columns of C.

    **Source:** Gustavson, ACM TOMS 4 (1978) 250-269.
    """
    check_values(A.nnz, a)
    check_values(B.nnz, b)
    return contract_c_p.bind(a, b, a=A, b=B, c=C)


# -- index maps


def _map_attributes(*, index_map: IndexMap) -> dict[str, Any]:
    return {"map": index_map, "rank": 1}


def _matrix_map_attributes(*, index_map: IndexMap, shape: tuple[int, int]) -> dict[str, Any]:
    return {"map": index_map, "rank": 2}


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
gather_matrix_p = define(
    Kernel(
        "gather_matrix",
        ranks=(2,),
        results=lambda x, *, index_map, shape: Shape((index_map.output_size,), x.dtype),
        attributes=_matrix_map_attributes,
        target="gather",
    )
)
scatter_matrix_p = define(
    Kernel(
        "scatter_matrix",
        ranks=(1,),
        results=lambda x, *, index_map, shape: Shape(shape, x.dtype),
        attributes=_matrix_map_attributes,
        target="scatter",
    )
)


def gather(
    values: Inexact[Array, " input_size"], index_map: IndexMap
) -> Inexact[Array, " output_size"]:
    """Reads every position of the map's output from where the map says.

    **Derivative:** the transpose is `scatter`.
    """
    check_values(index_map.input_size, values)
    return values if index_map.is_identity else gather_p.bind(values, index_map=index_map)


def scatter(
    values: Inexact[Array, " output_size"], index_map: IndexMap
) -> Inexact[Array, " input_size"]:
    """Sums every position of the map's output into its input.

    **Derivative:** the transpose is `gather`.
    """
    check_values(index_map.output_size, values)
    return values if index_map.is_identity else scatter_p.bind(values, index_map=index_map)


def gather_matrix(
    array: Inexact[Array, "k length"], index_map: IndexMap
) -> Inexact[Array, " output_size"]:
    """Reads a matrix, row after row, as `gather` reads a vector.

    A reshape before `gather` would say the same, but XLA moves it into the loop that computes the array,
    which then divides an index for each element: twice the time for a stencil.

    **Derivative:** the transpose scatters into a matrix.
    """
    return gather_matrix_p.bind(array, index_map=index_map, shape=array.shape)
