"""Whatever goes wrong on the host is told by name, leaves other columns alone, and the process goes on."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex
from elimax import _results
from elimax._primitive.external import external_setup, external_solve

from .solvers import Dense, matrix

A = ex.SparseMatrix.from_scipy(matrix())
N = A.shape[0]
B = np.random.default_rng(0).normal(size=(N, 3))


def raises(error):
    def solve(made, b):
        raise error

    return solve


WRONG = {
    "exception": (
        raises(KeyError("gone")),
        _results.EXTERNAL_FAILED,
        "raised an exception: KeyError: 'gone'",
    ),
    "not converged": (
        raises(_results.NotConverged("residual 0.1 after 7 steps")),
        _results.EXTERNAL_NOT_CONVERGED,
        "did not converge: residual 0.1 after 7 steps",
    ),
    "shape": (lambda made, b: b[:-1], _results.EXTERNAL_WRONG_RESULT, "returned an array of shape"),
    "scalar": (
        lambda made, b: 0.0,
        _results.EXTERNAL_WRONG_RESULT,
        r"returned an array of shape \(\)",
    ),
    "nothing": (
        lambda made, b: None,
        _results.EXTERNAL_WRONG_RESULT,
        r"returned an array of shape \(\)",
    ),
    "dtype": (
        lambda made, b: b + 0j,
        _results.EXTERNAL_WRONG_RESULT,
        "returned an array of dtype complex128 for a right-hand side of dtype float64",
    ),
    "ragged": (lambda made, b: [[1.0], [1.0, 2.0]], _results.EXTERNAL_FAILED, "ValueError"),
    "nan": (
        lambda made, b: b * np.nan,
        _results.EXTERNAL_NOT_FINITE,
        "its solution has NaN or infinite",
    ),
}


def program(dense, **options):
    bound = dense.host(**options).bind(A.pattern, "general")
    return jax.jit(lambda a, b: external_solve(external_setup(a, bound), a, b, bound))


def check_going_on():
    x, status = program(Dense())(A.values, B)
    assert not status.any()
    np.testing.assert_allclose(A.todense() @ x, B, atol=1e-12)


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("wrong", WRONG)
def test_status_and_warning(wrong, columns):
    dense = Dense(columns)
    dense.solve, code, sentence = WRONG[wrong]
    with pytest.warns(RuntimeWarning, match=f"ExternalSolver 'dense': .*{sentence}"):
        x, status = jax.block_until_ready(program(dense)(A.values, B))
    assert np.isnan(x).all() and (status == code).all()
    check_going_on()


@pytest.mark.parametrize("wrong", WRONG)
def test_raised(wrong):
    dense = Dense()
    dense.solve, _, sentence = WRONG[wrong]
    with pytest.raises(Exception, match=f"ExternalSolver 'dense': .*{sentence}"):
        jax.block_until_ready(program(dense, on_failure="raise")(A.values, B))
    check_going_on()


@pytest.mark.parametrize("columns", [False, True])
def test_other_columns_are_right(columns):
    dense = Dense(columns)
    plain = dense.solve

    def solve(made, b):
        if (b == 5.0).any():
            raise ValueError("five")
        return plain(made, b)

    dense.solve = solve
    b = B.copy()
    b[3, 1] = 5.0
    with pytest.warns(RuntimeWarning, match=r"ValueError: five .*column 1; 1 of 3 fail"):
        x, status = jax.block_until_ready(program(dense)(A.values, b))
    assert status.tolist() == [0, _results.EXTERNAL_FAILED, 0] and np.isnan(x[:, 1]).all()
    np.testing.assert_allclose(A.todense() @ x[:, ::2], b[:, ::2], atol=1e-12)


@pytest.mark.parametrize("columns", [False, True])
def test_right_hand_sides_with_nan_do_not_reach_the_user(columns):
    dense = Dense(columns)
    b = B.copy()
    b[2, 0] = np.nan
    with pytest.warns(RuntimeWarning, match="the right-hand side has NaN or infinite entries"):
        x, status = jax.block_until_ready(program(dense)(A.values, b))
    assert status.tolist() == [_results.EXTERNAL_BAD_INPUT, 0, 0]
    np.testing.assert_allclose(A.todense() @ x[:, 1:], b[:, 1:], atol=1e-12)
    assert sum(dense.called.values()) == (2 if columns else 3)


def test_matrix_with_nan_does_not_reach_the_user():
    dense = Dense()
    V = jnp.stack([A.values, A.values.at[2].set(jnp.inf), 2 * A.values])
    with pytest.warns(
        RuntimeWarning, match="the matrix has a NaN .*batch element 1, column 0; 3 of 9 fail"
    ):
        x, status = jax.block_until_ready(jax.vmap(program(dense), (0, None))(V, B))
    assert (status[1] == _results.NOT_FINITE).all() and np.isnan(x[1]).all()
    assert not status[::2].any() and dense.called["setup"] == 2
    for k in (0, 2):
        np.testing.assert_allclose(A.with_values(V[k]).todense() @ x[k], B, atol=1e-12)


@pytest.mark.parametrize("is_kept", [True, False])
def test_stale_key_is_never_a_wrong_solution(is_kept):
    dense = Dense()
    bound = dense.host().bind(A.pattern, "general")
    key = external_setup(A.values if is_kept else 3 * A.values, bound)
    if not is_kept:
        bound.host.registry.clear()
    with pytest.warns(RuntimeWarning, match="ExternalSolver 'dense': stale key"):
        x, status = jax.block_until_ready(external_solve(key, 2 * A.values, B, bound))
    assert (status == _results.EXTERNAL_STALE).all() and np.isnan(x).all()
    check_going_on()


def test_warning_as_error_ends_the_program():
    dense = Dense()
    dense.solve = raises(ValueError("no"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            Exception, match="ExternalSolver 'dense': .*RuntimeWarning: .*ValueError: no"
        ):
            jax.block_until_ready(program(dense)(A.values, B))
    check_going_on()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_interrupt_ends_the_program(error):
    dense = Dense()
    dense.solve = raises(error)
    with pytest.raises(Exception, match=f"interrupted by {type(error).__name__}"):
        jax.block_until_ready(program(dense)(A.values, B))
    check_going_on()


def test_long_messages_are_cut():
    dense = Dense()
    dense.solve = raises(ValueError("é" * 10_000 + "\0"))
    with pytest.raises(Exception, match="ValueError: é"):
        jax.block_until_ready(program(dense, on_failure="raise")(A.values, B))


def test_program_of_another_process():
    """As one from the persistent compilation cache would be: nobody here goes by its token."""
    bound = Dense().host().bind(A.pattern, "general")

    @dataclasses.dataclass(frozen=True)
    class Foreign:
        token: int = 2**61 + 1
        name: str = "theirs"
        pattern: ex.Pattern = A.pattern
        storage: str = "general"

    key = external_setup(A.values, bound)
    for foreign in (Foreign(), Foreign(token=-5)):
        with pytest.raises(
            Exception, match="ExternalSolver 'theirs': this process knows no such solver"
        ):
            jax.block_until_ready(external_solve(key, A.values, B, foreign))
    check_going_on()


def test_every_code_has_a_sentence_of_its_own():
    codes = [
        code
        for name, code in vars(_results).items()
        if name.startswith("EXTERNAL_") and isinstance(code, int)
    ]
    assert set(codes) | {_results.NOT_FINITE} == set(_results.EXTERNAL_SENTENCES)
    assert len(set(codes)) == len(codes) == 6
