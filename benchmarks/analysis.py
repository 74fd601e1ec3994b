"""The symbolic analysis, ordering by minimum degree included, beside CHOLMOD's.

    python -m benchmarks.analysis [--matrices lap2d_1000,rgg_1e5] [--rounds 7]

Both take turns on the same pattern, in one process. CHOLMOD needs `apt-get install g++ libsuitesparse-dev`.
The table is also written to `output/analysis.csv`, below a line that names the machine.
"""

import argparse
import csv
import ctypes
import os
import statistics
import subprocess
import time
from pathlib import Path

import scipy.sparse as sp

from benchmarks import machine
from benchmarks.gallery import GALLERY, QUICK
from benchmarks.report import geometric_mean
from benchmarks.tables import aligned
from elimax._structure.ordering import order
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import Symbolic

SOURCE = Path(__file__).with_suffix(".cc")
MATRICES = "lap2d_316,lap2d_1000,lap3d_40,spde_300,rgg_1e5,crossed,banded_1e5,tridiag_1e6"


def cholmod(folder: Path) -> ctypes.CDLL:
    """analysis.cc, compiled against the system's CHOLMOD."""
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "analysis.so"
    compiler = [os.environ.get("CXX", "g++"), "-std=c++20", "-O2", "-shared", "-fPIC"]
    subprocess.run([*compiler, str(SOURCE), "-o", str(library), "-lcholmod"], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.seconds.restype = ctypes.c_double
    return loaded


def theirs(library: ctypes.CDLL, pattern: Pattern) -> tuple[float, float]:
    """Seconds and nnz(L)."""
    nonzeros = ctypes.c_double()
    arrays = (pattern.column_pointers, pattern.rows)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
    elapsed = library.seconds(pattern.shape[0], *pointers, ctypes.byref(nonzeros))
    return elapsed, nonzeros.value


def ours(pattern: Pattern) -> tuple[float, float, float]:
    """Seconds of the ordering, of everything, and nnz(L)."""
    start = time.perf_counter()
    permutation = order(pattern, "amd")
    ordered = time.perf_counter()
    symbolic = Symbolic(pattern, permutation, "amd")
    return ordered - start, time.perf_counter() - start, symbolic.nnz


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--matrices", default=MATRICES, help="names of the gallery")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path("output"))
    arguments = parser.parse_args()
    machine.confine(1)
    library = cholmod(arguments.output / "cache")

    head = ["matrix", "n", "nnz", "nnz(L)", "nnz(L) CHOLMOD"]
    rows = [[*head, "ordering ms", "analysis ms", "CHOLMOD ms", "ratio"]]
    ratios = []
    for name in arguments.matrices.split(","):
        pattern = Pattern.from_scipy(sp.tril((GALLERY | QUICK)[name]()).astype(bool))
        pattern = Pattern(pattern.shape, pattern.column_pointers, pattern.rows, symmetric=True)
        turns = [(*ours(pattern), *theirs(library, pattern)) for _ in range(arguments.rounds)]
        ordering, total, fill, other, other_fill = map(statistics.median, zip(*turns, strict=True))
        ratios.append(statistics.median(turn[1] / turn[3] for turn in turns))
        figures = [f"{1e3 * seconds:.1f}" for seconds in (ordering, total, other)]
        sizes = [f"{size:.0f}" for size in (pattern.shape[0], pattern.nnz, fill, other_fill)]
        rows.append([name, *sizes, *figures, f"{ratios[-1]:.2f}"])
    print(aligned([*rows, ["geometric mean", *[""] * 7, f"{geometric_mean(ratios):.2f}"]]))
    arguments.output.mkdir(parents=True, exist_ok=True)
    with (arguments.output / "analysis.csv").open("w", newline="") as file:
        file.write(f"# {machine.description(1)}\n")
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main()
