"""Configuration of the test suite: precision, randomness, hypothesis, and the shared data."""

import os
import pathlib
import subprocess
import sys
import zlib

import hypothesis
import jax
import numpy as np
import pytest

from .helpers import SHARED

jax.config.update("jax_enable_x64", True)

# The threads of XLA's pool, of which each waits inside of JAX's batched LAPACK kernels until others have done
# its work: two of these kernels at once, as in the programs of a dense oracle, lock a pool of two for ever.
os.environ.setdefault("NPROC", "16")

# Most of the time of the suite goes by in XLA's compiler, on programs that run once. These halve it; what is
# slow, and a run of a single file, is compiled as users' programs are.
_QUICK = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"


def pytest_configure(config: pytest.Config) -> None:
    """Lets the suite of `make test` compile quickly, if this XLA knows how; workers inherit it."""
    if config.option.markexpr != "not slow" or "PYTEST_XDIST_WORKER" in os.environ:
        return
    flags = f"{os.environ.get('XLA_FLAGS', '')} {_QUICK}".strip()
    probe = [sys.executable, "-c", "import jax; jax.devices()"]
    known = subprocess.run(probe, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True)
    if known.returncode == 0:  # XLA ends a process that has a flag which it does not know
        os.environ["XLA_FLAGS"] = flags


hypothesis.settings.register_profile(
    "elimax",
    deadline=None,
    max_examples=25,
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("elimax")


class Random(np.random.Generator):
    """A generator that shows its seed where pytest prints the arguments of a failed test."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self.seed = seed

    def __repr__(self) -> str:
        return f"Random({self.seed})"


def _seed(request: pytest.FixtureRequest) -> int:
    return int(os.environ.get("ELIMAX_SEED", zlib.crc32(request.node.nodeid.encode())))


@pytest.fixture(autouse=True, scope="module")
def forget_compiled_programs():
    """A thousand compiled tests would otherwise keep gigabytes until the end of the run."""
    yield
    jax.clear_caches()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> Random:
    """NumPy randomness: the same in every run of a test, or from $ELIMAX_SEED."""
    return Random(_seed(request))


class Keys:
    """Calling it gives the next JAX key; shows its seed like `Random`."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._key = jax.random.key(seed)

    def __call__(self) -> jax.Array:
        self._key, key = jax.random.split(self._key)
        return key

    def __repr__(self) -> str:
        return f"Keys({self.seed})"


@pytest.fixture
def getkey(request: pytest.FixtureRequest) -> Keys:
    """JAX randomness: the same in every run of a test, or from $ELIMAX_SEED."""
    return Keys(_seed(request))


@pytest.fixture
def shared() -> pathlib.Path:
    """The folder of matrices and data beside the checkout, or at $ELIMAX_SHARED."""
    if SHARED is None:
        pytest.skip("no folder `shared` beside the checkout (or at $ELIMAX_SHARED)")
    return SHARED
