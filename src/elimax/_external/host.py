"""A user's solver on the host: its functions, the objects they made, and what a call from native code does.

Calls come from compiled programs, on any thread of XLA. A lock lets one of them in at a time, so that the
user's functions need not be thread-safe.
"""

import dataclasses
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import scipy.sparse

from elimax import _results
from elimax._external.bound import BOUND, Bound, is_finite, same_bits
from elimax._external.registry import Counts, Failure, Kept, Name, Registry
from elimax._primitive.product import Storage
from elimax._results import EXTERNAL_SENTENCES, NotConverged
from elimax._structure.pattern import Pattern

Setup = Callable[[scipy.sparse.csc_array], Any]
Solve = Callable[[Any, np.ndarray], Any]
Refresh = Callable[[Any, scipy.sparse.csc_array], Any]
Release = Callable[[Any], object]
OnFailure = Literal["result", "raise"]


@dataclasses.dataclass(frozen=True)
class Functions:
    """What the user wrote."""

    setup: Setup
    solve: Solve
    transpose_solve: Solve | None
    refresh: Refresh | None
    release: Release | None


class Failed(Exception):
    """A call that ends the program, with the sentence that it ends with."""


class Host:
    """The host side of one `ExternalSolver`; compared by identity."""

    def __init__(
        self,
        name: str,
        functions: Functions,
        takes_columns: bool,
        capacity: int,
        on_failure: OnFailure,
    ) -> None:
        self.name = name
        self.functions = functions
        self.takes_columns = takes_columns
        self.raises = on_failure == "raise"
        self.is_closed = False
        self.counts = Counts()
        self.registry = Registry(capacity, self._release, self.counts)
        self._lock = threading.RLock()
        self._bound: dict[tuple[Pattern, Storage], Bound] = {}

    def bind(self, pattern: Pattern, storage: Storage) -> Bound:
        """The solver for matrices of this structure: always the same object for the same structure.

        **Raises:** `ValueError` if the solver is closed.
        """
        with self._lock:
            if self.is_closed:
                raise ValueError(f"ExternalSolver {self.name!r} is closed: make a new one")
            bound = self._bound.get((pattern, storage))
            if bound is None:
                bound = Bound(self, self.name, pattern, storage)
                self._bound[pattern, storage] = BOUND[bound.token] = bound
            return bound

    def close(self) -> None:
        """Lets go of everything; programs that use the solver end with an error from now on."""
        with self._lock:
            self.is_closed = True
            for bound in self._bound.values():
                del BOUND[bound.token]
            self._bound.clear()
            self.registry.clear()

    # -- calls from native code

    def setup(self, bound: Bound, values: np.ndarray, keys: np.ndarray) -> None:
        """Sets up for each row of `values`, and fills in the rows of `keys`.

        **Raises:** `Failed` if a setup fails, and the solver is one that raises.
        """
        with self._lock:
            call = self._count()
            for a, key in zip(values, keys, strict=True):
                name = self._name(bound, a)
                key[:] = np.frombuffer(name[0], np.uint32)
                self.registry.forget_failure(name)
                made = self._object(bound, a, name, call)
                if self.raises and isinstance(made, Failure):
                    raise Failed(_sentence(made))

    def solve(
        self,
        bound: Bound,
        transposed: bool,
        keys: np.ndarray,
        values: np.ndarray,
        b: np.ndarray,
        x: np.ndarray,
        status: np.ndarray,
    ) -> None:
        """Fills in `x`, of shape (batch, n, k), and `status`, (batch, k).

        The others have as many elements, or fewer, each of which then serves several in a row.

        **Raises:** `Failed` if a solve fails, and the solver is one that raises.
        """
        with self._lock:
            call = self._count()
            batch, n, k = x.shape
            matrices = max(len(keys), len(values))
            share = batch // matrices
            b = np.repeat(b, batch // len(b), axis=0) if len(b) != batch else b
            status[...] = 0
            failures: list[tuple[int, int, Failure]] = []
            for i in range(matrices):
                a = values[i * len(values) // matrices]
                key = keys[i * len(keys) // matrices].tobytes()
                mine = slice(i * share, (i + 1) * share)
                # All columns side by side, a copy that the user may do with what they like.
                whole = b[i] if share == 1 else b[mine].transpose(1, 0, 2).reshape(n, share * k)
                block = np.array(whole, order="F")
                made = self._checked(bound, transposed, key, a, call)
                solution, failed = self._columns(made, transposed, block)
                if share == 1:
                    x[i] = solution
                else:
                    x[mine] = solution.reshape(n, share, k).transpose(1, 0, 2)
                for column, failure in failed.items():
                    element = i * share + column // k
                    status[element, column % k] = failure.code
                    failures.append((element, column % k, failure))
            if failures:
                self._tell(failures, batch, k)

    def _count(self) -> int:
        if self.is_closed:  # while the call waited for its turn
            raise Failed("it was closed")
        self.counts.calls += 1
        return self.counts.calls

    def _tell(self, failures: list[tuple[int, int, Failure]], batch: int, k: int) -> None:
        element, column, failure = failures[0]
        place = [f"batch element {element}"] * (batch > 1) + [f"column {column}"] * (k > 1)
        where = f" ({', '.join(place)}; {len(failures)} of {batch * k} fail)" if place else ""
        sentence = _sentence(failure) + where
        if self.raises:
            raise Failed(sentence)
        self._warn(f"{sentence}. The solution is NaN, and its status is {failure.code}")

    def _warn(self, sentence: str) -> None:
        warnings.warn(f"ExternalSolver {self.name!r}: {sentence}.", RuntimeWarning, stacklevel=1)

    # -- objects

    def _name(self, bound: Bound, a: np.ndarray) -> Name:
        """The name of the object for these values: a hash, unless they are those of the last object used."""
        latest = self.registry.latest()
        if latest is not None:
            name, kept = latest
            if kept.family == (bound, a.dtype, False) and same_bits(kept.values, a):
                return name
        return bound.key(a), False

    def _checked(
        self, bound: Bound, transposed: bool, key: bytes, a: np.ndarray, call: int
    ) -> Kept | Failure:
        """The object for a solve, made again if it is no longer kept."""
        name = key, transposed and self.functions.transpose_solve is None
        kept = self.registry.find(name)
        stale = bound.key(a) != key if kept is None else not same_bits(kept.values, a)
        if stale:
            return Failure(_results.EXTERNAL_STALE)
        if kept is None:
            self.registry.miss(name)
        return self._object(bound, a, name, call)

    def _object(self, bound: Bound, a: np.ndarray, name: Name, call: int) -> Kept | Failure:
        """What is kept under that name, or what the user's code makes of the matrix."""
        kept = self.registry.find(name)
        if kept is not None:
            self.counts.hits += 1
            return kept
        failure = self.registry.failure(name)
        if failure is not None:
            return failure
        if not is_finite(a):
            failure = Failure(_results.NOT_FINITE)
        else:
            family = bound, a.dtype, name[1]
            try:
                content = self._make(bound, a, family, call)
            except Exception as error:
                failure = _of_exception(error)
            else:
                kept = Kept(content, a.copy(), family, call)
                self.registry.keep(name, kept)
                return kept
        self.registry.remember_failure(name, failure)
        return failure

    def _make(self, bound: Bound, a: np.ndarray, family: tuple[Any, ...], call: int) -> Any:
        transposed = family[-1]
        if self.functions.refresh is not None:
            old = self.registry.take(family, call)
            if old is not None:
                self.counts.refreshes += 1
                try:
                    new = self.functions.refresh(old.content, bound.matrix(a, transposed))
                except Exception as error:
                    self.registry.let_go(old.content)
                    cause = _of_exception(error).cause
                    self._warn(
                        f"`refresh` raised an exception, and `setup` is called instead: {cause}"
                    )
                else:
                    if new is None or new is old.content:
                        return old.content
                    self.registry.let_go(old.content)
                    return new
        self.registry.make_room()
        self.counts.setups += 1
        return self.functions.setup(bound.matrix(a, transposed))

    def _release(self, content: Any) -> None:
        if self.functions.release is None:
            return
        try:
            self.functions.release(content)
        except Exception as error:  # what is being done does not depend on it
            self._warn(f"`release` raised an exception: {_of_exception(error).cause}")

    # -- solutions

    def _columns(
        self, made: Kept | Failure, transposed: bool, block: np.ndarray
    ) -> tuple[np.ndarray, dict[int, Failure]]:
        """The solutions for the columns of `block`, and which of them fail, with NaN in their places."""
        columns = range(block.shape[1])
        if isinstance(made, Failure):
            return np.full_like(block, np.nan), dict.fromkeys(columns, made)
        solve = self.functions.solve
        if transposed and self.functions.transpose_solve is not None:
            solve = self.functions.transpose_solve
        failed: dict[int, Failure] = {}
        if not is_finite(block):
            bad = Failure(_results.EXTERNAL_BAD_INPUT)
            failed = {j: bad for j in columns if not is_finite(block[:, j])}
        good = [j for j in columns if j not in failed]
        if self.takes_columns and len(good) > 1:
            solution = self._one(solve, made, np.array(block[:, good], order="F"))
            if not isinstance(solution, Failure):
                if not failed:
                    return solution, failed
                x = np.full_like(block, np.nan)
                x[:, good] = solution
                return x, failed
        # A column that fails must not spoil others: those of a block that fails are tried one by one.
        for j in good:
            b = block[:, j : j + 1] if self.takes_columns else block[:, j]
            solution = self._one(solve, made, b)
            if isinstance(solution, Failure):
                failed[j] = solution
            elif len(columns) == 1:
                return solution.reshape(-1, 1), failed
            else:
                block[:, j : j + 1] = solution.reshape(-1, 1)
        block[:, list(failed)] = np.nan
        return block, dict(sorted(failed.items()))

    def _one(self, solve: Solve, made: Kept, b: np.ndarray) -> np.ndarray | Failure:
        """What the user's function returns, if it is a solution."""
        self.counts.solves += 1
        shape = b.shape  # which the user may change
        try:
            x = np.asarray(solve(made.content, b))
        except Exception as error:
            return _of_exception(error)
        if x.shape != shape:
            return _wrong(f"an array of shape {x.shape} for a right-hand side of shape {shape}")
        if x.dtype.kind not in ("fc" if b.dtype.kind == "c" else "f"):
            return _wrong(f"an array of dtype {x.dtype} for a right-hand side of dtype {b.dtype}")
        if not is_finite(x):
            return Failure(_results.EXTERNAL_NOT_FINITE)
        return x


def _wrong(what: str) -> Failure:
    return Failure(_results.EXTERNAL_WRONG_RESULT, what)


def _of_exception(error: Exception) -> Failure:
    """What was raised, and where."""
    if isinstance(error, NotConverged):
        return Failure(_results.EXTERNAL_NOT_CONVERGED, str(error))
    cause = traceback.format_exception_only(error)[-1].strip()
    place = traceback.extract_tb(error.__traceback__)[-1]
    return Failure(_results.EXTERNAL_FAILED, f"{cause} (line {place.lineno} of {place.filename})")


def _sentence(failure: Failure) -> str:
    return EXTERNAL_SENTENCES[failure.code].format(cause=failure.cause)
