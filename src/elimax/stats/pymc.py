"""Sparse matrices in PyMC: solves, log-determinants and Gaussian Markov random fields in PyTensor graphs.

    import elimax.stats.pymc as esp

    walk = stats.precision.besag(graph)
    with pm.Model():
        tau = pm.Gamma("tau", 1, 0.1)
        x = esp.field("x", walk, tau)                   sums to zero, exactly
        pm.Poisson("y", pm.math.exp(x), observed=y)
        pm.sample(cores=1)                              or nuts_sampler="numpyro"

Patterns are static, values symbolic. Every function is a JAX program in a PyTensor Op (`pytensor.wrap_jax`):
with gradients, under PyTensor's C and Numba backends, which call it, and under its JAX backend, where it is
part of one program. Compiled once for a model; new values analyze nothing.

PyTensor computes in float64, JAX in float32 unless told otherwise: `jax.config.update("jax_enable_x64",
True)` comes first, else these functions raise. JAX has threads, which processes that are forked do not get:
sample with `cores=1`, or with a JAX sampler, several chains of which run in one process.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pymc
import pytensor
import pytensor.tensor as pt
from pytensor.tensor import TensorVariable

import elimax as ex
from elimax.stats.gaussian.coordinates import Coordinates
from elimax.stats.precision.family import Held, Precision


def solve(matrix: ex.SymmetricMatrix | ex.Pattern, values: Any, b: Any) -> TensorVariable:
    """A^-1 b for a symmetric positive definite A, by sparse Cholesky.

    **Arguments:**

    - `matrix`: the pattern of A, or a `SymmetricMatrix` that has it; its own values are not used.
    - `values`: those of the lower triangle, (nnz,), symbolic or not, in the order of the pattern.
    - `b`: (n,) or (n, k).

    **Raises:** `TypeError`, `ValueError` for arguments of another kind or shape; `RuntimeError` in float32
    mode of JAX. NaN where A is not positive definite.

    **Derivative:** in `values` (an element off the diagonal stands for two entries of A) and `b`, in reverse.
    """
    pattern, values = _matrix(matrix, values)
    b = _symbolic("b", b)
    if b.ndim not in (1, 2):
        raise ValueError(f"`b` must be a vector or a matrix, got {b.ndim} dimensions")
    b = pt.specify_shape(b, (pattern.shape[0], *b.type.shape[1:]))

    def elimax_solve(values: jax.Array, b: jax.Array) -> jax.Array:
        return ex.cholesky(ex.SymmetricMatrix(pattern, values), throw=False).solve(b)

    return pytensor.wrap_jax(elimax_solve)(values, b)


def logdet(matrix: ex.SymmetricMatrix | ex.Pattern, values: Any) -> TensorVariable:
    """log det A of a symmetric positive definite A, natural logarithm; its gradient is a selected inverse.

    **Arguments, raises:** as `solve`.
    """
    pattern, values = _matrix(matrix, values)

    def elimax_logdet(values: jax.Array) -> jax.Array:
        return ex.cholesky(ex.SymmetricMatrix(pattern, values), throw=False).logdet()

    return pytensor.wrap_jax(elimax_logdet)(values)


def logp(
    x: Any,
    family: Precision,
    *parameters: Any,
    mean: Any = 0.0,
    constrained: Held = True,
) -> TensorVariable:
    """The log density of a Gaussian Markov random field, all constants included, as `stats.GMRF.log_prob`.

    For `pm.Potential`, for a `pm.CustomDist` of fixed size, or for observed fields.

    **Arguments:**

    - `x`: the field, (n,). With constraints it is taken to satisfy them, and the density is that on their
      subspace: for an x that a sampler moves use `field`.
    - `family`: of precisions, as `stats.precision.besag(graph)`, with its `parameters`, scalars.
    - `mean`: a scalar or (n,).
    - `constrained`: as for `Precision.field`; False for the density of an intrinsic field.

    **Raises:** as `solve`, and `TypeError` for another number of parameters.

    **Derivative:** in x, the parameters and the mean, in reverse.
    """
    family = _family(family, parameters)
    x = pt.specify_shape(_symbolic("x", x), (family.n,))
    mean, scalars = _mean(mean, family.n), _scalars(family, parameters)

    def elimax_logp(x: jax.Array, mean: jax.Array, *scalars: jax.Array) -> jax.Array:
        return family.field(*scalars, constrained=constrained, mean=mean).log_prob(x)

    return pytensor.wrap_jax(elimax_logp)(x, mean, *scalars)


def field(
    name: str,
    family: Precision,
    *parameters: Any,
    mean: Any = 0.0,
    constrained: Held = True,
    dims: str | None = None,
) -> TensorVariable:
    """A Gaussian Markov random field in the model on the context stack.

    Two variables: `name`_free, the n - k coordinates in which samplers move, with the density of the field
    and draws for prior predictive checks; `name`, (n,), deterministic, which satisfies the constraints
    exactly.

    **Arguments:** as `logp`; `dims` names the dimension of the field.

    **Returns:** the field.

    **Raises:** as `logp`; `ValueError` where draws of an improper field are asked for.
    """
    family = _family(family, parameters)
    scalars = _scalars(family, parameters)
    mean = _mean(mean, family.n) * np.ones(family.n)
    start = family.field(*(jnp.ones(()) for _ in parameters), constrained=constrained)
    free = start.n if start.constraints is None else start.n - start.n_constraints
    coordinates = None if start.constraints is None else Coordinates.of(*start.constraints)

    def embed(z: TensorVariable) -> TensorVariable:
        return z if coordinates is None else _embed(coordinates, z)

    def density(z: TensorVariable, _: Any, mean: Any, *scalars: Any) -> TensorVariable:
        return logp(embed(z), family, *scalars, mean=mean, constrained=constrained)

    @jax.jit
    @jax.vmap
    def draw(key: jax.Array, mean: jax.Array, *scalars: jax.Array) -> jax.Array:
        x = family.field(*scalars, constrained=constrained, mean=mean).sample(key)
        return x if coordinates is None else coordinates.project(x)

    def draws(
        _: Any, mean: np.ndarray, *scalars: np.ndarray, rng: np.random.Generator, size: Any
    ) -> np.ndarray:
        batch = np.broadcast_shapes(size or (), mean.shape[:-1], *map(np.shape, scalars))
        count = int(np.prod(batch))
        keys = jax.random.split(jax.random.key(int(rng.integers(2**31))), count)
        means = np.broadcast_to(mean, (*batch, family.n)).reshape(count, family.n)
        rows = (np.broadcast_to(scalar, batch).reshape(count) for scalar in scalars)
        return np.asarray(draw(keys, means, *rows)).reshape(*batch, free)

    # The first parameter is only there to have the size of the distribution.
    z = pymc.CustomDist(
        f"{name}_free",
        np.zeros(free),
        mean,
        *scalars,
        logp=density,
        random=draws,
        signature=f"(n),(m){',()' * len(scalars)}->(n)",
    )
    return pymc.Deterministic(name, embed(z), dims=dims)


def _embed(coordinates: Coordinates, z: TensorVariable) -> TensorVariable:
    """As `Coordinates.embed`, in PyTensor: a few vector operations, which its backends do themselves."""
    x = pt.concatenate([pt.as_tensor(np.asarray(coordinates.settled)), z])
    for v in np.asarray(coordinates.reflections)[::-1]:
        x = x - 2 * pt.dot(v, x) * v
    return x


def _check_precision() -> None:
    if jnp.result_type(float) != np.float64:
        raise RuntimeError(
            'JAX computes in float32: call jax.config.update("jax_enable_x64", True) first'
        )


def _symbolic(name: str, value: Any) -> TensorVariable:
    """As a tensor of float64."""
    value = np.asarray(value) if isinstance(value, jax.Array) else value
    try:
        return pt.cast(pt.as_tensor_variable(value), "float64")
    except (TypeError, ValueError, NotImplementedError) as error:
        raise TypeError(f"`{name}` must be a tensor or an array, got {value!r}") from error


def _matrix(matrix: Any, values: Any) -> tuple[ex.Pattern, TensorVariable]:
    _check_precision()
    if isinstance(matrix, ex.SymmetricMatrix):
        matrix = matrix.pattern
    if not isinstance(matrix, ex.Pattern):
        raise TypeError(
            f"`matrix` must be a SymmetricMatrix or its Pattern, got {type(matrix).__name__}; "
            "SymmetricMatrix.from_scipy makes one"
        )
    values = _symbolic("values", values)
    if values.ndim != 1:
        raise ValueError(f"`values` must be a vector, got {values.ndim} dimensions")
    return matrix, pt.specify_shape(values, (matrix.nnz,))


def _family(family: Any, parameters: tuple[Any, ...]) -> Precision:
    if not isinstance(family, Precision):
        raise TypeError(
            "`family` must be a family of precisions, as stats.precision.besag(graph), got "
            f"{type(family).__name__}"
        )
    if len(parameters) != len(family.parameters):
        names = ", ".join(family.parameters)
        raise TypeError(
            f"{family.name} takes {len(family.parameters)} hyperparameters ({names}), got {len(parameters)}"
        )
    return family


def _scalars(family: Precision, parameters: tuple[Any, ...]) -> list[TensorVariable]:
    _check_precision()
    scalars = [_symbolic(*pair) for pair in zip(family.parameters, parameters, strict=True)]
    for name, value in zip(family.parameters, scalars, strict=True):
        if value.ndim:
            raise ValueError(f"`{name}` must be a scalar, got {value.ndim} dimensions")
    return scalars


def _mean(mean: Any, n: int) -> TensorVariable:
    mean = _symbolic("mean", mean)
    if mean.ndim > 1:
        raise ValueError(f"`mean` must be a scalar or have shape ({n},)")
    return pt.specify_shape(mean, (n,)) if mean.ndim else mean
