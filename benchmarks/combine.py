"""The tables of several runs of `python -m benchmarks`, as if they had been one.

    python -m benchmarks.combine output/small.csv output/large.csv [--threads 1] [--clock cpu]

A ratio is that of times of one run: where two files have the same operation on the same matrix, all figures
are those of the later file.
"""

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path

from benchmarks.gallery import GALLERY, QUICK
from benchmarks.measure import OPERATIONS
from benchmarks.report import Times
from benchmarks.tables import tables
from benchmarks.targets import targets

CLOCKS = {"wall": "seconds", "cpu": "cpu_seconds"}


def read(path: Path, clock: str) -> tuple[Times, Times]:
    """The seconds in a CSV file, and the least of them that the machine allows us, by operation."""
    times: Times = {}
    least: Times = {}
    for row in csv.DictReader(path.read_text().splitlines()[1:]):
        key = row["matrix"], row["operation"]
        if row[CLOCKS[clock]]:
            times.setdefault(key, {})[row["peer"]] = float(row[CLOCKS[clock]])
        if row["least_seconds"]:
            least.setdefault(key, {})[row["peer"]] = float(row["least_seconds"])
    return times, least


def combine(
    paths: Iterable[Path], clock: str = "wall"
) -> tuple[Times, dict[tuple[str, str], float]]:
    """The times of all files, later ones first, and the least that the machine allows us."""
    times: Times = {}
    least: dict[tuple[str, str], float] = {}
    for path in paths:
        found, limits = read(path, clock)
        times |= found
        least |= {key: min(row.values()) for key, row in limits.items()}
    return times, least


def main() -> None:
    """Read, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.combine", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="CSV files")
    parser.add_argument("--threads", type=int, default=1, help="whose targets are shown")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="which time is shown")
    options = parser.parse_args()
    times, least = combine(options.files, options.clock)
    matrices = [name for name in [*GALLERY, *QUICK] if any(m == name for m, _ in times)]
    for path in options.files:
        print(path.read_text().splitlines()[0])
    print(f"\n{tables(times, OPERATIONS, matrices, targets(options.threads), least)}")


if __name__ == "__main__":
    main()
