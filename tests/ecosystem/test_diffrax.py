"""Implicit methods of diffrax with sparse root finders, beside the dense default."""

import functools

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optimistix as optx
import pytest

import elimax as ex
from pde import bratu, brusselator
from pde.adjoint import SparseKvaerno3
from tests.ecosystem.lowered import largest_array

N = 4
P = brusselator.pattern(N)
LU = ex.SparseLU(pattern=P)
ALPHA = jnp.array(brusselator.ALPHA)


@eqx.filter_jit
def integrate(
    alpha, solver, *, size=N, t1=0.5, tolerance=1e-6, dt0=1e-3, adaptive=True, y0=None, **options
):
    controller = dfx.PIDController(tolerance, tolerance) if adaptive else dfx.ConstantStepSize()
    return dfx.diffeqsolve(
        dfx.ODETerm(brusselator.vector_field),
        solver,
        t0=0.0,
        t1=t1,
        dt0=dt0,
        y0=brusselator.start(size) if y0 is None else y0,
        args=alpha,
        stepsize_controller=controller,
        **options,
    )


def very_chord(linear_solver=None, tolerance=1e-7):
    given = {} if linear_solver is None else {"linear_solver": linear_solver}
    return dfx.VeryChord(rtol=tolerance, atol=tolerance, **given)


def close(a, b, rtol=1e-8):
    np.testing.assert_allclose(a, b, rtol, rtol)


# --- solutions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [dfx.Kvaerno3, dfx.Kvaerno5, dfx.ImplicitEuler])
def test_solutions(kind):
    options = {"adaptive": kind is not dfx.ImplicitEuler}
    sparse = integrate(ALPHA, kind(root_finder=very_chord(LU)), **options)
    dense = integrate(ALPHA, kind(root_finder=very_chord()), **options)
    assert sparse.stats["num_steps"] == dense.stats["num_steps"] > 10
    close(sparse.ys, dense.ys)


FINDERS = {
    "newton": lambda s: optx.Newton(1e-8, 1e-8, linear_solver=s),
    "tolerances of the controller": lambda s: dfx.with_stepsize_controller_tols(dfx.VeryChord)(
        linear_solver=s
    ),
}


@pytest.mark.parametrize("finder", FINDERS)
def test_root_finders(finder):
    dense = lx.AutoLinearSolver(well_posed=None)
    sparse, dense = (
        integrate(ALPHA, dfx.Kvaerno3(root_finder=FINDERS[finder](s)), t1=0.1) for s in (LU, dense)
    )
    assert sparse.stats["num_steps"] == dense.stats["num_steps"] > 3
    close(sparse.ys, dense.ys)


def test_implicit_and_explicit_terms():
    """KenCarp3: the diffusion implicitly, with a pattern of its own, and the reaction explicitly."""

    def diffusion(t, w, alpha):
        still = brusselator.vector_field(t, w, 0.0)
        return brusselator.vector_field(t, w, alpha) - still

    def reaction(t, w, alpha):
        return brusselator.vector_field(t, w, 0.0)

    terms = dfx.MultiTerm(dfx.ODETerm(reaction), dfx.ODETerm(diffusion))
    found = [
        dfx.diffeqsolve(
            terms,
            dfx.KenCarp3(root_finder=optx.Chord(1e-8, 1e-8, linear_solver=linear_solver)),
            t0=0.0,
            t1=0.2,
            dt0=1e-3,
            y0=brusselator.start(N),
            args=ALPHA,
            stepsize_controller=dfx.PIDController(1e-6, 1e-6),
        ).ys
        for linear_solver in (LU, lx.AutoLinearSolver(well_posed=None))
    ]
    close(*found)


def test_vmap_over_a_parameter():
    alphas = jnp.array([0.02, 0.3])
    sparse, dense = (dfx.Kvaerno3(root_finder=very_chord(s)) for s in (LU, None))
    together = jax.vmap(lambda alpha: integrate(alpha, sparse, t1=0.1).ys)(alphas)
    close(together, jnp.stack([integrate(alpha, dense, t1=0.1).ys for alpha in alphas]))


def test_nothing_is_dense():
    size = 10
    n = 2 * size**2
    linear_solver = ex.SparseLU(pattern=brusselator.pattern(size))

    def run(alpha, linear_solver):
        return integrate(alpha, dfx.Kvaerno5(root_finder=very_chord(linear_solver)), size=size).ys

    assert largest_array(lambda alpha: run(alpha, linear_solver), ALPHA) < n**2 // 4
    assert largest_array(lambda alpha: run(alpha, None), ALPHA) >= n**2


# --- derivatives -----------------------------------------------------------------------------------


def energy(alpha, solver, **options):
    """Through steps of constant size: those that a controller chooses would make derivatives noisy."""
    solution = integrate(alpha, solver, t1=0.02, adaptive=False, **options)
    return jnp.sum(jnp.sin(solution.ys))


@pytest.fixture(scope="module")
def sparse():
    return functools.partial(
        energy, solver=SparseKvaerno3(root_finder=very_chord(LU), linear_solver=LU)
    )


@pytest.fixture(scope="module")
def dense():
    return functools.partial(energy, solver=dfx.Kvaerno3(root_finder=very_chord()))


def test_reverse_mode(sparse, dense):
    """With respect to the parameter and the initial value."""
    start = brusselator.start(N)
    (value, (slope, slopes)), (expected, (expected_slope, expected_slopes)) = (
        jax.value_and_grad(lambda alpha, y0, f=f: f(alpha, y0=y0), (0, 1))(ALPHA, start)
        for f in (sparse, dense)
    )
    close(value, expected)
    close(slope, expected_slope, 1e-6)
    close(slopes, expected_slopes, 1e-6)
    assert abs(slope) > 1


def test_forward_mode(sparse, dense):
    adjoint = dfx.ForwardMode()
    slope = jax.jvp(lambda alpha: sparse(alpha, adjoint=adjoint), (ALPHA,), (1.0,))[1]
    close(slope, jax.jvp(lambda alpha: dense(alpha, adjoint=adjoint), (ALPHA,), (1.0,))[1], 1e-6)


def test_through_dense_output(sparse):
    """Between the steps diffrax interpolates what a step reports: that is differentiated, too."""
    saveat = dfx.SaveAt(ts=jnp.linspace(0.001, 0.0197, 7))
    h = 1e-4
    slope = jax.grad(lambda alpha: sparse(alpha, saveat=saveat))(ALPHA)
    above, below = (sparse(ALPHA + sign * h, saveat=saveat) for sign in (1, -1))
    close(slope, (above - below) / (2 * h), 1e-5)


def test_only_ours_has_derivatives_that_are_not_dense():
    """If diffrax lets one choose how stages are differentiated, this fails, and ours can go."""
    size = 14
    n = 2 * size**2
    linear_solver = ex.SparseLU(pattern=brusselator.pattern(size))
    finder = very_chord(linear_solver)

    def gradient(solver):
        return jax.grad(functools.partial(energy, solver=solver, size=size))

    ours = SparseKvaerno3(root_finder=finder, linear_solver=linear_solver)
    assert largest_array(gradient(ours), ALPHA) < n**2
    assert largest_array(gradient(dfx.Kvaerno3(root_finder=finder)), ALPHA) >= n**2


def test_steady_state():
    """diffrax's own ImplicitAdjoint does take a linear solver."""
    pattern = bratu.pattern(N)

    def mean(lam, linear_solver, adjoint):
        solution = dfx.diffeqsolve(
            dfx.ODETerm(lambda t, u, lam: -((N + 1) ** 2) * bratu.residual(u, lam)),
            dfx.Kvaerno3(root_finder=optx.Chord(1e-8, 1e-8, linear_solver=linear_solver)),
            t0=0.0,
            t1=20.0,
            dt0=1e-3,
            y0=bratu.start(N),
            args=lam,
            stepsize_controller=dfx.PIDController(1e-4, 1e-6),
            adjoint=adjoint,
        )
        return bratu.mean(solution.ys[0])

    linear_solver = ex.SparseLU(pattern=pattern)
    value, slope = jax.value_and_grad(mean)(
        jnp.array(3.0), linear_solver, dfx.ImplicitAdjoint(linear_solver=linear_solver)
    )

    def root(lam):
        return bratu.mean(
            optx.root_find(bratu.residual, optx.Newton(1e-12, 1e-12), bratu.start(N), lam).value
        )

    expected, expected_slope = jax.value_and_grad(root)(jnp.array(3.0))
    close(value, expected, 1e-6)
    close(slope, expected_slope, 1e-6)


# --- the problem -----------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [0.0, 2.0])
def test_pattern_of_the_brusselator(t):
    size = 7
    w = jax.random.normal(jax.random.key(0), (2, size, size))
    jacobian = jax.jacfwd(brusselator.vector_field, argnums=1)(t, w, ALPHA)
    jacobian = jacobian.reshape(2 * size**2, 2 * size**2)
    pattern = brusselator.pattern(size).to_scipy().toarray()
    np.testing.assert_array_equal(jacobian != 0, pattern)
    assert pattern.diagonal().all()


def test_the_reaction_without_diffusion():
    """u = 1 and v = 3.4 everywhere is a steady state before the heat; after that, u grows in the disc."""
    steady = jnp.stack([jnp.ones((10, 10)), jnp.full((10, 10), 3.4)])
    close(brusselator.vector_field(0.0, steady, 1.0), 0)
    du, dv = brusselator.vector_field(2.0, steady, 1.0)
    assert du[3, 6] == 5 and du[6, 3] == 0 and not dv.any()
    assert 0 < du.sum() < 5 * 5  # the point (0.3, 0.6), and neighbors as rounding has it
