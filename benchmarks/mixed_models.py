"""Linear mixed models: evaluations of the criterion and whole fits, beside lme4; a million observations.

    python -m benchmarks.mixed_models                      # InstEval and a million simulated observations
    python -m benchmarks.mixed_models --observations 0     # InstEval alone
    python -m benchmarks.mixed_models --threads 2

The data of InstEval are those of the examples; lme4's times are medians of CPU time on one thread of a 2-core
AMD EPYC virtual machine. A fit is everything, from the formula to
the conditional modes; warm means that a model of the same pattern has been fitted before.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read once, when NumPy loads BLAS

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from benchmarks import machine
from benchmarks.peak import high_water
from elimax.stats import LinearMixedFit, lmm
from elimax.stats.mixed.lmm import evaluate, evaluate_with_gradient

INSTEVAL = Path(__file__).parents[1] / "examples" / "data" / "insteval.csv.gz"
FORMULAS = {  # with milliseconds of lme4's evaluation and seconds of its fit
    "y ~ 1 + (1 | s) + (1 | d)": (26, 1.6),
    "y ~ 1 + service + (1 | s) + (1 | d) + (1 | dept)": (36, 4.1),
    "y ~ 1 + service + (1 | s) + (1 | d) + (1 | dept:service)": (34, 3.9),
}
SIMULATED = "y ~ 1 + x + (1 | person) + (1 | item)"


def simulated(n: int, persons: int, items: int, seed: int = 0) -> pd.DataFrame:
    """Crossed effects with standard deviations 0.5 and 0.8 beside residuals of 1; slope 2, intercept 1."""
    rng = np.random.default_rng(seed)
    person = np.concatenate([np.arange(persons), rng.integers(0, persons, n - persons)])
    item = np.concatenate([np.arange(items), rng.integers(0, items, n - items)])
    x = rng.normal(size=n)
    effects = 0.5 * rng.normal(size=persons)[person] + 0.8 * rng.normal(size=items)[item]
    y = 1 + 2 * x + effects + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "person": person, "item": item})


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    start = time.process_time(), time.perf_counter()
    jax.block_until_ready(call())
    return time.process_time() - start[0], time.perf_counter() - start[1]


def evaluations(fit: LinearMixedFit, calls: int) -> tuple[float, float]:
    """Median CPU milliseconds of a value, and of a value with its gradient, at ever new parameters."""
    medians = []
    for function in (evaluate, evaluate_with_gradient):
        seconds = []
        for call in range(calls + 1):
            with jax.enable_x64(True):
                theta = jnp.asarray(fit.estimates.theta * (1 + 1e-3 * call))
                seconds.append(
                    timed(lambda f=function, t=theta: f(fit.model, t, fit.reml))[0]  # type: ignore[misc]
                )
        medians.append(1e3 * statistics.median(seconds[1:]))  # the first may compile
    return medians[0], medians[1]


def insteval(calls: int) -> None:
    """The three models of InstEval, beside lme4."""
    data = pd.read_csv(INSTEVAL)
    print(
        "InstEval (CPU)       value      ratio  and gradient  ratio   fit, warm   ratio  evaluations"
    )
    for formula, (lme4_value, lme4_fit) in FORMULAS.items():
        fit = lmm(formula, data)
        value, gradient = evaluations(fit, calls)
        seconds = statistics.median(timed(lambda f=formula: lmm(f, data))[0] for _ in range(3))  # type: ignore[misc]
        print(f"  {formula}")
        print(
            f"                 {value:6.1f} ms {value / lme4_value:9.2f}  {gradient:9.1f} ms "
            f"{gradient / lme4_value:6.2f}  {seconds:8.2f} s {seconds / lme4_fit:7.2f}  {fit.evaluations:6}"
        )


def large(n: int, persons: int, items: int) -> LinearMixedFit:
    """One simulated model, from a data frame to the conditional modes, compilation included."""
    data = simulated(n, persons, items)
    before = high_water()
    fits: list[LinearMixedFit] = []
    cpu, wall = timed(lambda: fits.append(lmm(SIMULATED, data)))
    warm_cpu, warm_wall = timed(lambda: lmm(SIMULATED, data))
    peak = (high_water() - before) / 2**20
    (fit,) = fits
    print(f"{n:,} observations, {persons:,} x {items:,} levels: {SIMULATED}")
    print(
        f"  {fit.evaluations} evaluations, {cpu:.1f} s CPU, {wall:.1f} s wall, compilation included;",
        end="",
    )
    print(
        f" again {warm_cpu:.1f} s CPU, {warm_wall:.1f} s wall; peak memory {peak:,.0f} MiB above the data's"
    )
    value, gradient = evaluations(fit, 5)
    print(f"  value {value:.0f} ms, and gradient {gradient:.0f} ms CPU")
    sds = ", ".join(f"{sd:.4f}" for sd in fit.variance_components["sdcor"])
    print(f"  standard deviations {sds} (true: 0.5, 0.8, 1); converged: {fit.converged}")
    return fit


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mixed_models", description=__doc__)
    parser.add_argument("--threads", type=int, default=1, help="cores, and threads")
    parser.add_argument("--calls", type=int, default=30, help="of which medians are taken")
    parser.add_argument("--observations", type=int, default=1_000_000, help="0: none simulated")
    parser.add_argument("--levels", type=int, nargs=2, default=(50_000, 2_000))
    options = parser.parse_args()
    machine.confine(options.threads)
    print(machine.description(options.threads))
    if options.observations:
        large(options.observations, *options.levels)
    insteval(options.calls)


if __name__ == "__main__":
    main()
