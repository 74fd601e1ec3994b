"""The dense kernels of every instruction set of this machine, against naive loops in C++."""

import shutil
import subprocess

import pytest

from .compiler import COMPILER, CPP, HERE, ISAS, RUN, compile, dense_kernels

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler"),
]


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """dense_kernels.cc, compiled for each instruction set."""
    return dense_kernels(tmp_path_factory.mktemp("dense"))


@pytest.mark.parametrize("source", ["dense_check.cc", "dense_lu_check.cc"])
def test_kernels_agree_with_naive_loops(source, objects, tmp_path):
    program = str(tmp_path / "dense_check")
    compile(str(HERE / source), str(CPP / "dense.cc"), *objects, "-o", program)
    run = subprocess.run([*RUN, program], capture_output=True, text=True)
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
