"""Implicit Runge-Kutta methods with sparse Jacobians: a stiff Brusselator by diffrax.

    python examples/stiff_ode.py --size 128

Integrates the problem of pde/brusselator.py with Kvaerno's methods, whose stages are found by the chord
method with sparse factorizations, and draws what becomes of it; differentiates through the steps, and
compares with a difference quotient; and measures time and memory beside the dense default of diffrax, at a
size where the dense one still fits. It exits with status 1 if the derivatives do not agree.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

try:
    import diffrax as dfx
    import jax
    import jax.numpy as jnp
    import lineax as lx
    import matplotlib
    import matplotlib.pyplot as plt
    import numpy as np

    import elimax as ex
    from pde import brusselator, measuring
    from pde.adjoint import SparseKvaerno5
except ImportError as error:
    sys.exit(
        f"examples/stiff_ode.py needs the package {error.name!r}: pip install '.[examples]' from the root of "
        "the repository, and then this script again."
    )

matplotlib.use("Agg")

METHODS = {"Kvaerno3": dfx.Kvaerno3, "Kvaerno5": dfx.Kvaerno5}
TOLERANCE = 1e-4

# What is measured at full size, and at the size where the dense default fits: "method, linear solver".
FULL = ("Kvaerno5, LU", "Kvaerno3, LU")
FULL_DENSE = tuple(f"{method}, {kind}" for method in METHODS for kind in ("LU", "dense"))
QUICK, QUICK_DENSE = ("Kvaerno3, LU",), ("Kvaerno3, dense",)


def linear_solver(kind: str, size: int) -> lx.AbstractLinearSolver:
    if kind == "dense":
        return lx.AutoLinearSolver(well_posed=None)
    # diffrax passes no tags on: the solver has to know the pattern.
    return ex.SparseLU(pattern=brusselator.pattern(size))


def solver(method: str, linear: lx.AbstractLinearSolver) -> Any:
    finder = dfx.VeryChord(rtol=TOLERANCE, atol=TOLERANCE, linear_solver=linear)
    return METHODS[method](root_finder=finder)


def integrate(alpha: Any, size: int, solver: Any, **options: Any) -> dfx.Solution:
    """From 0 to the end; the steps meet the time at which the heat begins."""
    controller = dfx.PIDController(rtol=TOLERANCE, atol=TOLERANCE, pcoeff=0.3, icoeff=0.3)
    options.setdefault("t1", brusselator.END)
    return dfx.diffeqsolve(
        dfx.ODETerm(brusselator.vector_field),
        solver,
        t0=0.0,
        dt0=1e-4,
        y0=brusselator.start(size),
        args=alpha,
        stepsize_controller=dfx.ClipStepSizeController(controller, jump_ts=[brusselator.IGNITION]),
        max_steps=10_000,
        **options,
    )


def _states(solution: dfx.Solution) -> jax.Array:
    """One for each time that was asked for: u and v."""
    assert solution.ys is not None
    return solution.ys


# --- what is measured ------------------------------------------------------------------------------


def variant(name: str, size: int) -> measuring.Measured:
    """Compiles and runs "method, kind" at a size, in this process."""
    method, kind = name.split(", ")

    def run(alpha):
        solution = integrate(alpha, size, solver(method, linear_solver(kind, size)))
        return jnp.mean(_states(solution)[-1, 0]), solution.stats["num_steps"]

    base, alpha = measuring.peak(), jnp.float64(brusselator.ALPHA)
    program, compile_seconds = measuring.compiled(run, alpha)
    (result, steps), seconds = measuring.timed(program, alpha)
    return measuring.Measured(
        name,
        f"{size} x {size}",
        2 * size**2,
        int(steps),
        compile_seconds,
        seconds,
        measuring.peak(),
        base,
        float(result),
    )


# --- what is shown ---------------------------------------------------------------------------------


def show(method: str, size: int, path: Path) -> None:
    """Integrates with reports of its progress, and draws u at four times."""
    times = [0.0, 1.1, 3.0, brusselator.END]
    solution = integrate(
        brusselator.ALPHA,
        size,
        solver(method, linear_solver("LU", size)),
        saveat=dfx.SaveAt(ts=times),
        progress_meter=dfx.TextProgressMeter(minimum_increase=0.1),
    )
    accepted, rejected = (solution.stats[f"num_{kind}_steps"] for kind in ("accepted", "rejected"))
    print(f"  {method}: {accepted} steps, {rejected} more were rejected")
    states = np.asarray(_states(solution))
    for t, (u, v) in zip(times, states, strict=True):
        print(
            f"  t = {t:4.1f}   u from {u.min():.4f} to {u.max():.4f}   v from {v.min():.4f} to {v.max():.4f}"
        )
    draw(times, states[:, 0], path)
    print(f"  drawn: {path}")


def draw(times: list[float], u: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    style: dict[Any, Any] = {
        "font.size": 8,
        "axes.linewidth": 0.6,
        "figure.constrained_layout.use": True,
        "savefig.dpi": 300,
    }
    with plt.rc_context(style):
        figure, axes = plt.subplots(1, len(times), figsize=(7.1, 2.1), sharey=True)
        for ax, t, field in zip(axes, times, u, strict=True):
            # The first axis of the array is x.
            image = ax.imshow(field.T, origin="lower", extent=(0, 1, 0, 1), cmap="cividis")
            bar = figure.colorbar(image, ax=ax, location="bottom", shrink=0.9)
            bar.ax.locator_params(nbins=3)
            ax.set_title(f"$u$ at $t = {t:g}$", fontsize=8.5)
            ax.set_xlabel("$x$")
            ax.set_xticks([0, 0.5, 1])
            ax.set_yticks([0, 0.5, 1])
        axes[0].set_ylabel("$y$")
        figure.savefig(path)
        plt.close(figure)


def check_derivative(size: int) -> bool:
    """d var(u) / d alpha through 50 steps of constant size, beside a difference quotient."""
    linear = linear_solver("LU", size)
    finder = dfx.VeryChord(rtol=1e-6, atol=1e-6, linear_solver=linear)

    @jax.jit
    @jax.value_and_grad
    def variance(alpha):
        solution = dfx.diffeqsolve(
            dfx.ODETerm(brusselator.vector_field),
            SparseKvaerno5(root_finder=finder, linear_solver=linear),
            t0=0.0,
            t1=0.025,
            dt0=5e-4,
            y0=brusselator.start(size),
            args=alpha,
        )
        return jnp.var(_states(solution)[-1, 0])

    h, alpha = 1e-5, brusselator.ALPHA
    (above, _), (_, derivative), (below, _) = map(variance, (alpha + h, alpha, alpha - h))
    quotient = (above - below) / (2 * h)
    print(f"  d var(u) / d alpha after 50 steps on {size} x {size} points: {derivative:.9f}")
    print(
        f"  {'difference quotient':>{len('d var(u) / d alpha after 50 steps on')}} {quotient:.9f}"
    )
    return bool(abs(derivative - quotient) < 1e-5 * abs(quotient))


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    jax.config.update("jax_enable_x64", True)
    if arguments.only:
        measuring.report(variant(arguments.only, arguments.size))
        return 0
    size, dense_size = (16, 6) if arguments.quick else (arguments.size, arguments.dense_size)
    method, names, dense_names = (
        ("Kvaerno3", QUICK, QUICK_DENSE) if arguments.quick else ("Kvaerno5", FULL, FULL_DENSE)
    )
    print(f"Brusselator, {size} x {size} points: {brusselator.pattern(size)}\n")
    show(method, size, arguments.output / "brusselator.png")
    print()
    agree = check_derivative(min(size, 32))
    table = measuring.side_by_side(
        __file__, (names, size), (dense_names, dense_size), "mean of u at the end"
    )
    print(f"\n{table}")
    if not agree:
        print("The derivatives do not agree.")
    return 0 if agree else 1


def _parser() -> argparse.ArgumentParser:
    made = measuring.parser(
        "Integrate a stiff Brusselator by implicit methods with sparse Jacobians.",
        "points along a side",
        128,
        28,
    )
    made.add_argument(
        "--output", type=Path, default=Path("output"), metavar="DIR", help="where the picture goes"
    )
    return made


if __name__ == "__main__":
    sys.exit(main())
