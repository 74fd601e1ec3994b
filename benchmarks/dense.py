"""GFLOP/s of the dense kernels, per instruction set, beside SciPy's BLAS on one thread.

    python benchmarks/dense.py [--types dsz] [--operations gemm_nh,herk] [--sizes 4,8,16]

Each line is one operation at one size: all dimensions equal (gemv: a matrix), except `panel`, which
factors a supernode of n columns with 2n rows below. Leading dimensions are those of such a supernode.
Times are processor times, the best of several samples.
"""

import argparse
import ctypes
import importlib
import itertools
import os
import platform
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
ISAS = ["v2", "v3", "v4"] if platform.machine() in ("x86_64", "AMD64") else ["base"]
OPERATIONS = "gemm_nh gemm_nn gemm_hn herk potrf panel trsm_h trsm_n gemv_n gemv_h".split()
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read once, when SciPy loads its BLAS
CYTHON_BLAS = importlib.import_module("scipy.linalg.cython_blas")  # extension modules without stubs
CYTHON_LAPACK = importlib.import_module("scipy.linalg.cython_lapack")
FLAGS = "-std=c++20 -O3 -fPIC -fno-math-errno -fno-trapping-math".split()


def build(folder: Path) -> ctypes.CDLL:
    """Compiles dense.cc and the kernels of every instruction set into a shared library."""

    def compile(*arguments: str) -> None:
        subprocess.run([os.environ.get("CXX", "c++"), *FLAGS, *arguments], check=True)

    objects = []
    for isa in ISAS:
        march = [] if isa == "base" else [f"-march=x86-64-{isa}"]
        objects.append(f"{folder}/{isa}.o")
        source = str(ROOT / "cpp/dense_kernels.cc")
        compile(*march, f"-DELIMAX_ISA={isa}", "-c", source, "-o", objects[-1])
    library = f"{folder}/dense.so"
    sources = [str(ROOT / "benchmarks/dense.cc"), str(ROOT / "cpp/dense.cc")]
    compile(f"-I{ROOT / 'cpp'}", "-shared", *sources, *objects, "-o", library)
    return ctypes.CDLL(library)


def address(module, name: str) -> int:
    capsule = module.__pyx_capi__[name]
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return pointer_of(capsule, name_of(capsule))


def blas(kind: str) -> ctypes.Array:
    herk = kind + ("syrk" if kind in "sd" else "herk")
    names = [kind + "gemm", herk, kind + "trsm", kind + "potrf", kind + "gemv"]
    modules = [CYTHON_BLAS, CYTHON_BLAS, CYTHON_BLAS, CYTHON_LAPACK, CYTHON_BLAS]
    pointers = [address(m, name) for m, name in zip(modules, names, strict=True)]
    return (ctypes.c_void_p * len(pointers))(*pointers)


def operations(name: str, m: int, n: int, k: int) -> float:
    """Multiplications and additions of an operation on real matrices."""
    if name.startswith("gemm"):
        return 2 * m * n * k
    if name.startswith("gemv"):
        return 2 * m * n
    if name.startswith("trsm"):
        return m * n * n
    return {"herk": n * n * k, "potrf": n**3 / 3, "panel": n**3 / 3 + m * n * n}[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--types", default="d", help="of s, d, c, z")
    parser.add_argument("--operations", default=",".join(OPERATIONS))
    parser.add_argument("--sizes", default="4,8,16,32,64,128,256,512,1024,2000")
    parser.add_argument("--sample", type=float, default=0.003, help="seconds per sample")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))
        library.kernel_time.restype = ctypes.c_double
        libraries = [*ISAS, None]
        print("type operation    size " + "".join(f"{isa or 'BLAS':>8}" for isa in libraries))
        names = arguments.operations.split(",")
        sizes = [int(size) for size in arguments.sizes.split(",")]
        for kind, name, size in itertools.product(arguments.types, names, sizes):
            m, n, k = (2 * size if name == "panel" else size), size, size
            work = operations(name, m, n, k) * (4 if kind in "cz" else 1)
            line = f"{kind:4} {name:9} {size:7} "
            for isa in libraries:
                seconds = library.kernel_time(
                    isa and isa.encode(),
                    blas(kind),
                    ctypes.c_char(kind.encode()),
                    OPERATIONS.index(name),
                    m,
                    n,
                    k,
                    ctypes.c_double(arguments.sample),
                )
                line += f"{work / seconds / 1e9:8.1f}" if seconds > 0 else f"{'-':>8}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
