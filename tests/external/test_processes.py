"""Programs for several devices, which call the host all at once, and programs that meet a foreign process."""

import os
import subprocess
import sys

import pytest

DEVICES = """
import jax, jax.numpy as jnp, lineax as lx, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
jax.config.update("jax_enable_x64", True)
import elimax as ex
from elimax._primitive.external import external_setup, external_solve
from tests.external.solvers import Dense, matrix

dense = Dense(columns=True)
solver = ex.ExternalSolver(dense.setup, dense.solve, transpose_solve=dense.transpose_solve, vmap="columns")
A = ex.SparseMatrix.from_scipy(matrix())
mesh = jax.make_mesh((8,), ("i",), axis_types=(AxisType.Auto,))
V = jnp.outer(jnp.linspace(1.0, 2.0, 8), A.values)
B = jnp.asarray(np.random.default_rng(0).normal(size=(8, 7)))

def solve(v, b):
    return lx.linear_solve(ex.SparseLinearOperator(A.with_values(v)), b, solver, throw=False).value

def put(x):
    return jax.device_put(x, NamedSharding(mesh, P("i")))

def check(f, *args):
    ours = jax.block_until_ready(jax.jit(f)(*map(put, args)))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-10), ours, f(*args))

check(jax.vmap(solve), V, B)
check(jax.vmap(jax.grad(lambda v, b: jnp.sum(solve(v, b) ** 2), (0, 1))), V, B)
check(lambda B: jax.vmap(lambda b: solve(A.values, b))(B), B)

def primitives(v, b):  # lineax does not go through shard_map
    bound = solver._host.bind(A.pattern, "general")
    return external_solve(external_setup(v, bound), v, b[:, None], bound)[0]

check(jax.shard_map(jax.vmap(primitives), mesh=mesh, in_specs=(P("i"), P("i")), out_specs=P("i")), V, B)
print("right", dense.called["setup"])
"""

CACHED = """
import sys, jax, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
import elimax as ex
from elimax._primitive.external import external_setup, external_solve
from tests.external.solvers import Dense, matrix

A = ex.SparseMatrix.from_scipy(matrix())
args = A.values, jnp.ones((7, 1))
if sys.argv[1] == "write":
    bound = Dense().host().bind(A.pattern, "general")
    program = ex.export(jax.jit(lambda a, b: external_solve(external_setup(a, bound), a, b, bound)), *args)
    open(sys.argv[2], "wb").write(program.serialize())
else:
    if sys.argv[1] == "read with a solver":
        Dense().host()
    program = jax.export.deserialize(bytearray(open(sys.argv[2], "rb").read()))
    try:
        jax.block_until_ready(program.call(*args))
    except Exception as error:
        print(error)
    print("alive", jnp.ones(3).sum())
"""


def process(program: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_eight_devices_call_at_once():
    flags = "--xla_force_host_platform_device_count=8"
    assert process(DEVICES, XLA_FLAGS=flags, NPROC="16").split() == ["right", "8"]


def test_program_of_another_process_is_an_error(tmp_path):
    file = str(tmp_path / "program")
    process(CACHED, "write", file)
    without = process(CACHED, "read", file)
    assert (
        "ExternalSolver 'dense': there is no Python to call" in without and "alive 3.0" in without
    )
    with_one = process(CACHED, "read with a solver", file)
    assert "ExternalSolver 'dense': this process knows no such solver" in with_one
    assert "alive 3.0" in with_one
