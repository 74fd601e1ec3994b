"""Laplace approximations beside RTMB's: a value and its gradient, by themselves.

    python -m benchmarks.laplace [--models germany,meuse,lattice200] [--repeat 7]

Each model runs in a process of its own, on one core (the largest also on two), at the peer's optimum, once
from the prior mean and once from the mode; the peer's figures, which start from the last mode, come with the
data. Times are the least of several calls, in CPU seconds on one core and in seconds on two. Memory is the
most that the process has had, compilation included.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from tests.helpers import SHARED
from tests.stats import references

from benchmarks import machine
from benchmarks.peak import high_water
from benchmarks.tables import aligned
from elimax.stats import LatentGaussianModel, laplace

SIDES = {"lattice50": 50, "lattice100": 100, "lattice200": 200, "lattice316": 316}
REAL = ("germany", "meuse", "leukaemia", "pcod")
# Seconds of the peer's fn and gr, and megabytes; None where no peer was measured.
PEERS: dict[str, tuple[float, float | None] | None] = {
    "germany": (0.0019 + 0.0025, None),
    "meuse": (0.0076 + 0.0176, None),
    "leukaemia": (0.0229 + 0.0354, None),
    "pcod": (0.0178 + 0.0302, None),
    "lattice50": (0.011 + 0.018, 289.0),
    "lattice100": (0.062 + 0.138, 470.0),
    "lattice200": (0.426 + 1.269, 1139.0),
    "lattice316": None,
}
TARGETS = {"germany": 1.0, "meuse": 1.0, "leukaemia": 1.0, "lattice200": 0.25}


def model_of(name: str) -> tuple[LatentGaussianModel, np.ndarray]:
    """A model, and the hyperparameters to evaluate it at."""
    if name in REAL:
        reference = getattr(references, name)(SHARED)
        return reference.model, reference.theta
    side = SIDES[name]
    x, y = np.meshgrid(np.linspace(0, 9, side), np.linspace(0, 7, side))
    rate = np.exp(0.5 + np.sin(x) * np.cos(y))
    counts = np.random.default_rng(0).poisson(rate.ravel()).astype(float)
    return references.lattice_model(side, counts), np.array([0.49, -1.2, 1.27])


def least(call: Callable[[], object], clock: Callable[[], float], repeat: int) -> float:
    """The least time of several calls, results awaited."""
    times = []
    for _ in range(repeat):
        start = clock()
        jax.block_until_ready(call())
        times.append(clock() - start)
    return min(times)


def measure(name: str, cores: int, repeat: int) -> dict[str, float]:
    """In this process: seconds to compile, of a value with its gradient (cold, warm), of a value; memory."""
    machine.confine(cores)
    jax.config.update("jax_enable_x64", True)
    model, at = model_of(name)
    theta = jnp.asarray(at)

    def criterion(theta, start):
        result = laplace(model, theta, start)
        return -result.log_marginal, (result.mode, result.record)

    start = jnp.zeros(jax.eval_shape(model.at, theta).field.n)
    began = time.perf_counter()
    both = jax.jit(jax.value_and_grad(criterion, has_aux=True))
    (_, (mode, record)), _ = jax.block_until_ready(both(theta, start))
    compiled = time.perf_counter() - began
    memory = high_water() / 2**20
    value = jax.jit(criterion)
    jax.block_until_ready(value(theta, mode))
    clock = time.process_time if cores == 1 else time.perf_counter
    return {
        "n": float(start.size),
        "iterations": float(record.iterations),
        "compile": compiled,
        "cold": least(lambda: both(theta, start), clock, repeat),
        "warm": least(lambda: both(theta, mode), clock, repeat),
        "value": least(lambda: value(theta, mode), clock, repeat),
        "memory": memory,
    }


def apart(name: str, cores: int, repeat: int) -> dict[str, float]:
    """As `measure`, in a process of its own that has so many cores."""
    command = [sys.executable, "-m", "benchmarks.laplace", "--here", name]
    command += ["--cores", str(cores), "--repeat", str(repeat)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


def row(name: str, cores: int, found: dict[str, float]) -> list[str]:
    """One line of the table."""
    peer = PEERS[name] if cores == 1 else None
    ratios, memory = ["", ""], ""
    if peer is not None:
        ratios = [f"{found[start] / peer[0]:.2f}" for start in ("cold", "warm")]
        memory = "" if peer[1] is None else f"{found['memory'] / peer[1]:.2f}"
    milliseconds = [f"{1e3 * found[key]:.1f}" for key in ("cold", "warm", "value")]
    return [
        name,
        f"{found['n']:.0f}",
        str(cores),
        f"{found['iterations']:.0f}",
        *milliseconds,
        "" if peer is None else f"{1e3 * peer[0]:.1f}",
        *ratios,
        f"{TARGETS[name]:.2f}" if name in TARGETS and cores == 1 else "",
        f"{found['memory']:.0f}",
        memory,
        f"{found['compile']:.1f}",
    ]


HEAD = (
    "model,latents,cores,iterations,cold ms,warm ms,value ms,RTMB ms,cold x,warm x,target,"
    "MB,MB x,compile s"
).split(",")


def main() -> int:
    """Measures the models, prints the table; 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.laplace", description=__doc__)
    names = list(PEERS) if SHARED is not None else list(SIDES)
    parser.add_argument("--models", type=lambda text: text.split(","), default=names)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--here", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--cores", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.here, options.cores, options.repeat)))
        return 0
    rows, missed = [], []
    for name in options.models:
        for cores in (1, 2) if name == "lattice316" else (1,):
            found = apart(name, cores, options.repeat)
            rows.append(row(name, cores, found))
            peer = PEERS[name]
            if name in TARGETS and peer is not None and found["warm"] > TARGETS[name] * peer[0]:
                missed.append(name)
    print(f"{machine.description(1)}\n\n{aligned([HEAD, *rows])}\n")
    print(f"missed: {', '.join(missed)}" if missed else "all targets reached")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
