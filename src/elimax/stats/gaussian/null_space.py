r"""Null spaces of intrinsic fields: what their precision cannot see, declared and never detected.

A random walk has no level, an RW2 no level and no slope, an intrinsic autoregression on a map no level in
any of its connected parts: their precision Q is singular, Q N = 0. Whether an eigenvalue is zero cannot be
told from the numbers (for a cyclic RW2 of 366 days the smallest positive one is 5e-9 of the largest), so
the basis N is given, once, on the host.

The null space also says where to hold the field. `pins` are as many elements as N has columns, chosen so that
they determine a null vector well: adding something to the diagonal of Q there gives a matrix that is positive
definite and as sparse as Q, from which the pseudo-determinant and all constrained moments follow exactly
(`elimax.stats.gaussian.restricted`).
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Self

import jax
import numpy as np
import scipy.linalg
from jaxtyping import Float, Int, Integer

import elimax as ex
from elimax._primitive.define import is_traced
from elimax._structure.structure import Structure

_DEPENDENT = 1e-10  # a column whose distance from the others is smaller, relative to its norm


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class NullSpace(Structure):
    """The null space of an intrinsic precision: immutable, on the host, compared and hashed by content.

    **Arguments:**

    - `basis`: linearly independent vectors as columns, float64. None of them (r = 0) for a proper field.

    **Attributes:** `basis`; `n` and `rank`, its numbers of rows and columns; `orthonormal`, an orthonormal
    basis of the same space; `pins`, the elements that hold the field; `log_volume`.

    **Raises:** `TypeError` if `basis` is not a real matrix, `ValueError` if it is not finite, has more
    columns than rows, or columns that depend on others.

    **Cost:** 2 n r^2 flops for a pivoted QR factorization, O(n r) if no two vectors meet in an element.
    """

    kind = "null_space"
    basis: Float[np.ndarray, "n r"]

    def __post_init__(self) -> None:
        try:
            basis = np.array(self.basis, np.float64, order="C")
        except (TypeError, ValueError) as error:
            raise TypeError(f"`basis` must be a real matrix (n, r), got {self.basis!r}") from error
        if basis.ndim != 2 or basis.shape[1] > basis.shape[0]:
            raise ValueError(
                f"`basis` must have shape (n, r) with r <= n, one column for each vector, got {basis.shape}"
            )
        if not np.isfinite(basis).all():
            raise ValueError("`basis` must be finite")
        basis.flags.writeable = False
        object.__setattr__(self, "basis", basis)
        self.orthonormal  # checks independence  # noqa: B018

    # -- construction

    @classmethod
    def empty(cls, n: int) -> Self:
        """That of a proper field of n elements: no vector at all."""
        return cls(np.zeros((n, 0)))

    @classmethod
    def constant(cls, n: int) -> Self:
        """The level: random walks of order 1, intrinsic autoregressions on a connected graph."""
        return cls(np.ones((n, 1)))

    @classmethod
    def polynomial(cls, positions: Float[np.ndarray, " n"], degree: int) -> Self:
        """Polynomials of at most `degree` in the positions, as Legendre polynomials over their range."""
        t = np.asarray(positions, np.float64).reshape(-1)
        center, half = (t.max() + t.min()) / 2, (t.max() - t.min()) / 2
        return cls(np.polynomial.legendre.legvander((t - center) / (half or 1.0), degree))

    @classmethod
    def components(cls, labels: Integer[np.ndarray, " n"]) -> Self:
        """One level for each set of elements with the same label; elements with label -1 have none."""
        labels = np.asarray(labels)
        present = np.unique(labels[labels >= 0])
        return cls((labels[:, None] == present).astype(np.float64))

    @classmethod
    def unit(cls, n: int, indices: Sequence[int] | Int[np.ndarray, " r"]) -> Self:
        """Single elements that are free: flat priors, as fixed effects have."""
        indices = np.asarray(indices, np.int64).reshape(-1)
        outside = indices[(indices < 0) | (indices >= n)]
        if outside.size:
            raise ValueError(f"`indices`: {outside[0]} is not an element of a field of size {n}")
        basis = np.zeros((n, indices.size))
        basis[indices, np.arange(indices.size)] = 1
        return cls(basis)

    @classmethod
    def stack(cls, *spaces: "NullSpace") -> Self:
        """That of independent fields, one behind the other; `empty` for those that are proper."""
        rows = np.cumsum([0, *(space.n for space in spaces)])
        columns = np.cumsum([0, *(space.rank for space in spaces)])
        basis = np.zeros((rows[-1], columns[-1]))
        for i, space in enumerate(spaces):
            basis[rows[i] : rows[i + 1], columns[i] : columns[i + 1]] = space.basis
        return cls(basis)

    # -- facts

    @property
    def content(self) -> tuple[tuple[int, ...], tuple[np.ndarray, ...]]:
        return self.basis.shape, (self.basis.reshape(-1).view(np.int32),)

    @property
    def n(self) -> int:
        return self.basis.shape[0]

    @property
    def rank(self) -> int:
        """The dimension of the null space, r."""
        return self.basis.shape[1]

    @functools.cached_property
    def _disjoint(self) -> bool:
        """Whether no two vectors meet, as those of components: orthogonal, and nothing to factorize."""
        return bool((np.count_nonzero(self.basis, axis=1) <= 1).all())

    @functools.cached_property
    def orthonormal(self) -> Float[np.ndarray, "n r"]:
        """An orthonormal basis of the same space."""
        norms = np.linalg.norm(self.basis, axis=0)
        scaled = self.basis / np.where(norms > 0, norms, 1)
        basis, size = scaled, norms
        if not self._disjoint:
            basis, R = np.linalg.qr(scaled)
            size = np.abs(np.diagonal(R))
        dependent = np.flatnonzero(size <= (0 if self._disjoint else _DEPENDENT))
        if dependent.size:
            raise ValueError(
                f"`basis`: column {dependent[0]} is zero or depends on the columns before it"
            )
        basis.flags.writeable = False
        return basis

    @functools.cached_property
    def pins(self) -> Int[np.ndarray, " r"]:
        """As many elements as there are vectors, on which a null vector is well determined.

        **Source:** columns chosen by pivoting: Golub and Van Loan, Matrix Computations (2013), section 5.4.2.
        """
        if self._disjoint:
            return np.argmax(np.abs(self.basis), axis=0)
        _, pivots = scipy.linalg.qr(self.orthonormal.T, mode="r", pivoting=True)
        return np.sort(pivots[: self.rank])

    @functools.cached_property
    def log_volume(self) -> float:
        """-2 log|det N_I| for the orthonormal N, at the pins I.

        With it log|Q|_+ = log|Q + kappa E'E| - r log kappa + `log_volume`.
        """
        return -2 * float(np.linalg.slogdet(self.orthonormal[self.pins])[1]) if self.rank else 0.0

    @functools.cached_property
    def interpolation(self) -> Float[np.ndarray, "n r"]:
        """N N_I^-1: the null vectors that are 1 at one pin and 0 at the others."""
        return np.linalg.solve(self.orthonormal[self.pins].T, self.orthonormal.T).T

    def __repr__(self) -> str:
        return f"NullSpace(n={self.n}, rank={self.rank})"


def check_null_space(space: Any, n: int) -> NullSpace | None:
    """`space` if it is a `NullSpace` of n elements; None for None and for an empty one.

    **Raises:** `TypeError` or `ValueError` naming the argument.
    """
    if space is None:
        return None
    if not isinstance(space, NullSpace):
        raise TypeError(
            f"`null_space` must be a NullSpace, got {type(space).__name__}; NullSpace(basis) makes one from "
            "an (n, r) array, NullSpace.constant(n) that of a level"
        )
    if space.n != n:
        raise ValueError(f"`null_space` is one of {space.n} elements, but the field has {n}")
    return space if space.rank else None


def check_full_rank(A: Any, space: NullSpace) -> None:
    """The constraints, where they are concrete, meet the null space in full rank.

    **Raises:** `ValueError` if not.
    """
    if is_traced(A):
        return
    A = np.atleast_2d(np.asarray(A, np.float64))
    met = (A / np.linalg.norm(A, axis=1, keepdims=True)) @ space.orthonormal
    singular = np.linalg.svd(met, compute_uv=False)
    if singular[-1] <= 1e-10:
        raise ValueError(
            f"`constraints`: on the null space of rank {space.rank} the {A.shape[0]} rows of A have a rank "
            f"below {min(met.shape)}: some leave it free that others do not reach. Constrain every null "
            "vector, or as many of them as there are constraints."
        )


def check_annihilated(precision: ex.SymmetricMatrix, space: NullSpace) -> None:
    """Q N = 0 up to rounding, where the values of Q are concrete.

    **Raises:** `ValueError` if not: densities and moments would be those of another field.
    """
    if is_traced(precision.values):
        return
    with jax.ensure_compile_time_eval():  # concrete values inside of a trace are looked at, too
        Q = precision.to_scipy()
    N = space.orthonormal
    left, size = np.abs(Q @ N), abs(Q) @ np.abs(N)
    tolerance = np.sqrt(np.finfo(precision.dtype).eps)
    seen = np.flatnonzero(left.max(axis=0) > tolerance * size.max(axis=0))
    if seen.size:
        raise ValueError(
            f"`null_space`: the precision does not annihilate vector {seen[0]} of its basis, Q N is up to "
            f"{left[:, seen[0]].max():.2g} where terms of size {size[:, seen[0]].max():.2g} should cancel. "
            "Give the null space of this precision, or none if it is positive definite"
        )
