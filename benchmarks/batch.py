"""A batch of 64 matrices on the 100 x 100 grid, beside one after the other.

Four ways to the same numbers: a Python loop over a jitted function, `jax.lax.map`, the same in chunks that
are batches of one element per thread, and `jax.vmap`. They take turns, so that the drift of a noisy machine
hits all alike; a figure is the median over the rounds.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import elimax as ex
from benchmarks import machine
from benchmarks.gallery import grid2d
from benchmarks.peak import peak

BATCH = 64


def operations(Q: ex.SymmetricMatrix) -> dict[str, Callable[[jax.Array], Any]]:
    """Functions of the values of one matrix."""

    def cholesky(v: jax.Array) -> ex.Cholesky:
        return ex.cholesky(Q.with_values(v), throw=False)

    def logdet(v: jax.Array) -> jax.Array:
        return cholesky(v).logdet()

    return {
        "factor": lambda v: cholesky(v).values,
        "factor, logdet": logdet,
        "factor, solve": lambda v: cholesky(v).solve(jnp.ones(Q.shape[0])),
        "logdet and gradient": jax.value_and_grad(logdet),
    }


def ways(
    one: Callable[[jax.Array], Any], batch: jax.Array, chunk: int
) -> dict[str, Callable[[], Any]]:
    """Calls that evaluate `one` for every row of the batch."""
    jitted = jax.jit(one)
    rows = list(batch)
    mapped = jax.jit(lambda batch: jax.lax.map(one, batch))
    chunks = jax.jit(lambda batch: jax.lax.map(one, batch, batch_size=chunk))
    batched = jax.jit(jax.vmap(one))
    return {
        "loop": lambda: [jitted(row) for row in rows],
        "lax.map": lambda: mapped(batch),
        "lax.map in chunks": lambda: chunks(batch),
        "vmap": lambda: batched(batch),
    }


def finish(call: Callable[[], Any]) -> Any:
    """The result of a call, when it is there."""
    return jax.block_until_ready(call())


def take_turns(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Milliseconds of each call: the median over rounds of its second run in a row."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            finish(call)
            start = time.perf_counter()
            finish(call)
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> None:
    """Print a line per operation."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=__doc__)
    parser.add_argument("--threads", type=int, default=2, help="cores, and threads of XLA")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each way")
    options = parser.parse_args()
    machine.confine(options.threads)
    print(machine.description(options.threads))
    jax.config.update("jax_enable_x64", True)

    Q = ex.SymmetricMatrix.from_scipy(grid2d(100))
    scale = np.random.default_rng(0).uniform(0.5, 2, (BATCH, 1))
    batch = jnp.asarray(scale * np.asarray(Q.values))
    symbolic = ex.analyze(Q)
    factors = BATCH * symbolic.factor_size * 8 / 2**20
    print(f"{BATCH} factors: {factors:.0f} MB. Milliseconds, and peak memory of vmap in MB.")
    for name, one in operations(Q).items():
        calls = ways(one, batch, options.threads)
        found = take_turns(calls, options.rounds)
        row = ", ".join(f"{way} {time:.1f}" for way, time in found.items())
        memory = peak(functools.partial(finish, calls["vmap"]))
        print(f"{name}: {row}; {memory / 2**20:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
