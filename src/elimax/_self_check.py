"""What an installation computes, beside closed forms: a few seconds, no other package.

The matrix is T = I (x) B + B (x) I, B = tridiag(-1, 2, -1) of order k: the Laplacian on k x k points. Its
eigenvalues are b_i + b_j, b_i = 2 - 2 cos(pi i / (k + 1)), and its eigenvectors are products of sines; so
determinants, entries of the inverse and their derivatives are sums over all pairs (i, j).
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from elimax._factor import cholesky, ldl, lu
from elimax._jacobian import jacobian
from elimax._matrix import SymmetricMatrix, kron
from elimax.stats import Gaussian, LatentGaussianModel, laplace

K = 100


class Check(NamedTuple):
    """One line of the report: what was computed, its relative error, and how large that may be."""

    name: str
    error: float
    tolerance: float
    seconds: float

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance  # a NaN does not


def laplacian(k: int) -> SymmetricMatrix:
    """T, in the default floating point type."""
    line = SymmetricMatrix.diags([2 * jnp.ones(k), -jnp.ones(k - 1)], [0, -1])
    eye = SymmetricMatrix.eye(k)
    return SymmetricMatrix.from_general(kron(eye, line).to_general() + kron(line, eye).to_general())


def _eigenvalues(k: int) -> np.ndarray:
    b = 2 - 2 * np.cos(np.pi * np.arange(1, k + 1) / (k + 1))
    return b[:, None] + b


def _corner_of_inverse(k: int) -> float:
    """The entry of T^-1 at the first point: sum over (i, j) of v_i^2 v_j^2 / (b_i + b_j)."""
    v = np.sqrt(2 / (k + 1)) * np.sin(np.pi * np.arange(1, k + 1) / (k + 1))
    return float(np.sum(np.outer(v**2, v**2) / _eigenvalues(k)))


def self_check(k: int = K) -> Iterator[Check]:
    """The checks, one after the other; tolerances follow the default floating point type.

    **Cost:** two to five seconds, most of them to compile.
    """
    T = laplacian(k)
    b = jnp.linspace(-1, 1, k * k)
    values = _eigenvalues(k)
    middle = 1.001 * float(np.median(values))  # no eigenvalue

    def shifted(s) -> SymmetricMatrix:
        return T.with_values((T + s * SymmetricMatrix.eye(k * k)).values)

    def log_determinant(s):
        return cholesky(shifted(s)).logdet()

    def relative(got, expected) -> float:
        got, expected = np.asarray(got, float), np.asarray(expected, float)
        return float(np.linalg.norm(got - expected) / np.linalg.norm(expected))

    def residual(factorize, A) -> float:
        return relative(A @ factorize(A).solve(b), b)

    def inertia() -> float:
        positive, negative, _ = ldl(shifted(-middle)).inertia()
        return relative([positive, negative], [np.sum(values > middle), np.sum(values < middle)])

    def sparse_jacobian() -> float:
        return relative(jacobian(lambda x: T @ x + x**3)(b) @ b, T @ b + 3 * b**3)

    def laplace_approximation() -> float:
        """y = x + noise at the first eigenvector, x ~ N(0, T^-1): the approximation is exact."""
        sine = np.sqrt(2 / (k + 1)) * np.sin(np.pi * np.arange(1, k + 1) / (k + 1))
        model = LatentGaussianModel(T, None, Gaussian(), np.outer(sine, sine).ravel(), {"sd": 0.5})
        variances = 1 / values + 0.25  # of y, along the eigenvectors
        expected = -0.5 * (np.sum(np.log(2 * np.pi * variances)) + 1 / variances[0, 0])
        return relative(laplace(model, None).log_marginal, expected)

    computed: dict[str, Callable[[], float]] = {
        "Cholesky: log-determinant": lambda: relative(log_determinant(0.0), np.log(values).sum()),
        "... its gradient and second derivative": lambda: relative(
            [jax.grad(log_determinant)(0.0), jax.grad(jax.grad(log_determinant))(0.0)],
            [np.sum(1 / values), -np.sum(1 / values**2)],
        ),
        "... selected inverse": lambda: relative(
            cholesky(T).inverse_diagonal()[0], _corner_of_inverse(k)
        ),
        "... solution": lambda: residual(cholesky, T),
        "LDL: inertia": inertia,
        "LU: solution": lambda: residual(lu, T.to_general()),
        "sparse Jacobian": sparse_jacobian,
        "Laplace approximation": laplace_approximation,
    }
    eps = float(jnp.finfo(T.dtype).eps)
    for name, compute in computed.items():
        start = time.perf_counter()
        error = compute()
        # Condition numbers here are about k^2.
        yield Check(name, error, 4 * k**2 * eps, time.perf_counter() - start)
