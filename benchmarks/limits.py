"""The time that an operation takes at least: its work over the arithmetic and the memory of this machine.

Both are measured. A fraction of the limit compares with a perfect program that does the same multiplications
and additions, or moves the same numbers, for the same factor. It exceeds 1 where the numbers fit in a cache.
"""

import json
import math
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".cc")


@dataclass(frozen=True)
class Limits:
    """Most flop (an addition or a multiplication) and most bytes to and from memory, per second."""

    flops: float = math.nan
    bytes: float = math.nan

    def least_seconds(self, operation: str, n: int, nonzeros: float, flops: float) -> float:
        """Of an operation on an n x n matrix whose factor has so many nonzeros and takes so many flop.

        A solve reads the factor twice, its right-hand sides once, and writes as many solutions. A selected
        inverse is two factorizations' worth of arithmetic. NaN for what is neither.
        """
        factorizations = {"factor": 1, "factor_float32": 0.5, "logdet": 1, "gradient": 3}
        factorizations["selected_inverse"] = 2
        if operation in factorizations:
            return factorizations[operation] * flops / self.flops
        if operation in ("solve_1", "solve_64"):
            k = int(operation.removeprefix("solve_"))
            moved = 8 * (2 * nonzeros + 2 * n * k)
            return max(moved / self.bytes, 4 * nonzeros * k / self.flops)
        return math.nan

    def __str__(self) -> str:
        return f"at most {self.flops / 1e9:.0f} GFLOP/s and {self.bytes / 1e9:.0f} GB/s"


def measure(threads: int, folder: Path) -> Limits:
    """Compile limits.cc for this processor and run it; unknown limits where there is no compiler."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "limits"
    compiler = [os.environ.get("CXX", "g++"), "-std=c++20", "-O3", "-march=native", "-pthread"]
    try:
        subprocess.run(
            [*compiler, str(SOURCE), "-o", str(program)], check=True, capture_output=True
        )
        found = subprocess.run([str(program), str(threads)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return Limits()
    return Limits(**json.loads(found.stdout))
