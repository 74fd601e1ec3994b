"""What is taken for a matrix whose pattern could not be found: a dense one, if it is small."""

import warnings

from elimax._structure.pattern import Pattern

# The largest dense pattern that is taken where no better one is found, in entries.
DENSEST = 2**24
# From how many entries on a dense matrix is worth a warning.
_REMARKABLE = 2**14


def settle(
    pattern: Pattern | None, shape: tuple[int, int], name: str, reason: str, advice: str
) -> Pattern:
    """The pattern that was found, or a dense one.

    **Arguments:**

    - `pattern`: that was found, or None if it is too dense to say.
    - `name`, `reason`, `advice`: for messages: what has this pattern, why it may look dense, what to do.

    **Raises:** `ValueError` if a dense matrix would be large. **Warns:** `UserWarning` if a matrix of some
    size is dense.
    """
    size = shape[0] * shape[1]
    if pattern is None or pattern.nnz == size >= _REMARKABLE:
        warnings.warn(
            f"{name} of shape {shape} is taken to be a dense matrix. If it is not, {reason}: {advice}",
            UserWarning,
            stacklevel=3,
        )
    if pattern is not None and pattern.nnz <= DENSEST:
        return pattern
    if size <= DENSEST:
        return Pattern.dense(shape)
    raise ValueError(
        f"the sparsity pattern of {name} of shape {shape} could not be found, and as a dense matrix it would "
        f"be too large. It may be dense indeed; or {reason}: {advice}"
    )
