"""The memory that a numeric factorization takes, beside CHOLMOD's and others'.

    python -m benchmarks.memory [--matrices lap3d,spde_300] [--peers elimax,cholmod]

Every figure is that of a process of its own, which has read the matrix, analyzed it and, if it is ours,
compiled the program: the rise of its resident memory during its first factorization, at the highest (VmHWM
of Linux). It contains the factor. The limit is that of a program that holds the nonzeros of the factor and
nothing else.
"""

import argparse
import csv
from pathlib import Path

from benchmarks import machine
from benchmarks.__main__ import names
from benchmarks.gallery import GALLERY, QUICK, matrix_file
from benchmarks.measure import PREPARATION, Facts, available, left_out, say
from benchmarks.peers import PEERS
from benchmarks.report import OURS, Times
from benchmarks.tables import table
from benchmarks.targets import MEMORY
from benchmarks.worker import Stopped, Worker

DIRECT = [p.name for p in PEERS if p.name.startswith((OURS, "cholmod", "pardiso", "eigen"))]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    option = parser.add_argument
    option("--matrices", type=names([*GALLERY, *QUICK]), default=list(GALLERY), help="names")
    option("--peers", type=names(DIRECT), default=DIRECT, help="names, or beginnings of names")
    option("--threads", type=int, default=1, help="cores, and threads of every library")
    option("--budget", type=float, default=60.0, help="most seconds to wait for a factorization")
    option("--output", type=Path, default=Path("output/memory.csv"), help="the CSV file")
    option("--folder", type=Path, default=Path("build/benchmarks"), help="matrices and programs")
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    machine.confine(options.threads)
    described = machine.description(options.threads)
    peers = available([peer for peer in PEERS if peer.name in options.peers], options.folder)
    taken: Times = {}
    least: dict[tuple[str, str], float] = {}
    for name in options.matrices:
        path = matrix_file(name, options.folder)
        row = taken.setdefault((name, "memory"), {})
        facts: dict[str, Facts] = {}
        for peer, command in peers:
            with Worker(peer.name, [*command, str(path)], peer.environment) as worker:
                try:
                    facts[peer.name] = Facts(name, peer.name, **worker.listen(PREPARATION))
                    reason = left_out(peer, facts, options.budget)
                    if reason:
                        raise Stopped(reason)
                    rise = worker.ask("memory", 0, options.budget)["bytes"]
                    if rise > 0:  # nothing is seen of what fits in memory that was there
                        row[peer.name] = rise
                except Stopped as reason:
                    say(f"{name} {peer.name}: {reason}")
        if OURS in facts:
            least[name, "memory"] = 8 * facts[OURS].nonzeros
        say(f"{name}: done")

    print(described)
    targets = {"memory": MEMORY}
    print(f"\n{table(taken, 'memory', options.matrices, targets, least, ('megabytes', 1e-6))}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with options.output.open("w", newline="") as file:
        file.write(f"# {described}\n")
        writer = csv.writer(file)
        writer.writerow(["matrix", "peer", "bytes"])
        writer.writerows(
            [m, peer, f"{b:.0f}"] for (m, _), row in taken.items() for peer, b in row.items()
        )
    say(f"\nWritten to {options.output}")


if __name__ == "__main__":
    main()
