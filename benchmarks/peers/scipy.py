"""SciPy's splu (SuperLU) as a peer: minimum degree on A^T + A, no pivoting off the diagonal.

It has no analysis apart: `factor` contains it. logdet is read off the diagonal of U.
"""

import sys
from collections.abc import Set
from functools import cache
from pathlib import Path

import numpy as np
import scipy
from scipy.sparse.linalg import SuperLU, splu

from benchmarks.gallery import read
from benchmarks.peers.peer import residual, right_hand_sides, serve


def main(path: Path) -> None:
    """Serve the matrix in the file."""
    A = read(path)
    n = A.shape[0]

    def factor(scale: float) -> SuperLU:
        symmetric = {"SymmetricMode": True}
        return splu(A * scale, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=symmetric)

    def logdet(scale: float) -> float:
        return float(np.log(factor(scale).U.diagonal()).sum())

    factored = cache(lambda: factor(1.0))

    def solve(k: int):
        sides = cache(lambda: right_hand_sides(n, k))

        def operation(scale: float):
            lu, scaled = factored(), sides() * scale
            return lambda: lu.solve(scaled)

        return operation

    def check(asked: Set[str]) -> dict[str, float]:
        b = right_hand_sides(n, 1)
        answers = {"residual": residual(A, factored().solve(b), b)}
        return answers | {"logdet": logdet(1.0)} if "logdet" in asked else answers

    operations = {
        "factor": lambda scale: lambda: factor(scale),
        "solve_1": solve(1),
        "solve_64": solve(64),
        "logdet": lambda scale: lambda: logdet(scale),
    }
    serve(f"scipy {scipy.__version__}", operations, check)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
