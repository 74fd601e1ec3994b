"""Whether a pattern holds all of a derivative: one that was found, before it is used, or one asked about."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact

from elimax._jacobian.call import Argnums, Call, call_of
from elimax._jacobian.evaluation import matrix_of, products
from elimax._jacobian.patterns import found_pattern, name_of
from elimax._jacobian.verification import differing_rows, probes
from elimax._primitive.define import evaluate_now, runs_now
from elimax._structure.color import color
from elimax._structure.coloring import Coloring
from elimax._structure.pattern import Pattern

_PROBES = 3
_CORRECT = "Correct `pattern`, or leave it out to have it found."
_REPORT = (
    "The derivative rules of the function contradict each other, or this is an error of Elimax: please "
    "report it, and pass the right pattern=P meanwhile."
)


def check_pattern(
    f: Callable[..., Any],
    *args: Any,
    pattern: Pattern | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    **kwargs: Any,
) -> None:
    """Verifies a sparsity pattern by random probes.

    Derivatives of the function along vectors without structure are compared with products of the matrix that
    is read off by this pattern.

    **Arguments:**

    - `f`, `args`, `kwargs`, `argnums`, `has_aux`, `holomorphic`: as for `elimax.jacobian_pattern`; the point
        at which it is verified, or two random ones if only shapes are given.
    - `pattern`: of the Jacobian; or, if it is symmetric and `f` has one value, of the Hessian; the one that
        `elimax.jacobian_pattern` finds if None.

    **Raises:** `ValueError` naming the first row in which an entry is missing that is not zero here, or if
    the pattern has another shape; `TypeError` where the function cannot be evaluated: it closes over traced
    values, or fails at random points.

    **Cost:** one product for each color of the pattern, and three for the probes.
    """
    if pattern is not None and not isinstance(pattern, Pattern):
        raise TypeError(f"`pattern` must be a Pattern, got {type(pattern).__name__}")
    call = call_of(f, args, kwargs, argnums, has_aux=has_aux, holomorphic=holomorphic)
    is_hessian = pattern is not None and pattern.symmetric and call.rows.size == 1
    call = call.gradient() if is_hessian else call
    shape = (call.rows.size, call.columns.size)
    if pattern is None:
        pattern = found_pattern(call, f"the Jacobian of {name_of(f)}")
    elif pattern.shape != shape:
        raise ValueError(
            f"`pattern` must have the shape of the derivative, {shape}, got {pattern.shape}"
        )
    coloring = color(pattern, "star" if is_hessian else "column")
    if not verify(call, coloring, is_given=True, name=name_of(f)):
        raise TypeError(
            f"{name_of(f)} cannot be evaluated here: it closes over traced values, or fails at random "
            "points; call check_pattern outside of jit, with arrays"
        )


def verify(call: Call, coloring: Coloring, *, is_given: bool, name: str) -> bool:
    """Compares the matrix that is read off with products of the function; False if it cannot be run now.

    **Raises:** `ValueError` naming the first row in which an entry is missing.
    """

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
