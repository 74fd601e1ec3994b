"""Whether a pattern holds all of a derivative: products of the function against the matrix it yields."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact

from elimax._jacobian.call import Call
from elimax._jacobian.evaluation import matrix_of, products
from elimax._jacobian.verification import differing_rows, probes
from elimax._primitive.define import evaluate_now, runs_now
from elimax._structure.coloring import Coloring

_PROBES = 3
_CORRECT = "Correct `pattern`, or leave it out to have it found."
_REPORT = (
    "The derivative rules of the function contradict each other, or this is an error of Elimax: please "
    "report it, and pass the right pattern=P meanwhile."
)


def verified(call: Call, coloring: Coloring, *, is_given: bool, name: str) -> bool:
    """Compares the matrix that is read off with products of the function; False if it cannot be run now.

    **Raises:** `ValueError` naming the first row in which an entry is missing.
    """

    m, n = coloring.pattern.shape
    if not coloring.pattern.symmetric and coloring.pattern.nnz == m * n:
        return True  # nothing can be missing

    def check(x: Any, others: Any, vectors: Inexact[Array, "probes size"]) -> tuple[Any, Any]:
        columns, rows, _ = products(call, x, others, coloring)
        matrix = matrix_of(coloring, columns, rows)
        if columns is None:
            matrix, columns = matrix.T, rows
        assert columns is not None
        found = [differing_rows(matrix, columns.product, columns.dtype, v) for v in vectors]
        wrong, difference = (jnp.stack(parts) for parts in zip(*found, strict=True))
        return wrong.any(0), jnp.where(wrong, difference, 0).max(0, initial=0)

    by_rows = not coloring.num_column_colors and bool(coloring.num_row_colors)
    space = call.rows if by_rows else call.columns
    vectors = probes(space.size, _PROBES, space.dtype)
    jaxpr = jax.make_jaxpr(check)(*call.structs, vectors)
    if not runs_now(jaxpr, foreign=call.is_concrete):
        return False
    for x, others in _points(call):
        try:
            wrong, difference = evaluate_now(jaxpr, x, *others, vectors)
        except Exception:
            # A function may fail at random points, as a factorization does of what is not definite.
            if call.is_concrete:
                raise
            return False
        if wrong.any():
            k = int(np.argmax(wrong))
            side = "column" if by_rows else "row"
            raise ValueError(
                f"the pattern that was {'given' if is_given else 'found'} for the derivative of {name} lacks "
                f"entries: {side} {k} of its product with a vector differs by {difference[k]:.2g}, as do "
                f"{np.count_nonzero(wrong) - 1} others. {_CORRECT if is_given else _REPORT}"
            )
    return True


def _points(call: Call) -> list[tuple[Any, tuple[Any, ...]]]:
    """The point of the call, or two of the kind that it will have: positive numbers, and of both signs."""
    if call.is_concrete:
        return [(call.x, call.others)]
    rng = np.random.default_rng(2)
    points = []
    for lowest in (0.5, -1.5):

        def sample(struct: Any, lowest: float = lowest) -> np.ndarray:
            if not jnp.issubdtype(struct.dtype, jnp.inexact):
                return np.zeros(struct.shape, struct.dtype)
            return rng.uniform(lowest, 1.5, struct.shape).astype(struct.dtype)

        x, others = call.structs
        points.append((sample(x), tuple(map(sample, others))))
    return points
