"""The joint density of data and latent field at given hyperparameters: what Newton's iteration maximizes.

    log p(y | x) + log p(x),    eta = offset + A x

Everything in it is an array, whatever functions of the hyperparameters the arrays came from, and whatever
those closed over: a `Joint` is a pytree that can be differentiated in all of its leaves.
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import elimax as ex
from elimax.stats.gaussian import GMRF, NullSpace, Restricted, restricted
from elimax.stats.laplace.curvature import Hessian
from elimax.stats.likelihood import Likelihood

LOG_2PI = math.log(2 * math.pi)


class Slopes(NamedTuple):
    """The part of the log-likelihoods that depends on eta, and its first two derivatives; each (m,)."""

    value: Float[Array, " m"]
    first: Float[Array, " m"]
    second: Float[Array, " m"]


class Joint(eqx.Module):
    """A latent field, a design, and observations, at one point of the hyperparameters. A pytree.

    **Attributes:**

    - `field`: the prior of x, a `GMRF`.
    - `design`: A (m, n), or None for the identity.
    - `offset`: (m,).
    - `likelihood`, `observations` (m,), `parameters`: of the likelihood, by name.
    """

    field: GMRF
    design: ex.SparseMatrix | None
    offset: Float[Array, " m"]
    likelihood: Likelihood
    observations: Float[Array, " m"]
    parameters: dict[str, Array]

    def apply(self, x: Float[Array, " n"]) -> Float[Array, " m"]:
        """A x."""
        return x if self.design is None else self.design @ x

    def predictor(self, x: Float[Array, " n"]) -> Float[Array, " m"]:
        """eta = offset + A x."""
        return self.offset + self.apply(x)

    def kernel(self, eta: Float[Array, " m"]) -> Float[Array, " m"]:
        """The part of every log-likelihood that depends on eta."""
        return self.likelihood.kernel(eta, self.observations, **self.parameters)

    def slopes(self, eta: Float[Array, " m"]) -> Slopes:
        """The kernel and its derivatives. The likelihood is elementwise: one direction holds all of them."""
        ones = jnp.ones_like(eta)

        def first(e: Array) -> tuple[Array, Array]:
            return jax.jvp(self.kernel, (e,), (ones,))

        (value, slope), (_, curvature) = jax.jvp(first, (eta,), (ones,))
        return Slopes(value, slope, curvature)

    def gradient(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """Of the joint log density in x: A^T l'(eta) - Q (x - mean)."""
        return self.gradient_of(x, self.slopes(self.predictor(x)).first)

    def gradient_of(self, x: Float[Array, " n"], slope: Float[Array, " m"]) -> Float[Array, " n"]:
        """As `gradient`, from l'(eta)."""
        data = slope if self.design is None else slope @ self.design
        return data - self.field.precision @ (x - self.field.mean)

    def hessian(self) -> Hessian:
        """H = Q + A^T D A as a function of the diagonal of D."""
        return Hessian.of(self.field.precision, self.design)

    def hessian_at(self, x: Float[Array, " n"]) -> ex.SymmetricMatrix:
        """The negative Hessian of the joint log density: D holds -l''(eta)."""
        return self.hessian().at(-self.slopes(self.predictor(x)).second)

    def restrict(
        self, H: ex.SymmetricMatrix, values: Float[Array, " size"] | None = None
    ) -> Restricted:
        """H on the subspace of the constraints, factorized, or from the values of its factor.

        Without constraints the data alone must settle what an intrinsic prior leaves free, and H is positive
        definite. With them H may be singular, as with a sum-to-zero field beside an intercept.
        """
        return restricted(H, self.field.constraints, self.settling, values=values)

    @property
    def settling(self) -> NullSpace | None:
        """Where H may be singular although it is not so on the constraints."""
        if self.field.constraints is None:
            return None
        return self.field.null_space or self.field._settled

    def log_likelihood(self, x: Float[Array, " n"]) -> Float[Array, ""]:
        """log p(y | x), every constant included."""
        base = self.likelihood.base(self.observations, **self.parameters)
        return jnp.sum(self.kernel(self.predictor(x))) + jnp.sum(base)

    def onto_constraints(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """The nearest point that satisfies the constraints."""
        if self.field.constraints is None:
            return x
        A, e = self.field.constraints
        return x - A.T @ jnp.linalg.solve(A @ A.T, A @ x - e)

    def constraint_forces(self, x: Float[Array, " n"], gradient: Float[Array, " n"]) -> Any:
        """The Lagrange multipliers l with gradient = A^T l, at the mode; None without constraints."""
        if self.field.constraints is None:
            return None
        A, _ = self.field.constraints
        return jnp.linalg.solve(A @ A.T, A @ gradient)
