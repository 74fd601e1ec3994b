r"""The mode of the latent field, by Newton's method; and its derivative, by the implicit function theorem.

Every iteration factorizes one matrix and solves with it. Where H is not positive definite (the likelihood is
not log-concave there), the step is taken from Q + A^T |D| A: for that step only, never at the end. The
iteration ends at a point whose own factor shows that it is the mode: there the Newton decrement,
g^T H^-1 g / 2, the rise that a full step would bring, is below the tolerance. That factor is handed on.

The mode satisfies g(x, theta) = 0 (on the constraints), hence x' = H^-1 (dg/dtheta)(theta'): one solve with
the factor that is there. Nocedal and Wright, Numerical Optimization (2006), sections 3.4 and 16.2.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from elimax.stats.laplace.curvature import Hessian
from elimax.stats.laplace.joint import Joint, Slopes
from elimax.stats.laplace.status import (
    CONVERGED,
    INDEFINITE,
    LINE_SEARCH_FAILED,
    NOT_CONVERGED,
    NOT_FINITE,
)

_ARMIJO = 1e-4
_HALVINGS = 60
_RUNNING = 1  # not a status that is handed out


class Record(NamedTuple):
    """How Newton's iteration went.

    - `iterations`: the number of factorizations.
    - `gradient_norm`: the largest element of the gradient at the mode (of its part along the constraints).
    - `decrement`: g^T H^-1 g / 2 there, in units of the log density.
    - `status`: 0, or a code of `elimax.stats.laplace.status`.
    """

    iterations: Int[Array, ""]
    gradient_norm: Float[Array, ""]
    decrement: Float[Array, ""]
    status: Int[Array, ""]


class Options(NamedTuple):
    """`tolerance` of the decrement, and the limit of iterations; static."""

    tolerance: float
    max_iterations: int


class _State(NamedTuple):
    x: Float[Array, " n"]
    step: Float[Array, " n"]
    values: Float[Array, " size"]  # of the factor at x
    slopes: Slopes
    decrement: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    convex: Bool[Array, ""]  # whether the next step is to be taken from |D|
    status: Int[Array, ""]
    iterations: Int[Array, ""]


@eqx.filter_custom_jvp
def find_mode(
    joint: Joint, start: Float[Array, " n"], *, options: Options
) -> tuple[Float[Array, " n"], Float[Array, " size"], Record]:
    """The mode of the joint density in x, the values of the factor there, and how it was found.

    **Derivative:** of the mode in all of `joint`, every order and mode; none of the rest, nor in `start`.
    """
    start = joint.onto_constraints(start)
    if joint.likelihood.quadratic:
        return _one_step(joint, start, options)
    hessian = joint.hessian()

    def going_on(state: _State) -> Bool[Array, ""]:
        return state.status == _RUNNING

    def iterate(state: _State) -> _State:
        x, found = _line_search(joint, state)
        new = _newton(joint, hessian, x, state, options)
        failed = jnp.where(found, new.status, LINE_SEARCH_FAILED)
        late = (failed == _RUNNING) & (new.iterations >= options.max_iterations)
        return new._replace(status=jnp.where(late, NOT_CONVERGED, failed))

    blank = _blank(joint, hessian, start)
    state = jax.lax.while_loop(going_on, iterate, blank)
    record = Record(state.iterations, state.gradient_norm, state.decrement, state.status)
    return state.x, state.values, record


@find_mode.def_jvp
def _find_mode_jvp(primals: Any, tangents: Any, *, options: Options) -> Any:
    joint, start = primals
    x, values, record = find_mode(joint, start, options=options)
    forces = joint.constraint_forces(x, joint.gradient(x))
    missing = None

    def residual(joint: Joint) -> Any:
        gradient = joint.gradient(x)
        if joint.field.constraints is None:
            return gradient, missing
        A, e = joint.field.constraints
        return gradient - A.T @ forces, e - A @ x

    if all(leaf is None for leaf in jax.tree.leaves(tangents[0], is_leaf=lambda t: t is None)):
        moved = jnp.zeros_like(x)
    else:
        _, (gradient, gap) = eqx.filter_jvp(residual, (joint,), (tangents[0],))
        form = joint.restrict(joint.hessian_at(x), values)
        moved = form.solve(gradient) if gap is None else form.solve(gradient, gap)
    nothing = Record(*(None for _ in record))  # type: ignore[arg-type]
    return (x, values, record), (moved, None, nothing)


def _blank(joint: Joint, hessian: Hessian, start: Float[Array, " n"]) -> _State:
    """The state before the first iteration, whose line search stays where it is."""
    slopes = Slopes(*(jnp.zeros_like(joint.offset) for _ in Slopes._fields))
    factor = jax.eval_shape(lambda d: joint.restrict(hessian.at(d)).factor.values, joint.offset)
    dtype = start.dtype
    return _State(
        x=start,
        step=jnp.zeros_like(start),
        values=jnp.zeros(factor.shape, factor.dtype),
        slopes=slopes,
        decrement=jnp.asarray(jnp.inf, dtype),
        gradient_norm=jnp.asarray(jnp.inf, dtype),
        convex=jnp.asarray(False),
        status=jnp.asarray(_RUNNING, jnp.int32),
        iterations=jnp.asarray(0, jnp.int32),
    )


def _newton(
    joint: Joint, hessian: Hessian, x: Float[Array, " n"], state: _State, options: Options
) -> _State:
    """Factorizes at x, and finds the step from there, or that this is the mode."""
    slopes = joint.slopes(joint.predictor(x))
    d = jnp.where(state.convex, jnp.abs(slopes.second), -slopes.second)
    form = joint.restrict(hessian.at(d))
    gradient = joint.gradient_of(x, slopes.first)
    step = _step(joint, form, gradient)
    decrement = 0.5 * gradient @ step
    failed = (form.status != 0) | ~jnp.isfinite(decrement)
    # Where rounding keeps the decrement from falling, it is as small as it gets.
    small = (decrement <= options.tolerance) | (
        (decrement <= 1e4 * options.tolerance) & (decrement >= 0.25 * state.decrement)
    )
    finite = jnp.isfinite(gradient).all() & jnp.isfinite(d).all()
    status = jnp.where(
        failed,
        jnp.where(finite, jnp.where(state.convex, INDEFINITE, _RUNNING), NOT_FINITE),
        jnp.where(small, jnp.where(state.convex, INDEFINITE, CONVERGED), _RUNNING),
    )
    forces = joint.constraint_forces(x, gradient)
    if forces is not None:
        assert joint.field.constraints is not None
        gradient = gradient - joint.field.constraints[0].T @ forces
    return _State(
        x=x,
        step=jnp.where(failed, 0.0, step),
        values=form.factor.values,
        slopes=slopes,
        decrement=jnp.where(failed, jnp.inf, decrement),
        gradient_norm=jnp.max(jnp.abs(gradient)),
        convex=failed,
        status=status.astype(jnp.int32),
        iterations=state.iterations + 1,
    )


def _step(joint: Joint, form: Any, gradient: Float[Array, " n"]) -> Float[Array, " n"]:
    if joint.field.constraints is None:
        return form.solve(gradient)
    return form.solve(gradient, jnp.zeros_like(joint.field.constraints[1]))


def _line_search(joint: Joint, state: _State) -> tuple[Float[Array, " n"], Bool[Array, ""]]:
    """x + t step with the first t = 1, 1/2, 1/4, ... that raises the density enough (Armijo).

    The density along the step is a sum of differences of log-likelihoods and a quadratic, so that it is told
    apart from rounding when little is left to gain.
    """
    eta, direction = joint.predictor(state.x), joint.apply(state.step)
    Qs = joint.field.precision @ state.step
    linear, quadratic = -(state.x - joint.field.mean) @ Qs, -0.5 * state.step @ Qs
    size = jnp.sum(jnp.abs(state.slopes.value)) + jnp.abs(linear) + jnp.abs(quadratic)
    rounding = 8 * jnp.finfo(eta.dtype).eps * size
    rise = 2 * _ARMIJO * state.decrement

    def enough(t: Float[Array, ""]) -> Bool[Array, ""]:
        gain = jnp.sum(joint.kernel(eta + t * direction) - state.slopes.value)
        return gain + t * linear + t * t * quadratic >= t * rise - rounding

    def trying(search: tuple[Array, Array, Array]) -> Array:
        halvings, _, found = search
        return ~found & (halvings < _HALVINGS)

    def halve(search: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        halvings, t, _ = search
        return halvings + 1, 0.5 * t, enough(0.5 * t)

    one = jnp.ones((), eta.dtype)
    still = jnp.isinf(state.decrement)  # there is no step yet
    _, t, found = jax.lax.while_loop(trying, halve, (jnp.asarray(0), one, still | enough(one)))
    return state.x + t * state.step, found


def _one_step(joint: Joint, start: Float[Array, " n"], options: Options) -> Any:
    """The mode of a quadratic: one factorization, one step, and a second solve that takes off its rounding."""
    form = joint.restrict(joint.hessian_at(start))
    x = start + _step(joint, form, joint.gradient(start))
    gradient = joint.gradient(x)
    rest = _step(joint, form, gradient)
    decrement = 0.5 * gradient @ rest
    forces = joint.constraint_forces(x, gradient)
    if forces is not None:
        assert joint.field.constraints is not None
        gradient = gradient - joint.field.constraints[0].T @ forces
    status = jnp.where(
        form.status != 0,
        jnp.where(jnp.isfinite(gradient).all(), INDEFINITE, NOT_FINITE),
        jnp.where(decrement <= 1e4 * options.tolerance, CONVERGED, NOT_CONVERGED),
    )
    record = Record(
        jnp.asarray(1, jnp.int32),
        jnp.max(jnp.abs(gradient)),
        jnp.abs(decrement),
        status.astype(jnp.int32),
    )
    return x + rest, form.factor.values, record
