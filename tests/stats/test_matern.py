"""Matern precisions: against the Matern covariance, RTMB's determinants and likelihoods, dense algebra."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special

import elimax as ex
from elimax.stats import (
    FiniteElements,
    Mesh,
    diffusion_tensor,
    matern,
    matern_fractional,
    matern_parameters,
    matern_range,
    pc_matern_prior,
)

from ..helpers import assert_close
from .test_mesh import numbers


def small(rng) -> Mesh:
    return Mesh.from_points(rng.uniform(size=(8, 2)), max_edge=(0.4, 0.8), offset=(0.1, 0.5))


def correlation(distance, range, nu):
    """Of the Matern family, at positive distances."""
    x = np.sqrt(8 * nu) / range * distance
    return 2 ** (1 - nu) / scipy.special.gamma(nu) * x**nu * scipy.special.kv(nu, x)


def covariance_with_center(Q: ex.SymmetricMatrix, A: ex.SparseMatrix) -> np.ndarray:
    """Of what A observes first with everything that it observes."""
    first = jnp.asarray(A.todense()[0])
    return np.asarray(A @ ex.cholesky(Q).solve(first))


# -- closed forms


@pytest.fixture(scope="module")
def fine() -> Mesh:
    """Around the origin; edges of a fourteenth of the range 1, and an extension twice as wide as it."""
    return Mesh.from_points([[0.0, 0.0]], max_edge=(0.07, 0.3), offset=(1.1, 2.0))


DISTANCES = np.linspace(0, 1, 11)


def along(angle: float, distance: np.ndarray = DISTANCES) -> np.ndarray:
    return np.outer(distance, [np.cos(angle), np.sin(angle)])


def test_covariance_in_the_plane(fine):
    Q = matern(fine, range=1.0, sigma=2.0)
    S = covariance_with_center(Q, fine.projector(along(0.3)))
    expected = 4 * np.append(1.0, correlation(DISTANCES[1:], 1.0, 1.0))
    np.testing.assert_allclose(S, expected, atol=4 * 0.02)
    inner = np.linalg.norm(fine.points, axis=1) < 1
    sigma = np.sqrt(ex.cholesky(Q).inverse_diagonal()[inner])
    np.testing.assert_allclose(sigma, 2, rtol=0.02)


@pytest.mark.parametrize(("alpha", "nu"), [(1, 0.5), (2, 1.5)])
def test_covariance_on_a_line(alpha, nu):
    mesh = Mesh.from_points([0.0], max_edge=(0.01, 0.1), offset=(1.0, 5.0))
    Q = matern(mesh, range=1.0, sigma=0.7, alpha=alpha)
    S = covariance_with_center(Q, mesh.projector(DISTANCES))
    expected = 0.49 * np.append(1.0, correlation(DISTANCES[1:], 1.0, nu))
    np.testing.assert_allclose(S, expected, atol=0.49 * 0.01)


def test_error_falls_with_the_square_of_the_edges():
    errors = []
    mesh = Mesh.from_points([[0.0, 0.0]], max_edge=(0.3, 0.6), offset=(1.0, 2.0))
    for _ in range(3):
        d = ex.cholesky(matern(mesh, range=1.0, sigma=1.0)).inverse_diagonal()[0]
        errors.append(abs(float(d) - 1))
        mesh = mesh.refine()
    assert errors[2] < 0.4 * errors[1] < 0.16 * errors[0]


def test_anisotropic_range(fine):
    """The correlation at a distance along the long axis is that at a distance smaller by the ratio across."""
    elements = fine.directional_elements().with_diffusion(diffusion_tensor(0.5, 4.0))
    Q = matern(elements, range=0.8, sigma=1.0)
    distance = np.linspace(0, 0.8, 5)
    for angle, range in ((0.5, 1.6), (0.5 + np.pi / 2, 0.4)):
        S = covariance_with_center(Q, fine.projector(along(angle, distance)))
        expected = np.append(1.0, correlation(distance[1:], range, 1.0))
        np.testing.assert_allclose(S, expected, atol=0.05)


def test_a_barrier_stops_correlation(fine):
    """A wall with a gap far away: hardly any correlation through it, the usual one beside it."""
    center = fine.points[fine.cells].mean(axis=1)
    wall = (np.abs(center[:, 0] - 0.3) < 0.1) & (np.abs(center[:, 1]) < 1.2)
    Q = matern(fine.barrier_elements(wall).with_fraction(0.1), range=1.0, sigma=1.0)
    free = matern(fine, range=1.0, sigma=1.0)
    A = fine.projector([[0.0, 0.0], [-0.6, 0.0], [0.6, 0.0]])
    S, R = covariance_with_center(Q, A), covariance_with_center(free, A)
    assert S[2] < 0.1 * S[0] < 0.2 < R[2]
    assert S[1] > 0.9 * R[1]
    d = ex.cholesky(Q).inverse_diagonal()
    far = np.linalg.norm(fine.points - [-0.8, 0.0], axis=1) < 0.2
    np.testing.assert_allclose(np.sqrt(d[far]), 1, rtol=0.05)


@pytest.mark.parametrize("alpha", [1.2, 1.8])
def test_fractional_covariance(alpha):
    """Against the power of the same discretized operator, by its eigenvalues; and the Matern covariance."""
    mesh = Mesh.from_points([[0.0, 0.0]], max_edge=(0.1, 0.4), offset=(0.9, 1.5))
    Q, design = matern_fractional(mesh, 1.0, 1.5, alpha)
    A = mesh.projector(along(0.0)) @ design
    S = covariance_with_center(Q, A)
    elements = mesh.finite_elements()
    kappa, tau = matern_parameters(1.0, 1.5, alpha)
    root = np.sqrt(1 / np.asarray(elements.c0.diagonal()))
    value, vector = np.linalg.eigh(root[:, None] * np.asarray(elements.g1.todense()) * root)
    vector = root[:, None] * vector
    power = (vector * (value + float(kappa) ** 2) ** -alpha) @ vector.T / float(tau) ** 2
    P = mesh.projector(along(0.0)).to_scipy()
    np.testing.assert_allclose(S, (P @ power @ P.T)[0], atol=2e-3 * 1.5**2)
    nu = alpha - 1
    expected = correlation(DISTANCES[1:], 1.0, nu) * 1.5**2
    np.testing.assert_allclose(S[3:], expected[2:], atol=0.06 * 1.5**2)


@pytest.mark.slow
def test_more_terms_are_more_accurate(rng):
    """The error falls exponentially, also at a smoothness near to the ends."""
    mesh = small(rng)
    for alpha in (1.02, 1.98):  # the reference is the last one
        variances = []
        for terms in (3, 5, 8, 12):
            Q, design = matern_fractional(mesh, 0.7, 1.0, alpha, terms=terms)
            S = np.linalg.inv(np.asarray(Q.todense()))
            A = np.asarray(design.todense())
            variances.append(np.diag(A @ S @ A.T))
        errors = [np.abs(v / variances[-1] - 1).max() for v in variances[:-1]]
        assert errors[0] < 0.03 and errors[1] < 3e-3 and errors[2] < 2e-4


# -- algebra


def test_values_are_those_of_the_formulas(rng):
    mesh = small(rng)
    E = mesh.finite_elements()
    c, G = np.asarray(E.c0.diagonal()), np.asarray(E.g1.todense())
    C, n = np.diag(c), mesh.n
    k, t = rng.uniform(1, 2, n), rng.uniform(1, 2, n)
    for kappa, tau in ((1.3, 0.7), (k, t)):
        K, T = (np.diag(np.broadcast_to(x, n)) for x in (kappa, tau))
        first = K @ C @ K + G
        second = K**2 @ C @ K**2 + K**2 @ G + G @ K**2 + G / c @ G
        assert_close(matern(mesh, kappa, tau, alpha=1).todense(), T @ first @ T, 1e-13)
        assert_close(matern(mesh, kappa, tau).todense(), T @ second @ T, 1e-13)
    for alpha in (1, 2):  # one kind may vary without the other
        constant = matern(mesh, 1.3, 0.7, alpha)
        for kappa, tau in ((np.full(n, 1.3), 0.7), (1.3, np.full(n, 0.7))):
            varying = matern(mesh, kappa, tau, alpha)
            assert varying.pattern == constant.pattern
            assert_close(varying.values, constant.values, 1e-13)
    assert constant.positive_definite


def test_sources(rng):
    mesh = small(rng)
    E = mesh.finite_elements()
    Q = matern(mesh, 2.0)
    for source in (E, (E.c0, E.g1, E.g2), (E.c0.to_scipy(), E.g1.to_scipy())):
        assert_close(matern(source, 2.0).values, Q.values, 1e-13)
    by_range = matern(mesh, range=np.sqrt(8) / 2, sigma=1 / np.sqrt(4 * np.pi * 4))
    assert_close(by_range.values, Q.values, 1e-13)


@pytest.mark.parametrize(("alpha", "dimension"), [(2, 2), (2, 1), (1, 1), (1.5, 2)])
def test_parameters(alpha, dimension):
    kappa, tau = matern_parameters(0.6, 1.7, alpha, dimension)
    nu = alpha - dimension / 2
    np.testing.assert_allclose(kappa, np.sqrt(8 * nu) / 0.6)
    power = 2 * alpha + 0.0

    def spectrum(w):  # the density of the field's spectrum, integrated over directions
        around = 2 * np.pi * w if dimension == 2 else 2.0
        return around / (2 * np.pi) ** dimension / (float(kappa) ** 2 + w**2) ** (power / 2)

    variance = scipy.integrate.quad(spectrum, 0, np.inf)[0] / float(tau) ** 2
    np.testing.assert_allclose(variance, 1.7**2, rtol=1e-6)
    np.testing.assert_allclose(matern_range(kappa, tau, alpha, dimension), (0.6, 1.7))


def test_prior():
    """It integrates to one, has the stated tails, and is -inf where nothing is."""

    def density(rho, sd):
        return np.exp(float(pc_matern_prior(rho, sd, 0.5, 0.1, 2.0, 0.05)))

    of_range = scipy.integrate.quad(lambda rho: density(rho, 1.0), 0, np.inf)[0]
    below = scipy.integrate.quad(lambda rho: density(rho, 1.0), 0, 0.5)[0]
    np.testing.assert_allclose(below / of_range, 0.1, rtol=1e-6)
    of_sigma = scipy.integrate.quad(lambda sd: density(1.0, sd), 0, np.inf)[0]
    above = scipy.integrate.quad(lambda sd: density(1.0, sd), 2, np.inf)[0]
    np.testing.assert_allclose(above / of_sigma, 0.05, rtol=1e-6)
    np.testing.assert_allclose(of_range * of_sigma / density(1.0, 1.0), 1, rtol=1e-6)
    line = scipy.integrate.quad(
        lambda rho: np.exp(float(pc_matern_prior(rho, 1.0, 0.5, 0.1, 2.0, 0.05, 1))), 0, 0.5
    )[0]
    rate = -np.log(0.05) / 2
    np.testing.assert_allclose(line, 0.1 * rate * np.exp(-rate), rtol=1e-6)
    assert pc_matern_prior(-1.0, 1.0, 0.5, 0.1, 2.0, 0.05) == -np.inf
    gradient = jax.grad(lambda x: pc_matern_prior(x[0], x[1], 0.5, 0.1, 2.0, 0.05))(
        jnp.ones(2) * -1
    )
    np.testing.assert_array_equal(gradient, 0)


# -- peers


def fields_of(shared, name: str) -> tuple[FiniteElements, ex.SparseMatrix, list]:
    folder = shared / "data" / "csv"
    triangles = numbers(folder / f"{name}_mesh_triangles.csv").astype(int) - 1
    mesh = Mesh(numbers(folder / f"{name}_mesh_vertices.csv"), triangles)
    data, columns, unit = {
        "meuse": ("meuse", ("x", "y"), 1000.0),
        "spdetoy": ("spdetoy", ("s1", "s2"), 1.0),
        "parana": ("parana_precip_january_mean", ("lon", "lat"), 1.0),
    }[name]
    A = mesh.projector(numbers(folder / f"{data}.csv", *columns) / unit)
    truth = json.loads((shared / "data" / "truth" / "rtmb_spde.json").read_text())
    return mesh.finite_elements(), A, truth


@pytest.mark.parametrize("name", ["meuse", "spdetoy", "parana"])
def test_log_determinants_of_rtmb(shared, name):
    elements, _, truth = fields_of(shared, name)
    for case in truth[f"{name}_gmrf"]:
        F = ex.cholesky(matern(elements, case["kappa"], case["tau"]))
        assert abs(float(F.logdet()) / case["logdet_Q"] - 1) < 1e-8
        variance = np.asarray(F.inverse_diagonal())
        assert abs(variance.sum() / case["marg_var_sum"] - 1) < 1e-8
        np.testing.assert_allclose(variance[:5], case["marg_var_first5"], rtol=1e-8)


def gaussian_nll(Q, A, residual, precision):
    """-log of the density of observations A x + e; the Laplace approximation is exact."""
    F = ex.cholesky(Q)
    AtA = ex.SymmetricMatrix.from_general(A.T @ A)
    H = ex.cholesky(Q + precision * AtA)
    x = H.solve(precision * (A.T @ residual))
    e = residual - A @ x
    quadratic = precision * (e @ e) + x @ (Q @ x)
    constant = residual.size * (jnp.log(2 * jnp.pi) - jnp.log(precision))
    return 0.5 * (quadratic + constant - F.logdet() + H.logdet())


def test_likelihoods_of_rtmb(shared):
    elements, A, truth = fields_of(shared, "meuse")
    folder = shared / "data" / "csv"
    dist, zinc = numbers(folder / "meuse.csv", "dist", "zinc").T
    X = np.stack([np.ones_like(dist), np.sqrt(dist)], axis=1)

    @jax.jit
    def nll(beta, log_kappa, log_tau, log_precision):
        Q = matern(elements, jnp.exp(log_kappa), jnp.exp(log_tau))
        return gaussian_nll(Q, A, jnp.log(zinc) - X @ beta, jnp.exp(log_precision))

    model = truth["models"]["meuse_ML"]
    at = list(model["par"].values())
    cases = [(at, model["nll_laplace"])]
    cases += [(case["par"], case["nll_laplace"]) for case in model["grid"]]
    assert len(cases) > 1
    for par, expected in cases:
        value = nll(jnp.array(par[:2]), *par[2:])
        assert abs(float(value) / expected - 1) < 1e-8
    gradient = jax.grad(nll, argnums=(0, 1, 2, 3))(jnp.array(at[:2]), *at[2:])
    assert max(np.abs(g).max() for g in gradient) < 1e-4
    # the same in range and standard deviation
    rho, sd = matern_range(jnp.exp(at[2]), jnp.exp(at[3]))
    Q = matern(elements, range=rho, sigma=sd)
    value = gaussian_nll(Q, A, jnp.log(zinc) - X @ jnp.array(at[:2]), jnp.exp(at[4]))
    assert abs(float(value) / model["nll_laplace"] - 1) < 1e-8


# -- derivatives, transformations


def functions(mesh: Mesh) -> dict:
    """Of (a, b): the log-determinant of a precision, and the same by dense algebra."""
    E, D = mesh.finite_elements(), mesh.directional_elements()
    wall = mesh.points[mesh.cells].mean(axis=1)[:, 0] > 0.5
    B = mesh.barrier_elements(wall)
    c, G = E.c0.diagonal(), E.g1.todense()
    xx, xy, yy = (S.todense() for S in D.stiffness)
    x = jnp.asarray(mesh.points[:, 0])

    def dense(k, t, G, c_f=c, c=c):
        K = k**2 * c
        A = jnp.diag(jnp.broadcast_to(K, c.shape)) + G
        return t**2 * (A / c_f) @ A

    def tensor(a, b):
        H = diffusion_tensor(a, b)
        return H[0, 0] * xx + H[0, 1] * xy + H[1, 1] * yy

    def varying(a, b):
        k, t = jnp.exp(a * x), jnp.exp(b * x)
        A = jnp.diag(k**2 * c) + G
        return t[:, None] * (A / c @ A) * t

    def walled(a, b):
        weights = [M.diagonal() for M in B.c0], [S.todense() for S in B.g1]
        (c1, c2), (g1, g2) = weights
        return dense(a, 1.0, g1 + b**2 * g2, c1 + b**2 * c2)

    return {
        "kappa and tau": (lambda a, b: matern(mesh, a, b), lambda a, b: dense(a, b, G)),
        "alpha = 1": (
            lambda a, b: matern(mesh, a, b, alpha=1),
            lambda a, b: b**2 * (jnp.diag(a**2 * c) + G),
        ),
        "range and sigma": (
            lambda a, b: matern(mesh, range=a, sigma=b),
            lambda a, b: dense(jnp.sqrt(8) / a, a / (b * jnp.sqrt(32 * jnp.pi)), G),
        ),
        "varying": (lambda a, b: matern(mesh, jnp.exp(a * x), jnp.exp(b * x)), varying),
        "anisotropic": (
            lambda a, b: matern(D.with_diffusion(diffusion_tensor(a, b)), 2.0),
            lambda a, b: dense(2.0, 1.0, tensor(a, b)),
        ),
        "barrier": (lambda a, b: matern(B.with_fraction(b), a), walled),
    }


@pytest.mark.parametrize(
    "name", ["kappa and tau", "alpha = 1", "range and sigma", "varying", "anisotropic", "barrier"]
)
def test_derivatives(rng, name):
    sparse, dense = functions(small(rng))[name]

    def ours(p):
        return ex.cholesky(sparse(p[0], p[1]), throw=False).logdet()

    def oracle(p):
        return jnp.linalg.slogdet(dense(p[0], p[1]))[1]

    p = jnp.array([1.4, 0.6])
    assert_close(sparse(*p).todense(), dense(*p), 1e-11)

    def derivatives(f):
        return jax.jit(lambda p: (jax.grad(f)(p), jax.jacfwd(jax.grad(f))(p)))

    gradient, hessian = derivatives(oracle)(p)
    reverse, mixed = derivatives(ours)(p)
    assert_close(reverse, gradient, 1e-8)
    assert_close(mixed, hessian, 1e-8)
    assert_close(jax.jit(jax.jacfwd(ours))(p), gradient, 1e-8)
    batch = jnp.stack([p, 1.1 * p])
    assert_close(jax.jit(jax.vmap(ours))(batch), jnp.stack([oracle(q) for q in batch]), 1e-10)


def test_fractional_derivatives(rng):
    """In all three parameters, smoothness included, in both modes; against dense algebra of the same sum."""
    mesh = small(rng)
    shape = matern_fractional(mesh, 1.0, 1.0, 1.5, terms=3)[0].pattern

    def ours(p):
        return ex.cholesky(matern_fractional(mesh, *p, terms=3)[0], throw=False).logdet()

    def oracle(p):
        Q = matern_fractional(mesh, *p, terms=3)[0]
        dense = jnp.zeros(Q.shape).at[shape.rows, shape.columns].set(Q.values)
        whole = dense + dense.T - jnp.diag(jnp.diag(dense))
        return jnp.linalg.slogdet(whole)[1]

    p = jnp.array([0.8, 1.2, 1.6])
    reference = jax.jit(jax.grad(oracle))(p)
    assert_close(jax.jit(jax.grad(ours))(p), reference, 1e-8)
    assert_close(jax.jit(jax.jacfwd(ours))(p), reference, 1e-8)
    step = 1e-5 * jnp.eye(3)
    differences = jnp.stack([(ours(p + s) - ours(p - s)) / 2e-5 for s in step])
    assert_close(reference, differences, 1e-6)


def test_new_parameters_do_not_compile_again(rng):
    mesh = small(rng)
    count = 0

    @jax.jit
    def f(kappa, tau):
        nonlocal count
        count += 1
        return ex.cholesky(matern(mesh, kappa, tau), throw=False).logdet()

    values = [float(f(k, 1.0)) for k in (0.5, 1.0, 2.0)]
    assert count == 1 and values == sorted(values)


def test_single_precision(rng):
    mesh = small(rng)
    with jax.enable_x64(False):
        Q = matern(mesh, range=0.5, sigma=1.0)
        assert Q.dtype == np.float32
        variances = ex.cholesky(Q).inverse_diagonal()
    expected = ex.cholesky(matern(mesh, range=0.5, sigma=1.0)).inverse_diagonal()
    assert_close(variances, np.float32(expected), 1e-3)


# -- what is wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give either `kappa`"),
        ({"kappa": 1.0, "range": 1.0}, "give either `kappa`"),
        ({"range": 1.0}, "give either `kappa`"),
        ({"range": 1.0, "sigma": 1.0, "tau": 1.0}, "give either `kappa`"),
        ({"kappa": 0.0}, "`kappa` must be positive and finite, got 0.0"),
        ({"kappa": 1.0, "tau": np.nan}, "`tau` must be positive"),
        ({"kappa": np.ones(3)}, "`kappa` must have shape"),
        ({"range": -1.0, "sigma": 1.0}, "`range` must be positive"),
        ({"range": 1.0, "sigma": np.inf}, "`sigma` must be positive"),
        ({"kappa": 1.0, "alpha": 3}, "`alpha` must be 1 or 2"),
        ({"range": 1.0, "sigma": 1.0, "alpha": 1}, "`alpha` must be above 1.0"),
    ],
)
def test_what_is_no_field(rng, arguments, message):
    with pytest.raises(ValueError, match=message):
        matern(small(rng), **arguments)


def test_what_goes_with_no_barrier(rng):
    mesh = small(rng)
    walled = mesh.barrier_elements([0]).with_fraction()
    with pytest.raises(ValueError, match="`alpha` must be 2 with a barrier"):
        matern(walled, 1.0, alpha=1)
    with pytest.raises(ValueError, match="`kappa` must be one number"):
        matern(walled, np.ones(mesh.n))
    with pytest.raises(ValueError, match="barrier"):
        matern_fractional(walled, 1.0, 1.0, 1.5)
    with pytest.raises(TypeError, match="`source`"):
        matern("mesh", 1.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"alpha": 2.0}, "`alpha`"),
        ({"alpha": [1.5]}, "`alpha`"),
        ({"terms": 2}, "`terms`"),
        ({"range": [1.0, 2.0]}, "`range` must have shape"),
        ({"sigma": 0.0}, "`sigma` must be positive"),
    ],
)
def test_what_is_no_fractional_field(rng, changed, message):
    arguments = {"range": 1.0, "sigma": 1.0, "alpha": 1.5, "terms": 3} | changed
    with pytest.raises(ValueError, match=message):
        matern_fractional(small(rng), **arguments)


@pytest.mark.parametrize("name", ["range0", "sigma0", "p_range", "p_sigma"])
def test_what_is_no_prior(name):
    settings = {"range0": 1.0, "p_range": 0.1, "sigma0": 1.0, "p_sigma": 0.1} | {name: 0.0}
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        pc_matern_prior(1.0, 1.0, **settings)
