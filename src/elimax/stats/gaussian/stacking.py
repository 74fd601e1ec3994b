"""Independent fields as one field."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

import elimax as ex
from elimax.stats.gaussian.gmrf import GMRF
from elimax.stats.gaussian.null_space import NullSpace, check_full_rank


def independent(*fields: GMRF | ex.SymmetricMatrix) -> GMRF:
    """Independent fields, one behind the other, as one field: block diagonal.

    A `SymmetricMatrix` stands for the field of mean zero with that precision.

    **Raises:** `ValueError` without any field, or if one of them was conditioned with constraints and
    another is improper; `TypeError` for something else than a field.
    """
    parts = [as_field(field) for field in fields]
    if not parts:
        raise ValueError("independent: give at least one field")
    constraints = [part.constraints for part in parts]
    pair = None
    if any(c is not None for c in constraints):
        sizes = [part.n for part in parts]
        rows = [
            jnp.pad(c[0], ((0, 0), (sum(sizes[:i]), sum(sizes[i + 1 :]))))
            for i, c in enumerate(constraints)
            if c is not None
        ]
        pair = (
            jnp.concatenate(rows),
            jnp.concatenate([c[1] for c in constraints if c is not None]),
        )
    space = _stacked([part.null_space for part in parts], parts)
    settled = None
    if any(part._settled is not None for part in parts):
        if not all(part.is_proper for part in parts):
            raise ValueError(
                "independent: a field that was conditioned on data under constraints does not go with an "
                "improper one; give that one constraints"
            )
        settled = _stacked([part.null_space or part._settled for part in parts], parts)
        space = None
    elif pair is not None and space is not None:
        check_full_rank(pair[0], space)
    precision = ex.block_diag(*(part.precision for part in parts))
    mean = jnp.concatenate([part.mean for part in parts]).astype(precision.dtype)
    return GMRF._made(mean, precision, pair, space, settled)


def as_field(field: Any) -> GMRF:
    """A `GMRF` as it is, a `SymmetricMatrix` as the precision of one of mean zero.

    **Raises:** `TypeError` for anything else.
    """
    if isinstance(field, GMRF):
        return field
    if isinstance(field, ex.SymmetricMatrix):
        return GMRF(0.0, field)
    raise TypeError(f"expected a GMRF or a SymmetricMatrix, got {type(field).__name__}")


def _stacked(spaces: Sequence[NullSpace | None], parts: Sequence[GMRF]) -> NullSpace | None:
    if all(space is None for space in spaces):
        return None
    whole = [
        NullSpace.empty(part.n) if space is None else space
        for space, part in zip(spaces, parts, strict=True)
    ]
    return NullSpace.stack(*whole)
