"""Scans of every form: those that are composed at once depend on the same as those that go step by step.

The oracle is a sum over all paths through the matrices of the steps, in dense arithmetic.
"""

import hypothesis
import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from elimax._jacobian.sparsity import scan as module

from .oracle import pattern_of

CARRY, SHARED, OWN, RESULT = 4, 2, 3, 2


def matrices(rng, density):
    """J, K, B and C, E, F of a step."""
    widths = (CARRY, SHARED, OWN)
    return [rng.random((height, width)) < density for height in (CARRY, RESULT) for width in widths]


def split(x, T):
    return x[:CARRY], x[CARRY : CARRY + SHARED], x[CARRY + SHARED :].reshape(T, OWN)


def looped(parts, T, reverse, own, results):
    """The function: parts that are left out are not scanned over, and not returned."""
    J, K, B, C, E, F = (part.astype(float) for part in parts)

    def f(x):
        start, shared, elements = split(x, T)

        def step(c, a):
            into = 0 if a is None else B @ a
            out = 0 if a is None else F @ a
            y = C @ c + E @ shared + out if results else None
            return J @ c + K @ shared + into, y

        last, ys = lax.scan(step, start, elements if own else None, T, reverse)
        return jnp.concatenate([last, ys.ravel()]) if results else last

    return f


def expected(parts, T, reverse, own, results):
    """The same, with numbers of paths instead of numbers."""
    J, K, B, C, E, F = (part.astype(float) for part in parts)
    n = CARRY + SHARED + OWN * T
    carry, shared = np.eye(n)[:CARRY], np.eye(n)[CARRY : CARRY + SHARED]
    elements = np.eye(n)[CARRY + SHARED :].reshape(T, OWN, n) * own
    ys = np.zeros((T, RESULT, n))
    for t in range(T)[::-1] if reverse else range(T):
        ys[t] = C @ carry + E @ shared + F @ elements[t]
        carry = np.minimum(J @ carry + K @ shared + B @ elements[t], 1)
    return (np.concatenate([carry, ys.reshape(-1, n)]) if results else carry) > 0


@pytest.mark.parametrize("short", [64, 0])
@hypothesis.given(
    st.integers(0, 2**32),
    st.sampled_from([0.1, 0.25, 0.5]),
    st.integers(1, 9),
    *[st.booleans()] * 3,
)
@hypothesis.settings(max_examples=25)
def test_scans(short, seed, density, T, reverse, own, results):
    parts = matrices(np.random.default_rng(seed), density)
    n = CARRY + SHARED + OWN * T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SHORT", short)
        found = pattern_of(looped(parts, T, reverse, own, results), n)
    assert np.array_equal(found, expected(parts, T, reverse, own, results))


@pytest.mark.parametrize("short", [64, 0])
@pytest.mark.parametrize("T", [1, 3])
@pytest.mark.parametrize("own", [False, True])
def test_only_the_first_step_sees_a_carry_that_is_replaced(short, T, own, monkeypatch):
    """The next carry depends on nothing, or on the step's own elements only."""
    J, K, B, C, E, F = matrices(np.random.default_rng(T), 0.6)
    parts = [np.zeros_like(J), np.zeros_like(K), B * own, C, E, F]
    monkeypatch.setattr(module, "_SHORT", short)
    found = pattern_of(looped(parts, T, False, own, True), CARRY + SHARED + OWN * T)
    wanted = expected(parts, T, False, own, True)
    assert np.array_equal(found, wanted)
    assert wanted[CARRY : CARRY + RESULT, :CARRY].sum() == C.sum() > 0


def test_a_replaced_carry_in_a_scan_that_is_too_dense(monkeypatch):
    J, K, B, C, E, F = matrices(np.random.default_rng(0), 0.6)
    parts = [np.zeros_like(J), np.zeros_like(K), np.zeros_like(B), C, E, F]

    def too_dense(*_):
        raise module.TooDense

    monkeypatch.setattr(module, "_SHORT", 0)
    monkeypatch.setattr(module, "_LONG", 0)
    monkeypatch.setattr(module, "_composed", too_dense)
    found = pattern_of(looped(parts, 3, False, True, True), CARRY + SHARED + OWN * 3)
    assert (found >= expected(parts, 3, False, True, True)).all()


@pytest.mark.parametrize("T", [65, 100, 129])
def test_long_scans(T):
    rng = np.random.default_rng(T)
    for reverse in (False, True):
        parts = matrices(rng, 0.3)
        form = (parts, T, reverse, True, True)
        assert np.array_equal(pattern_of(looped(*form), CARRY + SHARED + OWN * T), expected(*form))
