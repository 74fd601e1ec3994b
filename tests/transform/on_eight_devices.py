"""Batches that are sharded over eight devices; run by test_sharding.py in a process that has them."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import elimax as ex
from elimax._structure._native import counted

from ..helpers import assert_close, spd

A = ex.SymmetricMatrix.from_scipy(spd("tridiagonal"))
T = ex.SparseMatrix.from_dense(np.tril(A.todense()))
N = A.shape[0]
MESH = jax.make_mesh((8,), ("i",), axis_types=(AxisType.Auto,))
EXPLICIT = jax.make_mesh((8,), ("i",), axis_types=(AxisType.Explicit,))
GRID = jax.make_mesh((4, 2), ("i", "j"), axis_types=(AxisType.Auto,) * 2)
EXPLICIT_GRID = jax.make_mesh((4, 2), ("i", "j"), axis_types=(AxisType.Explicit,) * 2)
EITHER_MESH = pytest.mark.parametrize("mesh", [MESH, EXPLICIT], ids=["auto", "explicit"])


def operands(rng):
    """Values and right-hand sides of eight systems."""
    values = jnp.asarray(A.values) * jnp.linspace(1.0, 2.0, 8)[:, None]
    return values, jnp.asarray(rng.normal(size=(8, N)))


def shared(x, axes):
    """The first of what all systems share, and all of the rest."""
    return tuple(z if axis == 0 else z[0] for z, axis in zip(x, axes, strict=True))


def outputs(v, b):
    """Everything that a factor gives, and products."""
    S = A.with_values(v)
    F = ex.cholesky(S)
    inverse, diagonal = F.selected_inverse().values, F.inverse_diagonal()
    return F.logdet(), F.solve(b), inverse, diagonal, S @ b, F.half_solve(b), F.L.values


def loss(v, b):
    return sum(jnp.sum(jnp.sin(x)) for x in outputs(v, b))


def derivatives(v, b):
    """The gradient and a Hessian-vector product."""
    gradient = jax.grad(loss, (0, 1))
    return jax.jvp(gradient, (v, b), (v, b))


def put(x, mesh, *spec):
    return jax.device_put(x, NamedSharding(mesh, P(*spec)))


def run(f, *x):
    """The results of f, compiled, and the names of the collective operations in it."""
    compiled = jax.jit(f).lower(*x).compile()
    names = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter"
    return compiled(*x), set(re.findall(rf" ({names})\w*[-(]", compiled.as_text()))


def compare(got, expected, rtol=1e-12):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert_close(a, b, rtol)


# --- shard_map -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "axes, check_vma", [((0, 0), True), ((0, None), True), ((None, 0), True), ((0, None), False)]
)
def test_shard_map(axes, check_vma, rng):
    """Values, gradients and Hessian-vector products, of sharded operands and of replicated ones."""
    x = shared(operands(rng), axes)
    batched = jax.vmap(loss, axes)
    specs = tuple(P("i") if axis == 0 else P() for axis in axes)
    local = jax.shard_map(batched, mesh=MESH, in_specs=specs, out_specs=P("i"), check_vma=check_vma)

    def results(f):
        gradient = jax.grad(lambda *x: jnp.sum(f(*x)), (0, 1))
        return f(*x), jax.jvp(gradient, x, x)

    compare(jax.jit(lambda: results(local))(), jax.jit(lambda: results(batched))(), 1e-10)


def test_shard_map_outside_of_jit(rng):
    values, b = operands(rng)
    f = lambda v, b: ex.cholesky(A.with_values(v[0])).solve(b)[None]  # noqa: E731
    local = jax.shard_map(f, mesh=MESH, in_specs=(P("i"), P()), out_specs=P("i"))
    got = jax.grad(lambda b: jnp.sum(jnp.sin(local(values, b))))(b[0])
    expected = jax.grad(lambda b: sum(jnp.sum(jnp.sin(f(v[None], b))) for v in values))(b[0])
    assert_close(got, expected, 1e-12)


def test_shard_map_over_one_of_two_axes(rng):
    x = operands(rng)
    f = jax.vmap(outputs)
    local = jax.shard_map(f, mesh=GRID, in_specs=P("i"), out_specs=P("i"), axis_names={"i"})
    got, _ = run(local, *(put(z, GRID, ("i", "j")) for z in x))
    compare(got, jax.jit(f)(*x))


# --- jit: a sharded batch stays where it is --------------------------------------------------------


@EITHER_MESH
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)], ids=str)
def test_a_sharded_batch_stays_sharded(axes, mesh, rng):
    """No device talks to another, and none repeats what another one does."""
    x = shared(operands(rng), axes)
    sharded = [put(z, mesh, *["i"][: axis == 0]) for z, axis in zip(x, axes, strict=True)]
    f = jax.vmap(lambda *x: (ex.cholesky(A.with_values(x[0])).solve(x[1]), derivatives(*x)), axes)
    before = counted("factorization")
    got, collectives = run(f, *sharded)
    jax.block_until_ready(got)
    assert counted("factorization") - before == 8  # one on each device
    assert not collectives
    for y in jax.tree.leaves(got):
        assert y.sharding.is_equivalent_to(NamedSharding(mesh, P("i")), y.ndim)
    compare(got, jax.jit(f)(*x), 1e-11)


@EITHER_MESH
@pytest.mark.parametrize("axes", [(0, None), (None, 0)], ids=str)
def test_the_gradient_of_a_shared_operand_is_summed_over_devices(axes, mesh, rng):
    x = shared(operands(rng), axes)
    sharded = [put(z, mesh, *["i"][: axis == 0]) for z, axis in zip(x, axes, strict=True)]
    gradient = jax.grad(lambda *x: jnp.sum(jax.vmap(loss, axes)(*x)), (0, 1))
    got, collectives = run(gradient, *sharded)
    assert collectives == {"all-reduce"}
    compare(got, jax.jit(gradient)(*x), 1e-11)


def columns(v, B):
    S = A.with_values(v)
    return S @ B, ex.triangular_solve(T, B), ex.cholesky(S).solve(B), ex.cholesky(S).half_solve(B)


@EITHER_MESH
def test_sharded_columns_stay_sharded(mesh, rng):
    v, b = operands(rng)
    x, sharded = (v[0], b.T), (put(v[0], mesh), put(b.T, mesh, None, "i"))
    got, collectives = run(columns, *sharded)
    assert not collectives
    for y in got:
        assert y.sharding.is_equivalent_to(NamedSharding(mesh, P(None, "i")), 2)
    compare(got, jax.jit(columns)(*x))
    gradient = jax.grad(lambda *x: sum(jnp.sum(jnp.sin(y)) for y in columns(*x)), (0, 1))
    got, collectives = run(gradient, *sharded)
    assert collectives == {"all-reduce"}
    compare(got, jax.jit(gradient)(*x))


def test_sharded_directions_share_a_factor(rng):
    """A batch of directions at one matrix: derivatives take groups of it, and a factor each."""
    v, _ = operands(rng)
    directions = jnp.asarray(rng.normal(size=(16, A.nnz)))

    def f(v, directions):
        along = lambda d: jax.jvp(lambda v: outputs(v, jnp.ones(N)), (v,), (d,))[1]  # noqa: E731
        return jax.vmap(along)(directions)

    before = counted("inverse_gradient")
    got, collectives = run(f, put(v[0], MESH), put(directions, MESH, "i"))
    jax.block_until_ready(got)
    # Once for every direction; and on every device once for the gradient of logdet.
    assert counted("inverse_gradient") - before == 16 + 8
    assert not collectives
    compare(got, jax.jit(f)(v[0], directions))


@pytest.mark.parametrize("spec", ["j", ("j", "i")], ids=str)
def test_two_mesh_axes(spec, rng):
    x = operands(rng)
    got, collectives = run(jax.vmap(outputs), *(put(z, GRID, spec) for z in x))
    assert not collectives
    compare(got, jax.jit(jax.vmap(outputs))(*x))


@pytest.mark.parametrize("mesh", [GRID, EXPLICIT_GRID], ids=["auto", "explicit"])
def test_two_mesh_axes_of_a_nested_batch(mesh, rng):
    x = [z.reshape(4, 2, -1) for z in operands(rng)]
    f = jax.vmap(jax.vmap(outputs))
    got, collectives = run(f, *(put(z, mesh, "i", "j") for z in x))
    assert not collectives
    compare(got, jax.jit(f)(*x))


@pytest.mark.parametrize("mesh", [MESH, EXPLICIT], ids=["auto", "explicit"])
@pytest.mark.parametrize("transform", ["values", "gradients", "hessian"])
def test_a_batch_that_is_sharded_inside_of_another(transform, mesh, rng):
    """A few parameters for every member of an ensemble: each device computes what its own members need."""
    eye = ex.SymmetricMatrix.eye(N).on_pattern(A.pattern)

    def member(theta, s):
        return ex.cholesky(jnp.exp(theta) * s * A + eye, throw=False).logdet()

    def total(theta, s):
        return jnp.sum(jax.vmap(member, (None, 0))(theta, s))

    f = {
        "values": jax.vmap(jax.vmap(member, (None, 0)), (0, None)),
        "gradients": jax.vmap(jax.grad(total), (0, None)),
        "hessian": jax.vmap(jax.hessian(total), (0, None)),
    }[transform]
    thetas, s = jnp.linspace(0.0, 1.0, 3), jnp.asarray(rng.uniform(1.0, 2.0, 16))
    before = counted("factorization")
    got, collectives = run(f, thetas, put(s, mesh, "i"))
    jax.block_until_ready(got)
    assert counted("factorization") - before == 3 * 16
    assert collectives <= ({"all-reduce"} if transform != "values" else set())
    compare(got, jax.jit(f)(thetas, s))


def test_control_flow_and_nested_vmap(rng):
    values, b = operands(rng)

    def f(values, b):
        pairs = jax.vmap(jax.vmap(outputs, (None, 0)))(values, jnp.stack([b, 2 * b], 1))
        total, _ = jax.lax.scan(
            lambda x, s: (jax.vmap(ex.solve)(A_batch(s * values), x), None), b, jnp.arange(1.0, 4.0)
        )
        return pairs, total

    def A_batch(values):
        return jax.vmap(A.with_values)(values)

    got, collectives = run(f, put(values, MESH, "i"), put(b, MESH, "i"))
    assert not collectives
    compare(got, jax.jit(f)(values, b))


@pytest.mark.parametrize("mesh", [GRID, EXPLICIT_GRID], ids=["auto", "explicit"])
def test_matrices_over_one_axis_and_right_hand_sides_over_the_other(mesh, rng):
    """Every matrix with every right-hand side: these may move, to where the matrices are."""
    x = operands(rng)
    f = jax.vmap(jax.vmap(jax.value_and_grad(loss), (None, 0)), (0, None))
    got, _ = run(f, *(put(z, mesh, axis) for z, axis in zip(x, "ij", strict=True)))
    for y in jax.tree.leaves(got):
        if mesh is EXPLICIT_GRID:
            assert tuple(jax.typeof(y).sharding.spec)[:2] == ("i", "j")
    compare(got, jax.jit(f)(*x), 1e-11)


# --- never a wrong number --------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [4, 6, 7])
def test_a_batch_that_devices_cannot_share_evenly(stop, rng):
    """What pads an uneven shard is no matrix, and is not factorized."""
    x = operands(rng)
    f = lambda v, b: jax.vmap(outputs)(v[:stop], b[:stop])  # noqa: E731
    got, _ = run(f, *(put(z, MESH, "i") for z in x))
    compare(got, jax.jit(f)(*x))


@pytest.mark.parametrize(
    "specs", [((None, "i"), ("i",)), (("i",), ("j",)), (("j", "i"), ("i", "j"))]
)
def test_other_shardings(specs, rng):
    """Sharded over n or nnz, or differently in different operands: gathered where need be."""
    values, b = operands(rng)
    values = jnp.pad(values, ((0, 0), (0, 1)))  # 80 entries: eight shards
    f = lambda v, b: jax.vmap(outputs)(v[:, : A.nnz], b)  # noqa: E731
    got, _ = run(f, put(values, GRID, *specs[0]), put(b, GRID, *specs[1]))
    compare(got, jax.jit(f)(values, b))
    one = lambda v, b: outputs(v[: A.nnz], b)  # noqa: E731
    got, _ = run(one, put(values[0], GRID, "i"), put(b[0], GRID, ("i", "j")))
    compare(got, jax.jit(one)(values[0], b[0]))


def test_an_explicit_sharding_that_no_kernel_has(rng):
    values, b = operands(rng)
    with pytest.raises(ValueError, match=r"solve: operand 2 .* is sharded .* jax.sharding.reshard"):
        jax.jit(lambda v, b: ex.cholesky(A.with_values(v)).solve(b))(
            values[0], put(b[0], EXPLICIT, "i")
        )


def test_a_failing_element_of_a_sharded_batch(rng):
    def f(v):
        F = ex.cholesky(A.with_values(v), throw=False)
        return F.logdet(), F.status

    values = operands(rng)[0].at[5].multiply(-1)
    (logdet, status), collectives = run(jax.vmap(f), put(values, MESH, "i"))
    assert not collectives
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(logdet)), [5])
    np.testing.assert_array_equal(np.flatnonzero(status), [5])


# --- factorizations that pivot ---------------------------------------------------------------------


def pivoted_outputs(v, b):
    S = A.with_values(v)
    indefinite = S + (-3.0) * ex.SymmetricMatrix.eye(N)
    general = S.to_general() + 0.1 * T
    results = []
    for F in (ex.ldl(indefinite), ex.lu(general)):
        results += [F.solve(b), *F.slogdet(), F.selected_inverse().values, F.inverse_diagonal()]
    return results


def pivoted_derivatives(v, b):
    loss = lambda v, b: sum(jnp.sum(jnp.sin(x)) for x in pivoted_outputs(v, b))  # noqa: E731
    gradient = jax.grad(loss, (0, 1))
    return pivoted_outputs(v, b), jax.jvp(gradient, (v, b), (v, b))


@EITHER_MESH
@pytest.mark.parametrize("axes", [(0, 0), (0, None)], ids=str)
def test_a_sharded_batch_that_pivots_stays_sharded(axes, mesh, rng):
    x = shared(operands(rng), axes)
    sharded = [put(z, mesh, *["i"][: axis == 0]) for z, axis in zip(x, axes, strict=True)]
    f = jax.vmap(pivoted_derivatives, axes)
    before = counted("factorization")
    got, collectives = run(f, *sharded)
    jax.block_until_ready(got)
    assert counted("factorization") - before == 2 * 8  # one of each kind on each device
    assert not collectives
    for y in jax.tree.leaves(got):
        assert y.sharding.is_equivalent_to(NamedSharding(mesh, P("i")), y.ndim)
    compare(got, jax.jit(f)(*x), 1e-9)


@EITHER_MESH
def test_sharded_columns_of_a_refined_solve_stay_sharded(mesh, rng):
    v, b = operands(rng)
    f = lambda v, B: ex.lu(A.with_values(v)).solve(B)  # noqa: E731
    got, collectives = run(f, put(v[0], mesh), put(b.T, mesh, None, "i"))
    assert not collectives
    assert got.sharding.is_equivalent_to(NamedSharding(mesh, P(None, "i")), 2)
    compare(got, f(v[0], b.T))


def test_shard_map_of_what_pivots(rng):
    x = operands(rng)
    batched = jax.vmap(pivoted_derivatives)
    local = jax.shard_map(batched, mesh=MESH, in_specs=P("i"), out_specs=P("i"))
    compare(jax.jit(local)(*x), jax.jit(batched)(*x), 1e-9)
