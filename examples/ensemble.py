"""An ensemble of Gaussian Markov random fields, split over processes: likelihoods, scores, information.

    python examples/ensemble.py --processes 2

A Matern field on a grid has the precision Q = tau^2 K^2 with K = kappa^2 I + G, where G is the Laplacian of
the grid (Lindgren, Rue, Lindstroem, JRSS-B 73 (2011), with alpha = 2). The script simulates many such fields,
x = K^-1 z / tau, and evaluates for each of them the log-likelihood of theta = (log kappa, log tau),

    log p(x; theta) = log det K + n log tau - tau^2 |K x|^2 / 2 - n log(2 pi) / 2,

its gradient (the score) and its negative Hessian (the information), all at the truth. One step of Newton's
method from there gives an estimate per field. The ensemble then tells what theory promises: scores of mean
zero, whose covariance is the mean information, and estimates that scatter as its inverse says.

Each process holds its share of the fields and computes on that alone; they meet once, in the means over the
ensemble. The processes may run on different machines: start the script on each with the same --coordinator
and its own --process-id.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import elimax as ex

TRUTH = np.log([0.3, 2.0])  # of kappa and tau: correlation reaches sqrt(8) / kappa = 9.4 nodes
NAMES = ("log kappa", "log tau")


# --- the model, for one field ----------------------------------------------------------------------


def laplacian(side: int) -> ex.SymmetricMatrix:
    path = sp.diags_array([-1.0, 2.0, -1.0], offsets=(-1, 0, 1), shape=(side, side)).tolil()
    path[0, 0] = path[-1, -1] = 1.0  # no flow across the boundary
    return ex.SymmetricMatrix.from_scipy(sp.csc_array(sp.kronsum(path, path)))


def operator(G: ex.SymmetricMatrix, theta: jax.Array) -> ex.SymmetricMatrix:
    """K = kappa^2 I + G, on the pattern of G."""
    diagonal = ex.SymmetricMatrix.eye(G.shape[0]).on_pattern(G.pattern)
    return G.with_values(jnp.exp(2 * theta[0]) * diagonal.values + G.values)


def simulate(G: ex.SymmetricMatrix, theta: jax.Array, key: jax.Array) -> jax.Array:
    z = jax.random.normal(key, G.shape[:1], G.dtype)
    return ex.cholesky(operator(G, theta), throw=False).solve(z) / jnp.exp(theta[1])


def log_likelihood(theta: jax.Array, G: ex.SymmetricMatrix, x: jax.Array) -> jax.Array:
    # A failure would be NaN, in its own field: an error would leave the other processes waiting.
    K, n = operator(G, theta), G.shape[0]
    distance = jnp.sum((jnp.exp(theta[1]) * (K @ x)) ** 2)
    return (
        ex.cholesky(K, throw=False).logdet()
        + n * theta[1]
        - (distance + n * jnp.log(2 * jnp.pi)) / 2
    )


class Evaluation(NamedTuple):
    log_likelihood: Any
    score: Any
    information: Any
    estimate: Any


def evaluate(G: ex.SymmetricMatrix, seed: jax.Array) -> Evaluation:
    """Simulates a field and evaluates its likelihood at the truth."""
    x = simulate(G, jnp.asarray(TRUTH), jax.random.key(seed))
    value, score = jax.value_and_grad(log_likelihood)(jnp.asarray(TRUTH), G, x)
    information = -jax.hessian(log_likelihood)(jnp.asarray(TRUTH), G, x)
    return Evaluation(value, score, information, TRUTH + jnp.linalg.solve(information, score))


# --- the ensemble ----------------------------------------------------------------------------------


class Summary(NamedTuple):
    score: Any  # mean, and its standard error
    score_error: Any
    covariance: Any  # of the scores
    information: Any  # mean
    mean: Any  # of the estimates, and their standard deviation
    deviation: Any


def summarize(e: Evaluation) -> Summary:
    members = len(e.score)
    covariance = jnp.cov(e.score.T)
    error = jnp.sqrt(jnp.diag(covariance) / members)
    information = jnp.mean(e.information, axis=0)
    mean, deviation = jnp.mean(e.estimate, axis=0), jnp.std(e.estimate, axis=0, ddof=1)
    return Summary(jnp.mean(e.score, axis=0), error, covariance, information, mean, deviation)


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """The result, and the seconds of a second call, which does not compile."""
    jax.block_until_ready(function(*arguments))
    start = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return result, time.perf_counter() - start


def run(side: int, members: int) -> bool:
    """Evaluates the ensemble on all devices of all processes; whether one process alone agrees."""
    process, processes = jax.process_index(), jax.process_count()
    if members % jax.device_count():
        raise SystemExit(
            f"--members {members} must be a multiple of the {jax.device_count()} devices"
        )
    G, seeds = laplacian(side), np.arange(members)
    ensemble = jax.vmap(evaluate, (None, 0))

    # All that makes it parallel: seeds that lie on different devices. Everything follows them.
    mesh = jax.make_mesh((jax.device_count(),), ("fields",), axis_types=(AxisType.Auto,))
    on_all = NamedSharding(mesh, PartitionSpec("fields"))
    everywhere = NamedSharding(mesh, PartitionSpec())
    sharded = jax.make_array_from_callback(seeds.shape, on_all, lambda part: seeds[part])
    evaluation, seconds = timed(jax.jit(ensemble, out_shardings=on_all), G, sharded)

    for part in evaluation.log_likelihood.addressable_shards:
        first, last, _ = part.index[0].indices(members)
        print(
            f"process {process}: fields {first} to {last - 1}, log-likelihoods from "
            f"{part.data.min():.1f} to {part.data.max():.1f}; {1e3 * seconds:.0f} ms",
            flush=True,
        )
    summary = jax.jit(summarize, out_shardings=everywhere)(evaluation)  # the one meeting
    if process != 0:
        return True
    show(summary)
    if processes == 1:
        return True
    alone, seconds_alone = timed(jax.jit(ensemble), G, seeds)
    agreement = max(
        float(np.max(np.abs(a - b) / np.max(np.abs(b))))
        for a, b in zip(summary, summarize(alone), strict=True)
    )
    print(
        f"\n  {processes} processes {1e3 * seconds:.0f} ms, one alone {1e3 * seconds_alone:.0f} ms"
    )
    print(f"  largest relative difference between their results {agreement:.1e}")
    return agreement < 1e-9


def show(s: Summary) -> None:
    standard_error = np.sqrt(np.diag(np.linalg.inv(s.information)))
    print(f"\n  {'':24}{NAMES[0]:>12}{NAMES[1]:>12}")
    for name, row in {
        "truth": TRUTH,
        "mean of the estimates": s.mean,
        "their standard deviation": s.deviation,
        "  ... from information": standard_error,
        "mean score, in errors": s.score / s.score_error,
        "variance of the score": np.diag(s.covariance),
        "mean information": np.diag(s.information),
    }.items():
        print(f"  {name:24}{row[0]:12.4f}{row[1]:12.4f}")


# --- processes -------------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.processes < 1:
        parser.error(f"--processes must be at least 1, got {arguments.processes}")
    if arguments.members < 2:
        parser.error(
            f"--members must be at least 2, to tell how they scatter; got {arguments.members}"
        )
    if arguments.members % arguments.processes:
        parser.error("--members must be a multiple of --processes")
    if (arguments.process_id is None) != (arguments.coordinator is None):
        parser.error(
            "--process-id and --coordinator go together, the same --coordinator everywhere"
        )
    jax.config.update("jax_enable_x64", True)
    if arguments.processes == 1 and arguments.process_id is None:
        return 0 if run(arguments.side, arguments.members) else 1
    others = []
    if arguments.process_id is None:
        arguments.coordinator, arguments.process_id = f"127.0.0.1:{_free_port()}", 0
        others = [_start(arguments, i) for i in range(1, arguments.processes)]
    try:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(arguments.coordinator, arguments.processes, arguments.process_id)
        agree = run(arguments.side, arguments.members)
        jax.distributed.shutdown()
        return 0 if agree and not any(other.wait() for other in others) else 1
    finally:
        for other in others:
            other.kill()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Evaluate the likelihoods of many Gaussian Markov random fields in several processes."
    )
    parser.add_argument("--processes", type=int, default=1, help="how many (default: 1)")
    parser.add_argument("--members", type=int, default=64, help="fields (default: 64)")
    parser.add_argument("--side", type=int, default=64, help="nodes along a side (default: 64)")
    machines = parser.add_argument_group("on several machines")
    machines.add_argument("--process-id", type=int, help="which process this is, from 0")
    machines.add_argument("--coordinator", metavar="HOST:PORT", help="where process 0 listens")
    return parser


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _start(arguments: argparse.Namespace, process_id: int) -> subprocess.Popen:
    options = {**vars(arguments), "process_id": process_id}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return subprocess.Popen([sys.executable, __file__, *flags])


if __name__ == "__main__":
    sys.exit(main())
