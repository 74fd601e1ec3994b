"""What was measured, in order: medians, answers that disagree, CSV."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from benchmarks.limits import Limits
from benchmarks.measure import Facts, Measurement

OURS = "elimax"

Times = dict[tuple[str, str], dict[str, float]]
"""(matrix, operation) -> peer -> median seconds."""


def times_of(measurements: Iterable[Measurement], clock: Literal["wall", "cpu"] = "wall") -> Times:
    """The medians, by matrix and operation."""
    times: Times = {}
    for m in measurements:
        if m.seconds:
            times.setdefault((m.matrix, m.operation), {})[m.peer] = m.median(clock)
    return times


def geometric_mean(numbers: Iterable[float]) -> float:
    """exp of the mean logarithm; NaN of nothing."""
    logarithms = [math.log(number) for number in numbers]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else math.nan


def least_seconds(facts: Iterable[Facts], limits: Limits) -> dict[tuple[str, str], float]:
    """The time that the machine's limits allow for our factors, by matrix and operation."""
    return {
        (f.matrix, operation): limits.least_seconds(operation, f.n, f.nonzeros, f.flops)
        for f in facts
        if f.peer == OURS
        for operation in f.operations
    }


def disagreements(facts: Sequence[Facts]) -> list[str]:
    """A line for every answer that is wrong: a large residual, or log-determinants that differ."""
    lines = [
        f"{f.matrix}: residual {f.residual:.1e} of {f.peer}" for f in facts if f.residual > 1e-8
    ]
    for matrix in {f.matrix for f in facts}:
        logdets = {
            f.peer: f.logdet for f in facts if f.matrix == matrix and not math.isnan(f.logdet)
        }
        if logdets:
            low, high = min(logdets.values()), max(logdets.values())
            if high - low > 1e-9 * max(1.0, abs(high)):
                lines.append(f"{matrix}: log-determinants differ, {logdets}")
    return lines


def write_csv(
    path: Path,
    machine: str,
    measurements: Sequence[Measurement],
    facts: Sequence[Facts],
    limits: Limits,
) -> None:
    """One line that names the machine, a header, one line per measurement."""
    by_peer = {(f.matrix, f.peer): f for f in facts}
    least = least_seconds(facts, limits)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        file.write(f"# {machine}\n")
        writer = csv.writer(file)
        head = ["matrix", "operation", "peer", "version", "seconds", "minimum", "cpu_seconds"]
        head += ["rounds", "calls", "flops", "factor_nonzeros", "residual", "least_seconds", "note"]
        writer.writerow(head)
        for m in measurements:
            fact = by_peer[m.matrix, m.peer]
            figures = [f"{min(values):.6g}" for values in (m.seconds, m.cpu) if values] or ["", ""]
            seconds = f"{m.median():.6g}" if m.seconds else ""
            row = [m.matrix, m.operation, m.peer, fact.version, seconds, *figures]
            counts = [len(m.seconds), m.calls, f"{fact.flops:.6g}", f"{fact.nonzeros:.6g}"]
            limit = least.get((m.matrix, m.operation), math.nan) if m.peer == OURS else math.nan
            figures = [f"{fact.residual:.3g}", "" if math.isnan(limit) else f"{limit:.6g}"]
            writer.writerow([*row, *counts, *figures, m.note])
