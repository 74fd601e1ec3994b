"""Matrices and factors in Equinox modules: filtered transformations, partition, serialization."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex

from ..helpers import assert_close, spd

eqx = pytest.importorskip("equinox")


class Gaussian(eqx.Module):
    """A density with precision exp(log_scale) A."""

    log_scale: jax.Array
    precision: ex.SymmetricMatrix
    name: str = "gaussian"

    def log_density(self, x):
        Q = jnp.exp(self.log_scale) * self.precision
        return 0.5 * ex.cholesky(Q).logdet() - 0.5 * x @ (Q @ x)


@pytest.fixture
def model() -> Gaussian:
    return Gaussian(jnp.array(0.3), ex.SymmetricMatrix.from_scipy(spd("grid_2d")))


def _plain(model: Gaussian, x, log_scale, values):
    A = model.precision.with_values(values)
    return Gaussian(log_scale, A).log_density(x)


def test_filter_jit_and_filter_grad(model):
    x = jnp.ones(72)
    gradient = eqx.filter_jit(eqx.filter_grad(lambda m: m.log_density(x)))(model)
    expected = jax.grad(_plain, (2, 3))(model, x, model.log_scale, model.precision.values)
    assert isinstance(gradient, Gaussian) and gradient.name is None
    assert gradient.precision.pattern == model.precision.pattern
    assert_close(gradient.log_scale, expected[0], 1e-14)
    assert_close(gradient.precision.values, expected[1], 1e-14)


def test_filter_vmap_over_factors(model):
    scales, x = jnp.arange(1.0, 4.0), jnp.ones(72)
    factors = eqx.filter_vmap(lambda s: ex.cholesky(s * model.precision))(scales)
    solutions = eqx.filter_jit(
        eqx.filter_vmap(lambda F, b: F.solve(b), in_axes=(eqx.if_array(0), None))
    )(factors, x)
    for s, solution in zip(scales, solutions, strict=True):
        assert_close(solution, ex.cholesky(s * model.precision).solve(x), 1e-14)


def test_partition_and_combine(model):
    arrays, static = eqx.partition(model, eqx.is_inexact_array)
    assert len(jax.tree.leaves(arrays)) == 2 and jax.tree.leaves(static) == ["gaussian"]
    x = jnp.ones(72)
    assert eqx.combine(arrays, static).log_density(x) == model.log_density(x)


def test_tree_at_and_tree_equal(model):
    other = eqx.tree_at(lambda m: m.precision.values, model, 2 * model.precision.values)
    assert_close(other.precision.values, 2 * model.precision.values, 0)
    assert eqx.tree_equal(model, model) and not eqx.tree_equal(model, other)


def test_leaves_are_written_and_read(model, tmp_path):
    F = ex.cholesky(model.precision)
    tree = (model, F)
    eqx.tree_serialise_leaves(tmp_path / "leaves.eqx", tree)
    blank = jax.tree.map(lambda x: jnp.zeros_like(x) if eqx.is_array(x) else x, tree)
    again, G = eqx.tree_deserialise_leaves(tmp_path / "leaves.eqx", blank)
    assert np.array_equal(again.precision.values, model.precision.values)
    b = jnp.arange(72.0)
    assert np.array_equal(G.solve(b), F.solve(b)) and G.logdet() == F.logdet()
