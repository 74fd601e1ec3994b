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

from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

import elimax as ex
from elimax.stats.gaussian.design import as_design, covariance_on, observations, projected_variance
from elimax.stats.gaussian.field import Field
from elimax.stats.gaussian.null_space import check_full_rank
from elimax.stats.gaussian.restricted import Restricted, check_constraints

_LOG_2PI = float(np.log(2 * np.pi))


@jax.tree_util.register_pytree_with_keys_class
class GMRF(Field):
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

    **Raises:** `TypeError` and `ValueError` naming an argument of the wrong kind or shape, and `null_space`
    if a precision whose values are known does not annihilate it. Where the
    precision is not positive definite (on the subspace), or constraints depend on each other, everything is
    NaN, and `status()` says why.

    **Derivative:** of everything, in `mean`, `precision.values` (of an intrinsic field: in parameters that
    keep Q N = 0), A and e; every order and mode.

    **Cost:** none, or of one factorization if constraints are given together with a mean or an e; r products
    on the host if the values of an intrinsic precision are known.
    """

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

    def covariance(self, pattern: ex.Pattern | None = None) -> ex.SymmetricMatrix:
        """The entries of the covariance on the pattern of the precision, or on any symmetric pattern.

        **Raises:** `ValueError` for an improper field, or a `pattern` that is not symmetric and of size n.

        **Derivative:** every order and mode.

        **Cost:** about three factorizations; of a matrix whose pattern holds `pattern`, where the factor of
        the precision does not.
        """
        self._check_proper("covariance")
        return covariance_on(self.restricted, self._widened, self.precision.pattern, pattern)

    def predict(self, A: ex.SparseMatrix | Float[ArrayLike, "m n"]) -> tuple[Array, Array]:
        """The mean and the variance of every element of A x: A m and diag(A S A'), (m,) each.

        Nothing dense is formed if A is sparse: the entries of the covariance that A touches are a selected
        inverse, if need be of a matrix with more fill; where solves for the rows of A, a few at a time, are
        predicted to be cheaper, those are taken.

        **Raises:** `ValueError` for an improper field or an A without n columns; `TypeError` if A is neither
        sparse nor an array.

        **Derivative:** in all of the field and in A, every order and mode.
        """
        self._check_proper("predict")
        A = as_design("predict", A, self.n)
        return A @ self.mean, projected_variance(self.restricted, self._widened, A)

    def _widened(self, pattern: ex.Pattern) -> Restricted:
        """As `restricted`, on a pattern that holds this one: what is new are zeros."""
        wide = self.precision.on_pattern(self.precision.pattern.union(pattern))
        return self._with(precision=wide).restricted()

    # -- given something

    def condition(
        self,
        A: ex.SparseMatrix | Float[ArrayLike, "m n"],
        y: Float[ArrayLike, " m"],
        noise_precision: Float[ArrayLike, " m"] | float,
    ) -> Self:
        """The field given y = A x + e, with independent errors e of this precision: again a `GMRF`.

        The precision becomes Q + A' D A, D the diagonal `noise_precision`. The constraints stay. An improper
        field becomes proper: the data must resolve what the constraints leave free of its null space.

        **Arguments:**

        - `A`: (m, n), sparse, or a dense array, which makes a dense posterior precision.
        - `y`: the observations; NaN where one is missing, which says nothing.
        - `noise_precision`: positive; one for all, or one for each.

        **Raises:** `TypeError` and `ValueError` for arguments of the wrong kind or shape. If the data do not
        resolve the null space, everything is NaN, and `status()` of the result is not 0.

        **Derivative:** in everything. **Cost:** one factorization and one solve.

        **Source:** Rue and Held (2005), section 2.3.3 and theorem 2.5.
        """
        A = as_design("condition", A, self.n)
        y, D, _ = observations(A, y, noise_precision)
        scaled = ex.SparseMatrix.diags(D) @ A
        precision = self.precision + ex.SymmetricMatrix.from_general(A.T @ scaled)
        # With constraints the data may leave to them what the precision does not hold.
        space = self.null_space if self.null_space is not None else self._settled
        settled = None if self.constraints is None else space
        posterior = self._with(precision=precision, null_space=None, settled=settled)
        step = posterior.restricted().solve_increment(A.T @ (D * (y - A @ self.mean)))
        return posterior._with(mean=self.mean + step)

    def log_evidence(
        self,
        A: ex.SparseMatrix | Float[ArrayLike, "m n"],
        y: Float[ArrayLike, " m"],
        noise_precision: Float[ArrayLike, " m"] | float,
    ) -> Float[Array, ""]:
        """The logarithm of the marginal density of y = A x + e, the field integrated out.

        Of an improper field it is the integral of its density as the module states it: comparable among
        parameters of one field, not among fields of different null spaces.

        **Raises:** as `condition`. **Derivative:** in everything.

        **Cost:** two factorizations, of prior and posterior precision.
        """
        A = as_design("log_evidence", A, self.n)
        posterior = self.condition(A, y, noise_precision)
        y, D, there = observations(A, y, noise_precision)
        x = posterior.mean
        r = y - A @ x
        logs = jnp.where(there, jnp.log(jnp.where(there, D, 1.0)) - _LOG_2PI, 0.0)
        noise = 0.5 * (jnp.sum(logs) - r @ (D * r))
        return self.log_prob(x) + noise - posterior.log_prob(x)

    def constrain(
        self, A: Float[ArrayLike, "k n"], e: Float[ArrayLike, " k"] | None = None
    ) -> Self:
        """The field given A x = e exactly, in addition to its constraints; e is zero if None.

        **Raises:** as the constructor.

        **Derivative:** in everything. **Cost:** one factorization and k solves, for the mean.
        """
        pair = check_constraints((A, e), self.n, self.dtype)
        if pair is None:
            return self
        if self.constraints is not None:
            old = self.constraints
            pair = jnp.concatenate([old[0], pair[0]]), jnp.concatenate([old[1], pair[1]])
        if self.null_space is not None:
            check_full_rank(pair[0], self.null_space)
        return self._with(constraints=pair)._centered()

    def kl(self, other: "GMRF") -> Float[Array, ""]:
        """The Kullback-Leibler divergence from `other` to this field, in nats: E log p(x) / p_other(x).

        Fields on different subspaces are infinitely far apart.

        **Raises:** `TypeError` if `other` is no field; `ValueError` for an improper one, or if sizes or
        numbers of constraints differ.

        **Derivative:** in both. **Cost:** two factorizations and a selected inverse.
        """
        if not isinstance(other, GMRF):
            raise TypeError(f"kl: `other` must be a GMRF, got {type(other).__name__}")
        self._check_proper("kl")
        other._check_proper("kl")
        if (self.n, self.n_constraints) != (other.n, other.n_constraints):
            raise ValueError(
                f"kl: {self.n} elements and {self.n_constraints} constraints here, {other.n} and "
                f"{other.n_constraints} there; both must live on one subspace"
            )
        S = self.covariance(other.precision.pattern)
        below = S.pattern.rows != S.pattern.columns
        trace = jnp.sum(jnp.where(below, 2, 1) * S.values * other.precision.values)
        d = self.mean - other.mean
        mahalanobis = d @ (other.precision @ d)
        logdets = self.restricted().logdet() - other.restricted().logdet()
        divergence = 0.5 * (trace + mahalanobis - self.rank + logdets)
        return jnp.where(self._shares_subspace(other), divergence, jnp.inf)

    def _shares_subspace(self, other: "GMRF") -> Array | bool:
        """Whether the constraints of both, equal in number, hold the same points, up to rounding."""
        if self.constraints is None or other.constraints is None:
            return self.constraints is other.constraints
        (A, e), (B, f) = self.constraints, other.constraints
        # What the rows of A make of those of B: all of them, if they span the same space.
        C = jax.lax.stop_gradient(jnp.linalg.solve(A @ A.T, A @ B.T).T)
        small = float(np.sqrt(jnp.finfo(self.dtype).eps))
        rows = jnp.abs(C @ A - B) <= small * jnp.max(jnp.abs(B), initial=0.0)
        levels = jnp.abs(C @ e - f) <= small * (1 + jnp.max(jnp.abs(f), initial=0.0))
        return jnp.all(rows) & jnp.all(levels)
