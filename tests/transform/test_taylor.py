"""Taylor mode: the coefficients along a curve, against nested derivatives of the dense function."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.jet import jet

import elimax as ex
from elimax._structure._native import counted

from ..derivatives import FUNCTIONS, draw, functions
from ..helpers import assert_close, dense, spd, stored

ORDER = 4


def _curve(x, series, t):
    factorials = np.cumprod(np.arange(1, ORDER + 1))
    return x + sum(c * t**k / factorials[k - 1] for k, c in enumerate(series, 1))


def _functions(A):
    S = ex.SymmetricMatrix.from_scipy(A)
    return functions(A) | {
        "product": (
            lambda v, b: S.with_values(v) @ (b.T @ S.with_values(v)).T,
            lambda v, b: dense(A, v) @ (b.T @ dense(A, v)).T,
        ),
        "triangular_solve": (
            lambda v, b: ex.triangular_solve(S.with_values(v).to_general(), b),
            lambda v, b: jnp.linalg.solve(jnp.tril(dense(A, v)), b),
        ),
    }


@pytest.mark.parametrize("dtype", [np.float64, pytest.param(np.complex128, marks=pytest.mark.slow)])
@pytest.mark.parametrize("function", [*FUNCTIONS, "product", "triangular_solve"])
def test_taylor_coefficients_agree_with_dense(function, dtype, rng):
    A = spd("disconnected", dtype)
    sparse, oracle = _functions(A)[function]
    x = (jnp.asarray(stored(A)), draw(rng, (A.shape[0], 2), dtype))
    series = tuple([0.01 * draw(rng, z.shape, dtype) for _ in range(ORDER)] for z in x)

    derivatives = [lambda t: oracle(*(_curve(*z, t) for z in zip(x, series, strict=True)))]
    for _ in range(ORDER):
        derivatives.append(lambda t, f=derivatives[-1]: jax.jvp(f, (t,), (1.0,))[1])
    expected = jax.jit(lambda t: [f(t) for f in derivatives])(0.0)

    value, coefficients = jax.jit(lambda x, series: jet(sparse, x, series))(x, series)
    for got, wanted in zip([value, *coefficients], expected, strict=True):
        assert_close(got, wanted, 1e-11)


def test_taylor_mode_outside_of_jit_and_under_vmap(rng):
    A = spd("disconnected")
    f = _functions(A)["solve"][0]
    x = (jnp.asarray(stored(A)), draw(rng, A.shape[:1], np.float64))
    batch = tuple(jnp.stack([z, 2 * z]) for z in x)
    series = tuple([c * z, 2 * c * z] for c, z in zip((0.01, 0.03), x, strict=True))
    expected = jet(f, x, series)
    assert_close(expected[1][0], jax.jvp(f, x, tuple(c[0] for c in series))[1], 1e-13)
    got = jax.vmap(lambda x: jet(f, x, series))(batch)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert_close(a[0], b, 1e-13)


def test_a_taylor_coefficient_costs_one_solve(rng):
    A = spd("disconnected")
    S = ex.SymmetricMatrix.from_scipy(A)
    b = draw(rng, A.shape[:1], np.float64)
    run = jax.jit(
        lambda v, w: jet(lambda v: ex.cholesky(S.with_values(v)).solve(b), (v,), ([w] * ORDER,))
    )
    jax.block_until_ready(run(S.values, 0.01 * S.values))
    before = counted("factorization"), counted("solve")
    jax.block_until_ready(run(S.values, 0.01 * S.values))
    assert (counted("factorization") - before[0], counted("solve") - before[1]) == (1, 1 + ORDER)
