r"""Gaussian Markov random fields: a mean, a sparse precision, hard constraints, a declared null space.

The density of a field x of n elements, with precision Q, is one of

    proper         -n/2 log 2 pi + 1/2 log|Q| - 1/2 (x - m)'Q(x - m)
    intrinsic      -(n - r)/2 log 2 pi + 1/2 log|Q|_+ - 1/2 (x - m)'Q(x - m)            Q N = 0, N of rank r
    constrained    the same on {A x = e}, with respect to its Lebesgue measure (of dimension n - k): with an
                   orthonormal basis B of {A x = 0}, B'QB stands in place of Q

|Q|_+ is the product of the nonzero eigenvalues: every term that depends on a parameter is there, and so are
all constants. (R-INLA leaves out 1/2 log|R|_+ of Q = tau R; it is a constant there.) Where constraints leave
null vectors free, as a sum-to-zero RW2 its slope, the density is that of the rest, B'QB has rank n - max(k,
r).
"""

from collections.abc import Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Key

import elimax as ex
from elimax._primitive.define import is_traced
from elimax.stats.gaussian.null_space import NullSpace, check_null_space
from elimax.stats.gaussian.restricted import (
    Constraints,
    Restricted,
    check_constraints,
    restricted,
)

_LOG_2PI = float(np.log(2 * np.pi))


@jax.tree_util.register_pytree_with_keys_class
class GMRF:
    r"""A Gaussian Markov random field $x \sim N(m, Q^{-1})$, given $A x = e$. A pytree.

    **Arguments:**

    - `mean`: m, of n elements, or a scalar for all of them.
    - `precision`: Q, a real `SymmetricMatrix`: float32 or float64, in which everything is computed.
    - `constraints`: a pair (A, e) of dense arrays (k, n) and (k,), with independent rows; e may be None for
      zeros. They hold exactly.
    - `null_space`: a `NullSpace`, the whole one, if Q is singular: Q N = 0. Constraints must meet it in full
      rank: A N (k, r) has rank min(k, r).

    **Attributes:** `mean` (n,), that of the constrained field: it satisfies the constraints; `precision`;
    `constraints`, None or (A, e); `null_space`, static.

    **Raises:** `TypeError` and `ValueError` naming an argument of the wrong kind or shape. Where the
    precision is not positive definite (on the subspace), or constraints depend on each other, everything is
    NaN, and `status()` says why.

    **Derivative:** of everything, in `mean`, `precision.values` (of an intrinsic field: in parameters that
    keep Q N = 0), A and e; every order and mode.

    **Cost:** none, or of one factorization if constraints are given together with a mean or an e.
    """

    mean: Float[Array, " n"]
    precision: ex.SymmetricMatrix
    constraints: Constraints | None
    null_space: NullSpace | None
    _settled: (
        NullSpace | None
    )  # a space in which data and constraints, but not Q alone, settle the field

    def __init__(
        self,
        mean: Float[ArrayLike, " n"] | float,
        precision: ex.SymmetricMatrix,
        constraints: tuple[ArrayLike, ArrayLike | None] | None = None,
        null_space: NullSpace | None = None,
    ) -> None:
        if not isinstance(precision, ex.SymmetricMatrix) or jnp.iscomplexobj(precision.values):
            raise TypeError(
                f"`precision` must be a real SymmetricMatrix, got {type(precision).__name__}; "
                "SymmetricMatrix.from_scipy and from_dense make one"
            )
        n, dtype = precision.shape[0], precision.dtype
        m = jnp.asarray(mean, dtype)
        if m.shape not in ((), (n,)):
            raise ValueError(f"`mean` must be a scalar or have shape ({n},), got {m.shape}")
        space = check_null_space(null_space, n)
        pair = check_constraints(constraints, n, dtype)
        centered = pair is None or (
            constraints is not None and constraints[1] is None and _is_zero(mean)
        )
        if constraints is not None and space is not None:
            _check_full_rank(constraints[0], space)
        self._fill(jnp.broadcast_to(m, (n,)), precision, pair, space, None)
        if not centered:
            object.__setattr__(self, "mean", self._mean_on(self.mean))

    def _fill(
        self, mean: Any, precision: Any, constraints: Any, null_space: Any, settled: Any
    ) -> None:
        put = object.__setattr__
        put(self, "mean", mean)
        put(self, "precision", precision)
        put(self, "constraints", constraints)
        put(self, "null_space", null_space)
        put(self, "_settled", settled)

    @classmethod
    def _made(
        cls, mean: Any, precision: Any, constraints: Any, null_space: Any, settled: Any
    ) -> Self:
        """Of parts that fit: the mean satisfies the constraints."""
        field = object.__new__(cls)
        field._fill(mean, precision, constraints, null_space, settled)
        return field

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a GMRF is immutable")

    # -- the pytree

    def tree_flatten_with_keys(self) -> tuple[Any, ...]:
        names = ("mean", "precision", "constraints")
        key = jax.tree_util.GetAttrKey
        return tuple((key(name), getattr(self, name)) for name in names), self._static()

    def tree_flatten(self) -> tuple[Any, ...]:
        return (self.mean, self.precision, self.constraints), self._static()

    def _static(self) -> tuple[Any, ...]:
        return self.null_space, self._settled

    @classmethod
    def tree_unflatten(cls, static: tuple[Any, ...], leaves: tuple[Any, ...]) -> Self:
        return cls._made(*leaves, *static)

    # -- facts

    @property
    def n(self) -> int:
        return self.precision.shape[0]

    @property
    def dtype(self) -> np.dtype:
        return self.precision.dtype

    @property
    def n_constraints(self) -> int:
        return 0 if self.constraints is None else self.constraints[0].shape[0]

    @property
    def rank(self) -> int:
        """The number of directions in which the field has a finite variance that is not zero."""
        null = 0 if self.null_space is None else self.null_space.rank
        return self.n - max(self.n_constraints, null)

    @property
    def is_proper(self) -> bool:
        """Whether every element has a distribution: the constraints hold what the precision does not."""
        return self.null_space is None or self.n_constraints >= self.null_space.rank

    def restricted(
        self, symbolic: ex.Symbolic | None = None, values: Float[Array, " size"] | None = None
    ) -> Restricted:
        """The precision on the subspace of the constraints, factorized; arguments as for `restricted`.

        **Cost:** one factorization and k + r solves.
        """
        intrinsic = self.null_space is not None
        space = self.null_space if intrinsic else self._settled
        return restricted(
            self.precision, self.constraints, space, symbolic, values, intrinsic=intrinsic
        )

    def status(self) -> Int[Array, ""]:
        """0, or why everything is NaN: see `Restricted.status`. **Cost:** one factorization."""
        return self.restricted().status

    # -- the distribution

    def log_prob(self, x: Float[ArrayLike, " n"]) -> Float[Array, ""]:
        """The logarithm of the density at x, with all constants, as the module says. For many x, `jax.vmap`.

        With constraints it is the density on the subspace: that x lies on it is not checked.

        **Raises:** `ValueError` if x does not have shape (n,).

        **Derivative:** every order and mode. **Cost:** one factorization; the gradient one selected inverse.
        """
        x = jnp.asarray(x, self.dtype)
        if x.shape != (self.n,):
            raise ValueError(
                f"`x` must have shape ({self.n},), got {x.shape}; for a batch use jax.vmap(field.log_prob)"
            )
        d = x - self.mean
        return 0.5 * (self.restricted().logdet() - self.rank * _LOG_2PI - d @ (self.precision @ d))

    def sample(self, key: Key[Array, ""], shape: tuple[int, ...] = ()) -> Float[Array, "*shape n"]:
        """Draws of the field, which satisfy the constraints.

        **Raises:** `ValueError` for an improper field, which has no draws.

        **Derivative:** of every draw at a fixed key. **Cost:** one factorization, half a solve a draw.
        """
        return self.mean + self.restricted().sample(key, shape)

    def variance(self) -> Float[Array, " n"]:
        """The marginal variances: diag S - diag(S A'(A S A')^-1 A S), S = Q^-1.

        **Raises:** `ValueError` for an improper field.

        **Derivative:** every order and mode. **Cost:** about three factorizations.
        """
        return self.restricted().inverse_diagonal()

    def entropy(self) -> Float[Array, ""]:
        """The differential entropy, in nats, with respect to the measure of the density.

        **Raises:** `ValueError` for an improper field. **Cost:** one factorization.
        """
        self._check_proper("entropy")
        return 0.5 * (self.rank * (1 + _LOG_2PI) - self.restricted().logdet())

    def _mean_on(self, mean: Float[Array, " n"]) -> Float[Array, " n"]:
        """The mean of N(mean, Q^-1) given A x = e; of an improper field, the one nearest to `mean`."""
        assert self.constraints is not None
        A, e = self.constraints
        missing = e - A @ mean
        if self.null_space is not None and self.n_constraints <= self.null_space.rank:
            N = jnp.asarray(self.null_space.orthonormal, self.dtype)
            G = A @ N
            return mean + N @ (G.T @ jnp.linalg.solve(G @ G.T, missing))
        return mean + self.restricted().solve(jnp.zeros_like(mean), missing)

    def _check_proper(self, what: str) -> None:
        if not self.is_proper and self.null_space is not None:
            raise ValueError(
                f"{what}: the field is improper: its null space has rank {self.null_space.rank}, and it has "
                f"{self.n_constraints} constraints. Add constraints, by `constrain`, or data, by `condition`."
            )

    def __repr__(self) -> str:
        dtype = getattr(self.precision, "dtype", None)
        facts = [f"n={self.n}", f"nnz={self.precision.nnz}", f"dtype={dtype}"]
        if self.null_space is not None:
            facts.append(f"null_space of rank {self.null_space.rank}")
        if self.constraints is not None:
            facts.append(f"{self.n_constraints} constraint{'s' * (self.n_constraints > 1)}")
        return f"GMRF({', '.join(facts)})"


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
        _check_full_rank(pair[0], space)
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


def _is_zero(mean: Any) -> bool:
    return isinstance(mean, int | float | np.ndarray) and not np.any(mean)


def _check_full_rank(A: Any, space: NullSpace) -> None:
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
