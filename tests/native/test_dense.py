"""The dense kernels of every instruction set of this machine, against naive loops in C++.

ELIMAX_CHECK_FLAGS adds compiler flags, as in ELIMAX_CHECK_FLAGS="-g -fsanitize=address,undefined".
"""

import os
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILER = shutil.which(os.environ.get("CXX", "c++")) or ""
ISAS = ["v2", "v3", "v4"] if platform.machine() in ("x86_64", "AMD64") else ["base"]
FLAGS = ["-std=c++20", "-O1", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler"),
]


def compile(*arguments: str) -> None:
    extra = os.environ.get("ELIMAX_CHECK_FLAGS", "").split()
    subprocess.run([COMPILER, *FLAGS, *extra, f"-I{ROOT / 'cpp'}", *arguments], check=True)


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """dense_kernels.cc, compiled for each instruction set."""
    folder = tmp_path_factory.mktemp("dense")

    def build(isa: str) -> str:
        march = [] if isa == "base" else [f"-march=x86-64-{isa}"]
        target = str(folder / f"{isa}.o")
        source = str(ROOT / "cpp/dense_kernels.cc")
        compile(*march, f"-DELIMAX_ISA={isa}", "-c", source, "-o", target)
        return target

    with ThreadPoolExecutor() as pool:
        return list(pool.map(build, ISAS))


def test_kernels_agree_with_naive_loops(objects, tmp_path):
    program = str(tmp_path / "dense_check")
    sources = [str(ROOT / "tests/native/dense_check.cc"), str(ROOT / "cpp/dense.cc")]
    compile(*sources, *objects, "-o", program)
    run = subprocess.run([program], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs binutils")
def test_kernels_define_one_global_symbol(objects):
    """The linker keeps one copy of a weak function for the whole library: none may come from here."""
    for isa, target in zip(ISAS, objects, strict=True):
        listing = subprocess.run(
            ["nm", "-C", "--defined-only", "--extern-only", target],
            capture_output=True,
            text=True,
            check=True,
        )
        symbols = [line.split(maxsplit=2)[2] for line in listing.stdout.splitlines()]
        assert symbols == [f"elimax::{isa}::tables"]
