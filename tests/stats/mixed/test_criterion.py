"""The criteria of a linear mixed model, their derivatives and what follows from them, beside dense ones."""

import functools
import itertools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from hypothesis import strategies as st

from elimax.stats.mixed import criterion as sparse
from elimax.stats.mixed.cross_products import CrossProducts
from elimax.stats.mixed.lmm import evaluate, evaluate_with_gradient
from elimax.stats.mixed.random_design import RandomDesign
from elimax.stats.mixed.random_term import RandomTerm, count, templates

from . import dense

THETA = np.array([0.8, -0.3, 0.6, 1.1, 0.4])


def test_criterion_and_derivatives_in_both_modes(rng):
    y, X, terms = dense.random_problem(rng)
    theta = jnp.array(THETA)

    @jax.jit
    def expected(reml, weights):
        def oracle(theta):
            return dense.criterion(y, X, terms, theta, reml, weights)

        return oracle(theta), jax.grad(oracle)(theta), jax.hessian(oracle)(theta)

    @jax.jit
    def derivatives(model, reml):
        def ours(theta):
            return sparse.criterion(model, theta, reml)

        forward_reverse = jax.hessian(ours)(theta)
        return jax.jacfwd(ours)(theta), forward_reverse, jax.jacrev(jax.jacrev(ours))(theta)

    for reml, weights in itertools.product((False, True), (None, rng.uniform(0.2, 3, len(y)))):
        model = CrossProducts.from_data(y, X, terms, weights)
        target = expected(reml, np.ones(len(y)) if weights is None else weights)
        value, gradient = evaluate_with_gradient(model, theta, reml)
        forward, forward_reverse, reverse_reverse = derivatives(model, reml)
        for found in (value, evaluate(model, theta, reml)):
            np.testing.assert_allclose(found, target[0], rtol=1e-12)
        for found in (gradient, forward):
            np.testing.assert_allclose(found, target[1], rtol=1e-9)
        for found in (forward_reverse, reverse_reverse):
            np.testing.assert_allclose(found, target[2], rtol=1e-7, atol=1e-8)


def test_deviance_profiles_to_the_criterion(rng):
    y, X, terms = dense.random_problem(rng)
    model, theta = CrossProducts.from_data(y, X, terms), jnp.array(THETA)
    beta, _, sigma, _ = jax.jit(sparse.estimates)(model, theta, False)
    value_and_slopes = jax.jit(jax.value_and_grad(sparse.deviance, argnums=(2, 3)))
    value, slopes = value_and_slopes(model, theta, beta, sigma)
    np.testing.assert_allclose(value, evaluate(model, theta, False), rtol=1e-13)
    np.testing.assert_allclose(jnp.hstack(slopes), 0, atol=1e-9)


def test_deviance_is_minus_two_log_likelihood(rng):
    y, X, terms = dense.random_problem(rng)
    weights, beta, sigma = rng.uniform(0.2, 3, len(y)), np.array([0.5, 1.5]), 0.7
    model, theta = CrossProducts.from_data(y, X, terms, weights), jnp.array(THETA)
    ZL = np.asarray(dense.Z_Lambda(terms, theta))
    V = sigma**2 * (np.diag(1 / weights) + ZL @ ZL.T)
    expected = -2 * scipy.stats.multivariate_normal.logpdf(y, X @ beta, V)
    value = sparse.deviance(model, theta, jnp.asarray(beta), jnp.asarray(sigma))
    np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_estimates_and_random_effects(rng):
    y, X, terms = dense.random_problem(rng)
    weights = rng.uniform(0.2, 3, len(y))
    model, theta = CrossProducts.from_data(y, X, terms, weights), jnp.array(THETA)
    beta, vcov, sigma, modes = jax.jit(sparse.estimates)(model, theta, True)
    ZL, W = np.asarray(dense.Z_Lambda(terms, theta)), np.diag(weights)
    precision = np.linalg.inv(np.diag(1 / weights) + ZL @ ZL.T)
    information = X.T @ precision @ X
    np.testing.assert_allclose(beta, np.linalg.solve(information, X.T @ precision @ y), rtol=1e-10)
    rest = y - X @ np.asarray(beta)
    np.testing.assert_allclose(sigma**2, rest @ precision @ rest / (len(y) - 2), rtol=1e-10)
    np.testing.assert_allclose(vcov, sigma**2 * np.linalg.inv(information), rtol=1e-10)

    H = ZL.T @ W @ ZL + np.eye(model.q)
    u, inverse, start = np.linalg.solve(H, ZL.T @ W @ rest), np.linalg.inv(H), 0
    covariances = jax.jit(sparse.conditional_covariances)(model, theta)
    for (levels, k), T, b, C in zip(
        model.sizes, templates(model.sizes, THETA), modes, covariances, strict=True
    ):
        for level in range(levels):
            own = slice(start, start := start + k)
            np.testing.assert_allclose(b[level], T @ u[own], rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(C[level], T @ inverse[own, own] @ T.T, rtol=1e-9, atol=1e-12)


def test_large_means_and_unscaled_covariates_cost_no_digits(rng):
    y, X, terms = dense.random_problem(rng)
    moved = 1e7 + y, np.column_stack([X[:, 0], 2000 + 1e4 * X[:, 1]]), terms
    theta = jnp.array(THETA)
    plain, scaled = CrossProducts.from_data(y, X, terms), CrossProducts.from_data(*moved)
    np.testing.assert_allclose(
        evaluate(scaled, theta, False), evaluate(plain, theta, False), rtol=1e-9
    )
    beta, _, sigma, _ = sparse.estimates(plain, theta, True)
    other, _, sigma_too, _ = sparse.estimates(scaled, theta, True)
    np.testing.assert_allclose([other[1] * 1e4, sigma_too], [beta[1], sigma], rtol=1e-7)


def test_the_sparse_columns_of_the_random_effects(rng):
    _, _, terms = dense.random_problem(rng)
    design, theta = RandomDesign.from_terms(terms), jnp.array(THETA)
    expected = dense.Z_Lambda(terms, theta)
    scaled = jax.jit(lambda design, theta: design.scaled(theta))(design, theta)
    np.testing.assert_allclose(scaled.todense(), expected, rtol=1e-14)
    product = (design.Z @ design.factor(theta)).todense()
    np.testing.assert_allclose(product, expected, rtol=1e-14)
    u = rng.normal(size=scaled.shape[1])
    derivative = jax.jacfwd(lambda theta: design.scaled(theta) @ u)(theta)
    reverse = jax.jacrev(lambda theta: design.scaled(theta) @ u)(theta)
    dense_derivative = jax.jacfwd(lambda theta: dense.Z_Lambda(terms, theta) @ u)(theta)
    np.testing.assert_allclose(derivative, dense_derivative, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(reverse, dense_derivative, rtol=1e-12, atol=1e-13)


@functools.cache
def structure(seed: int):
    """One of a few models of up to three terms with up to two columns and up to five levels."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(6, 20)), int(rng.integers(0, 4))
    groups = [rng.integers(0, rng.integers(1, 6), n) for _ in range(1 + seed % 3)]
    return n, p, groups, rng.integers(1, 3, len(groups))


@hypothesis.given(
    kind=st.integers(0, 4),
    seed=st.integers(0, 2**32 - 1),
    theta=st.lists(st.floats(-2, 2), min_size=9, max_size=9),
    reml=st.booleans(),
)
def test_random_models_against_brute_force(kind, seed, theta, reml):
    n, p, groups, columns = structure(kind)
    rng = np.random.default_rng(seed)
    y, X, weights = rng.normal(size=n), rng.normal(size=(n, p)), rng.uniform(0.1, 5, n)
    terms = [
        RandomTerm.from_labels(f"g{i}", labels, rng.normal(size=(n, k)))
        for i, (labels, k) in enumerate(zip(groups, columns, strict=True))
    ]
    theta = np.array(theta[: count(tuple(term.size for term in terms))])
    model = CrossProducts.from_data(y, X, terms, weights)
    ours = evaluate(model, jnp.asarray(theta), reml)
    expected = dense.criterion(y, X, terms, theta, reml, weights, np)
    np.testing.assert_allclose(ours, expected, rtol=1e-8, atol=1e-8)
