"""Fits linear mixed models to three classic data sets and compares the results with lme4's.

    python examples/mixed_model.py --help

The models are described in lmm/model.py, the data in data/README.md. For every fit the script shows the
optimizer at work, prints the estimates beside lme4's, and takes the time of one evaluation; it
draws the fill-in of the Cholesky factor and the random effects with their intervals. It exits with
status 1 if an estimate is further from lme4's than it may be.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

try:
    import jax
    import jax.numpy as jnp
    import numpy as np

    from lmm import plots
    from lmm.datasets import PROBLEMS, REFERENCE, Problem
    from lmm.fitting import Fit, evaluate, evaluate_with_gradient, fit
    from lmm.model import MixedModel
    from lmm.report import alone, comparison, table
except ImportError as error:
    sys.exit(
        f"examples/mixed_model.py needs the package {error.name!r}. From the root of the "
        "repository run `make demo`, or `pip install '.[examples]'` and then this script again."
    )

# The data sets, and which of the terms of random effects to draw.
PICTURED = {"sleepstudy": 0, "penicillin": 0, "insteval": 1}


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    # float32, JAX's default, rounds a criterion near 240,000 to multiples of 1/64: too coarse to find
    # its minimum. lme4 computes in float64, too.
    jax.config.update("jax_enable_x64", True)
    agree = True
    for name, make in PROBLEMS.items():
        if arguments.data in ("all", name.split("-")[0]):
            agree &= _demonstrate(make(), arguments)
    print(f"\n[1] {REFERENCE['lme4']['timing']}")
    print("    On this machine, where R has lme4: Rscript examples/lme4_evaluation.R")
    if not agree:
        print("Some estimates are further from lme4's than they may be: look for BEYOND.")
    return 0 if agree else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Fit linear mixed models by sparse Cholesky factorization and compare with lme4."
    )
    parser.add_argument(
        "--data", choices=[*PICTURED, "all"], default="all", help="which data (default: all)"
    )
    criterion = parser.add_mutually_exclusive_group()
    criterion.add_argument(
        "--reml", dest="reml", action="store_const", const=True, help="restricted likelihood only"
    )
    criterion.add_argument(
        "--ml", dest="reml", action="store_const", const=False, help="maximum likelihood only"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("output"), metavar="DIR", help="where pictures go"
    )
    parser.add_argument("--no-plots", action="store_true", help="draw nothing")
    return parser


def _demonstrate(problem: Problem, arguments: argparse.Namespace) -> bool:
    """Fits by the criteria asked for, or by those that lme4's results are at hand for."""
    model = problem.model()
    print(f"\n{problem.name}: {problem.formula}")
    print(f"  {model.n:,} observations, {model.p} fixed and {model.q:,} random effects; ", end="")
    print(f"nnz(Lambda^T Z^T Z Lambda + I) = {model.system.nnz:,}")
    agree, latest = True, None
    for reml in (False, True) if arguments.reml is None else (arguments.reml,):
        reference = problem.reference(reml)
        if reference is None and arguments.reml is None:
            continue
        print(f"\n  {'REML' if reml else 'ML'}")
        start = time.perf_counter()
        latest = fit(model, reml, _show)
        seconds = time.perf_counter() - start
        print(f"  {latest.evaluations} evaluations, {seconds:.2f} s with compilation\n")
        if reference is None:
            print(alone(problem, latest))
        else:
            lines = comparison(problem, latest, reference)
            agree &= all(line.agrees for line in lines)
            print(table(lines))
        print(_timing(model, latest, reference))
    if not arguments.no_plots and latest is not None and problem.name in PICTURED:
        _draw(problem, model, latest, arguments.output)
    return agree


def _show(method: str, iteration: int, value: float, norm: float) -> None:
    print(f"  {method:>8} {iteration:3d}   {value:18.8f}   |gradient| {norm:8.1e}", flush=True)


def _timing(model: MixedModel, result: Fit, reference: dict | None) -> str:
    """Medians over calls with ever new parameters, which no cache can answer."""

    def median(function, calls: int = 30) -> str:
        cpu, wall = [], []
        for call in range(calls + 1):
            theta = jnp.asarray(result.theta * (1 + 1e-3 * call))
            start = time.process_time(), time.perf_counter()
            jax.block_until_ready(function(model, theta, reml=result.reml))
            cpu.append(1e3 * (time.process_time() - start[0]))
            wall.append(1e3 * (time.perf_counter() - start[1]))
        # The first call may compile.
        return (
            f"{statistics.median(cpu[1:]):8.2f} ms CPU, {statistics.median(wall[1:]):.2f} ms wall"
        )

    text = f"\n  one evaluation     {median(evaluate)}"
    if reference is not None and "evaluation_ms" in reference:
        text += f"; lme4: {reference['evaluation_ms']} ms CPU [1]"
    return text + f"\n  with its gradient  {median(evaluate_with_gradient)}"


def _draw(problem: Problem, model: MixedModel, result: Fit, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    which = PICTURED[problem.name]
    drawn = [folder / f"{problem.name}_{problem.nouns[which]}s.png"]
    plots.caterpillar(problem, result, which, drawn[0])
    if len(problem.terms) > 1:
        drawn.append(folder / f"{problem.name}_factor.png")
        orderings = {
            f"{problem.nouns[-1]}s first": np.arange(model.q)[::-1],
            f"{problem.nouns[0]}s first": "natural",
            "fill-reducing ordering": "auto",
        }
        plots.sparsity(model.system, orderings, problem.formula, drawn[1])
    print(f"\n  drawn: {', '.join(map(str, drawn))}")


if __name__ == "__main__":
    sys.exit(main())
