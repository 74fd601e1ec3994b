"""Nonlinear least squares with sparse Jacobians: bundle adjustment by optimistix.

    python examples/bundle_adjustment.py --size 10000

Finds the cameras and points of pde/bundle.py from simulated pictures by the Gauss-Newton and the
Levenberg-Marquardt method, whose steps are sparse least-squares problems; shows their progress and how far
the estimates are from the truth; differentiates an estimate with respect to the pictures by the implicit
function theorem, and compares with a difference quotient; and measures time and memory beside the dense
default of optimistix, at a size where the dense one still fits. It exits with status 1 if a method does not
reach what the noise of the pictures predicts, or if the derivatives do not agree.
"""

from __future__ import annotations

import sys
from typing import Any

try:
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optimistix as optx

    import elimax as ex
    from pde import bundle, measuring
    from pde.bundle import Pictures, World
except ImportError as error:
    sys.exit(
        f"examples/bundle_adjustment.py needs the package {error.name!r}: pip install '.[examples]' from the "
        "root of the repository, and then this script again."
    )

METHODS = {"Gauss-Newton": optx.GaussNewton, "Levenberg-Marquardt": optx.LevenbergMarquardt}
TOLERANCE = 1e-8

# What is measured at full size, and at the size where the dense default fits: "method, linear solver".
FULL = tuple(f"{method}, sparse" for method in METHODS)
FULL_DENSE = tuple(f"{method}, {kind}" for method in METHODS for kind in ("sparse", "dense"))
QUICK, QUICK_DENSE = ("Levenberg-Marquardt, sparse",), ("Levenberg-Marquardt, dense",)


def problem(points: int) -> tuple[World, World, Pictures]:
    """The truth, where to start, and the pictures; a camera for every hundred points, but ten at least."""
    truth, pictures = bundle.simulate(max(10, points // 100), points)
    return truth, bundle.disturbed(truth), pictures


def solver(method: str, P: ex.Pattern | None, **options: Any) -> Any:
    """With the pattern of the Jacobian, sparse; with None, optimistix's default."""
    if P is not None:
        # Levenberg-Marquardt passes no tags on: the solver has to know the pattern.
        options["linear_solver"] = ex.SparseLSTSQ(pattern=P)
    return METHODS[method](rtol=TOLERANCE, atol=TOLERANCE, **options)


def adjust(start: World, pictures: Pictures, solver: Any, **options: Any) -> optx.Solution:
    return optx.least_squares(bundle.residuals, solver, start, pictures, throw=False, **options)


def loss(world: World, pictures: Pictures) -> jax.Array:
    return jnp.sum(bundle.residuals(world, pictures) ** 2) / 2


# --- what is measured ------------------------------------------------------------------------------


def variant(name: str, points: int) -> measuring.Measured:
    """Compiles and runs "method, kind" for a number of points, in this process."""
    method, kind = name.split(", ")
    _, start, pictures = problem(points)
    P = bundle.pattern(start, pictures) if kind == "sparse" else None

    def run(start, seen):
        seeing = pictures._replace(seen=seen)
        solution = adjust(start, seeing, solver(method, P))
        return loss(solution.value, seeing), solution.stats["num_steps"]

    base = measuring.peak()
    program, compile_seconds = measuring.compiled(run, start, pictures.seen)
    (result, steps), seconds = measuring.timed(program, start, pictures.seen)
    return measuring.Measured(
        name,
        f"{len(start.cameras)} + {points}",
        start.cameras.size + start.points.size,
        int(steps),
        compile_seconds,
        seconds,
        measuring.peak(),
        base,
        float(result),
    )


# --- what is shown ---------------------------------------------------------------------------------


def show(method: str, truth: World, start: World, pictures: Pictures) -> bool:
    """Adjusts with reports of its progress; whether the loss is what the noise predicts."""
    P = bundle.pattern(start, pictures)

    def progress(num_steps, loss_this_step, **_):
        jax.debug.callback(_print_step, num_steps[1], loss_this_step[1])

    solution = adjust(start, pictures, solver(method, P, verbose=progress))
    reached, (rows, columns) = float(loss(solution.value, pictures)), P.shape
    # Twice the loss is distributed as chi square with this many degrees of freedom.
    freedom = rows - columns
    deviation = (2 * reached - freedom) / np.sqrt(2 * freedom)
    distance = np.sqrt(np.mean((solution.value.points - truth.points) ** 2))
    print(f"  {method}: {solution.stats['num_steps']} steps, loss {reached:.3f}, ", end="")
    print(f"{deviation:+.2f} standard deviations from what the noise predicts;")
    print(
        f"  the points are {distance:.1e} from the truth, they were {_distance(start, truth):.1e}\n"
    )
    return solution.result == optx.RESULTS.successful and abs(deviation) < 5


def _print_step(step: Any, value: Any) -> None:
    print(f"  step {int(step):3d}   loss {float(value):16.6f}", flush=True)


def _distance(a: World, b: World) -> float:
    return float(np.sqrt(np.mean((a.points - b.points) ** 2)))


def check_derivative(points: int) -> bool:
    """The derivative of a focal length with respect to all pictures, along a random direction.

    At the minimum, the gradient J^T r of the loss vanishes. Its Jacobian has the pattern of J^T J, not that
    of the least-squares problems: the solver of the adjoint needs its own. It takes a product for each color,
    which are as many as the points that one camera sees: this is for problems of moderate size.
    """
    _, start, pictures = problem(points)
    P = bundle.pattern(start, pictures)
    adjoint = optx.ImplicitAdjoint(linear_solver=ex.SparseLU(pattern=P.transpose()[0].product(P)))

    @jax.jit
    @jax.value_and_grad
    def focal(seen):
        seeing = pictures._replace(seen=seen)
        method = solver("Levenberg-Marquardt", P)
        return adjust(start, seeing, method, adjoint=adjoint).value.cameras[-1, 6]

    direction = bundle.NOISE * np.random.default_rng(2).normal(size=pictures.seen.shape)
    h = 1e-2
    (above, _), (_, gradient), (below, _) = (
        focal(pictures.seen + step * direction) for step in (h, 0, -h)
    )
    derivative, quotient = jnp.sum(gradient * direction), (above - below) / (2 * h)
    print(f"  with {points} points, d focal length / d pictures: {derivative:.8e}, ", end="")
    print(f"difference quotient {quotient:.8e}")
    return bool(abs(derivative - quotient) < 1e-3 * abs(quotient))


def main(argv: list[str] | None = None) -> int:
    parser = measuring.parser(
        "Adjust cameras and points to pictures by sparse least squares.", "points", 10_000, 600
    )
    arguments = parser.parse_args(argv)
    jax.config.update("jax_enable_x64", True)
    if arguments.only:
        measuring.report(variant(arguments.only, arguments.size))
        return 0
    size, dense_size = (60, 20) if arguments.quick else (arguments.size, arguments.dense_size)
    truth, start, pictures = problem(size)
    print(f"{len(truth.cameras)} cameras, {size} points, {len(pictures.camera)} observations")
    print(f"  Jacobian: {bundle.pattern(start, pictures)}\n")
    fine = all([show(method, truth, start, pictures) for method in METHODS])
    agree = check_derivative(min(size, 200))
    names, dense_names = (QUICK, QUICK_DENSE) if arguments.quick else (FULL, FULL_DENSE)
    table = measuring.side_by_side(__file__, (names, size), (dense_names, dense_size), "loss")
    print(f"\n{table}")
    if not fine:
        print("A method has not reached what the noise predicts.")
    if not agree:
        print("The derivatives do not agree.")
    return 0 if fine and agree else 1


if __name__ == "__main__":
    sys.exit(main())
