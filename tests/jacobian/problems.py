"""Functions whose sparse derivatives are known in closed form, of any size.

Optimization (Rosenbrock, ARWHEAD, DIXMAAN, EDENSCH, ENGVAL1), nonlinear equations (Broyden), differential
equations (Bratu, heat, Burgers, Brusselator), networks, meshes and bundle adjustment, written from their
formulas.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp


@dataclasses.dataclass(frozen=True)
class Problem:
    """A function of a vector of n numbers, and the pattern of its derivative.

    - `kind`: "jacobian" of a vector, or "hessian" of a scalar.
    - `pattern`: boolean, of shape (m, n); both triangles of a Hessian.
    - `colors`: the least number of columns (jacobian), or of star colors (hessian), where that is known.
    """

    name: str
    kind: Literal["jacobian", "hessian"]
    function: Callable[[Any], Any]
    pattern: sp.csc_array
    colors: int | None = None

    @property
    def n(self) -> int:
        return self.pattern.shape[1]

    @property
    def x(self) -> np.ndarray:
        """A point at which none of the entries is zero."""
        return 1 + 0.5 * np.random.default_rng(self.n).random(self.n)


def band(n: int, lower: int, upper: int) -> sp.csc_array:
    """Entries (i, j) with -lower <= j - i <= upper."""
    offsets = [k for k in range(-lower, upper + 1) if abs(k) < n]
    return _boolean(
        sp.diags_array([np.ones(n - abs(k)) for k in offsets], offsets=offsets, shape=(n, n))
    )


def ring(n: int) -> sp.csc_array:
    """Every position with its neighbors, the last beside the first."""
    shift = sp.csr_array((np.ones(n), (np.arange(n), (np.arange(n) + 1) % n)), (n, n))
    return _boolean(sp.eye_array(n) + shift + shift.T)


def grid(side: int, line: sp.csc_array) -> sp.csc_array:
    """The neighbors on a line, in both directions."""
    eye = sp.eye_array(side)
    return _boolean(sp.kron(eye, line) + sp.kron(line, eye))


def _boolean(matrix: Any) -> sp.csc_array:
    return sp.csc_array(matrix != 0, dtype=bool)


# -- scalars to minimize


def rosenbrock(n: int = 30) -> Problem:
    def f(x):
        return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return Problem("Rosenbrock", "hessian", f, band(n, 1, 1), 3)


def arrowhead(n: int = 30) -> Problem:
    def f(x):
        return jnp.sum((x[:-1] ** 2 + x[-1] ** 2) ** 2 - 4 * x[:-1] + 3)

    end = np.arange(n) == n - 1
    pattern = _boolean(sp.eye_array(n) + sp.csc_array(end[:, None] | end))
    return Problem("ARWHEAD", "hessian", f, pattern, 2)


def dixmaan(letter: str, m: int = 10) -> Problem:
    """Of n = 3 m variables; those of these letters differ in their coefficients."""
    alpha, beta, gamma, delta, powers = {
        "A": (1.0, 0.0, 0.125, 0.125, (0, 0, 0, 0)),
        "B": (1.0, 0.0625, 0.0625, 0.0625, (0, 0, 0, 1)),
        "E": (1.0, 0.0, 0.125, 0.125, (1, 0, 0, 1)),
        "I": (1.0, 0.0, 0.125, 0.125, (2, 0, 0, 2)),
    }[letter]
    n = 3 * m
    scale = np.arange(1, n + 1) / n
    first, second, third, fourth = (scale**k for k in powers)

    def f(x):
        total = 1 + jnp.sum(alpha * x**2 * first)
        if beta:
            total += jnp.sum(beta * x[:-1] ** 2 * (x[1:] + x[1:] ** 2) ** 2 * second[:-1])
        total += jnp.sum(gamma * x[: 2 * m] ** 2 * x[m:] ** 4 * third[: 2 * m])
        return total + jnp.sum(delta * x[:m] * x[2 * m :] * fourth[:m])

    offsets = [0, m, 2 * m, *([1] if beta else [])]
    upper = sp.diags_array([np.ones(n - k) for k in offsets], offsets=offsets, shape=(n, n))
    return Problem(f"DIXMAAN{letter}", "hessian", f, _boolean(upper + upper.T))


def edensch(n: int = 30) -> Problem:
    def f(x):
        a, b = x[:-1], x[1:]
        return 16 + jnp.sum((a - 2) ** 4 + (a * b - 2 * b) ** 2 + (b + 1) ** 2)

    return Problem("EDENSCH", "hessian", f, band(n, 1, 1), 3)


def engval(n: int = 30) -> Problem:
    def f(x):
        return jnp.sum((x[:-1] ** 2 + x[1:] ** 2) ** 2 - 4 * x[:-1] + 3)

    return Problem("ENGVAL1", "hessian", f, band(n, 1, 1), 3)


def bratu_energy(side: int = 9) -> Problem:
    """The energy whose gradient is the equation of Bratu."""

    def f(x):
        u = jnp.pad(x.reshape(side, side), 1)
        rise = jnp.sum(jnp.diff(u, axis=0) ** 2) + jnp.sum(jnp.diff(u, axis=1) ** 2)
        return 0.5 * rise - jnp.sum(jnp.exp(x)) / side**2

    return Problem("Bratu, energy", "hessian", f, grid(side, band(side, 1, 1)))


# -- equations


def broyden_tridiagonal(n: int = 30) -> Problem:
    def f(x):
        left, right = jnp.pad(x[:-1], (1, 0)), jnp.pad(x[1:], (0, 1))
        return (3 - 2 * x) * x - left - 2 * right + 1

    return Problem("Broyden, tridiagonal", "jacobian", f, band(n, 1, 1), 3)


def broyden_banded(n: int = 30) -> Problem:
    def f(x):
        others = x * (1 + x)
        padded = jnp.pad(others, (5, 1))
        near = sum(padded[5 + k : 5 + k + n] for k in range(-5, 2) if k != 0)
        return x * (2 + 5 * x**2) + 1 - near

    return Problem("Broyden, banded", "jacobian", f, band(n, 5, 1), 7)


def bratu(side: int = 10) -> Problem:
    def f(x):
        u = jnp.pad(x.reshape(side, side), 1)
        near = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
        return (4 * u[1:-1, 1:-1] - near).ravel() - jnp.exp(x) / (side + 1) ** 2

    return Problem("Bratu", "jacobian", f, grid(side, band(side, 1, 1)), 5)


def heat(n: int = 30) -> Problem:
    def f(u):
        padded = jnp.pad(u, 1)
        return (1 + u**2) * (padded[2:] - 2 * u + padded[:-2])

    return Problem("heat", "jacobian", f, band(n, 1, 1), 3)


def burgers(n: int = 30) -> Problem:
    def f(u):
        left, right = jnp.roll(u, 1), jnp.roll(u, -1)
        return 0.1 * (right - 2 * u + left) - u * (right - left)

    return Problem("Burgers", "jacobian", f, ring(n), 3 if n % 3 == 0 else 4)


def brusselator(side: int = 8) -> Problem:
    """Two species on a periodic grid, one after the other."""

    def f(y):
        u, v = y.reshape(2, side, side)

        def laplacian(a):
            return sum(jnp.roll(a, s, axis) for s in (1, -1) for axis in (0, 1)) - 4 * a

        reaction = u**2 * v
        du = 1 + reaction - 4.4 * u + 0.1 * laplacian(u)
        return jnp.stack([du, 3.4 * u - reaction + 0.1 * laplacian(v)]).ravel()

    eye = sp.eye_array(side**2)
    near = grid(side, ring(side))
    is_power = side & (side - 1) == 0
    colors = 6 if side % 6 == 0 else 8 if is_power else None
    pattern = _boolean(sp.block_array([[near, eye], [eye, near]]))
    return Problem("Brusselator", "jacobian", f, pattern, colors)


def heat_steps(n: int = 120, steps: int = 20) -> Problem:
    """Steps of an explicit scheme, each of which reaches one position further."""

    def step(u, _):
        padded = jnp.pad(u, 1)
        return u + 0.1 * (1 + u**2) * (padded[2:] - 2 * u + padded[:-2]), None

    return Problem(
        f"heat, {steps} steps",
        "jacobian",
        lambda u: jax.lax.scan(step, u, None, length=steps)[0],
        band(n, steps, steps),
        2 * steps + 1,
    )


# -- networks, meshes, observations


def network(batch: int = 6, width: int = 5) -> Problem:
    """Two dense layers, on each of a batch by itself."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(width, 2 * width)), rng.normal(size=(2 * width, 3))

    def f(x):
        return (jax.nn.softmax(jnp.tanh(x.reshape(batch, width) @ first) @ second)).ravel()

    pattern = _boolean(sp.kron(sp.eye_array(batch), np.ones((3, width))))
    return Problem("network", "jacobian", f, pattern, width)


def chain(n: int = 30) -> Problem:
    """Springs between neighbors, which are gathered and scattered."""
    left, right = np.arange(n - 1), np.arange(1, n)

    def f(x):
        force = jnp.sin(x[right] - x[left])
        return jnp.zeros_like(x).at[left].add(force).at[right].add(-force)

    return Problem("chain", "jacobian", f, band(n, 1, 1), 3)


def finite_volumes(side: int = 10) -> Problem:
    """Fluxes through the edges of a grid of cells, which are given by their cells."""
    cell = np.arange(side**2).reshape(side, side)
    first = np.concatenate([cell[:, :-1].ravel(), cell[:-1].ravel()])
    second = np.concatenate([cell[:, 1:].ravel(), cell[1:].ravel()])

    def f(u):
        a, b = u[first], u[second]
        flux = (a**2 + b**2) * (b - a)
        return jnp.zeros_like(u).at[first].add(flux).at[second].add(-flux)

    return Problem("finite volumes", "jacobian", f, grid(side, band(side, 1, 1)), 5)


def bundle_adjustment(cameras: int = 5, points: int = 12, seen_by: int = 3) -> Problem:
    """Where a camera (a rotation w, a translation t) sees a point p: (q_0, q_1) / q_2, q = p + w x p + t.

    The first of both depends on w, t_0, t_2 and p, the second on w, t_1, t_2 and p.
    """
    point = np.repeat(np.arange(points), seen_by)
    camera = (point + np.tile(np.arange(seen_by), points)) % cameras

    def f(x):
        w, t = x[: 6 * cameras].reshape(cameras, 2, 3).transpose(1, 0, 2)
        p = x[6 * cameras :].reshape(points, 3)[point]
        q = p + jnp.cross(w[camera], p) + t[camera]
        return (q[:, :2] / q[:, 2:]).ravel()

    rows, columns = [], []
    for k in (0, 1):
        read = np.stack([6 * camera + a for a in (0, 1, 2, 3 + k, 5)], 1)
        read = np.concatenate([read, 6 * cameras + 3 * point[:, None] + np.arange(3)], 1)
        rows.append(np.repeat(2 * np.arange(point.size) + k, read.shape[1]))
        columns.append(read.ravel())
    shape = (2 * point.size, 6 * cameras + 3 * points)
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    pattern = sp.csc_array((np.ones(rows.size, bool), (rows, columns)), shape)
    return Problem("bundle adjustment", "jacobian", f, pattern)


HESSIANS = [
    rosenbrock(),
    arrowhead(),
    *(dixmaan(letter) for letter in "ABEI"),
    edensch(),
    engval(),
    bratu_energy(),
]
JACOBIANS = [
    broyden_tridiagonal(),
    broyden_banded(),
    bratu(),
    heat(),
    burgers(),
    brusselator(),
    brusselator(6),
    heat_steps(),
    network(),
    chain(),
    finite_volumes(),
    bundle_adjustment(),
]
PROBLEMS = [*JACOBIANS, *HESSIANS]
