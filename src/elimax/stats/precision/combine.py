"""Families out of families: replicates, and Kronecker products and sums, as for space and time.

Elements are numbered block by block: of `separable(time, space)`, element (t, s) is number t n_space + s.
"""

import dataclasses

import numpy as np
from jaxtyping import Array

import elimax as ex
from elimax.stats.gaussian import NullSpace
from elimax.stats.precision.family import Precision, count


def replicate(family: Precision, times: int) -> Precision:
    """So many independent fields with the same hyperparameters, one behind the other.

    **Raises:** `TypeError` and `ValueError` for a number below 1.
    """
    times = count("times", times)
    eye = ex.SymmetricMatrix.eye(times)
    block = ex.SymmetricMatrix(family.pattern, np.ones(family.pattern.nnz))
    pattern = ex.kron(eye, block).pattern

    def values(*parameters: Array) -> Array:
        return ex.kron(eye, family(*parameters)).values

    identity = np.eye(times)
    space = family.null_space
    settled = family.settled
    return dataclasses.replace(
        family,
        name=f"replicate({family.name}, {times})",
        pattern=pattern,
        values=values,
        null_space=None if space is None else NullSpace(np.kron(identity, space.basis)),
        levels=0,
        constraints=None if space is None else np.kron(identity, _rows(family)),
        settled=None
        if settled is None
        else (NullSpace(np.kron(identity, settled[0].basis)), np.kron(identity, settled[1])),
        structure=None,
    )


def separable(outer: Precision, inner: Precision) -> Precision:
    """The Kronecker product of two precisions: the covariance is the product of the two.

    Hyperparameters: those of `outer`, then those of `inner`. Both have a scale; fix one of them, at 1.

    Null vectors are all products of which one factor is a null vector: r_1 n_2 + n_1 r_2 - r_1 r_2 of them, a
    dense basis; all of them are constrained.

    **Raises:** `ValueError` if a family is defined by its constraints, as BYM2 is.

    **Source:** Knorr-Held, Statistics in Medicine 19 (2000), types of interaction; Rue and Held (2005),
    3.4.4.
    """
    _check_free("separable", outer, inner)
    pattern = _kron(outer.pattern, inner.pattern)
    split = len(outer.parameters)

    def values(*parameters: Array) -> Array:
        return ex.kron(outer(*parameters[:split]), inner(*parameters[split:])).values

    parts = []
    if outer.null_space is not None:
        N = outer.null_space.orthonormal
        parts.append(np.kron(N, np.eye(inner.n)))
        rest = np.linalg.svd(N)[0][:, N.shape[1] :]
    else:
        rest = np.eye(outer.n)
    if inner.null_space is not None:
        parts.append(np.kron(rest, inner.null_space.orthonormal))
    space = NullSpace(np.concatenate(parts, axis=1)) if parts else None
    name = f"separable({outer.name}, {inner.name})"
    return Precision(name, outer.parameters + inner.parameters, pattern, values, space)


def kronecker_sum(outer: Precision, inner: Precision) -> Precision:
    """Q_1 x I + I x Q_2: a field that is smooth in both directions, as a random walk on a grid.

    Hyperparameters: those of `outer`, then those of `inner`. Null vectors are products of two null vectors.

    **Raises:** as `separable`.
    """
    _check_free("kronecker_sum", outer, inner)
    one, two = ex.SymmetricMatrix.eye(outer.n), ex.SymmetricMatrix.eye(inner.n)
    split = len(outer.parameters)
    pattern = _kron(outer.pattern, two.pattern).union(_kron(one.pattern, inner.pattern))

    def values(*parameters: Array) -> Array:
        first = ex.kron(outer(*parameters[:split]), two)
        total = first + ex.kron(one, inner(*parameters[split:]))
        return total.values

    space = None
    if outer.null_space is not None and inner.null_space is not None:
        space = NullSpace(np.kron(outer.null_space.basis, inner.null_space.basis))
    levels = min(outer.levels, 1) * min(inner.levels, 1)
    name = f"kronecker_sum({outer.name}, {inner.name})"
    parameters = outer.parameters + inner.parameters
    return Precision(name, parameters, pattern, values, space, levels)


def _rows(family: Precision) -> np.ndarray:
    assert family.null_space is not None
    return family.null_space.basis.T if family.constraints is None else family.constraints


def _kron(A: ex.Pattern, B: ex.Pattern) -> ex.Pattern:
    ones = [ex.SymmetricMatrix(pattern, np.ones(pattern.nnz)) for pattern in (A, B)]
    return ex.kron(*ones).pattern


def _check_free(what: str, *families: Precision) -> None:
    for family in families:
        if family.settled is not None:
            raise ValueError(
                f"{what}: {family.name} is defined by its constraints, and has no product"
            )
