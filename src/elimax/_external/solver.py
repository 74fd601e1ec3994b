"""Any solver on the host, as a solver for lineax."""

from collections.abc import Callable
from typing import Any, Literal, Self

import equinox as eqx
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Inexact, UInt32

from elimax._external.bound import Bound
from elimax._external.dispatch import start
from elimax._external.host import Functions, Host, OnFailure, Refresh, Release, Setup, Solve
from elimax._external.registry import Counts
from elimax._matrix.base import Matrix
from elimax._primitive.external import external_setup, external_solve
from elimax._solver.direct import DirectSolver, Outcome
from elimax._structure.pattern import Pattern


class External(eqx.Module):
    """A matrix that a host solver has been set up for: its values, and the key of what the host keeps.

    `is_symmetric`: whether A^T is A, by the word of the operator.
    """

    key: UInt32[Array, " 4"]
    values: Inexact[Array, " nnz"]
    bound: Bound = eqx.field(static=True)
    is_symmetric: bool = eqx.field(static=True)

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype


class ExternalSolver(DirectSolver[External]):
    r"""A solver of your own, or of another library, that runs on the host: a solver for lineax.

    `setup` is called once for every matrix, `solve` for every right-hand side, inside of `jit`, `scan` and
    `vmap`, too. What `setup` returns may be any Python object; it stays on the host, and compiled programs
    name it by the hash of the matrix.

    **Arguments:**

    - `setup`: `setup(matrix)` takes a `scipy.sparse.csc_array`, both triangles of a symmetric one, which
        it may keep and change, and returns any object.
    - `solve`: `solve(object, b)` returns A^-1 b; b is an array that it may change, of shape (n,), or (n, k)
        with `vmap="columns"`.
    - `transpose_solve`: returns A^-T b, not conjugated. Without it, `setup` is called for the transposed
        matrix when a gradient needs that, unless the matrix is symmetric.
    - `refresh`: `refresh(object, matrix)` makes an object for a matrix of the same pattern and dtype out of
        one that is no longer needed, the least recently used one, and returns it, or None if it has changed
        it in place; if it is another one, the old one is released. If it raises, a warning says so, and
        `setup` is called instead.
    - `vmap`: "columns" if `solve` takes all right-hand sides at once as the columns of one array;
        "sequential" if they go to it one by one. Either way a batch is one call from the compiled program.
        Columns that fail together are tried once more, one by one.
    - `release`: `release(object)` is called when an object goes: to make room, by `close`, or at the exit of
        the process.
    - `capacity`: the most objects that are kept; the least recently used one makes room. What is needed again
        after that is set up again. Let it be at least the number of matrices of a batch.
    - `on_failure`: "result", a result of lineax, a NaN solution and a `RuntimeWarning` that names the solver;
        "raise", an error of the running program that names it.
    - `name`: what errors and warnings call it; that of the function `setup` if None.
    - `pattern`: where the nonzeros of matrix-free operators are, if no tag tells.

    Make a solver once, not inside of the function that is compiled: another one is another program, and each
    keeps its objects until it is closed. The functions are called by one thread at a time, and must not run
    JAX programs that use the same solver.

    **Failures:** `solve` raises `elimax.NotConverged`: `RESULTS.max_steps_reached`. It raises anything else,
    or returns an array of another shape or dtype: `RESULTS.breakdown`. NaN in the solution:
    `RESULTS.singular`, in the matrix or the right-hand side: `RESULTS.nonfinite_input`. The statistic
    `status` tells more: docs/external_solvers.md.

    **Raises:** `TypeError` or `ValueError` for arguments that are not as told here; in `init`, `ValueError`
    if the solver is closed or the operator not square.

    **Derivative:** of every order, in both modes, with respect to the right-hand side and the entries of the
    operator: lineax's rule, by solves with the same objects.

    **Cost:** per solve, beside what `solve` takes, 0.05 milliseconds at n = 1,000 and 0.15 at n = 10,000: a
    look-up, one pass over the values and a few over b. `init` costs one pass over the values, or a hash of
    them, beside `setup`.
    """

    _host: Host = eqx.field(static=True)

    def __init__(
        self,
        setup: Setup,
        solve: Solve,
        *,
        transpose_solve: Solve | None = None,
        refresh: Refresh | None = None,
        vmap: Literal["sequential", "columns"] = "sequential",
        release: Release | None = None,
        capacity: int = 8,
        on_failure: OnFailure = "result",
        name: str | None = None,
        pattern: Pattern | None = None,
    ) -> None:
        _check_functions(setup=setup, solve=solve)
        optional = {"transpose_solve": transpose_solve, "refresh": refresh, "release": release}
        _check_functions(**{key: f for key, f in optional.items() if f is not None})
        if vmap not in ("sequential", "columns"):
            raise ValueError(f'`vmap` must be "sequential" or "columns", got {vmap!r}')
        if on_failure not in ("result", "raise"):
            raise ValueError(f'`on_failure` must be "result" or "raise", got {on_failure!r}')
        if not isinstance(capacity, int | np.integer) or capacity < 1:
            raise ValueError(f"`capacity` must be a positive integer, got {capacity!r}")
        if not isinstance(name, str | None):
            raise TypeError(f"`name` must be a string, got {type(name).__name__}")
        functions = Functions(setup, solve, transpose_solve, refresh, release)
        called = getattr(setup, "__name__", type(setup).__name__) if name is None else name
        self.pattern = pattern
        self._host = Host(called, functions, vmap == "columns", int(capacity), on_failure)
        start()

    @property
    def name(self) -> str:
        return self._host.name

    @property
    def counts(self) -> Counts:
        """How often the user's functions were called, and objects found or thrown away, so far."""
        return self._host.counts

    @property
    def is_closed(self) -> bool:
        return self._host.is_closed

    def close(self) -> None:
        """Releases all objects. Programs that use the solver end with an error from now on."""
        self._host.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        host = self._host
        state = (
            "closed"
            if host.is_closed
            else f"{len(host.registry)} of {host.registry.capacity} objects"
        )
        return f"ExternalSolver({host.name!r}, {state})"

    # -- what `DirectSolver` asks for

    def _factorize(self, matrix: Matrix, operator: lx.AbstractLinearOperator) -> External:
        bound = self._host.bind(matrix.pattern, matrix.storage)
        is_symmetric = matrix.storage == "symmetric" or lx.is_symmetric(operator)
        return External(external_setup(matrix.values, bound), matrix.values, bound, is_symmetric)

    def _solve(self, factor: External, b: Inexact[Array, " n"], transpose: bool) -> Outcome:
        x, status = external_solve(
            factor.key,
            factor.values,
            b[:, None],
            factor.bound,
            transpose=transpose and not factor.is_symmetric,
        )
        error = jnp.full((), jnp.nan, b.real.dtype)
        return Outcome(x[:, 0], status[0], jnp.int32(0), error)


def _check_functions(**functions: Callable[..., Any]) -> None:
    for name, function in functions.items():
        if not callable(function):
            raise TypeError(f"`{name}` must be a function, got {type(function).__name__}")
