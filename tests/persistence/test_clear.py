"""`clear_structures`: what was compiled before fails clearly, all else goes on, and memory comes back."""

import gc
import threading
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex

from ..helpers import assert_close, dense, spd, stored

UNKNOWN = r"not registered in this process: it was cleared with clear_structures\(\)"


@pytest.fixture
def A() -> ex.SymmetricMatrix:
    return ex.SymmetricMatrix.from_scipy(spd("grid_2d"))


def _functions(A: ex.SymmetricMatrix) -> dict:
    """Functions of the values of A, each of which uses structures in its own way."""
    n = A.shape[0]
    general = A.to_general()
    factor = lambda v: ex.cholesky(A.with_values(v))  # noqa: E731
    return {
        "cholesky": lambda v: factor(v).values,
        "solve": lambda v: factor(v).solve(jnp.ones(n)),
        "gradient": jax.grad(lambda v: factor(v).logdet()),
        "throw=False": lambda v: ex.cholesky(A.with_values(v), throw=False).logdet(),
        "product": lambda v: A.with_values(v) @ jnp.ones(n),
        "sparse product": lambda v: (general @ A.with_values(v).to_general()).values,
        "gather": lambda v: A.with_values(v).to_general().values,
        "triangular": lambda v: ex.triangular_solve(factor(v).L, jnp.ones(n)),
        "vmap": lambda v: jax.vmap(lambda s: factor(s * v).logdet())(jnp.arange(1.0, 4.0)),
        "scan": lambda v: jax.lax.scan(
            lambda x, s: (factor(s * v).solve(x), x.sum()), jnp.ones(n), jnp.arange(1.0, 4.0)
        ),
        "cond": lambda v: jax.lax.cond(v[0] > 0, lambda: factor(v).logdet(), lambda: 0.0),
    }  # fmt: skip


@pytest.mark.parametrize("name", _functions(ex.SymmetricMatrix.eye(3)))
def test_a_function_compiled_before_fails_clearly(A, name):
    compiled = jax.jit(_functions(A)[name])
    before = jax.block_until_ready(compiled(A.values))
    ex.clear_structures()
    with pytest.raises(Exception, match=UNKNOWN):
        jax.block_until_ready(compiled(A.values))
    jax.clear_caches()
    after = compiled(A.values)
    assert jax.tree.all(jax.tree.map(np.array_equal, after, before))


def test_an_executable_compiled_ahead_of_time_works_again_once_its_structures_are_back(A):
    f = lambda v: ex.cholesky(A.with_values(v)).logdet()  # noqa: E731
    compiled = jax.jit(f).lower(A.values).compile()
    before = compiled(A.values)
    ex.clear_structures()
    with pytest.raises(Exception, match=UNKNOWN):
        jax.block_until_ready(compiled(A.values))
    jax.jit(lambda v: f(v)).lower(A.values)  # traced afresh
    assert compiled(A.values) == before


def test_operations_outside_of_jit_go_on(A):
    S = spd("grid_2d")
    F = ex.cholesky(A)
    b = jnp.arange(1.0, 1 + A.shape[0])
    for _ in range(2):
        assert_close(F.solve(b), np.linalg.solve(S.toarray(), b), 1e-12)
        assert_close(A @ b, S @ b, 1e-14)
        assert_close(ex.cholesky(A).logdet(), np.linalg.slogdet(S.toarray())[1], 1e-12)
        assert_close(F.L.values, ex.cholesky(A).L.values, 1e-15)
        ex.clear_structures()


def test_functions_traced_afterwards_work(A):
    ex.clear_structures()
    oracle = jax.grad(lambda v: jnp.linalg.slogdet(dense(spd("grid_2d"), v))[1])
    gradient = jax.jit(jax.grad(lambda v: ex.cholesky(A.with_values(v)).logdet()))
    assert_close(gradient(A.values), oracle(stored(spd("grid_2d"))), 1e-12)


def test_nothing_is_kept():
    path = sp.diags_array([-np.ones(6), 2 * np.ones(7), -np.ones(6)], offsets=[-1, 0, 1])
    A = ex.SymmetricMatrix.from_scipy(sp.csc_array(path))
    F = jax.jit(lambda A: ex.cholesky(A))(A)
    A @ jnp.ones(7), A.to_general().T @ A, ex.kron(A, A), F.L, F.solve(jnp.ones(7))
    ex.block([[A, None], [None, A]]), ex.block_diag(A, A), A.to_general()[[0, 1], :]
    kept = [weakref.ref(x) for x in (A.pattern, F.symbolic, F._embedding, A.pattern.diagonal())]
    del A, F
    gc.collect()
    assert all(reference() is not None for reference in kept)
    jax.clear_caches()
    ex.clear_structures()
    gc.collect()
    assert [reference() for reference in kept] == [None] * len(kept)


def test_an_analysis_is_made_again_and_is_the_same(A):
    symbolic = ex.analyze(A)
    ex.clear_structures()
    again = ex.analyze(A)
    assert again is not symbolic and again == symbolic
    F = ex.cholesky(A, symbolic=symbolic)
    assert np.array_equal(F.values, ex.cholesky(A, symbolic=again).values)


def test_clearing_while_another_thread_computes(A):
    """A call either gives the right number or says that its structure is gone."""
    f = jax.jit(lambda v: ex.cholesky(A.with_values(v)).logdet())
    expected, outcomes = float(f(A.values)), []

    def call():
        for _ in range(25):
            try:
                outcomes.append(float(f(A.values)) == expected)
            except Exception as error:
                outcomes.append("not registered" in str(error))
            f.lower(A.values)

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        ex.clear_structures()
        jax.clear_caches()
    assert len(outcomes) == 50 and all(outcomes)
