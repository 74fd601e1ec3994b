"""What a field consists of: mean, precision, constraints, null space; the pytree of a `GMRF`."""

from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

import elimax as ex
from elimax import _results
from elimax.stats.gaussian.null_space import (
    NullSpace,
    check_annihilated,
    check_full_rank,
    check_null_space,
)
from elimax.stats.gaussian.restricted import (
    Constraints,
    Restricted,
    check_constraints,
    restricted,
)


class Field:
    """The parts of a `GMRF`, which fit each other: the mean satisfies the constraints."""

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
            check_full_rank(constraints[0], space)
        if space is not None:
            check_annihilated(precision, space)
        self._fill(jnp.broadcast_to(m, (n,)), precision, pair, space, None)
        if not centered:
            object.__setattr__(self, "mean", self._centered().mean)

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

    @classmethod
    def settled(
        cls,
        mean: Float[ArrayLike, " n"] | float,
        precision: ex.SymmetricMatrix,
        constraints: tuple[ArrayLike, ArrayLike | None],
        space: NullSpace,
    ) -> Self:
        """A field whose precision is positive definite on its constraints, and need not be beside them.

        `space` says where it may be singular: its pins hold the field. Nothing depends on the choice but
        rounding.

        **Raises:** as the constructor.
        """
        field = cls(mean, precision)
        pair = check_constraints(constraints, field.n, field.dtype)
        field = field._with(constraints=pair, settled=check_null_space(space, field.n))
        return field if _is_zero(mean) and constraints[1] is None else field._centered()

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
        """0, or why everything is NaN: see `Restricted.status`; -1, too, if the mean is not finite.

        **Cost:** one factorization.
        """
        status = self.restricted().status
        lost = (status == 0) & ~jnp.isfinite(self.mean).all()
        return jnp.where(lost, jnp.int32(_results.NOT_FINITE), status)

    # -- parts

    def _with(self, **changes: Any) -> Self:
        names = ("mean", "precision", "constraints", "null_space")
        parts = {name: getattr(self, name) for name in names} | {"settled": self._settled}
        return self._made(**(parts | changes))

    def _centered(self) -> Self:
        """With the mean given the constraints; of an improper field, the one nearest to its mean."""
        assert self.constraints is not None
        A, e = self.constraints
        missing = e - A @ self.mean
        if self.null_space is not None and self.n_constraints <= self.null_space.rank:
            N = jnp.asarray(self.null_space.orthonormal, self.dtype)
            G = A @ N
            step = N @ (G.T @ jnp.linalg.solve(G @ G.T, missing))
        else:
            step = self.restricted().solve(jnp.zeros_like(self.mean), missing)
        return self._with(mean=self.mean + step)

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


def _is_zero(mean: Any) -> bool:
    return isinstance(mean, int | float | np.ndarray) and not np.any(mean)
