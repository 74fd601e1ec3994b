"""Tables and CSV of what was measured."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from benchmarks.measure import Facts, Measurement

OURS = "elimax"
YARDSTICK = ("cholmod", "pardiso")
"""The ratios are those of our time to the fastest of these, over all their configurations."""

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


def ratio_to_peers(row: dict[str, float]) -> float:
    """Our time over the fastest of CHOLMOD's and PARDISO's; NaN where one side is missing."""
    peers = [seconds for peer, seconds in row.items() if peer.startswith(YARDSTICK)]
    return row[OURS] / min(peers) if OURS in row and peers else math.nan


def in_factorizations(times: Times, matrix: str, operation: str) -> float:
    """Our time over our own factorization's; NaN where one is missing."""
    ours = times.get((matrix, operation), {}).get(OURS, math.nan)
    return ours / times.get((matrix, "factor"), {}).get(OURS, math.nan)


def cell(number: float, unit: str = "") -> str:
    """Three digits, or a dash for NaN."""
    return "-" if math.isnan(number) else f"{number:.3g}{unit}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Markdown table: first row is the header, first column flush left, others flush right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        first, *rest = (
            text.ljust(width) if k == 0 else text.rjust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        return "| " + " | ".join([first, *rest]) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])])


def by_library(row: dict[str, float]) -> dict[str, float]:
    """The fastest configuration of each library; a peer is called LIBRARY-CONFIGURATION."""
    fastest: dict[str, float] = {}
    for peer, seconds in row.items():
        library = peer.partition("-")[0]
        fastest[library] = min(seconds, fastest.get(library, math.inf))
    return fastest


def table(times: Times, operation: str, matrices: Sequence[str]) -> str:
    """Milliseconds of every library, and our own in ratios, with geometric means at the foot."""
    present = [m for m in matrices if (m, operation) in times]
    libraries = {m: by_library(times[m, operation]) for m in present}
    columns = list(dict.fromkeys(name for row in libraries.values() for name in row))
    against_peers = [ratio_to_peers(times[m, operation]) for m in present]
    against_factor = [in_factorizations(times, m, operation) for m in present]
    rows = [["matrix", *columns, "ours / fastest", "ours / our factor"]]
    for m, ratio, factorizations in zip(present, against_peers, against_factor, strict=True):
        figures = [cell(1e3 * libraries[m].get(name, math.nan)) for name in columns]
        rows.append([m, *figures, cell(ratio), cell(factorizations)])
    means = [
        cell(geometric_mean(r for r in ratios if not math.isnan(r)))
        for ratios in (against_peers, against_factor)
    ]
    rows.append(["geometric mean", *[""] * len(columns), *means])
    return f"### {operation}, milliseconds\n\n{aligned(rows)}"


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
    path: Path, machine: str, measurements: Sequence[Measurement], facts: Sequence[Facts]
) -> None:
    """One line that names the machine, a header, one line per measurement."""
    by_peer = {(f.matrix, f.peer): f for f in facts}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        file.write(f"# {machine}\n")
        writer = csv.writer(file)
        head = ["matrix", "operation", "peer", "version", "seconds", "minimum", "cpu_seconds"]
        writer.writerow([*head, "rounds", "calls", "flops", "factor_nonzeros", "residual", "note"])
        for m in measurements:
            fact = by_peer[m.matrix, m.peer]
            figures = [f"{min(values):.6g}" for values in (m.seconds, m.cpu) if values] or ["", ""]
            seconds = f"{m.median():.6g}" if m.seconds else ""
            row = [m.matrix, m.operation, m.peer, fact.version, seconds, *figures]
            counts = [len(m.seconds), m.calls, f"{fact.flops:.6g}", f"{fact.nonzeros:.6g}"]
            writer.writerow([*row, *counts, f"{fact.residual:.3g}", m.note])
