"""log|det A| and the sign of det A, and derivatives of every order, from a factorization that pivots.

The G family is that of `selected_inverse.py`. For LU and for complex symmetric matrices it belongs to the
holomorphic log det A, whose real part is log|det A| and whose imaginary part is the phase of det A.
"""

from typing import Any

import numpy as np
from jaxtyping import Array, Float, Inexact, Int

from elimax._primitive.define import define
from elimax._primitive.kernel import Kernel, Shape
from elimax._primitive.pivoted import Factored
from elimax._primitive.product import STORAGES, Storage


def _attributes(*, symbolic, embedding, storage: Storage) -> dict[str, Any]:
    return {"symbolic": symbolic, "embedding": embedding, "storage": STORAGES.index(storage)}


def _inertia_attributes(*, symbolic, embedding, storage: Storage) -> dict[str, Any]:
    return {"symbolic": symbolic, "storage": STORAGES.index(storage)}


slogdet_p = define(
    Kernel(
        "slogdet",
        (1, 1, 1),
        results=lambda a, factor, pivots, **structure: (
            Shape((), factor.dtype),
            Shape((), np.finfo(factor.dtype).dtype),
        ),
        attributes=_attributes,
        n_derivative_only=1,
    ),
    multiple_results=True,
)
pivoted_inverse_gradient_p = define(
    Kernel(
        "pivoted_inverse_gradient",
        (1, 1, 1, 1),
        results=lambda a, factor, pivots, *v, **structure: a,
        attributes=_attributes,
        n_derivative_only=1,
    )
)
inertia_p = define(
    Kernel(
        "inertia",
        (1, 1),
        results=lambda factor, pivots, **structure: Shape((3,), np.dtype(np.int32)),
        attributes=_inertia_attributes,
    )
)


def slogdet(factored: Factored) -> tuple[Inexact[Array, ""], Float[Array, ""]]:
    """The sign of det A (for complex matrices its phase), and log|det A|."""
    sign, logdet = slogdet_p.bind(*factored.operands, **factored.structure)
    return sign, logdet


def pivoted_inverse_gradient(factored: Factored) -> Inexact[Array, " nnz"]:
    """G_0 on the pattern of the embedding: the gradient of log det A.

    At entry (i, j) of general storage (A^-1)_ji. An off-diagonal value of symmetric storage stands for two
    entries: 2 (A^-1)_ij, conjugated in Hermitian storage.
    """
    return pivoted_inverse_gradient_p.bind(*factored.operands, **factored.structure)


def inertia(factored: Factored) -> Int[Array, "3"]:
    """How many eigenvalues are positive, negative and zero."""
    _, factor, pivots = factored.operands
    return inertia_p.bind(factor, pivots, **factored.structure)
