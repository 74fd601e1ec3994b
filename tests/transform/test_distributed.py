"""Two processes that compute together over jax.distributed: on_two_processes.py."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
MODULE = f"{__package__}.on_two_processes"


def _start(process: int, coordinator: str) -> subprocess.Popen:
    # Another seed of Python's hashes and another number of threads: programs must not depend on them.
    different = {"PYTHONHASHSEED": str(process + 1), "NPROC": str(process + 1)}
    environment = {name: x for name, x in os.environ.items() if name != "XLA_FLAGS"} | different
    return subprocess.Popen(
        [sys.executable, "-m", MODULE, str(process), coordinator],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{s.getsockname()[1]}"
    processes = [_start(i, coordinator) for i in range(2)]
    try:
        printed = [process.communicate(timeout=180) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, printed, strict=True):
        assert process.returncode == 0, errors
    first, second = (json.loads(out.splitlines()[-1]) for out, _ in printed)
    assert first["program"] == second["program"]
    for report in (first, second):
        np.testing.assert_allclose(report["together"], report["alone"], rtol=1e-11)
        assert report["factorizations"] == 3  # its half of the ensemble
        assert report["gathers"] == 0
