"""The core compiled by a test, together with a program that checks it from within.

ELIMAX_CHECK_FLAGS adds compiler flags, as in ELIMAX_CHECK_FLAGS="-g -fsanitize=address,undefined". The
compiler CXX may be one for another processor, if ELIMAX_CHECK_RUN is a command that runs its programs.
"""

import os
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
CPP = HERE.parents[1] / "cpp"
COMPILER = shutil.which(os.environ.get("CXX", "c++")) or ""
RUN = os.environ.get("ELIMAX_CHECK_RUN", "").split()


def _processor() -> str:
    """What the compiler compiles for, as in "x86_64"."""
    command = [COMPILER, "-dumpmachine"]
    run = subprocess.run(command, capture_output=True, text=True) if COMPILER else None
    return run.stdout.partition("-")[0] if run and run.returncode == 0 else platform.machine()


ISAS = ["v2", "v3", "v4"] if _processor() in ("x86_64", "AMD64") else ["base"]
_FLAGS = ["-std=c++20", "-O1", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math"]


def compile(*arguments: str) -> None:
    extra = os.environ.get("ELIMAX_CHECK_FLAGS", "").split()
    subprocess.run([COMPILER, *_FLAGS, *extra, f"-I{CPP}", *arguments], check=True)


def compile_all(sources: list[tuple[str, ...]]) -> None:
    """`compile` for each list of arguments, on two threads."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda arguments: compile(*arguments), sources))


def dense_kernels(folder: Path, *flags: str) -> list[str]:
    """dense_kernels.cc, compiled for each instruction set."""
    objects = [str(folder / f"{isa}.o") for isa in ISAS]
    source = str(CPP / "dense_kernels.cc")
    march = {isa: [] if isa == "base" else [f"-march=x86-64-{isa}"] for isa in ISAS}
    compile_all(
        [
            (*flags, *march[isa], f"-DELIMAX_ISA={isa}", "-c", source, "-o", target)
            for isa, target in zip(ISAS, objects, strict=True)
        ]
    )
    return objects


def program(source: Path, folder: Path, *flags: str) -> str:
    """`source` linked with the whole core, which is everything but the faces to XLA and ctypes."""
    others = {"api.cc", "dense_kernels.cc", *(p.name for p in CPP.glob("ffi*"))}
    sources = [source, *(p for p in sorted(CPP.glob("*.cc")) if p.name not in others)]
    objects = [str(folder / f"{p.stem}.o") for p in sources]
    kernels = dense_kernels(folder, *flags)
    compile_all([(*flags, "-c", str(p), "-o", o) for p, o in zip(sources, objects, strict=True)])
    target = str(folder / source.stem)
    compile(*flags, *objects, *kernels, "-o", target)
    return target
