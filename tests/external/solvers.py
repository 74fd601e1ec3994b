"""A solver on the host to test with: dense, real code, and every function of the user's counted by name."""

import collections
import threading

import numpy as np
import scipy.sparse as sp

from elimax._external.dispatch import start
from elimax._external.host import Functions, Host


class Dense:
    """`numpy.linalg.solve`: an object is a dense matrix with a number of its own."""

    def __init__(self, columns: bool = False) -> None:
        self.columns = columns
        self.called: collections.Counter[str] = collections.Counter()
        self.released: list[int] = []
        self.shapes: list[tuple[int, ...]] = []
        self.threads: set[int] = set()

    def setup(self, matrix):
        assert isinstance(matrix, sp.csc_array)
        self.called["setup"] += 1
        return {"number": self.called["setup"], "matrix": matrix.toarray()}

    def refresh(self, made, matrix):
        self.called["refresh"] += 1
        made["matrix"] = matrix.toarray()

    def solve(self, made, b):
        self.called["solve"] += 1
        return self._solve(made["matrix"], b)

    def transpose_solve(self, made, b):
        self.called["transpose_solve"] += 1
        return self._solve(made["matrix"].T, b)

    def _solve(self, A, b):
        assert b.ndim == (2 if self.columns else 1) and b.flags.writeable and b.flags.f_contiguous
        self.shapes.append(b.shape)
        self.threads.add(threading.get_ident())
        x = np.linalg.solve(A, b)
        b[:] = -1.0  # it is the user's own
        return x

    def release(self, made):
        self.released.append(made["number"])

    def host(self, *, capacity=8, transpose=True, refresh=False, on_failure="result") -> Host:
        start()
        functions = Functions(
            self.setup,
            self.solve,
            self.transpose_solve if transpose else None,
            self.refresh if refresh else None,
            self.release,
        )
        return Host("dense", functions, self.columns, capacity, on_failure)


def matrix(n: int = 7, dtype=np.float64, seed: int = 0) -> sp.csc_array:
    """Unsymmetric and diagonally dominant, with complex entries for a complex dtype."""
    rng = np.random.default_rng(seed)
    A = sp.random_array((n, n), density=0.4, rng=rng, format="csc")
    if np.issubdtype(dtype, np.complexfloating):
        A = A + 1j * sp.random_array((n, n), density=0.4, rng=rng, format="csc")
    return sp.csc_array(A + n * sp.eye_array(n)).astype(dtype)
