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
        results=lambda x, status, detail, **sentence: x,
        attributes=lambda *, perturbed_sentence: {
            "perturbed_sentence": perturbed_sentence,
            "unstable_sentence": UNSTABLE_SENTENCE,
        },
    )
)


def guard(
    x: Inexact[Array, "..."],
    status: Int[Array, ""],
    detail: Int[Array, ""],
    throw: bool,
    perturbed_sentence: str = PIVOTS_PERTURBED_SENTENCE,
) -> Inexact[Array, "..."]:
    """`x` if the status is 0. Otherwise an error of the running program if `throw`, or else NaN.

    The sentence for perturbed pivots has a place for the detail, {column}.

    **Derivative:** linear in `x`.
    """
    x = x * jnp.where(status == 0, 1, jnp.nan).astype(x.real.dtype)
    if not throw:
        return x
    guarded = guard_p.bind(x.reshape(-1), status, detail, perturbed_sentence=perturbed_sentence)
    return guarded.reshape(x.shape)
