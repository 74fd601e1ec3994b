"""Families of precisions: where the nonzeros are, once; their values, for any hyperparameters.

Every builder of `elimax.stats.precision` returns a `Precision`, made on the host from what does not change (a
graph, positions, orders). Called with hyperparameters, in natural scale, it gives a `SymmetricMatrix`; its
`field` gives the `GMRF`, with the null space of the family and constraints:

    walk = precision.rw2(100)          structure: a pattern, vectors of values, a null space
    walk(tau)                          the precision tau R, singular
    walk.field(tau)                    the field, level and slope held at zero: proper
    walk.field(tau, constrained=False) the same, level and slope free: improper

Under `jit` new hyperparameters cost a multiply-add of vectors, and nothing is analyzed or compiled again.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Array, ArrayLike, Float

import elimax as ex
from elimax.stats.gaussian import GMRF, NullSpace

Held = bool | Literal["level"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Precision:
    """A sparse precision as a function of its hyperparameters.

    **Attributes:**

    - `name`, `parameters`: what it is, and the names of what it is called with.
    - `pattern`: of the matrices, symmetric.
    - `null_space`: of every one of them, or None if they are positive definite.
    - `levels`: how many of the first vectors of the null space's basis are levels.
    - `constraints`: the rows that hold the null space; its basis if None.
    - `settled`: for families whose null vectors depend on hyperparameters: where their matrices are
      singular, and the constraints that make them proper, which always hold.
    - `structure`: for families tau R: the values of R, scaled if that was asked for.
    """

    name: str
    parameters: tuple[str, ...]
    pattern: ex.Pattern
    values: Callable[..., Float[Array, " nnz"]]
    null_space: NullSpace | None = None
    levels: int = 0
    constraints: Float[np.ndarray, "r n"] | None = None
    settled: tuple[NullSpace, Float[np.ndarray, "k n"]] | None = None
    structure: Float[np.ndarray, " nnz"] | None = None

    @property
    def n(self) -> int:
        """The number of elements of the field."""
        return self.pattern.shape[0]

    @property
    def rank(self) -> int:
        """n, less the dimension of the null space."""
        return self.n - (0 if self.null_space is None else self.null_space.rank)

    def __call__(self, *parameters: Float[ArrayLike, "..."]) -> ex.SymmetricMatrix:
        """The precision for these hyperparameters, in the order of `parameters`.

        Hyperparameters outside of their range are not errors: what is not positive definite is found to be so
        when it is factorized, and gives NaN.

        **Raises:** `TypeError` for another number of them.

        **Derivative:** in all of them, every order and mode. **Cost:** linear in the entries.
        """
        if len(parameters) != len(self.parameters):
            names = ", ".join(self.parameters)
            raise TypeError(
                f"{self.name} takes {len(self.parameters)} hyperparameters ({names}), got {len(parameters)}"
            )
        return ex.SymmetricMatrix(self.pattern, self.values(*map(jnp.asarray, parameters)))

    def field(
        self,
        *parameters: Float[ArrayLike, "..."],
        constrained: Held = True,
        mean: Float[ArrayLike, " n"] | float = 0.0,
    ) -> GMRF:
        """The field with this precision.

        **Arguments:**

        - `constrained`: True: every null vector is held (levels sum to zero, slopes too), so that the field
          is proper, and what is held belongs into fixed effects. "level": only levels are, as R-INLA does by
          default, and slopes stay free. False: none; then the density is the rank-deficient one.
        - `mean`: of the field.

        **Raises:** `TypeError` as for a call; `ValueError` for another `constrained`, or False for a family
        that is defined by its constraints.
        """
        if constrained not in (True, False, "level"):
            raise ValueError(f'`constrained` must be True, "level" or False, got {constrained!r}')
        matrix = self(*parameters)
        if self.settled is not None:
            if not constrained:
                raise ValueError(f"{self.name} is defined with its constraints; leave them on")
            return GMRF.settled(mean, matrix, (self.settled[1], None), self.settled[0])
        space = self.null_space
        if space is None or not constrained:
            return GMRF(mean, matrix, None, space)
        rows = space.basis.T if self.constraints is None else self.constraints
        rows = rows if constrained is True else rows[: self.levels]
        return GMRF(mean, matrix, (rows, None) if len(rows) else None, space)

    def __repr__(self) -> str:
        null = "" if self.null_space is None else f", null_space of rank {self.null_space.rank}"
        names = ", ".join(self.parameters)
        return f"Precision({self.name}({names}), n={self.n}, nnz={self.pattern.nnz}{null})"


def lower_values(matrix: Any, pattern: ex.Pattern | None = None) -> tuple[ex.Pattern, np.ndarray]:
    """The lower triangle of a symmetric SciPy matrix, on its own pattern or on a larger one."""
    lower = sp.csc_array(sp.tril(sp.csc_array(matrix, dtype=np.float64)))
    lower.sum_duplicates()
    own = ex.Pattern(lower.shape, lower.indptr, lower.indices, True)
    if pattern is None:
        return own, lower.data
    values = np.zeros(pattern.nnz)
    values[own.embedding(pattern).indices] = lower.data
    return pattern, values


def linear_family(
    name: str,
    parameters: tuple[str, ...],
    terms: list[Any],
    coefficients: Callable[..., tuple[Any, ...]],
    **facts: Any,
) -> Precision:
    """sum_k c_k(parameters) M_k, of SciPy matrices M_k."""
    pattern = lower_values(sum(sp.csc_array(abs(M)) for M in terms))[0].with_diagonal()
    vectors = [lower_values(M, pattern)[1] for M in terms]

    def values(*arguments: Array) -> Array:
        scaled = zip(coefficients(*arguments), vectors, strict=True)
        return sum(
            (c * jnp.asarray(v, jnp.result_type(float)) for c, v in scaled), start=jnp.zeros(())
        )

    return Precision(name, parameters, pattern, values, **facts)


def structured(name: str, R: Any, null_space: NullSpace | None, levels: int) -> Precision:
    """tau R."""
    family = linear_family(name, ("tau",), [R], lambda tau: (tau,))
    structure = lower_values(R, family.pattern)[1]
    return dataclasses.replace(family, null_space=null_space, levels=levels, structure=structure)


def count(name: str, n: Any, least: int = 1) -> int:
    """`n` as a number of elements.

    **Raises:** `TypeError` or `ValueError` naming the argument.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise TypeError(f"`{name}` must be an integer, got {type(n).__name__}")
    if n < least:
        raise ValueError(f"`{name}` must be at least {least}, got {n}")
    return int(n)
