"""What a factor that is not exact would spoil is not handed on.

A factor with perturbed pivots is that of a matrix nearby. Refinement makes its solutions right; nothing makes
its determinant or its inverse right.
"""

import jax.numpy as jnp
from jaxtyping import Array, Inexact, Int

from elimax._primitive.define import define
from elimax._primitive.kernel import Kernel
from elimax._results import PIVOTS_PERTURBED_SENTENCE, UNSTABLE_SENTENCE

guard_p = define(
    Kernel(
        "guard",
        (1, 0, 0),
        results=lambda x, status, detail: x,
        attributes=lambda: {
            "perturbed_sentence": PIVOTS_PERTURBED_SENTENCE,
            "unstable_sentence": UNSTABLE_SENTENCE,
        },
    )
)


def guard(
    x: Inexact[Array, "..."], status: Int[Array, ""], detail: Int[Array, ""], throw: bool
) -> Inexact[Array, "..."]:
    """`x` if the status is 0. Otherwise an error of the running program if `throw`, or else NaN.

    **Derivative:** linear in `x`.
    """
    x = x * jnp.where(status == 0, 1, jnp.nan).astype(x.real.dtype)
    return guard_p.bind(x.reshape(-1), status, detail).reshape(x.shape) if throw else x
