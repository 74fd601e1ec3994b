"""Fill and time of our approximate minimum degree ordering beside SuiteSparse AMD's.

    python -m benchmarks.ordering FOLDER [--rounds 3]

FOLDER holds Matrix Market files (.mtx, .mtx.gz); every square one is ordered, on the pattern of A + A^T.
AMD comes with `apt-get install libsuitesparse-dev`; without it our own figures are printed alone. The table
is also written to `output/ordering.csv`, below a line that names the machine.
"""

import argparse
import csv
import ctypes
import ctypes.util
import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse as sp

from benchmarks import machine
from benchmarks.report import geometric_mean
from benchmarks.tables import aligned
from elimax._structure.ordering import order
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import Symbolic

AMD_OK, AMD_OK_BUT_JUMBLED = 0, 1


def load_amd() -> ctypes.CDLL | None:
    """SuiteSparse's AMD, or None and a line on what is missing."""
    name = ctypes.util.find_library("amd")
    if name is None:
        print("SuiteSparse's AMD is not here (apt-get install libsuitesparse-dev): ours alone\n")
        return None
    return ctypes.CDLL(name)


def amd(library: ctypes.CDLL, whole: Pattern) -> tuple[np.ndarray, float]:
    """The permutation of AMD with default controls, and its seconds."""
    permutation = np.empty(whole.shape[0], np.int32)
    arrays = (whole.column_pointers, whole.rows, permutation)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
    start = time.perf_counter()
    status = library.amd_order(whole.shape[0], *pointers, None, None)
    elapsed = time.perf_counter() - start
    if status not in (AMD_OK, AMD_OK_BUT_JUMBLED):
        raise RuntimeError(f"amd_order returned {status}")
    return permutation, elapsed


def timed(run: Callable[[], tuple[np.ndarray, float]], rounds: int) -> tuple[np.ndarray, float]:
    """The permutation, and the median of the seconds."""
    turns = [run() for _ in range(rounds)]
    return turns[0][0], statistics.median(seconds for _, seconds in turns)


def own(pattern: Pattern) -> tuple[np.ndarray, float]:
    start = time.perf_counter()
    permutation = order(pattern, "amd")
    return permutation, time.perf_counter() - start


def read(path: Path) -> Pattern | None:
    """The pattern of A + A^T, or None if A is not square or not sparse."""
    A = scipy.io.mmread(path)
    if not sp.issparse(A) or A.shape[0] != A.shape[1]:
        return None
    B = sp.csc_array(A)
    B = sp.csc_array((np.ones(B.nnz), B.indices, B.indptr), B.shape)
    return Pattern.from_scipy(B + B.T, symmetric=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("output"))
    arguments = parser.parse_args()
    machine.confine(1)
    library = load_amd()

    rows = [["matrix", "n", "nnz", "nnz(L)", "nnz(L) AMD", "ratio", "ms", "ms AMD", "ratio"]]
    fill_ratios, time_ratios = [], []
    for path in sorted(arguments.folder.glob("*.mtx*")):
        pattern = read(path)
        if pattern is None:
            continue
        permutation, seconds = timed(functools.partial(own, pattern), arguments.rounds)
        fill = Symbolic(pattern, permutation, "amd").nnz
        row = [path.name.partition(".")[0], *map(str, (*pattern.shape[:1], pattern.nnz, fill))]
        if library is None:
            rows.append([*row, "-", "-", f"{1e3 * seconds:.2f}", "-", "-"])
            continue
        whole = pattern.to_general()[0]
        other, other_seconds = timed(functools.partial(amd, library, whole), arguments.rounds)
        other_fill = Symbolic(pattern, other, "amd").nnz
        fill_ratios.append(fill / other_fill)
        time_ratios.append(seconds / other_seconds)
        figures = [f"{1e3 * seconds:.2f}", f"{1e3 * other_seconds:.2f}", f"{time_ratios[-1]:.2f}"]
        rows.append([*row, str(other_fill), f"{fill_ratios[-1]:.4f}", *figures])
    print(aligned(rows))
    if fill_ratios:
        print(
            f"\nfill: geometric mean {geometric_mean(fill_ratios):.4f}, worst {max(fill_ratios):.4f}; "
            f"time: geometric mean {geometric_mean(time_ratios):.2f}"
        )
    arguments.output.mkdir(parents=True, exist_ok=True)
    with (arguments.output / "ordering.csv").open("w", newline="") as file:
        file.write(f"# {machine.description(1)}\n")
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main()
