"""Dense oracles of mixed models: they know nothing of b but its covariance."""

import jax.numpy as jnp
import numpy as np

from elimax.stats.mixed.random_term import RandomTerm, templates


def Z_Lambda(terms: list[RandomTerm], theta, xp=jnp):
    """The columns of u, (n, q)."""
    sizes, parts = tuple(term.size for term in terms), []
    for term, T in zip(terms, templates(sizes, theta), strict=True):
        indicator = np.eye(len(term.levels))[term.codes]
        Z = xp.einsum("nl,na->nla", indicator, term.design)
        parts.append((Z @ T).reshape(len(term.codes), -1))
    return xp.concatenate(parts, axis=1)


def criterion(y, X, terms, theta, reml, weights, xp=jnp):
    """From the marginal covariance sigma^2 V of y, by generalized least squares, with jnp or np.

    The weighted residual sum of squares is |G| / |G_XX| with G = [X y]^T V^-1 [X y].
    """
    ZL, Xy = Z_Lambda(terms, theta, xp), xp.column_stack([X, y])
    V = xp.diag(1 / weights) + ZL @ ZL.T
    G = Xy.T @ xp.linalg.solve(V, Xy)
    logdet_V, logdet_G, logdet_XX = (xp.linalg.slogdet(A)[1] for A in (V, G, G[:-1, :-1]))
    freedom = len(y) - reml * X.shape[1]
    log_variance = logdet_G - logdet_XX - xp.log(freedom)
    value = logdet_V + freedom * (1 + xp.log(2 * xp.pi) + log_variance)
    return value + reml * logdet_XX


def random_problem(rng: np.random.Generator, n: int = 60):
    """Unbalanced: correlated slopes, crossed intercepts, and a second term of the first group."""
    x = rng.normal(size=n)
    one, both = np.ones((n, 1)), np.column_stack([np.ones(n), x])
    g, h = np.append(np.arange(7), rng.integers(0, 7, n - 7)), rng.integers(0, 5, n)
    terms = [
        RandomTerm.from_labels("g", g, both, ("(Intercept)", "x")),
        RandomTerm.from_labels("h", h, one),
        RandomTerm.from_labels("g", g, rng.normal(size=(n, 1)), ("z",)),
    ]
    y = 1 + 2 * x + rng.normal(size=7)[g] + rng.normal(size=5)[h] + 0.5 * rng.normal(size=n)
    return y, both, terms
