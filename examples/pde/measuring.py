"""Compile time, run time and peak memory of a variant, each measured in a process of its own."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax


class Measured(NamedTuple):
    """`memory` is the peak of the whole process, in bytes; `base` is what it was before compilation."""

    variant: str
    size: str
    unknowns: int
    steps: int
    compile: float
    run: float
    memory: int
    base: int
    result: float


def peak() -> int:
    """The most memory that this process ever held, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux counts into ru_maxrss what the parent held when it started this process.
        (line,) = [x for x in status.read_text().splitlines() if x.startswith("VmHWM:")]
        return 1024 * int(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def compiled(function: Callable[..., Any], *arguments: Any) -> tuple[Callable[..., Any], float]:
    """The compiled function, and the seconds that took."""
    start = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    return program, time.perf_counter() - start


def timed(program: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """The result, and seconds: the median of three runs, or one if that takes more than a few seconds."""
    seconds: list[float] = []
    while len(seconds) < 3 and (not seconds or seconds[0] < 5):
        start = time.perf_counter()
        result = jax.block_until_ready(program(*arguments))
        seconds.append(time.perf_counter() - start)
    return result, statistics.median(seconds)


def report(measured: Measured) -> None:
    """Hands a measurement over to the process that asked for it."""
    print(json.dumps(measured._asdict()), flush=True)


def alone(script: str, variant: str, size: int) -> Measured:
    """What `script --only VARIANT --size SIZE` reports."""
    command = [sys.executable, script, f"--only={variant}", f"--size={size}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def side_by_side(
    script: str, full: tuple[Sequence[str], int], dense: tuple[Sequence[str], int], quantity: str
) -> str:
    """A table of variants at full size, and of those that are compared with the dense default at its own."""
    rows = [alone(script, name, size) for names, size in (full, dense) for name in names]
    return table(rows, quantity)


def parser(description: str, unit: str, size: int, dense_size: int) -> argparse.ArgumentParser:
    """The arguments that the scripts have in common."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--size", type=int, default=size, help=f"{unit} (default: {size})")
    made.add_argument(
        "--dense-size",
        type=int,
        default=dense_size,
        help=f"... where the dense default runs, too (default: {dense_size})",
    )
    made.add_argument("--quick", action="store_true", help="small, in a few seconds")
    made.add_argument("--only", metavar="VARIANT", help="measure this one in this process")
    return made


def table(rows: Sequence[Measured], quantity: str) -> str:
    lines = [
        f"  {'':28}{'size':>12}{'unknowns':>10}{'steps':>7}{'compile':>10}{'run':>11}{'memory':>10}   "
        + quantity
    ]
    for row in rows:
        lines.append(
            f"  {row.variant:28}{row.size:>12}{row.unknowns:>10,}{row.steps:>7}{row.compile:>8.1f} s"
            f"{row.run:>9.3f} s{row.memory / 2**30:>7.2f} GB   {row.result:.9g}"
        )
    base = statistics.median(row.base for row in rows) / 2**30
    lines.append(
        f"\n  Memory is the peak of a process, {base:.2f} GB of which are there before compilation."
    )
    return "\n".join(lines)
