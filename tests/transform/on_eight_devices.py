"""Batches that are sharded over eight devices; run by test_sharding.py in a process that has them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import elimax as ex

from ..helpers import assert_close, spd

A = ex.SymmetricMatrix.from_scipy(spd("tridiagonal"))
N = A.shape[0]
MESH = jax.make_mesh((8,), ("i",), axis_types=(AxisType.Auto,))


def operands(rng, dtype=np.float64):
    """Values and right-hand sides of eight systems, and directions of both."""
    values = jnp.asarray(A.values) * jnp.linspace(1.0, 2.0, 8)[:, None]
    b = jnp.asarray(rng.normal(size=(8, N)))
    return (values, b), (jnp.asarray(rng.normal(size=values.shape)), b[::-1])


def loss(v, b):
    """Everything that a factor gives, and products."""
    S = A.with_values(v)
    F = ex.cholesky(S)
    terms = [F.solve(b), F.selected_inverse().values, F.inverse_diagonal(), S @ b]
    return F.logdet() + sum(jnp.sum(jnp.sin(x)) for x in terms)


# --- shard_map -------------------------------------------------------------------------------------


@pytest.mark.parametrize("check_vma", [True, False])
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)], ids=str)
def test_shard_map(axes, check_vma, rng):
    """Values, gradients and Hessian-vector products, of sharded operands and of replicated ones."""
    batches, directions = operands(rng)
    x, t = (
        tuple(z if axis == 0 else z[0] for z, axis in zip(zs, axes, strict=True))
        for zs in (batches, directions)
    )
    batched = jax.vmap(loss, axes)
    specs = tuple(P("i") if axis == 0 else P() for axis in axes)
    local = jax.shard_map(batched, mesh=MESH, in_specs=specs, out_specs=P("i"), check_vma=check_vma)

    def results(f):
        gradient = jax.grad(lambda *x: jnp.sum(f(*x)), (0, 1))
        return f(*x), gradient(*x), jax.jvp(gradient, x, t)[1]

    _compare(jax.jit(lambda: results(local))(), jax.jit(lambda: results(batched))(), 1e-10)


def test_shard_map_outside_of_jit(rng):
    (values, b), _ = operands(rng)
    f = lambda v, b: ex.solve(A.with_values(v[0]), b)[None]  # noqa: E731
    local = jax.shard_map(f, mesh=MESH, in_specs=(P("i"), P()), out_specs=P("i"))
    got = jax.grad(lambda b: jnp.sum(jnp.sin(local(values, b))))(b[0])
    expected = jax.grad(lambda b: sum(jnp.sum(jnp.sin(f(v[None], b))) for v in values))(b[0])
    assert_close(got, expected, 1e-12)


def _compare(got, expected, rtol):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert_close(a, b, rtol)
