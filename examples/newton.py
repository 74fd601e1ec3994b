"""Newton's method with sparse Jacobians: the Bratu problem by optimistix.

    python examples/newton.py --size 300

Solves the problem of pde/bratu.py by Newton's method and by the chord method, and shows their iterations;
differentiates the mean of the solution with respect to lambda by the implicit function theorem, in both
modes, and compares with a difference quotient; and measures time and memory beside the dense default of
optimistix, at a size where the dense one still fits. It exits with status 1 if the derivatives do not agree.
"""

from __future__ import annotations

import sys
from typing import Any

try:
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import lineax as lx
    import optimistix as optx

    import elimax as ex
    from pde import bratu, measuring
except ImportError as error:
    sys.exit(
        f"examples/newton.py needs the package {error.name!r}: pip install '.[examples]' from the root of "
        "the repository, and then this script again."
    )

LAMBDA = 6.0  # solutions exist up to 6.808
TOLERANCE = 1e-10

# What is measured at full size, and at the size where the dense default fits: "method, linear solver".
FULL = ("newton, LU", "newton, Cholesky", "chord, LU", "newton gradient, LU")
FULL_DENSE = tuple(
    f"{method}, {kind}"
    for method in ("newton", "chord", "newton gradient")
    for kind in ("LU", "dense")
)
QUICK, QUICK_DENSE = ("newton, LU",), ("newton, dense",)


def root_finder(method: str, linear_solver: lx.AbstractLinearSolver) -> Any:
    kind = {"newton": optx.Newton, "chord": optx.Chord}[method]
    return kind(rtol=TOLERANCE, atol=TOLERANCE, linear_solver=linear_solver)


def solve(
    lam: Any, size: int, method: str, linear_solver: lx.AbstractLinearSolver, tags: Any = ()
) -> optx.Solution:
    return optx.root_find(
        bratu.residual,
        root_finder(method, linear_solver),
        bratu.start(size),
        lam,
        tags=frozenset(tags),
        # Without this, derivatives would be dense.
        adjoint=optx.ImplicitAdjoint(linear_solver=linear_solver),
    )


# --- what is measured ------------------------------------------------------------------------------


def _settings(kind: str, size: int) -> tuple[lx.AbstractLinearSolver, tuple[object, ...]]:
    """The linear solver, and what is told about the Jacobian by tags."""
    if kind == "dense":
        return lx.AutoLinearSolver(well_posed=None), ()
    P = bratu.pattern(size)
    if kind == "Cholesky":
        return ex.SparseCholesky(), (P, lx.positive_semidefinite_tag)
    return ex.SparseLU(pattern=P), ()


def variant(name: str, size: int) -> measuring.Measured:
    """Compiles and runs "method, kind" at a size, in this process."""
    method, kind = name.split(", ")
    linear_solver, tags = _settings(kind, size)

    def run(lam):
        solution = solve(lam, size, method.removesuffix(" gradient"), linear_solver, tags)
        return bratu.mean(solution.value), solution.stats["num_steps"]

    if method.endswith("gradient"):
        run = jax.grad(run, has_aux=True)

    base, lam = measuring.peak(), jnp.float64(LAMBDA)
    program, compile_seconds = measuring.compiled(run, lam)
    (result, steps), seconds = measuring.timed(program, lam)
    return measuring.Measured(
        name,
        f"{size} x {size}",
        size**2,
        int(steps),
        compile_seconds,
        seconds,
        measuring.peak(),
        base,
        float(result),
    )


# --- what is shown ---------------------------------------------------------------------------------


def show_iterations(method: str, size: int) -> None:
    """One step after the other, by the methods that optimistix's loop calls."""
    solver = root_finder(method, ex.SparseLU(pattern=bratu.pattern(size)))

    def fn(u, lam):
        return bratu.residual(u, lam), None

    u, none = bratu.start(size), frozenset[object]()
    state = solver.init(fn, u, LAMBDA, {}, jax.eval_shape(lambda: u), None, none)
    step = eqx.filter_jit(lambda u, state: solver.step(fn, u, LAMBDA, {}, state, none))
    terminate = eqx.filter_jit(lambda u, state: solver.terminate(fn, u, LAMBDA, {}, state, none))
    for iteration in range(1, 100):
        u, state, _ = step(u, state)
        left = jnp.max(jnp.abs(bratu.residual(u, LAMBDA)))
        moved = jnp.max(jnp.abs(state.diff))
        print(f"  {method:>8} {iteration:3d}   |residual| {left:8.1e}   |step| {moved:8.1e}")
        if terminate(u, state)[0]:
            break


def check_derivative(size: int) -> bool:
    """d mean(u) / d lambda in both modes, beside a difference quotient."""
    linear_solver = ex.SparseLU(pattern=bratu.pattern(size))
    mean = jax.jit(lambda lam: bratu.mean(solve(lam, size, "newton", linear_solver).value))
    h = 1e-5
    quotient = (mean(LAMBDA + h) - mean(LAMBDA - h)) / (2 * h)
    reverse, forward = jax.grad(mean)(LAMBDA), jax.jvp(mean, (LAMBDA,), (1.0,))[1]
    print(f"  d mean(u) / d lambda: reverse mode {reverse:.10f}, forward mode {forward:.10f}")
    print(f"  {'difference quotient':>33} {quotient:.10f}")
    return bool(abs(reverse - quotient) < 1e-6 and abs(reverse - forward) < 1e-12)


def main(argv: list[str] | None = None) -> int:
    parser = measuring.parser(
        "Solve the Bratu problem by Newton's method with sparse Jacobians.",
        "points along a side",
        300,
        88,
    )
    arguments = parser.parse_args(argv)
    # Newton's method cannot reach 1e-10 in JAX's default precision.
    jax.config.update("jax_enable_x64", True)
    if arguments.only:
        measuring.report(variant(arguments.only, arguments.size))
        return 0
    size, dense_size = (24, 12) if arguments.quick else (arguments.size, arguments.dense_size)
    print(f"Bratu problem, {size} x {size} points, lambda = {LAMBDA}: {bratu.pattern(size)}\n")
    for method in ("newton", "chord"):
        show_iterations(method, size)
        print()
    agree = check_derivative(size)
    names, dense_names = (QUICK, QUICK_DENSE) if arguments.quick else (FULL, FULL_DENSE)
    table = measuring.side_by_side(
        __file__, (names, size), (dense_names, dense_size), "mean of u, or its derivative"
    )
    print(f"\n{table}")
    if not agree:
        print("The derivatives do not agree.")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
