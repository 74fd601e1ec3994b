"""LU beside KLU and SuperLU on unsymmetric matrices, and LDL beside Cholesky on positive definite ones.

Everybody takes turns in one process, on values that change at every call; a figure is the median over the
rounds. Ours goes through the public, jitted API. A factorization with known structure is `lu` with a given
`Symbolic`, scaling included, KLU's refactorization, which keeps its pivots, and SuperLU's factorization
(SciPy), which always starts from the pattern. `solve + gradient` is the value of sum(x^2), A x = b, and its
gradient with respect to the values of A and to b, jitted, beside klujax, which factorizes for each solve.

Matrices are read from the folder `matrices` of ../shared, or of $ELIMAX_SHARED, where it exists; else they
are a convection-diffusion grid and a random network.
"""

import argparse
import ctypes
import ctypes.util
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.io
import scipy.sparse as sp
import scipy.sparse.linalg

import elimax as ex
from benchmarks import machine
from benchmarks.gallery import banded, crossed_effects, geometric_graph, grid2d, grid3d, laplacian
from benchmarks.report import geometric_mean

try:
    import klujax
except ImportError:
    klujax = None

CIRCUITS = (
    *("rajat19", "add20", "add32", "adder_dcop_05", "oscil_dcop_33", "qh1484", "gemat12"),
    *("ScaleMicrogrid_N1000", "pfjac_13659pegase"),
)
FLUIDS = (
    *("e05r0500", "orsirr_1", "orsreg_1", "sherman3", "sherman5", "steam2", "cryg2500", "nnc1374"),
    *("jpwh_991", "bayer10", "west0067", "west0479", "impcol_a"),
)
Matrices = dict[str, Callable[[], sp.csc_array]]


@dataclass(frozen=True)
class Call:
    """What is timed, and what makes its argument before: values of the matrix, all times a factor."""

    prepare: Callable[[float], Any]
    run: Callable[[Any], Any]


Calls = Mapping[str, Call]


class KLU:
    """SuiteSparse's KLU with its defaults: a factorization, and refactorizations with the same pivots.

    **Raises:** `OSError` if the library is missing, `ArithmeticError` if it refuses the matrix.
    """

    def __init__(self, A: sp.csc_array) -> None:
        self._library = ctypes.CDLL(ctypes.util.find_library("klu") or "libklu.so")
        for name in ("klu_analyze", "klu_factor"):
            getattr(self._library, name).restype = ctypes.c_void_p
        self._common = ctypes.create_string_buffer(1024)  # more than its struct has
        self._library.klu_defaults(self._common)
        arrays = A.indptr.astype(np.int32), A.indices.astype(np.int32)
        self._arrays = arrays
        self._pointers = [x.ctypes.data_as(ctypes.c_void_p) for x in arrays]
        n = ctypes.c_int(A.shape[0])
        self._symbolic = ctypes.c_void_p(
            self._library.klu_analyze(n, *self._pointers, self._common)
        )
        self._values = A.data.copy()
        self._numeric = ctypes.c_void_p(
            self._library.klu_factor(*self._pointers, self._data(), self._symbolic, self._common)
        )
        if not (self._symbolic.value and self._numeric.value):
            raise ArithmeticError("KLU refuses the matrix")

    def _data(self) -> ctypes.c_void_p:
        return self._values.ctypes.data_as(ctypes.c_void_p)

    def refactor(self, values: np.ndarray) -> None:
        self._values[:] = values
        done = self._library.klu_refactor(
            *self._pointers, self._data(), self._symbolic, self._numeric, self._common
        )
        if not done:
            raise ArithmeticError("KLU refuses the values")

    def factor(self, values: np.ndarray) -> None:
        """With pivots of its own choice, like the first one."""
        self._values[:] = values
        numeric = ctypes.c_void_p(
            self._library.klu_factor(*self._pointers, self._data(), self._symbolic, self._common)
        )
        self._library.klu_free_numeric(ctypes.byref(numeric), self._common)


def convection_diffusion(side: int) -> sp.csc_array:
    """Upwind differences on a grid: unsymmetric values on a symmetric pattern."""
    step = laplacian(side) + sp.diags_array(np.full(side - 1, -0.7), offsets=-1)
    one = sp.eye_array(side)
    return sp.csc_array(
        sp.kron(step, one) + sp.kron(one, laplacian(side)) + 0.7 * sp.eye_array(side**2)
    )


def network(nodes: int, seed: int = 0) -> sp.csc_array:
    """Sparse and unsymmetric in its pattern, with a few hubs and a strong diagonal."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(nodes, size=3 * nodes)
    columns = (rng.uniform(size=3 * nodes) ** 3 * nodes).astype(int)
    entries = sp.coo_array((rng.normal(size=3 * nodes), (rows, columns)), (nodes, nodes))
    return sp.csc_array(entries + 5 * sp.eye_array(nodes))


def groups() -> dict[str, Matrices]:
    """Unsymmetric matrices by group and name."""
    beside = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("ELIMAX_SHARED", beside)) / "matrices"
    if not (folder / "index.json").exists():
        grids: Matrices = {"convection_200": lambda: convection_diffusion(200)}
        networks: Matrices = {"network_20000": lambda: network(20_000)}
        return {"circuits": networks, "fluids and chemistry": grids}
    files = {r["name"]: folder / r["file"] for r in json.loads((folder / "index.json").read_text())}

    def read(names):
        return {
            name: lambda name=name: sp.csc_array(scipy.io.mmread(files[name])) for name in names
        }

    return {"circuits": read(CIRCUITS), "fluids and chemistry": read(FLUIDS)}


DEFINITE = {
    "lap2d_316": lambda: grid2d(316),
    "lap3d_30": lambda: grid3d(30),
    "rgg_1e4": lambda: geometric_graph(10_000),
    "crossed_2e4": lambda: crossed_effects(20_000, (2_000, 300)),
    "band_5": lambda: banded(100_000, 5),
}


def lu_calls(A: sp.csc_array) -> dict[str, Calls]:
    """By operation and library."""
    M = ex.SparseMatrix.from_scipy(A)
    symbolic = ex.analyze(M, kind="lu")
    b = jnp.ones(A.shape[0])
    factor = jax.jit(lambda v: ex.lu(M.with_values(v), symbolic, throw=False).values)

    def ours(v, b):
        return jnp.sum(ex.lu(M.with_values(v), symbolic, throw=False).solve(b) ** 2)

    gradient = jax.jit(jax.value_and_grad(ours, (0, 1)))

    def traced(s: float) -> jax.Array:
        return jax.block_until_ready(s * M.values)

    factors = {
        "elimax": Call(traced, factor),
        "superlu": Call(lambda s: s * A, scipy.sparse.linalg.splu),
    }
    gradients = {"elimax": Call(traced, lambda v: gradient(v, b))}
    try:
        klu = KLU(A)
        factors["klu refactor"] = Call(lambda s: s * A.data, klu.refactor)
        factors["klu factor"] = Call(lambda s: s * A.data, klu.factor)
    except (OSError, ArithmeticError) as error:
        print(error)
    if klujax is not None:
        rows, columns = jnp.asarray(M.pattern.rows), jnp.asarray(M.pattern.columns)

        def theirs(v, b):
            return jnp.sum(klujax.solve(rows, columns, v, b) ** 2)

        their_gradient = jax.jit(jax.value_and_grad(theirs, (0, 1)))
        gradients["klujax"] = Call(traced, lambda v: their_gradient(v, b))
    return {"factor": factors, "solve + gradient": gradients}


def ldl_calls(A: sp.csc_array) -> dict[str, Calls]:
    """LDL and Cholesky, on one structure and on that which Cholesky would choose."""
    S = ex.SymmetricMatrix.from_scipy(sp.csc_array(A))
    symbolic = ex.analyze(S, kind="ldl")
    ldl = jax.jit(lambda v: ex.ldl(S.with_values(v), symbolic).values)
    cholesky = jax.jit(lambda v: ex.cholesky(S.with_values(v)).values)

    def traced(s: float) -> jax.Array:
        return jax.block_until_ready(s * S.values)

    return {"factor": {"elimax": Call(traced, ldl), "cholesky": Call(traced, cholesky)}}


def take_turns(calls: Calls, rounds: int, turn: float) -> dict[str, float]:
    """Seconds of each call: the median over rounds of the median of a turn, whose first call is dropped."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(rounds):
        for name, call in calls.items():
            times: list[float] = []
            begin = time.perf_counter()
            while len(times) < 2 or time.perf_counter() < begin + turn:
                values = call.prepare(1 + 0.01 * round_ + 0.001 * len(times))
                start = time.perf_counter()
                jax.block_until_ready(call.run(values))
                times.append(time.perf_counter() - start)
            found[name].append(statistics.median(times[1:]))
    return {name: statistics.median(times) for name, times in found.items()}


def compare(
    title: str, matrices: Mapping[str, Callable], calls_of: Callable, rounds: int, turn: float
) -> None:
    """Print milliseconds and ratios of ours to each of the others, and their geometric means."""
    ratios: dict[tuple[str, str], list[float]] = {}
    for name, make in matrices.items():
        try:
            by_operation = calls_of(make())
        except ValueError as error:  # it is structurally singular
            print(f"{name}: {type(error).__name__}: {error}"[:100], flush=True)
            continue
        for operation, calls in by_operation.items():
            times = take_turns(calls, rounds, turn)
            line = []
            for peer, seconds in times.items():
                text = f"{peer} {1e3 * seconds:.3f} ms"
                if peer != "elimax":
                    ratio = times["elimax"] / seconds
                    ratios.setdefault((operation, peer), []).append(ratio)
                    text += f" ({ratio:.2f})"
                line.append(text)
            print(f"{name:22s} {operation:16s} {', '.join(line)}", flush=True)
    for (operation, peer), found in ratios.items():
        mean, worst = geometric_mean(found), max(found)
        print(
            f"{title}, {operation} / {peer}: geometric mean {mean:.2f}, worst {worst:.2f}",
            flush=True,
        )


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pivoting", description=__doc__)
    parser.add_argument("--threads", type=int, default=1, help="cores, and threads of XLA")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each library")
    parser.add_argument("--turn", type=float, default=0.02, help="seconds of a turn")
    parser.add_argument("--matrices", default="", help="names, separated by commas; all if empty")
    options = parser.parse_args(arguments)
    machine.confine(options.threads)
    print(machine.description(options.threads))
    jax.config.update("jax_enable_x64", True)
    wanted = set(filter(None, options.matrices.split(",")))

    def chosen(matrices):
        return {name: make for name, make in matrices.items() if not wanted or name in wanted}

    for title, matrices in groups().items():
        compare(title, chosen(matrices), lu_calls, options.rounds, options.turn)
    compare("LDL", chosen(DEFINITE), ldl_calls, options.rounds, options.turn)


if __name__ == "__main__":
    main()
