"""Sparse Jacobians and Hessians, beside asdex: pattern and coloring, then evaluation, in one run.

    pip install asdex
    python -m benchmarks.jacobians

Of each case: how many colors, the time of detection and coloring together (processor time of one thread,
minimum over a few repetitions: nothing is remembered between them), and that of an evaluation (jitted calls
on changing values that take turns), after the matrices were compared. Where asdex is not installed, we are
alone.
"""

import argparse
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import elimax as ex
from benchmarks import machine
from benchmarks.pivoting import Call, take_turns

try:
    import asdex
except ImportError:
    asdex = None

Function = Callable[[jax.Array], jax.Array]


def brusselator(size: int) -> Function:
    """Two species on a torus of size x size points, interleaved."""

    def f(w: jax.Array) -> jax.Array:
        u, v = w.reshape(size, size, 2)[..., 0], w.reshape(size, size, 2)[..., 1]

        def laplace(a: jax.Array) -> jax.Array:
            around = jnp.roll(a, 1, 0) + jnp.roll(a, -1, 0) + jnp.roll(a, 1, 1) + jnp.roll(a, -1, 1)
            return (around - 4 * a) * size**2

        du = 1 + u * u * v - 4.4 * u + 0.1 * laplace(u)
        dv = 3.4 * u - u * u * v + 0.1 * laplace(v)
        return jnp.stack([du, dv], -1).reshape(-1)

    return f


def heat(x: jax.Array) -> jax.Array:
    padded = jnp.pad(x, 1)
    return padded[:-2] - 2 * x + padded[2:] + 0.1 * x**3


def burgers(x: jax.Array) -> jax.Array:
    left, right = jnp.roll(x, 1), jnp.roll(x, -1)
    return 0.1 * (left - 2 * x + right) - x * (right - left)


def steps(x: jax.Array) -> jax.Array:
    """Twenty steps of the heat equation in a scan."""
    return jax.lax.scan(lambda u, _: (u + 0.1 * heat(u), None), x, None, length=20)[0]


def rosenbrock(x: jax.Array) -> jax.Array:
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def arrow(x: jax.Array) -> jax.Array:
    return jnp.sum(jnp.cos(x[0] * x[1:])) + jnp.sum(x**4)


def bordered(x: jax.Array) -> jax.Array:
    """An arrow: one dense row, one dense column, the diagonal."""
    return (x**2).at[0].set(jnp.sum(jnp.sin(x))) + x[0] * jnp.ones_like(x)


def chain(x: jax.Array) -> jax.Array:
    """Gathers and scatters: the force of a chain of springs."""
    n = x.size
    i, j = np.arange(n - 1), np.arange(1, n)
    force = jnp.sin(x[j] - x[i])
    return jnp.zeros_like(x).at[i].add(force).at[j].add(-force)


def mesh(size: int) -> Function:
    """Finite volumes: fluxes through the faces of size x size cells, gathered and scattered."""
    index = np.arange(size * size).reshape(size, size)
    left = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    right = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])

    def f(x: jax.Array) -> jax.Array:
        flux = 0.5 * (x[left] + x[right]) * (x[left] - x[right])
        return jnp.zeros_like(x).at[left].add(-flux).at[right].add(flux)

    return f


@dataclass(frozen=True)
class Case:
    """A function of n variables, and how its Jacobian, or Hessian, is colored."""

    function: Function
    n: int
    kind: str = "column"

    @property
    def is_hessian(self) -> bool:
        return self.kind == "star"


CASES = {
    "Brusselator 32": Case(brusselator(32), 2 * 32**2),
    "Brusselator 96": Case(brusselator(96), 2 * 96**2),
    "Brusselator 128": Case(brusselator(128), 2 * 128**2),
    "Brusselator 256": Case(brusselator(256), 2 * 256**2),
    "heat 1e4": Case(heat, 10_000),
    "heat 1e5": Case(heat, 100_000),
    "Burgers 1e4": Case(burgers, 10_000),
    "Burgers 1e5": Case(burgers, 100_000),
    "20 steps in a scan": Case(steps, 2_000),
    "springs 1e4": Case(chain, 10_000),
    "mesh 128": Case(mesh(128), 128**2),
    "mesh 256": Case(mesh(256), 256**2),
    "bordered 4e3": Case(bordered, 4_000, "bidirectional"),
    "Rosenbrock, Hessian 1e4": Case(rosenbrock, 10_000, "star"),
    "Rosenbrock, Hessian 1e5": Case(rosenbrock, 100_000, "star"),
    "arrow, Hessian 1e4": Case(arrow, 10_000, "star"),
}
LARGE = {
    "heat 1e6": Case(heat, 1_000_000),
    "Burgers 1e6": Case(burgers, 1_000_000),
    "Brusselator 708": Case(brusselator(708), 2 * 708**2),
    "mesh 1000": Case(mesh(1000), 1_000_000),
    "Rosenbrock, Hessian 1e6": Case(rosenbrock, 1_000_000, "star"),
}


def prepare_elimax(case: Case, x: jax.Array) -> ex.Coloring:
    find = ex.hessian_pattern if case.is_hessian else ex.jacobian_pattern
    return ex.color(find(case.function, x, verify=False), case.kind)


def prepare_asdex(case: Case, x: jax.Array) -> Any:
    make = asdex.hessian_coloring if case.is_hessian else asdex.jacobian_coloring
    return make(case.function, x)


Derivatives = dict[str, Callable[[jax.Array], Any]]


def derivatives(case: Case, colorings: dict[str, Any]) -> Derivatives:
    """The sparse matrix of either library, as a function of the point."""
    make = ex.hessian if case.is_hessian else ex.jacobian
    found: Derivatives = {"elimax": make(case.function, coloring=colorings["elimax"])}
    if "asdex" in colorings:
        other = asdex.hessian_from_coloring if case.is_hessian else asdex.jacobian_from_coloring
        found["asdex"] = other(case.function, colorings["asdex"])
    return found


def check_agreement(name: str, found: Derivatives, x: jax.Array) -> None:
    """Raises an `ArithmeticError` if the matrices map a vector to different ones."""
    vector = jnp.cos(jnp.arange(x.size))
    products = {peer: np.asarray(jax.jit(f)(x) @ vector) for peer, f in found.items()}
    reference = products["elimax"]
    for peer, product in products.items():
        error = np.abs(product - reference).max() / np.abs(reference).max()
        if not error < 1e-4:
            raise ArithmeticError(f"{name}: {peer} differs from elimax by {error:.1e}")


def evaluations(found: Derivatives, x: jax.Array) -> dict[str, Call]:
    """Jitted evaluations of the values alone."""
    values = {
        "elimax": lambda x: found["elimax"](x).values,
        "asdex": lambda x: found["asdex"](x).data,
    }
    return {peer: Call(lambda s: x * s, jax.jit(values[peer])) for peer in found}


def timed(prepare: Callable[[], Any], repetitions: int) -> tuple[Any, float]:
    """What it returns, and the least processor time that it took."""
    seconds = []
    for _ in range(repetitions):
        ex.clear_structures()
        start = time.process_time()
        result = prepare()
        seconds.append(time.process_time() - start)
    return result, min(seconds)


def measure(
    cases: dict[str, Case], peers: Sequence[str], rounds: int, turn: float, repetitions: int
) -> dict[str, dict[str, float]]:
    """Seconds of an evaluation; prints a line for each case."""
    prepare = {"elimax": prepare_elimax, "asdex": prepare_asdex}
    print(f"{'':24}{'n':>10}{'colors':>14}{'preparation, s':>28}{'evaluation, ms':>28}")
    measured = {}
    for name, case in cases.items():
        x = jnp.linspace(0.5, 1.5, case.n)
        colorings, seconds = {}, {}
        for peer in peers:
            make = functools.partial(prepare[peer], case, x)
            colorings[peer], seconds[peer] = timed(make, repetitions)
        found = derivatives(case, colorings)
        check_agreement(name, found, x)
        measured[name] = take_turns(evaluations(found, x), rounds, turn)
        counts = "/".join(str(c.num_colors) for c in colorings.values())
        times = f"{_pair(seconds, 1):>28}{_pair(measured[name], 1e3):>28}"
        print(f"{name:24}{case.n:10,}{counts:>14}{times}", flush=True)
    return measured


def _pair(seconds: dict[str, float], unit: float) -> str:
    """Ours, theirs, and the ratio."""
    ours = f"{unit * seconds['elimax']:.3f}"
    if "asdex" not in seconds:
        return ours
    ratio = seconds["elimax"] / seconds["asdex"]
    return f"{ours} / {unit * seconds['asdex']:.3f} = {ratio:.3f}"


def main(arguments: list[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jacobians")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each library")
    parser.add_argument("--turn", type=float, default=0.1, help="seconds of a turn")
    parser.add_argument("--repetitions", type=int, default=3, help="of detection and coloring")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--large", action="store_true", help="a million unknowns, ours alone")
    chosen = parser.parse_args(arguments)
    machine.confine(1)
    print(machine.description(1))
    cases = {k: v for k, v in (LARGE if chosen.large else CASES).items() if chosen.only in k}
    peers = ["elimax"] if asdex is None or chosen.large else ["elimax", "asdex"]
    measure(cases, peers, chosen.rounds, chosen.turn, chosen.repetitions)


if __name__ == "__main__":
    main()
