"""The machine: what it is, and how a run is confined to some of its cores."""

import os
import platform
import subprocess
from pathlib import Path

import jax
import numpy as np
import scipy


def confine(threads: int) -> None:
    """Bind this process, and every process it starts, to `threads` cores and as many threads.

    XLA and BLAS read the number of cores they may use; the variables are for those that do not look.
    OMP_THREAD_LIMIT also binds libraries that ask for a number of OpenMP threads of their own.
    """
    variables = ["OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "OMP_THREAD_LIMIT"]
    os.environ.update(dict.fromkeys(variables, str(threads)))
    if hasattr(os, "sched_setaffinity"):  # Linux
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def processor() -> str:
    """The processor's model, as it calls itself."""
    cpuinfo = Path("/proc/cpuinfo")
    fields = {}
    if cpuinfo.exists():
        lines = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        fields = {key.strip(): value.strip() for key, _, value in lines}
    name = fields.get("model name", platform.processor() or platform.machine())
    return f"{name}, family {fields['cpu family']}" if "cpu family" in fields else name


def revision() -> str:
    """The commit of this checkout, with a + when files differ from it."""
    command = ["git", "describe", "--always", "--dirty=+"]
    root = Path(__file__).parent.parent
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def description(threads: int) -> str:
    """One line that names machine, versions and load."""
    load = f"load {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""
    parts = [
        f"{processor()}, {os.cpu_count()} cores",
        f"{threads} thread" + "s" * (threads > 1),
        f"{platform.system()} {platform.release()}",
        f"Python {platform.python_version()}",
        f"jax {jax.__version__}",
        f"numpy {np.__version__}",
        f"scipy {scipy.__version__}",
        f"elimax at {revision() or 'an unknown revision'}",
        load,
    ]
    return "; ".join(part for part in parts if part)
