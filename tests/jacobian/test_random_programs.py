"""Random programs composed from the primitives that rules are for.

The pattern of the Jacobian must hold the nonzeros at random points, and be those where no index and no choice
depends on values.
"""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .oracle import compare, nonzeros, pattern_of

M, K = 3, 4  # every value is a matrix of this shape
ROWS = np.random.default_rng(0).permutation(M)
COLUMNS = np.array([2, 0, 0, 3])
BIDIAGONAL = np.eye(K) + 0.5 * np.eye(K, k=1)
MASK = np.arange(M * K).reshape(M, K) % 3 != 0

ONE = {
    "sin": lambda a: jnp.sin(a + 0.3),
    "exp": lambda a: jnp.exp(0.1 * a),
    "square": lambda a: (a + 1.5) ** 2,
    "roll": lambda a: jnp.roll(a, 1, axis=1),
    "flip": lambda a: a[::-1],
    "transpose": lambda a: a.T.reshape(M, K),
    "pad": lambda a: jnp.pad(a, ((0, 1), (1, 0)))[1:, :-1],
    "rows": lambda a: a[ROWS],
    "columns": lambda a: a[:, COLUMNS],
    "elements": lambda a: a[ROWS[:, None], COLUMNS],
    "scatter": lambda a: a.at[:, COLUMNS].add(jnp.sin(a)),
    "set": lambda a: a.at[1].set(a[0] ** 2),
    "update": lambda a: lax.dynamic_update_slice(a, a[:2, :2], (1, 2)),
    "where": lambda a: jnp.where(MASK, a, a[::-1]),
    "mask": lambda a: a * MASK,
    "sum": lambda a: jnp.broadcast_to(jnp.sum(a, 0), (M, K)),
    "cumsum": lambda a: lax.cumsum(a, 1),
    "softmax": lambda a: jax.nn.softmax(0.3 * a, axis=0),
    "weights": lambda a: a @ BIDIAGONAL,
    "concatenate": lambda a: jnp.concatenate([a[1:], a[:1] ** 2]),
    "windows": lambda a: lax.reduce_window(a, 0.0, lax.add, (1, 2), (1, 1), "SAME"),
    "solve": lambda a: lax.linalg.triangular_solve(BIDIAGONAL, a),
    "scan": lambda a: lax.scan(lambda c, r: (jnp.roll(c, 1) + r, c * r), a[0] + 0.5, a)[1],
    "fori_loop": lambda a: lax.fori_loop(
        1, M, lambda i, c: c.at[i].multiply(0.5 * c[i - 1] + 1), a
    ),
    "cond": lambda a: lax.cond(True, lambda a: a[::-1], jnp.sin, a),
    "jit": jax.jit(lambda a: a + jnp.roll(a, 1, axis=0)),
    "checkpoint": jax.checkpoint(lambda a: jnp.cos(a) * a),
}
TWO = {
    "add": lambda a, b: a + 1.1 * b,
    "mul": lambda a, b: (a + 0.7) * (b - 1.3),
    "div": lambda a, b: a / (2 + jnp.tanh(b)),
    "dot": lambda a, b: 0.1 * (a @ b.T) @ b,
    "stack": lambda a, b: jnp.stack([a[:, :2], b[:, 2:]], 2).reshape(M, K),
    "select": lambda a, b: lax.select_n(MASK, a, b),
}
VALUES = {
    "max": lambda a: jnp.broadcast_to(jnp.max(a, 1, keepdims=True), (M, K)),
    "sort": lambda a: jnp.sort(a, axis=0),
    "where by values": lambda a: jnp.where(a > 0, a, jnp.roll(a, 1)),
    "gather by values": lambda a: a[jnp.argsort(a[:, 0])],
    "slice by values": lambda a: lax.dynamic_update_slice(a, a[:1], (jnp.argmax(a[:, 1]), 0)),
    "cond by values": lambda a: lax.cond(a[0, 0] > 0, jnp.sin, lambda a: a[::-1], a),
    "while by values": lambda a: lax.while_loop(
        lambda c: jnp.sum(c**2) > 1.0, lambda c: 0.5 * jnp.roll(c, 1, 0), a
    ),
    "cumulative maximum": lambda a: lax.cummax(a, axis=1),
}


@st.composite
def programs(draw, extra=()):
    """A list of operations, each with the numbers of the values it takes: a directed acyclic graph."""
    names = [*sorted(ONE), *sorted(TWO), *extra]
    length = draw(st.integers(1, 6))
    return [
        (draw(st.sampled_from(names)), draw(st.integers(0, k)), draw(st.integers(0, k)))
        for k in range(length)
    ]


def run(program):
    def f(x):
        values = [x.reshape(M, K)]
        for name, left, right in program:
            operands = (values[left], values[right])
            if name in TWO:
                values.append(TWO[name](*operands))
            else:
                values.append({**ONE, **VALUES}[name](operands[0]))
        return values[-1].ravel()

    return f


@hypothesis.given(programs())
@hypothesis.settings(max_examples=25)
def test_patterns_are_those_of_random_points(program):
    """None of these programs cancels: each has a result for every path from an input."""
    f = run(program)
    found, needed = pattern_of(f), nonzeros(f)
    compare(found, needed, exact=cancels_nothing(program))


def cancels_nothing(program) -> bool:
    """Whether what is multiplied by zero, or overwritten, stays apart from what is linear in it.

    A known zero in a value that is computed is not told: a factor of it makes the derivative zero.
    """
    zeros = {"mask", "pad"}
    return not any(name in zeros for name, *_ in program[:-1])


@hypothesis.given(programs(extra=[*sorted(VALUES)] * 3))
@hypothesis.settings(max_examples=25)
def test_nothing_is_missing(program):
    f = run(program)
    compare(pattern_of(f), nonzeros(f), exact=False)
