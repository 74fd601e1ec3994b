"""Compiled programs that outlive their process: JAX's persistent cache, and serialized executables."""

import json

from .fresh import run_fresh

_CACHED = """
import json
import scipy.sparse as sp

jax.config.update("jax_compilation_cache_dir", str(folder / "cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
found = []
jax.monitoring.register_event_listener(lambda event, **_: found.append(event))

path = sp.diags_array([-np.ones(29), 3 * np.ones(30), -np.ones(29)], offsets=[-1, 0, 1])
A = ex.SymmetricMatrix.from_scipy(sp.csc_array(sp.kron(path, path)))
b = jnp.arange(900.0)

@jax.jit
def density(v, b):
    F = ex.cholesky(A.with_values(v))
    return F.logdet() + b @ F.solve(b), jax.grad(lambda v: ex.cholesky(A.with_values(v)).logdet())(v)

found.clear()
density = density.lower(A.values, b).compile()
hits = found.count("/jax/compilation_cache/cache_hits")
misses = found.count("/jax/compilation_cache/cache_misses")
value, gradient = density(A.values, b)
print(json.dumps([hits, misses, float(value), np.asarray(gradient).tolist()]))
"""


def test_the_persistent_cache_serves_a_second_process(tmp_path):
    """The program names its structures by content: in another process it is the same program."""
    hits, misses, *numbers = json.loads(run_fresh(_CACHED, tmp_path))
    assert (hits, misses) == (0, 1)
    hits, misses, *again = json.loads(run_fresh(_CACHED, tmp_path))
    assert (hits, misses) == (1, 0)
    assert again == numbers


_SERIALIZED = """
from jax.experimental.serialize_executable import serialize

A = ex.SymmetricMatrix.diags([4 * np.ones(9), np.ones(8)], [0, -1])
b = jnp.arange(9.0)
solve = jax.jit(lambda v, b: ex.cholesky(A.with_values(v)).solve(b)).lower(A.values, b).compile()
write("executable", (serialize(solve), A, b, solve(A.values, b)))
"""

_LOADED = """
from jax.experimental.serialize_executable import deserialize_and_load

executable, A, b, x = read("executable")
solve = deserialize_and_load(*executable)
try:
    jax.block_until_ready(solve(A.values, b))
    print("no error")
except Exception as error:
    print(error)
jax.jit(lambda v, b: ex.cholesky(A.with_values(v)).solve(b)).lower(A.values, b)  # structures are known
assert np.array_equal(solve(A.values, b), x)
"""


def test_a_serialized_executable_asks_for_its_structures(tmp_path):
    run_fresh(_SERIALIZED, tmp_path)
    printed = run_fresh(_LOADED, tmp_path)
    assert "not registered in this process" in printed and "elimax.export" in printed
