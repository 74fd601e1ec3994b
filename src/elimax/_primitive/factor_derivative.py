"""Derivatives of the Cholesky factor itself: the C and R families, and products with them.

C_k(a; v_1, ..., v_k) = D^k L(a)[v_1, ..., v_k] is a matrix in the layout of the factor; C_0 is the factor.
R_k(a; ct, v_1, ..., v_k) is the adjoint of the last slot of C_{k+1} applied to a cotangent `ct` of L: the
gradient with respect to w of Re sum(ct C_{k+1}(a; v_1, ..., v_k, w)). Both are linear in every argument
but a. One kernel each computes every order, over numbers with nilpotent parts e_1, ..., e_k.

The halves of a solve need products with such matrices: the slots of the form
t(l, x, y) = sum_ij (P y)_i L(l)_ij x_j.

Arrays in the layout of the factor are zero above the diagonal.
"""

from typing import Any

from elimax._primitive.define import Primitive, define
from elimax._primitive.kernel import Kernel, Shape
from elimax._structure.symbolic import Embedding, Symbolic


def _attributes(*, symbolic: Symbolic, embedding: Embedding):
    return {"symbolic": symbolic, "embedding": embedding}


factor_derivative_p = define(
    Kernel(
        "factor_derivative",
        ranks=(1, 1, 1),
        results=lambda a, factor, *v, symbolic, embedding: factor,
        attributes=_attributes,
        n_derivative_only=1,
    )
)
factor_adjoint_p = define(
    Kernel(
        "factor_adjoint",
        ranks=(1, 1, 1),
        results=lambda a, factor, ct, *v, symbolic, embedding: a,
        attributes=_attributes,
        n_derivative_only=1,
    )
)


def _product(slot: str, ranks: tuple[int, int], results, **columns: Any) -> Primitive:
    """The slot of the trilinear form that is computed from the other two, in the order l, x, y."""
    return define(
        Kernel(
            f"factor_product_{slot}",
            ranks,
            results,
            attributes=lambda *, symbolic: {"symbolic": symbolic},
            **columns,
        )
    )


factor_product_l_p = _product(
    "l", (2, 2), lambda x, y, *, symbolic: Shape((symbolic.factor_size,), x.dtype), summed=(0, 1)
)
factor_product_x_p = _product("x", (1, 2), lambda factor, y, *, symbolic: y, columns=1)
factor_product_y_p = _product("y", (1, 2), lambda factor, x, *, symbolic: x, columns=1)
