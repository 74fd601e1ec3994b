"""log det A, A^-1 on the pattern, and derivatives of every order: the G family.

With f(a) = log det A(a), G_k(a; v_1, ..., v_k) is the gradient with respect to w of D^{k+1}
f(a)[v_1, ..., v_k, w]: G_0 is the gradient of the log-determinant, the selected inverse weighted as
symmetric storage demands (an off-diagonal value stands for two entries); G_1 its directional
derivative; and so on. One kernel computes all of them: it runs selected inversion over numbers with
nilpotent parts e_1, ..., e_k (each e_i^2 = 0) and reads off the coefficient of e_1 ... e_k.
"""

import numpy as np
from jaxtyping import Array, Float, Inexact

from elimax._primitive.define import define
from elimax._primitive.kernel import Kernel, Shape, check_values
from elimax._structure.symbolic import Embedding, Symbolic


def _logdet_results(a: Shape, factor: Shape, *, symbolic: Symbolic, embedding: Embedding):
    return Shape((), np.finfo(factor.dtype).dtype)


def _logdet_attributes(*, symbolic: Symbolic, embedding: Embedding):
    return {"symbolic": symbolic}


def _gradient_results(a: Shape, factor: Shape, *v: Shape, symbolic: Symbolic, embedding: Embedding):
    return a


def _gradient_attributes(*, symbolic: Symbolic, embedding: Embedding):
    return {"symbolic": symbolic, "embedding": embedding}


logdet_p = define(
    Kernel("logdet", (1, 1), _logdet_results, _logdet_attributes, n_derivative_only=1)
)
inverse_gradient_p = define(
    Kernel(
        "inverse_gradient", (1, 1, 1), _gradient_results, _gradient_attributes, n_derivative_only=1
    )
)


def logdet(
    a: Inexact[Array, " nnz"],
    factor: Inexact[Array, " size"],
    symbolic: Symbolic,
    embedding: Embedding,
) -> Float[Array, ""]:
    """log det A = 2 sum log L_jj, natural logarithm."""
    check_values(embedding.pattern.nnz, a)
    check_values(symbolic.factor_size, factor)
    return logdet_p.bind(a, factor, symbolic=symbolic, embedding=embedding)


def inverse_gradient(
    a: Inexact[Array, " nnz"],
    factor: Inexact[Array, " size"],
    *directions: Inexact[Array, " nnz"],
    symbolic: Symbolic,
    embedding: Embedding,
) -> Inexact[Array, " nnz"]:
    """G_k(a; v_1, ..., v_k) on the pattern of the embedding."""
    check_values(embedding.pattern.nnz, a)
    check_values(symbolic.factor_size, factor)
    return inverse_gradient_p.bind(a, factor, *directions, symbolic=symbolic, embedding=embedding)
