"""Gaussian Markov random fields in NumPyro: for any model, under NUTS, SVI and predictions.

    import elimax.stats.numpyro as esn

    walk = stats.precision.besag(graph)                 once, outside of the model

    def model(y):
        tau = numpyro.sample("tau", dist.Gamma(1, 0.1))
        x = numpyro.sample("x", esn.ICAR(walk, tau))    sums to zero, exactly
        numpyro.sample("y", dist.Poisson(jnp.exp(x)), obs=y)

A density costs one sparse factorization, its gradient one selected inverse; there are no dense matrices and
no eigenvalues. Where a field has constraints, samplers move in the n - k coordinates of its subspace
(`elimax.stats.gaussian.coordinates`), and every state satisfies them.

**Batches.** A distribution is one field. Draws of it have any sample shape, and a plate or `expand` makes
independent replicates, for which the precision is factorized once. Hyperparameters that differ among
replicates are not batched: loop, or build one field with `stats.precision.replicate` or
`stats.independent`.
"""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, ArrayLike, Float, Key
from numpyro.distributions import constraints, transforms
from numpyro.distributions.util import validate_sample

import elimax as ex
from elimax.stats import gaussian
from elimax.stats import precision as families
from elimax.stats.gaussian.coordinates import Coordinates
from elimax.stats.precision.family import Held, Precision


class OnSubspace(constraints.Constraint):
    """The constraint A x = e, to a rounding error."""

    event_dim = 1

    def __init__(self, A: Float[Array, "k n"], e: Float[Array, " k"]) -> None:
        self.A = A
        self.e = e

    def __call__(self, x: Float[Array, "... n"]) -> Array:
        size = jnp.abs(x) @ jnp.abs(self.A).T + jnp.abs(self.e)
        rounding = 10 * math.sqrt(self.A.shape[1]) * jnp.finfo(self.A.dtype).eps
        return jnp.all(jnp.abs(x @ self.A.T - self.e) <= rounding * (1 + size), axis=-1)

    def feasible_like(self, prototype: Float[Array, "... n"]) -> Float[Array, "... n"]:
        map_ = Coordinates.of(self.A, self.e)
        return map_.embed(jnp.zeros((*jnp.shape(prototype)[:-1], map_.dimension), self.A.dtype))

    def eq(self, other: object, static: bool = False) -> Any:
        if not isinstance(other, OnSubspace) or self.A.shape != other.A.shape:
            return False
        return static or (jnp.array_equal(self.A, other.A) & jnp.array_equal(self.e, other.e))

    def tree_flatten(self) -> Any:
        return (self.A, self.e), (("A", "e"), {})


class Embedding(transforms.ParameterFreeTransform):
    """From R^(n - k) onto {A x = e}, isometric: its Jacobian is 1."""

    domain = constraints.real_vector

    def __init__(self, A: Float[Array, "k n"], e: Float[Array, " k"]) -> None:
        self.A = A
        self.e = e

    @property
    def codomain(self) -> constraints.Constraint:
        return OnSubspace(self.A, self.e)

    def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... n"]:
        return Coordinates.of(self.A, self.e).embed(x)

    def _inverse(self, y: Float[Array, "... n"]) -> Float[Array, "... d"]:
        return Coordinates.of(self.A, self.e).project(y)

    def log_abs_det_jacobian(self, x: Array, y: Array, intermediates: Any = None) -> Array:
        return jnp.zeros(jnp.shape(x)[:-1], x.dtype)

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return *shape[:-1], shape[-1] + self.A.shape[0]

    def inverse_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return *shape[:-1], shape[-1] - self.A.shape[0]

    def eq(self, other: object, static: bool = False) -> Any:
        return isinstance(other, Embedding) and self.codomain.eq(other.codomain, static)

    def tree_flatten(self) -> Any:
        return (self.A, self.e), (("A", "e"), {})


@transforms.biject_to.register(OnSubspace)
def _embedding(constraint: OnSubspace) -> Embedding:
    return Embedding(constraint.A, constraint.e)


class GMRF(dist.Distribution):
    """A Gaussian Markov random field as a distribution of NumPyro. A pytree.

    **Arguments:**

    - `field`: a `stats.GMRF`, as the `field` method of a precision family gives it.
    - `validate_args`: as everywhere in NumPyro.

    **Attributes:** `field`; `event_shape` is (n,), `batch_shape` is ().

    The support is all of R^n, or the subspace of the constraints; `log_prob` is the density on it, all
    constants included. An improper field (intrinsic, without constraints) has a density, but no draws.

    **Raises:** `TypeError` if `field` is no `stats.GMRF`. Where a precision is not positive definite the
    density is NaN, which samplers take for a divergence.

    **Derivative:** of `log_prob`, and of draws, in all of the field.

    **Cost:** one factorization for any number of points; half a solve a draw.
    """

    reparametrized_params: ClassVar[list[str]] = ["field"]
    pytree_data_fields = ("field",)

    def __init__(self, field: gaussian.GMRF, *, validate_args: bool | None = None) -> None:
        if not isinstance(field, gaussian.GMRF):
            raise TypeError(
                f"`field` must be an elimax.stats.GMRF, got {type(field).__name__}; GMRF(mean, precision) "
                "makes one"
            )
        self.field = field
        super().__init__((), (field.n,), validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        pair = self.field.constraints
        return constraints.real_vector if pair is None else OnSubspace(*pair)

    @validate_sample
    def log_prob(self, value: Float[ArrayLike, "... n"]) -> Float[Array, "..."]:
        """The log density of every vector along the last axis."""
        value = jnp.asarray(value)
        if value.shape[-1:] != self.event_shape:
            raise ValueError(
                f"`value` must have shape (..., {self.event_shape[0]}), got {value.shape}"
            )
        flat = value.reshape(-1, value.shape[-1])
        return jax.vmap(self.field.log_prob)(flat).reshape(value.shape[:-1])

    def sample(self, key: Key[Array, ""], sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws (*sample_shape, n); differentiable at a fixed key."""
        return self.field.sample(key, sample_shape)

    def rsample(self, key: Key[Array, ""], sample_shape: tuple[int, ...] = ()) -> Array:
        """As `sample`."""
        return self.sample(key, sample_shape)

    @property
    def mean(self) -> Float[Array, " n"]:
        return self.field.mean

    @property
    def variance(self) -> Float[Array, " n"]:
        """The marginal variances. **Cost:** about three factorizations."""
        return self.field.variance()

    def entropy(self) -> Float[Array, ""]:
        """In nats, with respect to the measure of the density."""
        return self.field.entropy()


class ICAR(GMRF):
    """Intrinsic conditional autoregression tau (D - W): Besag's field on a graph.

    **Arguments:**

    - `structure`: `stats.precision.besag(graph)`, built once outside of the model, or the graph, a symmetric
      matrix of weights: then it is built whenever the model is traced.
    - `tau`: precision, a scalar.
    - `mean`: a scalar or (n,).
    - `constrained`: whether it sums to zero in every connected component, exactly; else it is improper.

    **Raises:** `TypeError` and `ValueError` as `stats.precision.besag`, and for a `tau` that is no scalar.
    """

    def __init__(
        self,
        structure: Precision | Any,
        tau: Float[ArrayLike, ""] = 1.0,
        mean: Float[ArrayLike, " n"] | float = 0.0,
        *,
        constrained: Held = True,
        validate_args: bool | None = None,
    ) -> None:
        family = _family(structure, "besag", families.besag)
        field = family.field(_scalar("tau", tau), constrained=constrained, mean=mean)
        super().__init__(field, validate_args=validate_args)


class CAR(GMRF):
    """Proper conditional autoregression tau (D - rho W), |rho| < 1.

    **Arguments:**

    - `structure`: `stats.precision.car(graph)`, or the graph.
    - `rho`, `tau`: correlation and precision, scalars.
    - `mean`: a scalar or (n,).

    **Raises:** as `ICAR`.
    """

    def __init__(
        self,
        structure: Precision | Any,
        rho: Float[ArrayLike, ""],
        tau: Float[ArrayLike, ""] = 1.0,
        mean: Float[ArrayLike, " n"] | float = 0.0,
        *,
        validate_args: bool | None = None,
    ) -> None:
        family = _family(structure, "car", families.car)
        field = family.field(_scalar("rho", rho), _scalar("tau", tau), mean=mean)
        super().__init__(field, validate_args=validate_args)


class BYM2(GMRF):
    """BYM2 of Riebler et al. (2016): 2 n elements (b, u); b is the effect, u its structured part.

    **Arguments:**

    - `structure`: `stats.precision.bym2(graph)`, or the graph.
    - `phi`: the share of the variance that is structured, in [0, 1); `tau`: the precision of b.

    **Raises:** as `ICAR`.
    """

    def __init__(
        self,
        structure: Precision | Any,
        phi: Float[ArrayLike, ""],
        tau: Float[ArrayLike, ""] = 1.0,
        *,
        validate_args: bool | None = None,
    ) -> None:
        family = _family(structure, "bym2", families.bym2)
        field = family.field(_scalar("phi", phi), _scalar("tau", tau))
        super().__init__(field, validate_args=validate_args)


class SPDE(GMRF):
    """A Matern field on a mesh (Lindgren, Rue and Lindström 2011).

    **Arguments:**

    - `source`: a `stats.Mesh` or `stats.FiniteElements`; for a large mesh hand the latter to the model as an
      argument.
    - `range`, `sigma`, or `kappa`, `tau`, and `alpha`: as `stats.matern`.
    - `mean`: a scalar or (n,).

    **Raises:** as `stats.matern`.
    """

    def __init__(
        self,
        source: Any,
        *,
        range: Float[ArrayLike, "*n"] | None = None,
        sigma: Float[ArrayLike, "*n"] | None = None,
        kappa: Float[ArrayLike, "*n"] | None = None,
        tau: Float[ArrayLike, "*n"] | None = None,
        alpha: int = 2,
        mean: Float[ArrayLike, " n"] | float = 0.0,
        validate_args: bool | None = None,
    ) -> None:
        Q: ex.SymmetricMatrix = families.matern(
            source, kappa=kappa, tau=tau, alpha=alpha, range=range, sigma=sigma
        )
        super().__init__(gaussian.GMRF(mean, Q), validate_args=validate_args)


def _family(structure: Any, name: str, build: Any) -> Precision:
    """The precision family, built if a graph was given."""
    if not isinstance(structure, Precision):
        return build(structure)
    if structure.name != name:
        raise ValueError(
            f"`structure` must be stats.precision.{name}(graph), got {structure!r}; GMRF takes any field"
        )
    return structure


def _scalar(name: str, value: Any) -> Float[Array, ""]:
    value = jnp.asarray(value)
    if value.shape != ():
        raise ValueError(
            f"`{name}` must be a scalar, got shape {value.shape}; a distribution is one field: replicates "
            "with their own hyperparameters are stats.independent fields"
        )
    return value
