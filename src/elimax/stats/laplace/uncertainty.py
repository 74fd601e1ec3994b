r"""What is not known: of hyperparameters, of the field, of any function of both.

With the mode x(theta), its derivative J = dx / dtheta, the Hessian H of the field, and V, the covariance of the
estimated hyperparameters, the joint distribution of (x, theta) is approximated by the Gaussian

    covariance [H^-1 + J V J^T   J V]       precision [ H         -H J           ]
               [V J^T            V  ]                 [-J^T H   V^-1 + J^T H J   ]

Kass and Steffey, J. Am. Stat. Assoc. 84 (1989), equation 2.7: TMB's `sdreport`. H^-1 is that on the subspace of
the constraints. J costs one solve a hyperparameter.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

import elimax as ex
from elimax.stats.gaussian import GMRF, NullSpace
from elimax.stats.laplace.approximation import LaplaceApproximation, laplace
from elimax.stats.laplace.model import LatentGaussianModel, Theta


def restore(template: Theta, flat: Float[Array, " p"]) -> Theta:
    """The hyperparameters, shaped like `template`, from a vector of all their elements."""
    return ravel_pytree(template)[1](flat)


@eqx.filter_jit
def sensitivity(
    model: LatentGaussianModel, theta: Theta, start: Float[Array, " n"]
) -> tuple[LaplaceApproximation, Float[Array, "n p"]]:
    """The approximation at theta, and the derivative of its mode in all elements of theta.

    **Cost:** one approximation, and one solve for every element.
    """

    def mode(flat: Array) -> tuple[Array, LaplaceApproximation]:
        result = laplace(model, restore(theta, flat), start, throw=False)
        return result.mode, result

    flat, _ = ravel_pytree(theta)
    _, push, result = jax.linearize(mode, flat, has_aux=True)
    return result, jax.lax.map(push, jnp.eye(flat.size, dtype=flat.dtype)).T


@eqx.filter_jit
def delta_method(
    f: Callable[[Theta, Float[Array, " n"]], Any],
    model: LatentGaussianModel,
    theta: Theta,
    covariance: Float[Array, "p p"],
    start: Float[Array, " n"],
) -> tuple[Any, Float[Array, "k k"]]:
    """f(theta, x), and the covariance of its k elements.

    **Cost:** one solve for every element of theta and of f.
    """
    result, J = sensitivity(model, theta, start)
    flat, _ = ravel_pytree(theta)
    value = f(theta, result.mode)

    def elements(flat: Array, x: Array) -> Array:
        return ravel_pytree(f(restore(theta, flat), x))[0]

    by_theta, by_x = jax.jacrev(elements, argnums=(0, 1))(flat, result.mode)
    total = by_theta + by_x @ J
    form = result.restricted()
    if result.joint.field.constraints is None:
        spread = form.solve(by_x.T)
    else:
        spread = form.solve(by_x.T, jnp.zeros((result.joint.field.n_constraints, by_x.shape[0])))
    return value, total @ covariance @ total.T + by_x @ spread


@eqx.filter_jit
def total_variance(
    model: LatentGaussianModel,
    theta: Theta,
    covariance: Float[Array, "p p"],
    start: Float[Array, " n"],
) -> tuple[Float[Array, " n"], Float[Array, " m"]]:
    """The variances of the field and of the linear predictors, with those of theta in them.

    The offset's dependence on theta is part of the predictor's.
    """
    result, J = sensitivity(model, theta, start)
    flat, _ = ravel_pytree(theta)

    def predictor(flat: Array, x: Array) -> Array:
        return model.at(restore(theta, flat)).predictor(x)

    def along(direction: Array, moved: Array) -> Array:
        return jax.jvp(predictor, (flat, result.mode), (direction, moved))[1]

    rows = jax.lax.map(lambda pair: along(*pair), (jnp.eye(flat.size, dtype=flat.dtype), J.T))
    of_field = result.variance() + jnp.sum((J @ covariance) * J, axis=1)
    of_predictor = result.predictor_variance() + jnp.sum((covariance @ rows) * rows, axis=0)
    return of_field, of_predictor


def joint_field(
    model: LatentGaussianModel,
    theta: Theta,
    information: Float[Array, "p p"],
    start: Float[Array, " n"],
) -> GMRF:
    """The Gaussian approximation of (x, theta) given the data; `information` is V^-1."""
    result, J = sensitivity(model, theta, start)
    H = result.joint.hessian_at(result.mode)
    flat, _ = ravel_pytree(theta)
    n, p = H.shape[0], flat.size
    HJ = H @ J
    corner = information + J.T @ HJ
    rows, columns = np.tril_indices(p)
    below = np.repeat(np.arange(n, n + p), n), np.tile(np.arange(n), p)
    border = ex.SymmetricMatrix.from_coo(
        np.concatenate([below[0], n + rows]),
        np.concatenate([below[1], n + columns]),
        jnp.concatenate([-HJ.T.reshape(-1), corner[rows, columns]]),
        (n + p, n + p),
    )
    inner = ex.Pattern.from_coo(H.pattern.rows, H.pattern.columns, border.shape, symmetric=True)
    precision = ex.SymmetricMatrix(inner, H.values) + border
    constraints, space = result.joint.field.constraints, result.joint.settling
    if space is not None:
        space = NullSpace.stack(space, NullSpace.empty(p))
    if constraints is not None:
        A, e = constraints
        constraints = (jnp.pad(A, ((0, 0), (0, p))), e)
    mean = jnp.concatenate([result.mode, flat.astype(result.mode.dtype)])
    return GMRF._made(mean, precision, constraints, None, space)
