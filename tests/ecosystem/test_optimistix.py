"""Root finding and least squares by optimistix, sparse beside dense."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optimistix as optx
import pytest
import scipy.linalg
from jax.flatten_util import ravel_pytree

import elimax as ex
from pde import bratu, bundle
from tests.ecosystem.lowered import largest_array

DENSE = lx.AutoLinearSolver(well_posed=True)
N = 6
LAMBDA = jnp.array(4.0)
P = bratu.pattern(N)


def blown(u, lam):
    """The Bratu problem in a wind: its Jacobian is not symmetric."""
    return bratu.residual(u, lam) + 0.4 * (u - jnp.pad(u, 1)[:-2, 1:-1])


@eqx.filter_jit
def solve(lam, linear_solver, kind=optx.Newton, *, tags=(), size=N, throw=True):
    return optx.root_find(
        blown,
        kind(rtol=1e-12, atol=1e-12, linear_solver=linear_solver),
        bratu.start(size),
        lam,
        tags=frozenset(tags),
        adjoint=optx.ImplicitAdjoint(linear_solver=linear_solver),
        throw=throw,
    )


def close(a, b, rtol=1e-10):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol, rtol), a, b)


# --- root finding ----------------------------------------------------------------------------------


def _symbolic():
    """From typical values, which tell where strong pivots are."""
    u = jnp.full((N, N), 0.3)
    jacobian = lx.JacobianLinearOperator(blown, u, LAMBDA)
    return ex.analyze(ex.materialise(jacobian, P).matrix, kind="lu")


WAYS = {
    "pattern of the solver": lambda: (ex.SparseLU(pattern=P), ()),
    "pattern as a tag": lambda: (ex.SparseLU(), (P,)),
    "pattern and symbolic": lambda: (ex.SparseLU(pattern=P, symbolic=_symbolic()), ()),
    "chosen by the operator": lambda: (ex.AutoSparse(pattern=P), ()),
    "least squares": lambda: (ex.SparseLSTSQ(pattern=P), ()),
}


@pytest.mark.parametrize("kind", [optx.Newton, optx.Chord])
@pytest.mark.parametrize("way", WAYS)
def test_root_find(kind, way):
    linear_solver, tags = WAYS[way]()
    sparse, dense = solve(LAMBDA, linear_solver, kind, tags=tags), solve(LAMBDA, DENSE, kind)
    assert sparse.stats["num_steps"] == dense.stats["num_steps"] > 3
    close(sparse.value, dense.value, 1e-13)
    assert np.abs(blown(sparse.value, LAMBDA)).max() < 1e-14 < dense.value.min()


def test_symmetric_positive_definite_by_tags():
    tags = (P, lx.positive_semidefinite_tag)
    found = [
        optx.root_find(
            bratu.residual,
            optx.Newton(rtol=1e-12, atol=1e-12, linear_solver=linear_solver),
            bratu.start(N),
            LAMBDA,
            tags=frozenset(tags if linear_solver is not DENSE else ()),
        ).value
        for linear_solver in (ex.AutoSparse(), ex.SparseCholesky(), DENSE)
    ]
    close(found[0], found[2])
    close(found[1], found[2])


@pytest.mark.parametrize("kind", [optx.Newton, optx.Chord])
def test_derivatives_in_both_modes(kind):
    """With respect to a parameter at every point."""
    lam = LAMBDA + 0.1 * jnp.arange(N * N).reshape(N, N) / N**2

    def mean(lam, linear_solver):
        return jnp.sum(jnp.sin(solve(lam, linear_solver, kind).value))

    sparse = functools.partial(mean, linear_solver=ex.SparseLU(pattern=P))
    dense = functools.partial(mean, linear_solver=DENSE)
    gradient, tangent = jax.grad(dense)(lam), jnp.cos(lam)
    close(jax.grad(sparse)(lam), gradient)
    close(jax.jvp(sparse, (lam,), (tangent,))[1], jnp.vdot(gradient, tangent))
    assert np.abs(gradient - gradient[::-1]).max() > 1e-3  # the wind tells transposes apart


def test_second_derivative_against_dense():
    def second(linear_solver):
        return jax.hessian(lambda lam: jnp.sum(solve(lam, linear_solver).value))(LAMBDA)

    close(second(ex.SparseLU(pattern=P)), second(DENSE), 1e-9)


@pytest.mark.parametrize("kind", [optx.Newton, optx.Chord])
def test_vmap_over_a_parameter(kind):
    lams, linear_solver = jnp.array([0.5, 3.0, 5.0]), ex.SparseLU(pattern=P)
    together = jax.vmap(lambda lam: solve(lam, linear_solver, kind).value)(lams)
    one_by_one = jnp.stack([solve(lam, DENSE, kind).value for lam in lams])
    close(together, one_by_one)
    slopes = jax.vmap(jax.grad(lambda lam: jnp.sum(solve(lam, linear_solver, kind).value)))(lams)
    close(slopes, [jax.grad(lambda lam: jnp.sum(solve(lam, DENSE).value))(lam) for lam in lams])


def test_unknowns_in_a_tree():
    """Rows and columns count what `jax.tree` flattens: here a, then b."""
    rows, columns = np.array([0, 0, 1, 2, 2, 3, 1]), np.array([0, 2, 1, 2, 0, 3, 3])
    pattern = ex.Pattern.from_coo(rows, columns, (4, 4))

    def fn(y, _):
        a, b = y["a"], y["b"]
        first = jnp.stack([a[0] ** 2 + b[0] - 3, a[1] ** 3 + b[1] - 2])
        return {"a": first, "b": jnp.stack([b[0] * a[0] - 1, jnp.exp(b[1]) - 2.0])}

    start = {"a": jnp.array([1.5, 1.0]), "b": jnp.array([0.7, 0.4])}
    found = [
        optx.root_find(fn, optx.Newton(1e-12, 1e-12, linear_solver=s), start).value
        for s in (ex.SparseLU(pattern=pattern), DENSE)
    ]
    close(*found)
    close(fn(found[0], None), jax.tree.map(jnp.zeros_like, start))


@pytest.mark.parametrize("kind", [optx.Newton, optx.Chord])
def test_nothing_is_dense(kind):
    size = 20
    n = size**2
    linear_solver = ex.SparseLU(pattern=bratu.pattern(size))

    def gradient(linear_solver):
        return jax.grad(lambda lam: jnp.sum(solve(lam, linear_solver, kind, size=size).value))

    assert largest_array(gradient(linear_solver), LAMBDA) < n**2 // 10
    assert largest_array(gradient(DENSE), LAMBDA) >= n**2


def test_a_singular_jacobian_is_told_in_the_words_of_lineax():
    """... which is all that optimistix passes on. By hand, our own are at hand."""

    def fn(y, _):
        return y**2 - jnp.array([1.0, 2.0, 3.0])

    solver = optx.Newton(1e-10, 1e-10, linear_solver=ex.SparseLU(pattern=ex.Pattern.eye(3)))
    solution = optx.root_find(fn, solver, jnp.array([0.0, 1.0, 1.0]), throw=False)
    assert solution.result != optx.RESULTS.successful
    assert "A linear solver returned non-finite" in optx.RESULTS[solution.result]
    jacobian = lx.JacobianLinearOperator(fn, jnp.array([0.0, 1.0, 1.0]))
    linear = lx.linear_solve(jacobian, jnp.ones(3), solver.linear_solver, throw=False)
    with pytest.raises(ex.FactorizationError, match="column 0"):
        ex.check_solution(linear)


# --- least squares ---------------------------------------------------------------------------------

METHODS = [optx.GaussNewton, optx.LevenbergMarquardt, optx.Dogleg]


@pytest.fixture(scope="module")
def pictures():
    truth, pictures = bundle.simulate(5, 12, views=4)
    return bundle.disturbed(truth), pictures


@eqx.filter_jit
def adjust(start, pictures, kind, linear_solver=None, **options):
    given = {} if linear_solver is None else {"linear_solver": linear_solver}
    solver = kind(rtol=1e-7, atol=1e-7, **given)
    return optx.least_squares(bundle.residuals, solver, start, pictures, **options)


def test_damping_beyond_all_measure(pictures):
    """At the minimum rounding decides about steps, so that Levenberg-Marquardt damps more and more."""
    start, seen = pictures
    linear_solver = ex.SparseLSTSQ(pattern=bundle.pattern(start, seen))
    solver = optx.LevenbergMarquardt(rtol=1e-10, atol=1e-10, linear_solver=linear_solver)
    solution = optx.least_squares(bundle.residuals, solver, start, seen)
    close(solution.value, adjust(start, seen, optx.GaussNewton).value, 1e-7)


@pytest.mark.parametrize("kind", METHODS)
def test_least_squares(kind, pictures):
    start, seen = pictures
    linear_solver = ex.SparseLSTSQ(pattern=bundle.pattern(start, seen))
    sparse, dense = adjust(start, seen, kind, linear_solver), adjust(start, seen, kind)
    close(sparse.value, dense.value, 1e-7)
    gradient = jax.grad(lambda y: jnp.sum(bundle.residuals(y, seen) ** 2))(sparse.value)
    assert max(np.abs(g).max() for g in gradient) < 1e-3


def test_the_pattern_as_a_tag_of_gauss_newton(pictures):
    """Levenberg-Marquardt does not pass it on."""
    start, seen = pictures
    P = bundle.pattern(start, seen)
    tagged = adjust(start, seen, optx.GaussNewton, ex.SparseLSTSQ(), tags=frozenset([P]))
    close(tagged.value, adjust(start, seen, optx.GaussNewton, ex.SparseLSTSQ(pattern=P)).value)


def test_derivatives_of_least_squares_in_both_modes(pictures):
    start, seen = pictures
    P = bundle.pattern(start, seen)
    hessian = ex.SparseLU(pattern=P.transpose()[0].product(P))

    def estimate(where, linear_solver, of_adjoint):
        adjoint = optx.ImplicitAdjoint(linear_solver=of_adjoint)
        options = {"linear_solver": linear_solver, "adjoint": adjoint}
        world = adjust(start, seen._replace(seen=where), optx.GaussNewton, **options).value
        return world.cameras[-1, 6] + world.points[0, 2]

    sparse = functools.partial(
        estimate, linear_solver=ex.SparseLSTSQ(pattern=P), of_adjoint=hessian
    )
    dense = functools.partial(estimate, linear_solver=lx.QR(), of_adjoint=DENSE)
    gradient, tangent = jax.grad(dense)(seen.seen), jnp.cos(seen.seen)
    close(jax.grad(sparse)(seen.seen), gradient, 1e-7)
    close(jax.jvp(sparse, (seen.seen,), (tangent,))[1], jnp.vdot(gradient, tangent), 1e-7)


def test_vmap_over_pictures(pictures):
    start, seen = pictures
    linear_solver = ex.SparseLSTSQ(pattern=bundle.pattern(start, seen))
    many = jnp.stack([seen.seen, seen.seen + 1e-3 * jnp.sin(jnp.arange(2.0))])

    def one(where, linear_solver):
        return adjust(start, seen._replace(seen=where), optx.GaussNewton, linear_solver).value

    together = jax.vmap(lambda where: one(where, linear_solver))(many)
    for k in range(2):
        close(jax.tree.map(lambda x, k=k: x[k], together), one(many[k], None), 1e-7)


@pytest.mark.parametrize("kind", METHODS[:2])
def test_nothing_is_dense_in_least_squares(kind):
    start, seen = bundle.simulate(10, 60)
    linear_solver = ex.SparseLSTSQ(pattern=bundle.pattern(start, seen))
    m, n = linear_solver.pattern.shape

    def run(start, linear_solver):
        return adjust(start, seen, kind, linear_solver).value

    assert largest_array(lambda y: run(y, linear_solver), start) < m * n // 4
    assert largest_array(lambda y: run(y, None), start) >= m * n


# --- the problems ----------------------------------------------------------------------------------


def test_pattern_of_the_bratu_problem():
    u = jax.random.normal(jax.random.key(0), (N, N))
    jacobian = jax.jacfwd(bratu.residual)(u, LAMBDA).reshape(N * N, N * N)
    np.testing.assert_array_equal(jacobian != 0, P.to_scipy().toarray())
    np.testing.assert_array_equal(jacobian, jacobian.T)


def test_bratu_against_a_closed_form():
    """In one dimension, u = 2 log(cosh(c) / cosh(c (1 - 2 x))) with lambda = 8 c^2 / cosh(c)^2."""
    c, size = 0.7, 200
    x = np.arange(1, size + 1) / (size + 1)
    u = 2 * np.log(np.cosh(c) / np.cosh(c * (1 - 2 * x)))
    lam = 8 * c**2 / np.cosh(c) ** 2
    strip = np.broadcast_to(u[:, None], (size, size))  # away from its ends, as if infinitely long
    defect = bratu.residual(jnp.asarray(strip), lam)[:, size // 2] * (size + 1) ** 2
    assert np.abs(defect).max() < 1e-4


def test_pattern_of_bundle_adjustment(pictures):
    start, seen = pictures
    flat, unravel = ravel_pytree(start)
    jacobian = jax.jacfwd(lambda x: bundle.residuals(unravel(x), seen))(flat)
    P = bundle.pattern(start, seen)
    missing = np.where(P.to_scipy().toarray(), 0, jacobian)
    np.testing.assert_array_equal(missing, 0)
    assert np.count_nonzero(jacobian) > 0.8 * P.nnz
    assert np.linalg.matrix_rank(jacobian) == P.shape[1]


def test_rotations():
    w, x = jnp.array([0.3, -1.2, 0.5]), jnp.array([1.0, 2.0, -0.7])
    close(bundle.rotate(w, x), scipy.linalg.expm(_skew(w)) @ x)
    close(bundle.rotate(jnp.zeros(3), x), x)
    at_zero = jax.jacfwd(bundle.rotate)(jnp.zeros(3), x)
    close(at_zero, -_skew(x))


def _skew(w):
    return np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
