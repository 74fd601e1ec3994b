"""Who is measured, and how each one is started.

Every peer is a process that speaks the protocol of `peer.py` and `peer.h`. C and C++ libraries are
called through a small program, compiled when it is first needed; Python packages through a module.
A peer that this machine lacks raises `Missing` with the line that says how to get it.
"""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SOURCES = Path(__file__).parent


class Missing(Exception):
    """A peer is not on this machine; the message says how to install it."""


@dataclass(frozen=True)
class Peer:
    """One library in one configuration.

    `command` turns a cache folder into the command line that the matrix file is appended to. `rate` is
    an optimistic guess of its arithmetic in flop/s, by which hopeless cases are left out instead of
    waited for.
    """

    name: str
    command: Callable[[Path], list[str]]
    rate: float
    environment: Mapping[str, str] = field(default_factory=dict)


def compiled(source: str, libraries: list[str], packages: str, folder: Path) -> str:
    """The program made of SOURCE, compiled into `folder` unless it is there and newer."""
    program = folder / Path(source).stem
    inputs = [SOURCES / source, SOURCES / "peer.h"]
    if not program.exists() or program.stat().st_mtime < max(p.stat().st_mtime for p in inputs):
        folder.mkdir(parents=True, exist_ok=True)
        compiler = [os.environ.get("CXX", "g++"), "-O2", "-std=c++20"]
        build = [*compiler, str(inputs[0]), "-o", str(program), *libraries]
        try:
            subprocess.run(build, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Missing(f"{source} does not compile here: apt-get install {packages}") from error
    return str(program)


def mkl_library() -> str:
    """The path of libmkl_rt in the `mkl` wheel."""
    try:
        files = importlib.metadata.files("mkl") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise Missing("MKL is not installed: pip install pypardiso") from error
    for file in files:
        if file.name.startswith("libmkl_rt.so"):
            return str(Path(str(file.locate())).resolve())
    raise Missing("the mkl wheel has no libmkl_rt.so: only its Linux wheels are supported here")


def avx512() -> bool:
    """Whether this processor has the AVX-512 foundation."""
    flags = Path("/proc/cpuinfo")
    return flags.exists() and "avx512f" in flags.read_text()


# CHOLMOD's own loops start four OpenMP threads whatever OMP_NUM_THREADS says; only the limit binds
# them. It is fastest when its BLAS alone has threads. Debian's OpenBLAS takes newer processors for a
# Haswell: it is told to use AVX-512.
CHOLMOD_ENVIRONMENT = {"OMP_THREAD_LIMIT": "1"}
CHOLMOD_ENVIRONMENT |= {"OPENBLAS_CORETYPE": "SkylakeX"} if avx512() else {}


def cholmod(kind: str, ordering: str, rate: float) -> Peer:
    """CHOLMOD with `kind` of factorization and one `ordering`."""

    def command(folder: Path) -> list[str]:
        packages = "g++ libsuitesparse-dev libopenblas-dev"
        program = compiled("cholmod.cc", ["-lcholmod", "-lopenblas"], packages, folder)
        return [program, kind, ordering]

    return Peer(f"cholmod-{kind}-{ordering}", command, rate, CHOLMOD_ENVIRONMENT)


def pardiso(ordering: str) -> Peer:
    """PARDISO of MKL with one `ordering`."""

    def command(folder: Path) -> list[str]:
        return [compiled("pardiso.cc", ["-ldl"], "g++", folder), ordering, mkl_library()]

    return Peer(f"pardiso-{ordering}", command, rate=40e9)


def eigen(folder: Path) -> list[str]:
    """Eigen's simplicial factorization."""
    options = ["-I/usr/include/eigen3", "-O3", "-march=native"]
    return [compiled("eigen.cc", options, "g++ libeigen3-dev", folder)]


def tmb(folder: Path) -> list[str]:
    """The selected inverse of R's package TMB."""
    packages = "requireNamespace('Matrix') && requireNamespace('TMB')"
    question = ["Rscript", "--vanilla", "-e", f"quit(status = !({packages}))"]
    try:
        subprocess.run(question, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Missing("R or its TMB is not installed: apt-get install r-cran-tmb") from error
    return ["Rscript", "--vanilla", str(SOURCES / "tmb.R")]


# R gives memory back to the system and asks for it again at every call, which costs more than the work.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}


def package(name: str, rate: float) -> Peer:
    """A Python package, through the module of the same name in this folder."""

    def command(folder: Path) -> list[str]:
        if importlib.util.find_spec(name) is None:
            raise Missing(f"{name} is not installed: pip install {name}")
        return [sys.executable, "-m", f"{__name__}.{name}"]

    return Peer(name, command, rate)


PEERS: list[Peer] = [
    package("elimax", rate=float("inf")),
    cholmod("supernodal", "amd", rate=40e9),
    cholmod("supernodal", "metis", rate=40e9),
    cholmod("simplicial", "amd", rate=5e9),
    cholmod("simplicial", "metis", rate=5e9),
    pardiso("minimum-degree"),
    pardiso("metis"),
    Peer("eigen", eigen, rate=5e9),
    Peer("tmb", tmb, rate=20e9, environment=CHOLMOD_ENVIRONMENT | KEEP_MEMORY),
    package("sparsax", rate=10e9),
    package("klujax", rate=0.5e9),
    package("jax", rate=1e9),
    package("scipy", rate=2e9),
]
"""Elimax first; targets.py says which of the others an operation is compared with."""
