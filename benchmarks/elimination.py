"""Jacobians by vertex elimination next to `jax.jacfwd` and `jax.jacrev`.

The functions of the literature (`elimination_functions.py`), each for a batch under `vmap`, jitted: JAX's
two, and `ex.jacve` with four orders: of the program, reversed, by Markowitz's rule, and the best one that
`ex.elimination_order` finds. All of them take turns on values that change. Beside the times, the operations
of each order, and the seconds that tracing and compiling take for one point.
"""

import argparse
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

import elimax as ex
from benchmarks import machine
from benchmarks.elimination_functions import CASES, Case
from benchmarks.pivoting import Call, Calls, take_turns

BATCH = 100_000
OURS = ("fwd", "rev", "markowitz", "searched")
VARIANTS = ("jacfwd", "jacrev", *OURS)
Jacobian = Callable[..., Any]


def variants(case: Case, moves: int | None) -> tuple[dict[str, Jacobian], dict[str, int]]:
    """Functions of the arguments that return a Jacobian, and the multiplications of ours."""
    f, argnums = case.function, case.argnums
    args = case.arguments()
    orders: dict[str, Any] = {name: name for name in OURS[:3]}
    orders["searched"] = ex.elimination_order(f, *args, argnums=argnums, budget=moves)
    found = {"jacfwd": jax.jacfwd(f, argnums), "jacrev": jax.jacrev(f, argnums)}
    counts = {}
    for name, order in orders.items():
        found[name] = ex.jacve(f, order, argnums)
        counted = jax.jit(ex.jacve(f, order, argnums, count_ops=True))
        counts[name] = int(counted(*args)[1]["num_muls"])
    return found, counts


def batched_calls(case: Case, jacobians: dict[str, Jacobian], batch: int) -> Calls:
    """The Jacobians at points of a batch."""
    points = jax.vmap(lambda seed: case.arguments(seed, np.float32))(np.arange(batch))

    def prepare(factor: float) -> Any:
        return jax.block_until_ready([x * factor for x in points])

    def call(jacobian: Jacobian) -> Call:
        run = jax.jit(jax.vmap(jacobian))
        return Call(prepare, lambda args: run(*args))

    return {name: call(jacobian) for name, jacobian in jacobians.items()}


def check_agreement(name: str, calls: Calls) -> None:
    """Raises an `ArithmeticError` if two variants find different Jacobians."""
    answers = {
        variant: jax.tree.leaves(call.run(call.prepare(1.0))) for variant, call in calls.items()
    }
    for variant, leaves in answers.items():
        for mine, theirs in zip(leaves, answers["jacrev"], strict=True):
            error = np.abs(mine - theirs) / (1 + np.abs(theirs))
            if not np.quantile(error, 0.999) < 1e-3:  # single precision, and points near a kink
                raise ArithmeticError(f"{name}: {variant} differs from jacrev by {error.max():.1e}")


def compile_seconds(case: Case, jacobian: Jacobian, repeats: int = 3) -> float:
    """Of tracing, lowering and compiling for one point; the least of a few."""
    args = case.arguments(dtype=np.float32)
    found = []
    for _ in range(repeats):
        fresh = jax.jit(functools.partial(jacobian))
        start = time.perf_counter()
        fresh.lower(*args).compile()
        found.append(time.perf_counter() - start)
    return min(found)


def row(name: str, figures: Sequence[str]) -> str:
    return f"{name:<18}" + "".join(f"{figure:>12}" for figure in figures)


def measure(
    names: Sequence[str], batch: int, rounds: int, turn: float, moves: int | None
) -> dict[str, dict[str, float]]:
    """Prints three lines for each function; returns the seconds of a batch."""
    print(row(f"batch of {batch:,}", VARIANTS))
    times = {}
    for name in names:
        case = CASES[name]
        jacobians, counts = variants(case, moves)
        # a layer of a network is larger than a flux by as much as its Jacobian is
        size = max(1, batch // (1 if not any(case.shapes) else 100))
        calls = batched_calls(case, jacobians, size)
        check_agreement(name, calls)
        times[name] = take_turns(calls, rounds, turn)
        best = min(times[name]["jacfwd"], times[name]["jacrev"])
        compiled = {variant: compile_seconds(case, J) for variant, J in jacobians.items()}
        print(row(name, [f"{1e3 * times[name][v]:.2f} ms" for v in VARIANTS]))
        print(row(f"  {size:,} points", [f"{times[name][v] / best:.2f} x" for v in VARIANTS]))
        print(row("  compile", [f"{compiled[v]:.2f} s" for v in VARIANTS]))
        muls = ["", "", *(f"{counts[v]:,}" for v in OURS)]
        print(row("  multiplications", muls), flush=True)
    return times


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.elimination")
    parser.add_argument("--functions", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--batch", type=int, default=BATCH, help="points")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each variant")
    parser.add_argument("--turn", type=float, default=0.2, help="seconds of a turn")
    chosen = parser.parse_args(arguments)
    machine.confine(1)
    print(machine.description(1))
    measure(chosen.functions, chosen.batch, chosen.rounds, chosen.turn, None)


if __name__ == "__main__":
    main()
