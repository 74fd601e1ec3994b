"""Patterns as they are found, and the nonzeros of dense derivatives that they must hold."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elimax._jacobian.sparsity.linear_pattern import linear_pattern

N = 12
SEED = 2
POINTS = 4
_QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@dataclasses.dataclass(frozen=True)
class Case:
    """A function of a vector of N numbers.

    - `exact`: whether the pattern of its Jacobian is that of the nonzeros, or may hold more.
    - `gradient`: the same for the Jacobian of the gradient of sum(sin(f)), None if that does not exist.
    - `holomorphic`: whether complex numbers have the same pattern.
    """

    f: Callable[[Any], Any]
    exact: bool = True
    gradient: bool | None = True
    holomorphic: bool = False


def pattern_of(f, n=N, dtype=jnp.float64) -> np.ndarray | None:
    """That of the Jacobian of f, wherever it is taken: x is traced."""
    found = []

    def trace(x):
        found.append(linear_pattern(lambda t: jax.jvp(f, (x,), (t,))[1], n, dtype))
        return x

    jax.make_jaxpr(trace)(jax.ShapeDtypeStruct((n,), dtype))
    return None if found[0] is None else found[0].to_scipy().toarray()


def local_pattern_of(f, x) -> np.ndarray | None:
    """That of the Jacobian of f at x."""
    found = linear_pattern(lambda t: jax.jvp(f, (x,), (t,))[1], x.size, x.dtype)
    return None if found is None else found.to_scipy().toarray()


def transposed_pattern_of(f, n=N) -> np.ndarray:
    """That of the Jacobian of f, from its vector-Jacobian product."""
    found = []

    def trace(x):
        y, pullback = jax.vjp(f, x)
        found.append(linear_pattern(lambda ct: pullback(ct)[0], y.size, y.dtype))
        return x

    jax.make_jaxpr(trace)(jax.ShapeDtypeStruct((n,), jnp.float64))
    return found[0].to_scipy().toarray().T


def points(n=N, dtype=np.float64) -> np.ndarray:
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(POINTS, n))
    return x + 1j * rng.normal(size=(POINTS, n)) if np.issubdtype(dtype, np.complexfloating) else x


def nonzeros(f, n=N, dtype=np.float64) -> np.ndarray:
    """Where the dense Jacobian is not zero at one of a few points, in one of the directions of each input."""
    directions = jnp.eye(n, dtype=dtype)
    if np.issubdtype(dtype, np.complexfloating):
        directions = jnp.concatenate([directions, 1j * directions])

    def rows(x):  # one after the other, as not all functions can be batched
        return jax.lax.map(lambda t: jax.jvp(f, (x,), (t,))[1], directions)

    J = jax.jit(lambda x: jax.lax.map(rows, x), compiler_options=_QUICK)(points(n, dtype))
    return np.any(np.reshape(np.asarray(J) != 0, (-1, n, J.shape[-1])), 0).T


def gradient_of(f):
    """Second derivatives have whatever the first ones have, and more."""
    return jax.grad(lambda x: jnp.sum(jnp.sin(f(x))))


def check(f, exact: bool, dtype=np.float64) -> None:
    """The pattern holds all nonzeros, and no more if it is exact."""
    compare(pattern_of(f, dtype=dtype), nonzeros(f, dtype=dtype), exact)


def compare(found: np.ndarray, needed: np.ndarray, exact: bool) -> None:
    assert found.shape == needed.shape
    assert not (needed & ~found).any()
    if exact:
        assert np.array_equal(found, needed)
