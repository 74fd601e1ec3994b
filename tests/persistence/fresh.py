"""Programs in processes of their own, which have seen nothing that the tests have seen."""

import os
import pathlib
import subprocess
import sys

import elimax

_START = """
import pathlib, pickle, sys
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_enable_x64", True)
import elimax as ex
folder = pathlib.Path(sys.argv[1])
read = lambda name: pickle.loads((folder / name).read_bytes())
write = lambda name, x: (folder / name).write_bytes(pickle.dumps(x))
"""


def run_fresh(program: str, folder: pathlib.Path) -> str:
    """What `program` prints; it may `read` and `write` pickles of `folder`."""
    package = str(pathlib.Path(elimax.__file__).parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    run = subprocess.run(
        [sys.executable, "-c", _START + program, str(folder)],
        env=os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": "random"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout
