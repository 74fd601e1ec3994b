"""What is kept of a matrix on the host, for how long, and what becomes of it."""

import subprocess
import sys
import threading

import jax
import numpy as np
import pytest

import elimax as ex
from elimax._external.host import Failed
from elimax._external.registry import Counts, Kept, Registry
from elimax._primitive.external import external_setup, external_solve

from .solvers import Dense, matrix

S = ex.SparseMatrix.from_scipy(matrix())
B = np.random.default_rng(0).normal(size=(7, 1))


def run(host, values, b=B):
    bound = host.bind(S.pattern, "general")
    solve = jax.jit(lambda a, b: external_solve(external_setup(a, bound), a, b, bound))
    x, status = solve(values, b)
    assert not status.any()
    np.testing.assert_allclose(S.with_values(values).todense() @ x, b, atol=1e-12)


def kept(number: int, family: str = "a", call: int = 0) -> Kept:
    return Kept(number, np.zeros(1), family, call)


def test_least_recently_used_goes_first():
    released, counts = [], Counts()
    registry = Registry(2, released.append, counts)
    for number in (1, 2):
        registry.make_room()
        registry.keep(number, kept(number))
    registry.find(1)
    registry.make_room()
    registry.keep(3, kept(3))
    assert released == [2] and counts.evictions == 1
    assert registry.find(2) is None and registry.find(1).content == 1
    registry.clear()
    assert released == [2, 3, 1] and len(registry) == 0


def test_take_spares_other_families_and_the_same_call():
    registry = Registry(3, None, Counts())
    registry.keep(1, kept(1, "other", call=1))
    registry.keep(2, kept(2, "mine", call=2))
    assert registry.take("mine", call=2) is None  # there is room, and this call still wants it
    registry.keep(3, kept(3, "mine", call=1))
    assert registry.take("mine", call=2).content == 3
    full = Registry(1, None, Counts())
    full.keep(1, kept(1, "mine", call=2))
    assert full.take("mine", call=2).content == 1  # it has to go anyway


def test_one_setup_for_one_matrix():
    dense = Dense()
    host = dense.host()
    for _ in range(3):
        run(host, S.values)
    assert dense.called == {"setup": 1, "solve": 3}
    assert host.counts.setups == 1 and host.counts.solves == 3 and host.counts.calls == 6
    run(host, 2 * S.values)
    assert host.counts.setups == 2


def test_evicted_is_set_up_again():
    dense = Dense()
    host = dense.host(capacity=1)
    bound = host.bind(S.pattern, "general")
    first = external_setup(S.values, bound)
    external_setup(2 * S.values, bound)
    assert dense.released == [1]
    x, status = external_solve(first, S.values, B, bound)
    np.testing.assert_allclose(S.todense() @ x, B, atol=1e-12)
    assert not status.any() and dense.called["setup"] == 3 and dense.released == [1, 2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_same_values_in_other_dtypes_are_other_matrices(dtype):
    dense = Dense()
    host = dense.host()
    values = np.asarray(S.values).astype(np.float32)
    bound = host.bind(S.pattern, "general")
    keys = {bytes(np.asarray(external_setup(values.astype(d), bound))) for d in (dtype, np.float64)}
    assert len(keys) == dense.called["setup"] == (1 if dtype == np.float64 else 2)


def test_zeros_of_both_signs_differ_and_stay_right():
    dense = Dense()
    host = dense.host()
    values = np.array(S.values)
    values[1] = 0.0
    run(host, values)
    values[1] = -0.0
    run(host, values)
    assert dense.called["setup"] == 2


def test_refresh_recycles_the_object():
    dense = Dense()
    host = dense.host(refresh=True)
    for factor in (1.0, 2.0, 3.0):
        run(host, factor * S.values)
    assert dense.called == {"setup": 1, "refresh": 2, "solve": 3}
    assert len(host.registry) == 1 and dense.released == []


def test_refresh_spares_what_the_same_batch_made():
    dense = Dense()
    host = dense.host(refresh=True)
    bound = host.bind(S.pattern, "general")
    V = np.stack([S.values, 2 * S.values, 3 * S.values])

    def solve(a, b):
        return external_solve(external_setup(a, bound), a, b, bound)[0]

    for scale in (1.0, 10.0):
        X = jax.vmap(solve, (0, None))(scale * V, B)
        for v, x in zip(scale * V, X, strict=True):
            np.testing.assert_allclose(S.with_values(v).todense() @ x, B, atol=1e-12)
    assert dense.called["setup"] == dense.called["refresh"] == 3


def test_refresh_stops_where_two_matrices_are_in_use():
    """Solved with in turns, they would otherwise be refreshed into each other for ever."""
    first, second = matrix(seed=1), matrix(seed=1) * 2
    made: list[int] = []
    released: list[int] = []

    def setup(A):
        made.append(len(made))
        return A.toarray()

    with ex.ExternalSolver(
        setup, np.linalg.solve, refresh=lambda _, A: setup(A), release=lambda A: released.append(1)
    ) as solver:
        states = [
            solver.init(ex.SparseLinearOperator(ex.SparseMatrix.from_scipy(A)), {})
            for A in (first, second)
        ]
        b = np.ones(7)
        for _ in range(5):
            for state, A in zip(states, (first, second), strict=True):
                x, _, _ = solver.compute(state, jax.numpy.asarray(b), {})
                np.testing.assert_allclose(A @ x, b, rtol=1e-12)
        counts = solver.counts
        assert counts.refreshes == 1 and counts.setups == 2  # the first one again, and both stay
        assert len(released) == 1  # what `refresh` replaced
    assert len(released) == len(made)


def test_refresh_that_fails_falls_back_on_setup():
    dense = Dense()

    def refresh(made, matrix):
        raise ValueError("other pivots")

    dense.refresh = refresh
    host = dense.host(refresh=True)
    run(host, S.values)
    with pytest.warns(
        RuntimeWarning, match="'dense': `refresh` raised .* ValueError: other pivots"
    ):
        run(host, 2 * S.values)
    assert dense.called["setup"] == 2 and dense.released == [1]


def test_release_that_fails_is_a_warning():
    dense = Dense()

    def release(made):
        raise OSError("no such handle")

    dense.release = release
    host = dense.host(capacity=1)
    run(host, S.values)
    with pytest.warns(RuntimeWarning, match="'dense': `release` raised .* OSError: no such handle"):
        run(host, 2 * S.values)
    with pytest.warns(RuntimeWarning, match="OSError"):
        host.close()


def test_close_releases_and_ends_programs():
    dense = Dense()
    host = dense.host()
    bound = host.bind(S.pattern, "general")
    solve = jax.jit(lambda a, b: external_solve(external_setup(a, bound), a, b, bound))
    jax.block_until_ready(solve(S.values, B))
    host.close()
    assert dense.released == [1] and len(host.registry) == 0
    with pytest.raises(
        Exception, match="ExternalSolver 'dense': this process knows no such solver"
    ):
        jax.block_until_ready(solve(S.values, B))
    with pytest.raises(ValueError, match="ExternalSolver 'dense' is closed"):
        host.bind(S.pattern, "general")
    with pytest.raises(Failed, match="it was closed"):  # a call that had to wait for its turn
        host.setup(bound, np.asarray(S.values)[None], np.empty((1, 4), np.uint32))
    host.close()  # twice does no harm
    run(Dense().host(), S.values)  # others go on


def test_failures_are_remembered_by_solves_and_tried_again_by_setups():
    dense = Dense()
    fail = True

    def setup(matrix):
        dense.called["setup"] += 1
        if fail:
            raise MemoryError("for now")
        return {"number": 0, "matrix": matrix.toarray()}

    dense.setup = setup
    host = dense.host()
    bound = host.bind(S.pattern, "general")
    key = external_setup(S.values, bound)
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match="MemoryError: for now"):
            assert external_solve(key, S.values, B, bound)[1] == -20
    assert dense.called["setup"] == 1
    fail = False
    run(host, S.values)
    assert dense.called["setup"] == 2


def test_many_threads_share_the_objects():
    dense = Dense()
    host = dense.host(capacity=2)
    errors = []

    def work(seed):
        try:
            for i in range(10):
                run(host, (1 + (seed + i) % 3) * S.values)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and len(host.registry) <= 2
    assert dense.called["setup"] == len(dense.released) + len(host.registry)


PROGRAM = """
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
from tests.external.test_registry import S, B
from tests.external.solvers import Dense
from elimax._primitive.external import external_setup, external_solve

dense = Dense()
dense.release = lambda made: print("released", made["number"], flush=True)
bound = dense.host().bind(S.pattern, "general")
solve = jax.jit(lambda a, b: external_solve(external_setup(a, bound), a, b, bound))
{body}
"""


def process(body: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_exit_releases():
    done = process("jax.block_until_ready(solve(S.values, B)); print('done')")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["done", "released", "1"]


def test_disconnecting_waits_for_the_call_that_runs():
    """As at the exit of the interpreter: the last call comes back, and later ones are errors, not crashes."""
    done = process(
        """
import threading, time
from elimax._structure.host import library
started, events = threading.Event(), []

def solve_slowly(made, b):
    started.set()
    time.sleep(0.5)
    events.append("solved")
    return b

object.__setattr__(bound.host.functions, "solve", solve_slowly)

def work():
    for _ in range(2):
        try:
            jax.block_until_ready(solve(S.values, B))
        except Exception as error:
            events.append("there is no Python to call" in str(error))

thread = threading.Thread(target=work)
thread.start()
assert started.wait(60)
library.elimax_set_host(None)
events.append("disconnected")
thread.join()
print(*events, flush=True)
"""
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split()
    assert sorted(printed) == ["1", "True", "disconnected", "released", "solved"]
    assert printed.index("solved") < printed.index("disconnected") < printed.index("released")


def test_importing_connects_nothing():
    program = "import elimax as ex; from elimax._structure import host; print(len(host._connected))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["0"], done.stderr


def test_raising_setup_is_an_error_of_the_program():
    dense = Dense()

    def setup(matrix):
        raise ValueError("not for me")

    dense.setup = setup
    bound = dense.host(on_failure="raise").bind(S.pattern, "general")
    with pytest.raises(
        Exception, match="'dense': its code raised an exception: ValueError: not for me"
    ):
        jax.block_until_ready(jax.jit(lambda a: external_setup(a, bound))(S.values))
