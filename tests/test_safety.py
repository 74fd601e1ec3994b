"""What a long-lived process relies on: memory that does not grow, fork, Ctrl-C. Each in a fresh process."""

import os
import subprocess
import sys
import textwrap

import pytest

# A sanitizer keeps freed memory for a while.
memory_is_told = pytest.mark.skipif(
    not sys.platform.startswith("linux") or "san.so" in os.environ.get("LD_PRELOAD", ""),
    reason="reads /proc of a process that is not sanitized",
)

PRELUDE = """
import os, signal, threading, time, warnings
import jax, numpy as np, scipy.sparse as sp
import elimax as ex

jax.config.update("jax_enable_x64", True)

def laplacian(m):
    T = sp.diags_array([-np.ones(m - 1), np.full(m, 2.1), -np.ones(m - 1)], offsets=[-1, 0, 1])
    return sp.csc_array(sp.kronsum(T, T))

def megabytes(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key)) / 1024
"""


def fresh(program: str, timeout: float = 300) -> str:
    """Runs the program in a process of its own; its output."""
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(program)]
    ours = {name: value for name, value in os.environ.items() if name != "NPROC"}  # see conftest.py
    run = subprocess.run(command, env=ours, capture_output=True, text=True, timeout=timeout)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


# ---------------------------------------------------------------------------------------------
# Memory


@memory_is_told
def test_memory_is_flat_over_changing_values():
    """10,000 compiled factorizations, single and in batches, and 1,000 one by one from Python."""
    fresh("""
        S = ex.SymmetricMatrix.from_scipy(laplacian(12))
        v = np.asarray(S.values)
        gradient = jax.jit(jax.value_and_grad(lambda v: ex.cholesky(S.with_values(v)).logdet()))
        variances = jax.jit(jax.vmap(lambda v: ex.cholesky(S.with_values(v), throw=False).inverse_diagonal()))
        def some(begin, end):
            for i in range(begin, end):
                gradient(v * (1 + i / 1000))
                if i % 10 == 0:
                    ex.cholesky(S.with_values(v * (1 + i / 1000))).solve(np.ones(144))
                if i % 100 == 0:
                    variances(v * np.linspace(1, 2 + i, 100)[:, None])
        some(0, 2000)
        held = []
        for begin in range(2000, 13000, 1000):
            held.append(megabytes("VmRSS"))
            some(begin, begin + 1000)
        # An allocator may take more once in a while; what leaks, leaks every time.
        growth = sorted(np.diff(held))[3]
        leaked = 1000 * S.shape[0] * 4 / 2**20  # the smallest array, at every call
        assert growth < leaked / 1.5, held
    """)


@memory_is_told
@pytest.mark.slow
def test_memory_is_flat_over_changing_patterns():
    """1,000 patterns, analyzed, pinned, compiled for, and forgotten a hundred at a time."""
    fresh("""
        n = 4000
        rng = np.random.default_rng(0)
        def pattern():
            i = np.concatenate([np.arange(n), np.arange(1, n), rng.permutation(n)[:100]])
            j = np.concatenate([np.arange(n), np.arange(n - 1), np.zeros(100, int)])
            return ex.SymmetricMatrix.from_coo(i, j, np.where(i == j, 200.0, -1.0), (n, n))
        def hundred():
            for _ in range(100):
                S = pattern()
                jax.jit(lambda v: ex.cholesky(S.with_values(v)).logdet())(S.values)
            jax.clear_caches()
            ex.clear_structures()
            return megabytes("VmRSS")
        for _ in range(4):
            before = hundred()
        for _ in range(6):
            after = hundred()
        leaked = 600 * 4 * n / 2**20  # one array of a dozen, for every pattern
        assert after - before < leaked / 1.5, f"{before:.1f} MB, then {after:.1f} MB"
    """)


@memory_is_told
def test_a_batch_has_one_workspace_per_thread():
    """The derivative of a selected inverse needs a workspace larger than the factor."""
    fresh("""
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # as many workers
        S = ex.SymmetricMatrix.from_scipy(laplacian(64))
        batch = 64
        values = np.tile(np.asarray(S.values), (batch, 1))
        def inverse(v):
            return ex.cholesky(S.with_values(v), throw=False).selected_inverse().values
        derivative = jax.jit(jax.vmap(lambda v: jax.jvp(inverse, (v,), (v,))[1]))
        compiled = derivative.lower(values).compile()
        with open("/proc/self/clear_refs", "w") as reset:
            reset.write("5")  # VmHWM := VmRSS
        before = megabytes("VmHWM")
        jax.block_until_ready(compiled(values))
        peak = megabytes("VmHWM") - before
        factors = batch * ex.analyze(S).factor_size * 8 / 2**20
        assert factors < peak < 1.5 * factors, f"{peak:.0f} MB for factors of {factors:.0f} MB"
    """)


@memory_is_told
def test_no_memory_for_a_workspace_is_an_error():
    """And the process goes on: with more memory the same call succeeds."""
    fresh("""
        import resource
        n = 2000
        i, j = np.tril_indices(n)
        S = ex.SymmetricMatrix.from_coo(i, j, np.where(i == j, n, 1.0), (n, n))
        def inverse(v):
            return ex.cholesky(S.with_values(v), ordering="natural", throw=False).selected_inverse().values
        derivative = jax.jit(lambda v: jax.jvp(inverse, (v,), (v,))[1])
        compiled = derivative.lower(S.values).compile()
        ex.cholesky(ex.SymmetricMatrix.from_scipy(laplacian(5))).logdet()
        # The factor has 32 MB; the workspace of this derivative is more than five times as large.
        limit = int(megabytes("VmSize") + 150) * 2**20
        unlimited = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (limit, unlimited[1]))
        try:
            jax.block_until_ready(compiled(S.values))
        except Exception as error:
            assert "elimax: out of memory for a workspace" in str(error), error
        else:
            raise AssertionError("no error")
        resource.setrlimit(resource.RLIMIT_AS, unlimited)
        # (s A)^-1 falls as s grows: at s = 1 its derivative is -A^-1.
        np.testing.assert_allclose(compiled(S.values), -inverse(S.values), rtol=1e-10, atol=1e-16)
    """)


# ---------------------------------------------------------------------------------------------
# Processes and signals


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_after_import():
    """Both processes compute."""
    fresh("""
        warnings.simplefilter("ignore")  # JAX warns of any fork
        child = os.fork()
        A = laplacian(20)
        S = ex.SymmetricMatrix.from_scipy(A)
        scale = np.linspace(1, 2, 200)
        got = jax.vmap(lambda s: ex.cholesky(s * S).logdet())(scale)
        expected = np.linalg.slogdet(A.toarray())[1] + A.shape[0] * np.log(scale)
        np.testing.assert_allclose(got, expected, rtol=1e-12)
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(("batch", "n"), [(1, 3000), (16, 1200)])
def test_interrupt_leaves_the_process_usable(batch, n):
    """Ctrl-C in the middle of a factorization: KeyboardInterrupt, and the next calls are right."""
    fresh(f"""
        batch, n = {batch}, {n}
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's parent ignores it
        i, j = np.tril_indices(n)
        S = ex.SymmetricMatrix.from_coo(i, j, np.where(i == j, n, 1.0), (n, n))
        scale = np.linspace(1, 2, batch)
        logdet = jax.jit(jax.vmap(lambda s: ex.cholesky(s * S, ordering="natural").logdet()))
        run = logdet.lower(scale).compile()

        def check():  # s ((n - 1) I + 1 1^T)
            begin = time.perf_counter()
            got = run(scale)
            expected = n * np.log(scale) + (n - 1) * np.log(n - 1) + np.log(2 * n - 1)
            np.testing.assert_allclose(got, expected, rtol=1e-12)
            return time.perf_counter() - begin

        def interrupted(after):
            timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
            ended = False
            try:
                timer.start()
                run(scale).block_until_ready()
                ended = True  # too soon
                time.sleep(60)
            except KeyboardInterrupt:
                return not ended

        hits = 0
        for attempt in range(20):
            hits += interrupted(check() / 3)
            if hits == 2:
                break
        assert hits == 2
        check()
        small = ex.SymmetricMatrix.from_scipy(laplacian(15))
        expected = np.linalg.slogdet(laplacian(15).toarray())[1]
        np.testing.assert_allclose(ex.cholesky(small).logdet(), expected, rtol=1e-12)
    """)
