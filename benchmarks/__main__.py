"""`python -m benchmarks`: Elimax's times next to its peers', as tables and as CSV."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import limits, machine, report
from benchmarks.gallery import GALLERY, QUICK, matrix_file
from benchmarks.measure import OPERATIONS, Effort, available, measure_matrix
from benchmarks.peers import PEERS
from benchmarks.tables import tables
from benchmarks.targets import targets


def names(allowed: Sequence[str]):
    """Parser of a comma-separated list of names, or of beginnings of names, out of `allowed`."""

    def parse(text: str) -> list[str]:
        wanted = text.split(",")
        for beginning in wanted:
            if not any(name.startswith(beginning) for name in allowed):
                known = ", ".join(allowed)
                raise argparse.ArgumentTypeError(f"{beginning!r} is none of {known}")
        return [
            n for n in allowed if n in wanted or n.startswith(tuple(set(wanted) - set(allowed)))
        ]

    return parse


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    option = parser.add_argument
    option("--matrices", type=names([*GALLERY, *QUICK]), default=None, help="names, with commas")
    option("--operations", type=names(OPERATIONS), default=OPERATIONS, help="names, with commas")
    peers = [peer.name for peer in PEERS]
    option("--peers", type=names(peers), default=peers, help="names or beginnings: elimax,cholmod")
    option("--threads", type=int, default=1, help="cores, and threads of every library")
    option("--rounds", type=int, default=5, help="turns of each peer at each operation")
    option("--budget", type=float, default=60.0, help="most seconds to wait for one call")
    option("--clock", choices=["wall", "cpu"], default="wall", help="which time the tables show")
    option("--quick", action="store_true", help="small matrices, under a minute")
    option("--output", type=Path, default=Path("output/benchmarks.csv"), help="the CSV file")
    option("--folder", type=Path, default=Path("build/benchmarks"), help="matrices and programs")
    options = parser.parse_args()
    if options.clock == "cpu" and options.threads > 1:
        parser.error("--clock cpu adds the times of all threads: it is for one thread")
    return options


def main() -> int:
    """Measure, print, write."""
    options = arguments()
    matrices = options.matrices or list(QUICK if options.quick else GALLERY)
    machine.confine(options.threads)
    most = limits.measure(options.threads, options.folder)
    described = f"{machine.description(options.threads)}; {most}"
    effort = Effort(
        rounds=2 if options.quick else options.rounds,
        budget=options.budget,
        pause=0.4 if options.threads > 1 else 0.0,
    )
    peers = available([peer for peer in PEERS if peer.name in options.peers], options.folder)

    measurements, facts = [], []
    for name in matrices:
        path = matrix_file(name, options.folder)
        measured, said = measure_matrix(name, path, peers, options.operations, effort)
        measurements += measured
        facts += said
        report.write_csv(options.output, described, measurements, facts, most)

    times = report.times_of(measurements, options.clock)
    least = report.least_seconds(facts, most)
    print(described)
    print("; ".join(sorted({fact.version for fact in facts})))
    wanted = targets(options.threads)
    print(f"\n{tables(times, options.operations, matrices, wanted, least)}")
    wrong = report.disagreements(facts)
    print("\n" + "\n".join(wrong or ["Every answer agrees."]))
    print(f"\nWritten to {options.output}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
