"""Fields on graphs, beside dense algebra and the results of R packages."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.io
import scipy.optimize
import scipy.sparse as sp

import elimax as ex
from elimax.stats import precision

from ..helpers import assert_close
from . import subspace


def _graph():
    """A triangle with a tail, a pair, and two vertices without neighbors."""
    edges = np.array([[0, 1], [1, 2], [2, 0], [2, 3], [5, 6]])
    return precision.adjacency(edges, 8)


def _logdet(family, *parameters):
    return family.field(*parameters, constrained=False).restricted().logdet()


# ---------------------------------------------------------------------------------------------
# Graphs


def test_graphs_from_edges_and_files(tmp_path):
    W = _graph()
    assert W.shape == (8, 8) and W.nnz == 10 and (W != W.T).nnz == 0
    assert precision.component_labels(W).tolist() == [0, 0, 0, 0, -1, 2, 2, -1]
    twice = precision.adjacency(np.array([[0, 1], [1, 0]]), 2, np.array([1.0, 3.0]))
    assert twice.toarray().tolist() == [[0, 3], [3, 0]]
    assert precision.adjacency(np.zeros((0, 2), int), 3).nnz == 0
    path = tmp_path / "graph"
    path.write_text("3 # so many\n1 1 2\n2 2 1 3\n3 1 2\n")
    expected = precision.adjacency(np.array([[0, 1], [1, 2]]), 3)
    assert (precision.read_graph(path) != expected).nnz == 0
    path.write_text("3\n0 1 1\n1 2 0 2 2 1 1")
    assert (precision.read_graph(path) != expected).nnz == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("2 1 1 x", "holds integers only"),
        ("2\n1 1 2\n2 2 1", "ends within vertex 2 of 2"),
        ("1\n1 0 7", "1 numbers follow after vertex 1"),
        ("2\n1 1 5\n5 1 1", "vertices must be 1 .. 2, each once"),
    ],
)
def test_graph_files_are_checked(text, message, tmp_path):
    (tmp_path / "graph").write_text(text)
    with pytest.raises(ValueError) as raised:
        precision.read_graph(tmp_path / "graph")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: precision.adjacency(np.array([[0, 3]]), 3), ValueError, "edge 0, [0, 3]"),
        (lambda: precision.adjacency(np.array([[1, 1]]), 3), ValueError, "edge 0, [1, 1]"),
        (lambda: precision.adjacency(np.ones(3), 3), ValueError, "integers of shape (m, 2)"),
        (
            lambda: precision.adjacency(np.array([[0, 1]]), 2, [-1.0]),
            ValueError,
            "1 positive numbers",
        ),
        (lambda: precision.besag([[0, 1]]), TypeError, "`graph` must be a square SciPy matrix"),
        (lambda: precision.besag(np.eye(2)), ValueError, "none on its diagonal"),
        (lambda: precision.besag(np.array([[0.0, 1], [0, 0]])), ValueError, "must be symmetric"),
        (lambda: precision.besag(np.ones((2, 3))), ValueError, "must be square"),
        (lambda: precision.car(_graph()), ValueError, "a vertex without neighbors has degree 0"),
        (lambda: precision.car(_graph(), "mean"), ValueError, '"degree", "identity" or n numbers'),
        (lambda: precision.sar(3), TypeError, "`weights` must be a square SciPy matrix"),
        (
            lambda: precision.sar(np.eye(2), [1.0]),
            ValueError,
            "`scales` must be 2 positive numbers",
        ),
        (lambda: precision.pc_bym2(np.zeros((2, 2))), ValueError, "`graph` has no edge"),
        (lambda: precision.pc_precision(0.0, -1.0, 0.1), ValueError, "within their range"),
        (lambda: precision.pc_ar1(0.0, 0.5, 0.1, base=2), ValueError, "`base` must be 0 or 1"),
        (lambda: precision.pc_ar1(0.0, 0.5, 0.1, base=1), ValueError, "sqrt((1 - u) / 2)"),
        (
            lambda: precision.bym2(_graph()).field(0.5, 1.0, constrained=False),
            ValueError,
            "defined with its constraints",
        ),
        (
            lambda: precision.separable(precision.rw1(3), precision.bym2(_graph())),
            ValueError,
            "bym2 is defined by its constraints",
        ),
    ],
)
def test_arguments_are_checked(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)


# ---------------------------------------------------------------------------------------------
# Families


def test_besag_on_several_components():
    W = _graph().toarray()
    family = precision.besag(_graph())
    R = np.diag(W.sum(1)) - W
    R[4, 4] = R[7, 7] = 1
    assert_close(family(2.0).todense(), 2 * R, 1e-14)
    assert family.null_space.rank == family.levels == 2 and family.rank == 6
    # Spanning trees: 3 of the triangle with its tail, on 4 vertices; 1 of the pair, on 2
    assert_close(_logdet(family, 1.0), np.log(3 * 4) + np.log(1 * 2), 1e-12)
    field = precision.besag(_graph(), scale=True).field(1.0)
    variance = np.asarray(field.variance())
    for group in ([0, 1, 2, 3], [5, 6], [4], [7]):
        assert_close(np.exp(np.mean(np.log(variance[group]))), 1.0, 1e-10)
    x = field.sample(jax.random.key(0))
    assert max(abs(x[:4].sum()), abs(x[5:7].sum())) < 1e-10
    lonely = precision.besag(precision.adjacency(np.zeros((0, 2), int), 2))
    assert lonely.null_space is None and lonely.field(2.0).is_proper


def test_autoregressions_are_what_they_say(rng):
    W = _graph().toarray()
    d = rng.uniform(4, 5, 8)
    eye = np.eye(8)
    L = np.diag(W.sum(1)) - W
    A = rng.uniform(size=(8, 8)) * (rng.uniform(size=(8, 8)) < 0.4)
    B = eye - 0.3 * A
    cases = [
        (precision.car(_graph(), d)(0.3, 2.0), 2 * (np.diag(d) - 0.3 * W)),
        (precision.car(_graph(), "identity")(0.3, 2.0), 2 * (eye - 0.3 * W)),
        (precision.car(W[:4, :4])(0.3, 2.0), 2 * (np.diag(W[:4].sum(1)) - 0.3 * W[:4, :4])),
        (precision.sar(A)(0.3, 2.0), 2 * B.T @ B),
        (precision.sar(sp.csr_array(A), d)(0.3, 2.0), 2 * B.T @ np.diag(d) @ B),
        (precision.leroux(_graph())(0.3, 2.0), 2 * (0.7 * eye + 0.3 * L)),
    ]
    for Q, expected in cases:
        assert_close(Q.todense(), expected, 1e-13)


def test_bym(rng):
    n = 8
    R = np.asarray(precision.besag(_graph())(1.0).todense())
    field = precision.bym(_graph()).field(3.0, 2.0)
    eye = np.eye(n)
    Q = np.block([[3 * eye, -3 * eye], [-3 * eye, 3 * eye + 2 * R]])
    assert_close(field.precision.todense(), Q, 1e-13)
    C = np.asarray(field.constraints[0])
    logdet, V = subspace.moments(Q, C)
    assert_close(field.variance(), np.diag(V), 1e-10)
    assert_close(field.restricted().logdet(), logdet, 1e-10)
    # b = u + v
    variance = np.asarray(precision.besag(_graph()).field(2.0).variance())
    assert_close(field.variance()[:n], variance + 1 / 3, 1e-10)
    free = precision.bym(_graph()).field(3.0, 2.0, constrained=False)
    expected = subspace.pseudo_logdet(Q, None, 2 * n - 2)
    assert_close(free.restricted().logdet(), expected, 1e-10)


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.999])
def test_bym2(phi):
    n, tau = 8, 2.0
    scaled = precision.besag(_graph(), scale=True)
    field = precision.bym2(_graph()).field(phi, tau)
    u = np.asarray(scaled.field(1.0).variance())
    assert field.status() == 0
    assert_close(field.variance(), np.concatenate([(1 - phi + phi * u) / tau, u]), 1e-8)
    # The density is that of b given u, times that of u.
    x = np.asarray(field.sample(jax.random.key(0)))
    given = np.sqrt(phi / tau) * x[n:]
    noise = (1 - phi) / tau
    log_b = -0.5 * np.sum((x[:n] - given) ** 2) / noise - n / 2 * np.log(2 * np.pi * noise)
    assert_close(field.log_prob(x), log_b + scaled.field(1.0).log_prob(x[n:]), 1e-8)


def test_replicates_and_products(rng):
    walk, map_ = precision.rw1(4), precision.besag(_graph(), scale=True)
    copies = precision.replicate(walk, 3)
    one = walk.field(2.0)
    assert_close(copies.field(2.0).variance(), np.tile(one.variance(), 3), 1e-10)
    assert_close(copies.field(2.0).entropy(), 3 * one.entropy(), 1e-11)
    twice = precision.replicate(precision.bym2(_graph()), 2).field(0.4, 2.0)
    single = precision.bym2(_graph()).field(0.4, 2.0)
    assert_close(twice.variance(), np.tile(single.variance(), 2), 1e-9)
    assert_close(
        precision.replicate(precision.bym(_graph()), 2).field(1.0, 2.0).entropy(),
        2 * precision.bym(_graph()).field(1.0, 2.0).entropy(),
        1e-9,
    )

    Q1, Q2 = np.asarray(walk(1.0).todense()), np.asarray(map_(3.0).todense())
    product, total = precision.separable(walk, map_), precision.kronecker_sum(walk, map_)
    assert_close(product(1.0, 3.0).todense(), np.kron(Q1, Q2), 1e-13)
    summed = np.kron(Q1, np.eye(8)) + np.kron(np.eye(4), Q2)
    assert_close(total(1.0, 3.0).todense(), summed, 1e-13)
    for family, dense in ((product, np.kron(Q1, Q2)), (total, summed)):
        eigenvalues = np.linalg.eigvalsh(dense)
        assert family.rank == np.sum(eigenvalues > 1e-9 * eigenvalues[-1])
        expected = subspace.pseudo_logdet(dense, None, family.rank)
        assert_close(_logdet(family, 1.0, 3.0), expected, 1e-10)
    pseudo = np.kron(np.linalg.pinv(Q1), np.linalg.pinv(Q2))
    assert_close(product.field(1.0, 3.0).variance(), np.diag(pseudo), 1e-9)
    proper = precision.separable(precision.ar1(3), precision.leroux(_graph()))
    assert proper.null_space is None and proper.parameters == ("rho", "tau", "mixing", "tau")
    assert proper.field(0.5, 1.0, 0.5, 2.0).is_proper


def test_derivatives_in_hyperparameters(rng):
    W = _graph().toarray()
    family, mixed = precision.car(_graph(), "identity"), precision.bym2(_graph())
    scaled = np.asarray(precision.besag(_graph(), scale=True)(1.0).todense())
    C = np.asarray(mixed.settled[1])
    B = subspace.basis_of(C, 16)
    eye = np.eye(8)
    x = B @ rng.normal(size=B.shape[1])

    def f(rho, phi, tau):
        first = family.field(0.2 * rho, tau).log_prob(x[:8])
        field = mixed.field(phi, tau)
        return jnp.stack([first, field.log_prob(x), jnp.sum(field.variance())])

    def oracle(rho, phi, tau):
        Q = tau * (eye - 0.2 * rho * W)
        density = jnp.linalg.slogdet(Q / (2 * np.pi))[1] - x[:8] @ Q @ x[:8]
        rest = 1 - phi
        cross = -jnp.sqrt(phi * tau) / rest * eye
        H = jnp.block([[tau / rest * eye, cross], [cross, phi / rest * eye + scaled]])
        M = B.T @ H @ B
        mixed = jnp.linalg.slogdet(M / (2 * np.pi))[1] - x @ H @ x
        return jnp.stack([0.5 * density, 0.5 * mixed, jnp.trace(jnp.linalg.inv(M))])

    subspace.assert_both_modes(f, oracle, (0.5, 0.4, 1.5), rng, 1e-8)


def test_new_hyperparameters_do_not_compile_again():
    family = precision.bym2(_graph())
    traced = []

    @jax.jit
    def entropy(phi, tau):
        traced.append(phi)
        return family.field(phi, tau).entropy()

    assert entropy(0.5, 1.0) != entropy(0.6, 2.0) and len(traced) == 1
    # Families may be built within a program, too: structure is a constant of it.
    inside = jax.jit(lambda phi: precision.bym2(_graph()).field(phi, 2.0).entropy())
    assert_close(inside(0.6), entropy(0.6, 2.0), 1e-12)


# ---------------------------------------------------------------------------------------------
# Priors


def _mass(log_density, low, high, points=20001):
    t = np.linspace(low, high, points)
    return np.trapezoid(np.exp(jax.vmap(log_density)(jnp.asarray(t))), t)


def test_pc_priors_have_their_tails():
    prior = functools.partial(precision.pc_precision, u=2.0, alpha=0.05)
    assert_close(_mass(prior, -40, 40), 1.0, 1e-6)
    assert_close(_mass(prior, -40, -2 * np.log(2.0)), 0.05, 1e-5)
    to_rho = lambda z: jnp.log1p(-(jnp.tanh(z) ** 2))  # noqa: E731
    for base, alpha, tail in ((0, 0.1, 2), (1, 0.8, 1)):
        prior = functools.partial(precision.pc_ar1, u=0.5, alpha=alpha, base=base)
        transformed = lambda z, prior=prior: prior(jnp.tanh(z)) + to_rho(z)  # noqa: E731
        assert_close(_mass(transformed, -16, 16), 1.0, 1e-4)
        assert_close(tail * _mass(transformed, np.arctanh(0.5), 16), alpha, 1e-4)
    rate = -np.log(0.1) / np.sqrt(-np.log(0.75))
    assert_close(precision.pc_ar1(0.0, 0.5, 0.1), np.log(rate / 2), 1e-12)
    assert np.isfinite(jax.grad(precision.pc_ar1)(0.0, 0.5, 0.1))


def test_pc_prior_of_bym2_by_eigenvalues():
    R = np.asarray(precision.besag(_graph(), scale=True)(1.0).todense())
    eigenvalues = np.linalg.eigvalsh(R)[2:]
    gamma = np.concatenate([np.zeros(2), 1 / eigenvalues]) - 1

    def distance(phi):
        return np.sqrt(np.sum(phi * gamma - np.log1p(phi * gamma)))

    prior = precision.pc_bym2(_graph(), u=0.4, alpha=0.3)
    rate = -np.log(0.7) / distance(0.4)
    for phi in (1e-8, 1e-4, 0.01, 0.3, 0.7, 0.999):
        slope = np.sum(gamma - gamma / (1 + phi * gamma)) / 2 / distance(phi)
        expected = np.log(rate) - rate * distance(phi) + np.log(slope)
        assert_close(prior(phi), expected, 1e-5)
    logit = lambda z: prior(jax.nn.sigmoid(z)) + jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z)  # noqa: E731
    inside = -np.expm1(-rate * distance(1 / (1 + np.exp(-12))))
    assert_close(_mass(logit, -18, 12, 1201), inside, 1e-4)
    assert_close(_mass(logit, -18, np.log(0.4 / 0.6), 1201), 0.3, 1e-4)


# ---------------------------------------------------------------------------------------------
# Results of R packages


@pytest.fixture
def truth(shared):
    def read(name):
        path = shared / "data" / "truth" / f"{name}.json"
        if not path.exists():
            pytest.skip("no results of R packages in the folder `shared`")
        return json.loads(path.read_text())

    return read


def test_structures_of_areal_models(shared, truth):
    results = truth("rtmb_areal_smoothing")
    for name in ("scotland", "germany"):
        family = precision.besag(precision.read_graph(shared / "data" / "csv" / f"{name}.graph"))
        assert family.rank == results[f"{name}_R"]["rank"]
        assert_close(_logdet(family, 1.0), results[f"{name}_R"]["logdet"], 1e-11)
        if name == "scotland":
            variance = family.field(1.0).variance()
            assert_close(variance, results["scotland_marginal_var_icar"], 1e-11)
            scale = np.exp(np.mean(np.log(variance)))
            assert_close(scale, results["scotland_scale_factor"], 1e-11)
    walks = ((precision.rw2(366, cyclic=True), "tokyo_R"), (precision.rw2(100), "rw2_m100"))
    for walk, name in walks:
        assert walk.rank == results[name]["rank"]
        assert_close(_logdet(walk, 1.0), results[name]["logdet"], 2e-9)


def test_determinants_of_conditional_autoregressions(shared, truth):
    """On a grid of the parameter, for the counties of North Carolina."""
    results = truth("spatialreg_car")["models"]
    W = sp.csr_array(scipy.io.mmread(shared / "data" / "csv" / "nc_sids_W.mtx").astype(float))
    car = precision.car(W, "identity")
    for row in results["nc_sids_logdet_I_minus_lamW"]:
        assert_close(ex.logdet(car(row["lambda"], 1.0)), row["logdet"], 1e-11)


def _sids(shared):
    """Births, transformed rates of deaths, their design and the neighbors of the counties."""
    folder = shared / "data" / "csv"
    W = sp.csr_array(scipy.io.mmread(folder / "nc_sids_W.mtx").astype(float))
    table = np.genfromtxt(folder / "nc_sids.csv", delimiter=",", dtype=str)
    header = [name.strip('"') for name in table[0]]
    births, y, x = (
        np.array([float(v.strip('"')) for v in table[1:, header.index(name)]])
        for name in ("BIR74", "ft.SID74", "ft.NWBIR74")
    )
    return births, y, np.column_stack([np.ones(y.size), x]), W


def _assert_fit(fit, n, reference):
    """fit: rho -> coefficients, variance, log-determinant; at the maximum of the profile likelihood."""

    @jax.jit
    def criterion(rho):
        _, s2, logdet = fit(rho)
        return 0.5 * (n * jnp.log(2 * jnp.pi * s2) - logdet + n)

    slope = jax.jit(jax.grad(criterion))
    rho = scipy.optimize.brentq(lambda r: float(slope(r)), -0.1, 0.12, xtol=1e-12)
    assert_close(rho, reference["lambda"], 1e-5)
    beta, s2, _ = fit(rho)
    assert_close(beta, list(reference["coef"].values()), 1e-5)
    assert_close(s2, reference["s2"], 1e-5)
    assert_close(-criterion(rho), reference["LL"], 1e-8)


def test_simultaneous_autoregression_is_fitted_as_by_spatialreg(shared, truth):
    births, y, X, W = _sids(shared)
    sar = precision.sar(W, births)

    def fit(rho):
        Q = sar(rho, 1.0)
        beta = jnp.linalg.solve(X.T @ (Q @ X), X.T @ (Q @ y))
        r = y - X @ beta
        return beta, r @ (Q @ r) / y.size, ex.logdet(Q)

    _assert_fit(fit, y.size, truth("spatialreg_car")["models"]["nc_sids_SAR"])


def test_conditional_autoregression_is_fitted_as_by_spatialreg(shared, truth):
    """With unequal weights its M = (I - rho W) D is not symmetric, and it inverts X'MX transposed."""
    births, y, X, W = _sids(shared)
    car = precision.car(W, "identity")

    def fit(rho):
        Q = car(rho, 1.0)
        gram = X.T @ (Q @ (births[:, None] * X))
        beta = jnp.linalg.solve(gram.T, X.T @ (Q @ (births * y)))
        r = y - X @ beta
        logdet = ex.logdet(Q) + jnp.sum(jnp.log(births))
        return beta, r @ (Q @ (births * r)) / y.size, logdet

    _assert_fit(fit, y.size, truth("spatialreg_car")["models"]["nc_sids_CAR"])


def test_given_matrices(shared, truth):
    """SPDE precisions from R: log-determinants and marginal variances."""
    folder = shared / "data" / "csv"
    c0, g1, g2 = (
        sp.csc_array(scipy.io.mmread(folder / f"meuse_spde_{name}.mtx"))
        for name in ("c0", "g1", "g2")
    )
    for row in truth("rtmb_spde")["meuse_gmrf"]:
        k2 = row["kappa"] ** 2
        Q = ex.SymmetricMatrix.from_scipy(k2**2 * c0 + 2 * k2 * g1 + g2)
        from_field = precision.Precision(
            "meuse", ("tau",), Q.pattern, lambda tau, v=Q.values: tau * v
        )
        field = from_field.field(1.0)
        assert_close(field.restricted().logdet(), row["logdet_Q"], 1e-11)
        variance = field.variance()
        assert_close(variance.sum(), row["marg_var_sum"], 1e-9)
        assert_close(variance[:5], row["marg_var_first5"], 1e-9)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_bym2_of_a_small_and_dense_graph(n):
    """The precision of (b, u) beside its four blocks."""
    W = np.ones((n, n)) - np.eye(n)
    R = np.diag(W.sum(1)) - W
    R = R * np.exp(np.mean(np.log(np.diag(np.linalg.pinv(R)))))
    phi, tau = 0.4, 2.0
    rest = 1 - phi
    cross = -np.sqrt(phi * tau) / rest * np.eye(n)
    expected = np.block([[tau / rest * np.eye(n), cross], [cross, phi / rest * np.eye(n) + R]])
    np.testing.assert_allclose(precision.bym2(W)(phi, tau).todense(), expected, rtol=1e-10)
    np.testing.assert_allclose(precision.bym(W)(tau, 1.0).todense()[:n, n:], -tau * np.eye(n))
