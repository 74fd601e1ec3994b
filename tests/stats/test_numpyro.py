"""Fields in NumPyro beside dense algebra and beside the Laplace approximation."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer import MCMC, NUTS, SVI, Predictive, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal

import elimax as ex
import elimax.stats.numpyro as esn
from elimax import stats
from elimax.stats.gaussian.coordinates import Coordinates

ALL = pytest.mark.parametrize("name", ["icar", "car", "bym2", "spde"])


def grid(side):
    """A lattice, as weights."""
    path = np.diag(np.ones(side - 1), 1)
    path = path + path.T
    return np.kron(path, np.eye(side)) + np.kron(np.eye(side), path)


def made(name):
    W = grid(3)
    if name == "icar":
        return esn.ICAR(W, 2.0)
    if name == "car":
        return esn.CAR(stats.precision.car(W), 0.9, 2.0, mean=0.5)
    if name == "bym2":
        return esn.BYM2(W, 0.6, 2.0)
    return esn.SPDE(stats.Mesh.from_interval(np.linspace(0, 1, 8)), range=0.4, sigma=1.5)


def dense_log_prob(field, x):
    """The density on the subspace, by eigenvectors."""
    Q = np.asarray(field.precision.todense())
    B = np.eye(field.n)
    if field.constraints is not None:
        B = np.linalg.svd(np.asarray(field.constraints[0]))[2][field.n_constraints :].T
    d = np.asarray(x - field.mean)
    logdet = np.linalg.slogdet(B.T @ Q @ B)[1]
    return 0.5 * (logdet - B.shape[1] * np.log(2 * np.pi) - d @ Q @ d)


def test_coordinates_are_an_isometry_onto_the_subspace():
    A = np.random.default_rng(0).normal(size=(3, 7))
    e = np.array([1.0, -2.0, 0.5])
    here = Coordinates.of(A, e)
    z = jax.random.normal(jax.random.key(0), (5, here.dimension))
    x = here.embed(z)
    np.testing.assert_allclose(x @ A.T, np.tile(e, (5, 1)), atol=1e-13)
    np.testing.assert_allclose(here.project(x), z, atol=1e-13)
    J = jax.jacobian(here.embed)(z[0])
    np.testing.assert_allclose(J.T @ J, np.eye(4), atol=1e-13)

    # Differentiable in the constraints: what A(t) x(t) = e says, in both modes.
    def moved(t):
        return Coordinates.of(A + t * A[::-1], e).embed(z[0])

    forward = jax.jacfwd(moved)(0.0)
    np.testing.assert_allclose(A @ forward + A[::-1] @ x[0], 0, atol=1e-12)
    np.testing.assert_allclose(jax.jacrev(moved)(0.0), forward, atol=1e-12)


@ALL
def test_log_prob_is_that_of_dense_algebra(name):
    d = made(name)
    x = d.sample(jax.random.key(1), (2, 3))
    assert x.shape == (2, 3, *d.event_shape) and d.batch_shape == ()
    assert d.support(x).all()
    expected = [[dense_log_prob(d.field, v) for v in row] for row in x]
    np.testing.assert_allclose(jax.jit(lambda d, x: d.log_prob(x))(d, x), expected, rtol=1e-10)
    # In the coordinates of the sampler it is the same number.
    map_ = dist.biject_to(d.support)
    z = map_.inv(x)
    np.testing.assert_allclose(map_(z), x, atol=1e-12)
    np.testing.assert_allclose(map_.log_abs_det_jacobian(z, x), 0)
    assert z.shape == map_.inverse_shape(x.shape) and map_.forward_shape(z.shape) == x.shape


@ALL
def test_moments_are_those_of_the_draws(name):
    d = made(name)
    x = d.sample(jax.random.key(2), (20000,))
    np.testing.assert_allclose(x.mean(0), d.mean, atol=5 * np.sqrt(d.variance.max() / 20000))
    np.testing.assert_allclose(x.var(0), d.variance, rtol=0.08)


def test_gradient_in_hyperparameters_is_that_of_dense_algebra():
    W = grid(3)
    family = stats.precision.car(W)
    x = jnp.linspace(-1.0, 1.0, 9)
    D = np.diag(W.sum(1))

    def dense(rho, tau):
        mvn = dist.MultivariateNormal(jnp.zeros(9), precision_matrix=tau * (D - rho * W))
        return mvn.log_prob(x)

    def ours(rho, tau):
        return esn.CAR(family, rho, tau).log_prob(x)

    expected = jax.jit(jax.grad(dense, (0, 1)))(0.7, 1.3)
    for jacobian in (jax.jacfwd, jax.jacrev):
        got = jax.jit(jacobian(ours, (0, 1)))(0.7, 1.3)
        np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_plates_are_replicates():
    walk = stats.precision.besag(grid(3))

    def model():
        with numpyro.plate("replicates", 4):
            numpyro.sample("x", esn.ICAR(walk, 2.0))

    draws = Predictive(model, num_samples=5)(jax.random.key(0))["x"]
    assert draws.shape == (5, 4, 9)
    np.testing.assert_allclose(draws.sum(-1), 0, atol=1e-12)
    joint, _ = numpyro.infer.util.log_density(model, (), {}, {"x": draws[0]})
    expected = sum(dense_log_prob(walk.field(2.0), x) for x in draws[0])
    np.testing.assert_allclose(joint, expected, rtol=1e-10)


def counts():
    """A Poisson model on a lattice: y, and the model of them."""
    walk = stats.precision.besag(grid(4))
    x = walk.field(2.0).sample(jax.random.key(7))
    y = np.random.default_rng(7).poisson(np.exp(2 + x))

    def model(y):
        level = numpyro.sample("level", dist.Normal(0, 5))
        log_tau = numpyro.sample("log_tau", dist.Normal(0.5, 0.7))
        field = numpyro.sample("x", esn.ICAR(walk, jnp.exp(log_tau)))
        numpyro.sample("y", dist.Poisson(jnp.exp(level + field)), obs=y)

    return walk, y, model


def reference(walk, y):
    """Posterior means and sds of the field: Laplace approximations on a grid of log tau."""

    def field(t):
        level = stats.GMRF(0.0, stats.precision.iid(1)(1 / 25.0))
        return stats.independent(walk.field(jnp.exp(t)), level)

    A = np.hstack([np.eye(16), np.ones((16, 1))])
    model = stats.LatentGaussianModel(
        field,
        ex.SparseMatrix.from_dense(A),
        stats.Poisson(),
        jnp.asarray(y, float),
        prior=lambda t: dist.Normal(0.5, 0.7).log_prob(t),
    )

    def at(t):
        fit = stats.laplace(model, t)
        return fit.log_posterior, fit.mode, fit.variance()

    points = jnp.linspace(-2.0, 3.5, 23)
    logs, modes, variances = jax.jit(jax.vmap(at))(points)
    w = jax.nn.softmax(logs)
    mean = w @ modes
    return mean[:16], jnp.sqrt(w @ (variances + modes**2) - mean**2)[:16], w @ points


@pytest.mark.slow
def test_nuts_finds_the_posterior():
    walk, y, model = counts()
    sampler = MCMC(NUTS(model), num_warmup=300, num_samples=1000, progress_bar=False)
    sampler.run(jax.random.key(0), y)
    draws = sampler.get_samples()
    np.testing.assert_allclose(draws["x"].sum(-1), 0, atol=1e-10)
    mean, sd, log_tau = reference(walk, y)
    # The Laplace approximation of counts this large is within a few percent of an sd.
    assert (jnp.abs(draws["x"].mean(0) - mean) / sd).max() < 0.2
    np.testing.assert_allclose(draws["x"].std(0), sd, rtol=0.15)
    assert abs(draws["log_tau"].mean() - log_tau) < 0.15
    assert sampler.get_extra_fields()["diverging"].sum() == 0


@pytest.mark.slow
def test_variational_inference_improves():
    walk, y, model = counts()
    svi = SVI(model, AutoNormal(model), numpyro.optim.Adam(0.02), Trace_ELBO())
    result = svi.run(jax.random.key(0), 1000, y, progress_bar=False)
    assert result.losses[-100:].mean() < result.losses[:20].mean() - 10
    guide = svi.guide
    x = guide.sample_posterior(jax.random.key(1), result.params, sample_shape=(500,))["x"]
    np.testing.assert_allclose(x.sum(-1), 0, atol=1e-10)
    mean, sd, _ = reference(walk, y)
    assert (jnp.abs(x.mean(0) - mean) / sd).max() < 0.6


def test_bad_arguments_are_named():
    W = grid(3)
    with pytest.raises(TypeError, match=r"`field` must be an elimax\.stats\.GMRF"):
        esn.GMRF(W)
    with pytest.raises(ValueError, match="`tau` must be a scalar"):
        esn.ICAR(W, jnp.ones(3))
    with pytest.raises(ValueError, match="`structure` must be stats"):
        esn.ICAR(stats.precision.car(W), 1.0)
    with pytest.raises(ValueError, match="improper"):
        esn.ICAR(W, 1.0, constrained=False).sample(jax.random.key(0))
    with pytest.raises(ValueError, match="`value` must have shape"):
        esn.CAR(W, 0.5).log_prob(jnp.ones(4))
