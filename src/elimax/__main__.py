"""`python -m elimax`: versions, the processor, what computes dense blocks, and a self-check.

Exits with status 1 if a check fails.
"""

import importlib.metadata
import pathlib
import platform
import sys
import time

import jax
import numpy as np

from elimax._self_check import self_check
from elimax._structure._native import instruction_set, library

PACKAGES = ("elimax", "jax", "jaxlib", "numpy", "scipy", "lineax", "equinox")


def _blas(module) -> str:
    """The BLAS a package was built with; Elimax itself calls none."""
    found = module.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{found['name']} {found['version']}"


def _processor() -> str:
    """The processor's model as Linux knows it, or its architecture."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def main() -> int:
    """Prints the report; 0 if every check passed."""
    jax.config.update("jax_enable_x64", True)  # a process of its own: nobody else's setting
    versions = (f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    print(f"versions     {', '.join(versions)}")
    print(f"Python       {platform.python_version()} on {platform.platform()}")
    print(f"devices      {', '.join(map(str, jax.devices()))}")
    print(f"library      {library._name}")
    print(f"processor    {_processor()}; the dense kernels use {instruction_set()}")
    print(f"BLAS         none of its own (NumPy's is {_blas(np)})")
    start = time.perf_counter()
    failed = 0
    for check in self_check():
        failed += not check.passed
        verdict = "ok" if check.passed else f"FAILED, tolerance {check.tolerance:.0e}"
        print(f"  {check.name:40} {check.seconds:5.2f} s   error {check.error:7.1e}   {verdict}")
    print(f"self-check   {time.perf_counter() - start:.1f} s, {failed or 'none'} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
