"""How long jax.jit of value-and-gradient of logdet takes to trace, lower and compile.

It should not grow with the matrix by more than the time to hash its pattern: the structure reaches the
compiled program as a hash, not as constants. Each size runs in a process of its own.
"""

import subprocess
import sys
import time

import jax

import elimax as ex
from benchmarks.gallery import grid2d

SIDES = [100, 316, 1000]


def main(side: int) -> None:
    """Time one size; the symbolic analysis is made before and reported apart."""
    jax.config.update("jax_enable_x64", True)
    Q = ex.SymmetricMatrix.from_scipy(grid2d(side))
    start = time.perf_counter()
    symbolic = ex.analyze(Q)
    analyzed = time.perf_counter()

    def logdet(values: jax.Array) -> jax.Array:
        return ex.cholesky(Q.with_values(values), symbolic=symbolic).logdet()

    lowered = jax.jit(jax.value_and_grad(logdet)).lower(Q.values)
    lower_end = time.perf_counter()
    lowered.compile()
    compile_end = time.perf_counter()
    analysis, lower, compilation = analyzed - start, lower_end - analyzed, compile_end - lower_end
    print(
        f"n = {side**2:>9,}: analysis {analysis:.3f} s, trace and lower {lower:.3f} s, "
        f"compile {compilation:.3f} s, jit in all {lower + compilation:.3f} s",
        flush=True,
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(int(sys.argv[1]))
    else:
        for side in SIDES:
            subprocess.run([sys.executable, "-m", "benchmarks.compile_time", str(side)], check=True)
