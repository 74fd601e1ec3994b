"""Solving with Jacobians that are known by their products: lineax as it is, and with Elimax's solvers.

The cases of lineax's pull request 164, "diagonal primitives with no or a slow batching rule", and what
follows from it: functions whose Jacobians are diagonal (a sine; the sine of one half and the cosine of the
other; a sine on the host, evaluated one vector at a time), tridiagonal, or have five diagonals. Of each, one
linear solve and one root by optimistix's Newton method, for 20 to 40,000 unknowns:

- lineax: its default solver and an operator without tags, which is materialised densely; up to 2,000;
- lineax, tagged: the same with `diagonal_tag` or `tridiagonal_tag`; lineax has none for more diagonals;
- elimax, tagged: `AutoSparse` and the same tags;
- elimax: `AutoSparse(pattern=P)`, the tag being a pattern.

Jitted calls take turns, on values that change. A table is printed, a picture goes into output/.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import lineax as lx
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import optimistix as optx
from jax.typing import ArrayLike
from matplotlib.ticker import NullFormatter

import elimax as ex
from benchmarks import machine
from benchmarks.pivoting import Call, Calls, take_turns

SIZES = (20, 100, 500, 2_000, 10_000, 40_000)
DENSEST = 2_000
VARIANTS = ("lineax", "lineax, tagged", "elimax, tagged", "elimax")
Function = Callable[..., jax.Array]


@jax.custom_jvp
def host_sin(x: jax.Array) -> jax.Array:
    """The sine of a vector, by a call to NumPy that takes no batches."""
    return jax.pure_callback(np.sin, jax.typeof(x), x, vmap_method="sequential")


@host_sin.defjvp
def _(primals, tangents):
    (x,), (t,) = primals, tangents
    slope = jax.pure_callback(
        lambda x, t: np.cos(x) * t, jax.typeof(x), x, t, vmap_method="sequential"
    )
    return host_sin(x), slope


def sin(x: jax.Array, _: ArrayLike) -> jax.Array:
    return jnp.sin(x)


def halves(x: jax.Array, _: ArrayLike) -> jax.Array:
    half = x.size // 2
    return jnp.concatenate([jnp.sin(x[:half]), -jnp.cos(x[half:])])


def callback(x: jax.Array, _: ArrayLike) -> jax.Array:
    return host_sin(x)


def three(x: jax.Array, _: ArrayLike) -> jax.Array:
    padded = jnp.pad(x, 1)
    return 3 * jnp.sin(x) - padded[:-2] - 0.5 * padded[2:] ** 2


def five(x: jax.Array, _: ArrayLike) -> jax.Array:
    padded = jnp.pad(x, 2)
    return 5 * jnp.sin(x) - padded[:-4] - padded[1:-3] ** 2 - padded[3:-1] - 0.5 * padded[4:]


@dataclass(frozen=True)
class Case:
    """A function whose Jacobian has `reach` diagonals on either side, and lineax's tag for that."""

    function: Function
    reach: int
    tag: object | None


CASES = {
    "sin": Case(sin, 0, lx.diagonal_tag),
    "sin and cos halves": Case(halves, 0, lx.diagonal_tag),
    "sin on the host": Case(callback, 0, lx.diagonal_tag),
    "three diagonals": Case(three, 1, lx.tridiagonal_tag),
    "five diagonals": Case(five, 2, None),
}


Variant = tuple[lx.AbstractLinearSolver, frozenset[object]]


def options(case: Case, n: int) -> dict[str, Variant]:
    """Solver and tags of every variant that applies."""
    pattern = ex.Pattern.band((n, n), case.reach, case.reach)
    tags = frozenset() if case.tag is None else frozenset([case.tag])
    default = lx.AutoLinearSolver(well_posed=None)
    found: dict[str, Variant] = {}
    if n <= DENSEST:
        found["lineax"] = (default, frozenset())
    if case.tag is not None:
        found["lineax, tagged"] = (default, tags)
        found["elimax, tagged"] = (ex.AutoSparse(), tags)
    found["elimax"] = (ex.AutoSparse(pattern=pattern), frozenset())
    return found


def solve_calls(case: Case, n: int) -> Calls:
    """J(x)^-1 b, jitted."""
    b = jnp.cos(jnp.arange(float(n)))

    def call(solver: lx.AbstractLinearSolver, tags: frozenset[object]) -> Call:
        @jax.jit
        def run(x):
            operator = lx.JacobianLinearOperator(case.function, x, jnp.zeros(()), tags=tags)
            return lx.linear_solve(operator, b, solver, throw=False).value

        return Call(lambda s: 0.1 * s * jnp.ones(n), run)

    return {name: call(*variant) for name, variant in options(case, n).items()}


def root_calls(case: Case, n: int) -> Calls:
    """The x with f(x) = f(0.1), from 0, by Newton's method, jitted."""

    def call(solver: lx.AbstractLinearSolver, tags: frozenset[object]) -> Call:
        newton: optx.Newton = optx.Newton(rtol=1e-10, atol=1e-10, linear_solver=solver)

        @jax.jit
        def run(x):
            target = case.function(x, jnp.zeros(()))
            residual = lambda x, _: case.function(x, jnp.zeros(())) - target  # noqa: E731
            found: optx.Solution = optx.root_find(
                residual, newton, 0.8 * x, tags=tags, max_steps=20, throw=False
            )
            return found.value

        return Call(lambda s: 0.1 * s * jnp.ones(n), run)

    return {name: call(*variant) for name, variant in options(case, n).items()}


Times = dict[tuple[str, str], dict[str, list[float]]]
"""(case, task) -> variant -> seconds for each size, NaN where it was left out."""


def measure(sizes: tuple[int, ...], rounds: int, turn: float) -> Times:
    """Prints a line for each size."""
    times: Times = {}
    for name, case in CASES.items():
        for task, calls_of in (("solve", solve_calls), ("root", root_calls)):
            rows = times.setdefault((name, task), {variant: [] for variant in VARIANTS})
            print(f"\n{name}, {task} (milliseconds)")
            print(f"{'n':>8}" + "".join(f"{variant:>18}" for variant in VARIANTS))
            for n in sizes:
                calls = calls_of(case, n)
                check_agreement(name, calls)
                found = take_turns(calls, rounds, turn)
                for variant in VARIANTS:
                    rows[variant].append(found.get(variant, float("nan")))
                figures = (f"{1e3 * rows[v][-1]:.3f}" if v in found else "-" for v in VARIANTS)
                print(f"{n:8,}" + "".join(f"{figure:>18}" for figure in figures), flush=True)
    return times


def check_agreement(name: str, calls: Calls) -> None:
    """Raises an `ArithmeticError` if two variants find different solutions."""
    answers = {variant: np.asarray(call.run(call.prepare(1.0))) for variant, call in calls.items()}
    reference = answers["elimax"]
    for variant, answer in answers.items():
        error = np.abs(answer - reference).max() / np.abs(reference).max()
        if not error < 1e-8:
            raise ArithmeticError(f"{name}: {variant} differs from elimax by {error:.1e}")


def draw(sizes: tuple[int, ...], times: Times, path: Path) -> None:
    """Time against the number of unknowns, a panel for each case and task."""
    matplotlib.use("Agg")
    figure, panels = plt.subplots(2, len(CASES), figsize=(3.4 * len(CASES), 6), sharex=True)
    styles = dict(zip(VARIANTS, ("C3o-", "C1s--", "C0^-", "C2v:"), strict=True))
    for column, name in enumerate(CASES):
        for row, task in enumerate(("solve", "root")):
            axes = panels[row, column]
            for variant, seconds in times[name, task].items():
                axes.loglog(sizes, 1e3 * np.array(seconds), styles[variant], label=variant, ms=4)
            axes.set_title(f"{name}: {task}", fontsize=10)
            axes.grid(alpha=0.3)
            axes.xaxis.set_minor_formatter(NullFormatter())
        panels[1, column].set_xlabel("unknowns")
    for axes in panels[:, 0]:
        axes.set_ylabel("milliseconds")
    panels[0, 0].legend(fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Print the tables and draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.materialisation")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each variant")
    parser.add_argument("--turn", type=float, default=0.05, help="seconds of a turn")
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="unknowns at most")
    chosen = parser.parse_args(arguments)
    machine.confine(1)
    print(machine.description(1))
    jax.config.update("jax_enable_x64", True)
    sizes = tuple(n for n in SIZES if n <= chosen.largest)
    path = Path("output/materialisation.png")
    draw(sizes, measure(sizes, chosen.rounds, chosen.turn), path)
    print(f"\n{path}")


if __name__ == "__main__":
    main()
