"""Fits linear mixed models to three classic data sets and compares the results with lme4's.

    python examples/mixed_model.py --help

The models are fitted by `elimax.stats.lmm`, the data described in data/README.md. For every fit the script
shows the optimizer at work, prints the estimates beside lme4's, and takes the time of one evaluation; it
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
    import matplotlib.pyplot as plt
    import numpy as np

    from elimax.stats import LinearMixedFit, lmm
    from elimax.stats.mixed.lmm import evaluate, evaluate_with_gradient
    from lmm import plots
    from lmm.datasets import PROBLEMS, REFERENCE, Problem
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
    for name, problem in PROBLEMS.items():
        if arguments.data in ("all", name.split("-")[0]):
            agree &= _demonstrate(problem, arguments)
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
    print(f"\n{problem.name}: {problem.formula}")
    agree, latest = True, None
    for reml in (False, True) if arguments.reml is None else (arguments.reml,):
        reference = problem.reference(reml)
        if reference is None and arguments.reml is None:
            continue
        shown: list[str] = []
        start = time.perf_counter()
        fit = lmm(
            problem.formula,
            problem.data,
            reml,
            report=lambda *step, to=shown: to.append(_step(*step)),
        )
        seconds = time.perf_counter() - start
        if latest is None:
            print(_sizes(fit))
        latest = fit
        print(f"\n  {'REML' if reml else 'ML'}", *shown, sep="\n")
        print(f"  {fit.evaluations} evaluations, {seconds:.2f} s with compilation\n")
        if reference is None:
            print(alone(fit))
        else:
            lines = comparison(fit, reference)
            agree &= all(line.agrees for line in lines)
            print(table(lines))
        print(_timing(fit, reference))
    if not arguments.no_plots and latest is not None and problem.name in PICTURED:
        _draw(problem, latest, arguments.output)
    return agree


def _sizes(fit: LinearMixedFit) -> str:
    model = fit.model
    return (
        f"  {fit.n_observations:,} observations, {model.p} fixed and {model.q:,} random effects; "
        f"nnz(Lambda^T Z^T Z Lambda + I) = {model.system.nnz:,}"
    )


def _step(method: str, iteration: int, value: float, norm: float) -> str:
    return f"  {method:>8} {iteration:3d}   {value:18.8f}   |gradient| {norm:8.1e}"


def _timing(fit: LinearMixedFit, reference: dict | None) -> str:
    """Medians over calls with ever new parameters, which no cache can answer."""

    def median(function, calls: int = 30) -> str:
        cpu, wall = [], []
        for call in range(calls + 1):
            theta = jnp.asarray(fit.estimates.theta * (1 + 1e-3 * call))
            start = time.process_time(), time.perf_counter()
            jax.block_until_ready(function(fit.model, theta, fit.reml))
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


def _draw(problem: Problem, fit: LinearMixedFit, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    which = PICTURED[problem.name]
    noun = problem.nouns[which]
    drawn = [folder / f"{problem.name}_{noun}s.png"]
    figure = fit.plot_random_effects(
        fit.design.terms[which].group, noun, f"effect on the {problem.effect}"
    )
    figure.savefig(drawn[0], dpi=plots.DPI)
    plt.close(figure)
    if len(problem.nouns) > 1:
        drawn.append(folder / f"{problem.name}_factor.png")
        orderings = {
            f"{problem.nouns[-1]}s first": np.arange(fit.model.q)[::-1],
            f"{problem.nouns[0]}s first": "natural",
            "fill-reducing ordering": fit.model.symbolic.permutation,
        }
        plots.sparsity(fit.model.system, orderings, problem.formula, drawn[1])
    print(f"\n  drawn: {', '.join(map(str, drawn))}")


if __name__ == "__main__":
    sys.exit(main())
