"""One of two processes that compute together; run by test_distributed.py, which reads what it prints.

python -m tests.transform.on_two_processes PROCESS HOST:PORT
"""

import hashlib
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import elimax as ex
from elimax._structure._native import counted

MEMBERS = 6


def grid(*shape):
    """A Laplacian plus the identity; large enough for "auto" to weigh two orderings."""
    paths = [sp.diags_array([-1.0, 2.0, -1.0], offsets=(-1, 0, 1), shape=(n, n)) for n in shape]
    return ex.SymmetricMatrix.from_scipy(
        sp.csc_array(sp.kronsum(*paths) + sp.eye_array(np.prod(shape)))
    )


def loss(theta, S, b):
    """Of one member; theta is shared by all, the right-hand side is the member's own."""
    F = ex.cholesky(jnp.exp(theta[0]) * S + ex.SymmetricMatrix.eye(S.shape[0]), throw=False)
    return F.logdet() * theta[1] + jnp.sum(jnp.sin(F.solve(b)))


def total(theta, scale, S, b):
    return jnp.sum(jax.vmap(lambda s, b: loss(theta * s, S, b))(scale, b))


def main(process, coordinator):
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(coordinator, num_processes=2, process_id=process)
    mesh = jax.make_mesh((2,), ("i",), axis_types=(AxisType.Auto,))
    split, everywhere = NamedSharding(mesh, P("i")), NamedSharding(mesh, P())

    def put(x, sharding):
        return jax.make_array_from_callback(x.shape, sharding, lambda part: x[part])

    S, theta = grid(12, 12), np.array([0.3, 0.7])
    scale = np.linspace(0.5, 1.5, MEMBERS)
    b = np.random.default_rng(0).normal(size=(MEMBERS, 144))
    gradient = jax.grad(total)

    def results(theta, scale, b):
        along = jax.jvp(lambda t: gradient(t, scale, S, b), (theta,), (theta,))
        return total(theta, scale, S, b), along

    x = put(theta, everywhere), put(scale, split), put(b, split)
    lowered = jax.jit(results, out_shardings=everywhere).lower(*x)
    compiled = lowered.compile()
    before = counted("factorization")
    got = jax.block_until_ready(compiled(*x))
    factorizations = counted("factorization") - before

    local = jax.shard_map(
        lambda theta, scale, b: jax.lax.psum(total(theta, scale, S, b), "i"),
        mesh=mesh,
        in_specs=(P(), P("i"), P("i")),
        out_specs=P(),
    )
    mapped = jax.jit(jax.grad(local))(*x)

    large = jax.jit(lambda v: ex.cholesky(grid(70, 70).with_values(v)).logdet())
    program = large.lower(grid(70, 70).values).as_text() + lowered.as_text()
    alone = jax.jit(results)(theta, scale, b)
    flat = [np.ravel(leaf) for leaf in jax.tree.leaves((got, mapped))]
    print(
        json.dumps(
            {
                "program": hashlib.sha256(program.encode()).hexdigest(),
                "factorizations": factorizations,
                "gathers": compiled.as_text().count("all-gather("),
                "together": np.concatenate(flat).tolist(),
                "alone": np.concatenate(
                    [np.ravel(leaf) for leaf in jax.tree.leaves((alone, alone[1][0]))]
                ).tolist(),
            }
        )
    )
    jax.distributed.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
