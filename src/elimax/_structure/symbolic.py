r"""Symbolic factorization: all of $P A P^\top = L L^H$ that does not depend on values.

`analyze` orders a symmetric pattern and finds the elimination tree, the column counts, the supernodes with
their rows, and the layout of the factor. In the numbering of the pivots, with . for a zero that is filled in,

        x               supernode 0 owns column 0, its rows below are {2, 3}: they are
          x             rows 1 and 2 of the front of its parent, supernode 1, which owns
    L = x x x           columns 1, 2, 3. The factor holds one dense block per supernode:
        x . x x         3 x 1, then 3 x 3, whose entries above the diagonal are unused.

`embedding` says where the entries of A sit in these blocks.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from elimax._structure import _native
from elimax._structure.index_map import LARGEST, IndexMap
from elimax._structure.ordering import Ordering, given, order
from elimax._structure.pattern import Pattern
from elimax._structure.structure import Structure, cached

# What a front with c columns and u rows below them takes, in nanoseconds: a constant; per entry of the panel
# and of the update matrix; per flop, at full speed, which dense kernels reach beyond some order of the
# front. A supernode is merged with its parent if that takes no longer than the slower of the two and this
# share of the faster. The same on every machine.
#
# Tuned over benchmarks/gallery.py. An entry of the panel costs more than a factorization alone would say:
# every solve reads it. At a sixth of the price, factors of narrow bands are half as large again (3.1 instead
# of 2.2 times nnz(L)) and solves take 9% longer in the geometric mean, while factorizations and selected
# inverses take as long (within 3%). Predicted times are within a factor of 2 of those of a core of 2024.
RELAXATION = (32.0, 1.0, 0.25, 0.016, 128.0, 0.9)

# What a single column with u rows below takes where every column is by itself: a constant, per row, per pair
# of rows; and what moving its update matrix takes, which an only child spares: per row, per pair of rows.
# About 0.8 times what factorizations take, because solves and selected inverses gain more.
SINGLE_COLUMN = (5.5, 1.8, 0.28, 2.4, 1.2)

# "auto" tries nested dissection where minimum degree predicts so many seconds per entry of A. METIS takes
# about 1.2e-6 of them and saves a quarter of the factorization in two dimensions, half of it in three: it
# pays within forty factorizations.
_WORTH_DISSECTING = 120e-9


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Symbolic(Structure):
    """The static structure of a Cholesky or LDL^H factorization: immutable, compared and hashed by content.

    `analyze` makes it. Two of them are equal if they stem from the same pattern, pivot sequence and method.

    **Arguments:**

    - `pattern`: a symmetric pattern.
    - `sequence`: the permutation that an ordering proposed.
    - `ordering`: the name of that ordering.
    - `method`: "supernodal", "simplicial", or "auto" for the one that is predicted to be faster; the
      attribute is the one chosen.
    - `reason`: why this ordering was chosen, if it was; no part of the identity.

    **Attributes:** `n` rows; `nnz` nonzeros in L; `flops` of the numeric factorization, and the seconds that
    it is predicted to take on one core, `predicted_time`; `supernodes`, of at most `max_columns` columns,
    `max_rows` rows and `max_below` rows below the columns; `factor_size` numbers in the factor, padding
    included, and `workspace` numbers more while one thread computes it; and the arrays below.

    **Raises:** `ValueError` if the pattern is not symmetric, `sequence` not a permutation of its rows, or
    `method` unknown.
    """

    kind = "symbolic"
    pattern: Pattern
    sequence: np.ndarray
    ordering: str
    method: str = "auto"
    reason: str = ""
    n: int = dataclasses.field(init=False)
    supernodes: int = dataclasses.field(init=False)
    nnz: int = dataclasses.field(init=False)
    factor_size: int = dataclasses.field(init=False)
    max_columns: int = dataclasses.field(init=False)
    max_rows: int = dataclasses.field(init=False)
    max_below: int = dataclasses.field(init=False)
    flops: float = dataclasses.field(init=False)
    predicted_time: float = dataclasses.field(init=False)
    _handle: _native.Handle = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        put = functools.partial(object.__setattr__, self)
        A = self.pattern
        check_symmetric(A)
        put("sequence", given(A.shape[0], self.sequence))
        if self.method not in _native.METHODS:
            raise ValueError(
                f'`method` must be "auto", "supernodal" or "simplicial", got {self.method!r}'
            )
        model = RELAXATION + SINGLE_COLUMN
        handle = _native.analyze(
            A.shape[0], A.column_pointers, A.rows, self.sequence, model, self.method
        )
        put("_handle", handle)
        (*sizes, method), (flops, nanoseconds) = _native.symbolic_scalars(handle)
        names = "n supernodes nnz factor_size max_columns max_rows max_below".split()
        for name, size in zip(names, sizes, strict=True):
            put(name, size)
        put("method", _native.METHODS[method])
        put("flops", flops)
        put("predicted_time", nanoseconds / 1e9)

    @functools.cached_property
    def workspace(self) -> int:
        """Numbers that a factorization needs beside the factor on one thread: waiting update matrices."""
        return _native.symbolic_workspace(self._handle, 1)

    # -- arrays: read-only views of native memory, in the numbering of the pivots

    @functools.cached_property
    def permutation(self) -> np.ndarray:
        """`permutation[k]` is the row of A that is the k-th pivot.

        It refines the ordering to one of equal fill in which every supernode's columns are consecutive.
        """
        return _native.symbolic_array(self._handle, "permutation")

    @functools.cached_property
    def parent(self) -> np.ndarray:
        """The elimination tree: the first row below the diagonal in every column of L; -1 at a root."""
        return _native.symbolic_array(self._handle, "parent")

    @functools.cached_property
    def column_counts(self) -> np.ndarray:
        """The number of nonzeros in every column of L, the diagonal included, padding excluded."""
        return _native.symbolic_array(self._handle, "counts")

    @functools.cached_property
    def super(self) -> np.ndarray:
        """Supernode s owns the columns `super[s]` to `super[s + 1] - 1`."""
        return _native.symbolic_array(self._handle, "super")

    @functools.cached_property
    def super_parent(self) -> np.ndarray:
        """The tree of supernodes; -1 at a root."""
        return _native.symbolic_array(self._handle, "super_parent")

    @functools.cached_property
    def row_ptr(self) -> np.ndarray:
        """The rows of supernode s below its columns are `rows[row_ptr[s] : row_ptr[s + 1]]`."""
        return _native.symbolic_array(self._handle, "row_ptr")

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """The rows below the columns of every supernode, increasing."""
        return _native.symbolic_array(self._handle, "rows")

    @functools.cached_property
    def relative(self) -> np.ndarray:
        """For every entry of `rows`, its position among columns and rows of the parent supernode."""
        return _native.symbolic_array(self._handle, "relative")

    @functools.cached_property
    def panel(self) -> np.ndarray:
        """The block of supernode s, column by column, is `factor[panel[s] : panel[s + 1]]`."""
        return _native.symbolic_array(self._handle, "panel")

    # -- what the numeric kernels need

    @property
    def content(self) -> tuple[tuple[int, ...], tuple[np.ndarray, ...]]:
        # The layout is part of the identity: another version of Elimax may find another one.
        method = _native.METHODS.index(self.method)
        model = np.array(RELAXATION + SINGLE_COLUMN).view(np.int64).tolist()
        return (method, *model), (self.sequence, self.permutation, self.super)

    @property
    def foundations(self) -> tuple[Structure, ...]:
        return (self.pattern,)

    def _pin(self) -> None:
        _native.pin_symbolic(self._handle, self.digest)

    def embedding(self, pattern: Pattern) -> "Embedding":
        """Where the values of a symmetric pattern, in the caller's numbering, sit in the factor; cached.

        **Raises:** `ValueError` naming an entry that lies outside of the filled pattern L + L^T.
        """
        return _embedding(self, pattern)

    def factor_pattern(self) -> tuple[Pattern, IndexMap]:
        """The exact pattern of L, in the numbering of the pivots, and the map that gathers its values from
        the factor; cached.

        **Raises:** `ValueError` if they outgrow 32-bit integers.
        """
        return _factor_pattern(self)

    def __repr__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return (
            f"Symbolic(n={self.n}, nnz(L)={self.nnz}, flops={self.flops:.3g}, "
            f"supernodes={self.supernodes}, method={self.method!r}, ordering={self.ordering!r}{reason})"
        )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Embedding(Structure):
    """Where the values of a symmetric pattern sit in a factor: immutable, compared and hashed by content.

    `Symbolic.embedding` makes it.

    **Raises:** `ValueError` naming an entry that lies outside of the filled pattern L + L^T.
    """

    kind = "embedding"
    symbolic: Symbolic
    pattern: Pattern
    _handle: _native.Handle = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        symbolic, pattern = self.symbolic, self.pattern
        check_symmetric(pattern)
        if pattern.shape != symbolic.pattern.shape:
            raise ValueError(
                f"the pattern has shape {pattern.shape}, but what was analyzed has {symbolic.pattern.shape}"
            )
        handle, outside = _native.embed(
            symbolic._handle, symbolic.n, pattern.column_pointers, pattern.rows
        )
        if handle is not None and pattern != symbolic.pattern:
            outside = outside_of_exact_fill(symbolic, pattern.rows, pattern.columns)
        if outside >= 0:
            raise ValueError(
                f"the entry ({pattern.rows[outside]}, {pattern.columns[outside]}) lies outside of the "
                "filled pattern L + L^T of what was analyzed. Analyze a pattern that holds it, for example "
                "the union of both."
            )
        object.__setattr__(self, "_handle", handle)

    @property
    def content(self) -> tuple[tuple[int, ...], tuple[np.ndarray, ...]]:
        return (), ()

    @property
    def foundations(self) -> tuple[Structure, ...]:
        return self.symbolic, self.pattern

    def _pin(self) -> None:
        _native.pin_embedding(self._handle, self.digest)

    def __repr__(self) -> str:
        return f"Embedding({self.pattern!r} in {self.symbolic!r})"


def analyze(pattern: Pattern, ordering: Ordering = "auto", method: str = "auto") -> Symbolic:
    """The symbolic factorization of a symmetric pattern; a missing diagonal is taken to be there.

    **Arguments:**

    - `ordering`: "auto", "amd", "nd", "natural" or a permutation. "auto" is approximate minimum degree,
      or nested dissection where that is worth trying and predicted to be faster.
    - `method`: "auto", "supernodal" or "simplicial".

    **Returns:** a `Symbolic`; the latest ones are kept, so that analyzing a pattern again is a look-up.

    **Raises:** `TypeError` if `pattern` is not a `Pattern`; `ValueError` if it is not symmetric, for an
    `ordering` that is neither known nor a permutation, or for an unknown `method`.

    **Cost:** the ordering, then nearly O(nnz(A) + rows of all supernodes).
    """
    if not isinstance(pattern, Pattern):
        raise TypeError(f"analyze: expected a Pattern, got a {type(pattern).__name__}")
    check_symmetric(pattern)
    if isinstance(ordering, str):
        return _analyze(pattern, ordering, method, b"")
    return _analyze(pattern, "given", method, given(pattern.shape[0], ordering).tobytes())


def check_symmetric(pattern: Pattern) -> None:
    if not pattern.symmetric:
        raise ValueError(
            f"the pattern must be symmetric, got a general one of shape {pattern.shape}; Pattern.lower() "
            "takes the lower triangle of a square pattern that is structurally symmetric"
        )


@cached(16)
def _analyze(pattern: Pattern, name: str, method: str, permutation: bytes) -> Symbolic:
    if name == "given":
        return Symbolic(pattern, np.frombuffer(permutation, np.int32), name, method)
    return choose(pattern, name, functools.partial(order, pattern), method)


def choose(
    pattern: Pattern, name: str, sequence: Callable[[str], np.ndarray], method: str
) -> Symbolic:
    """The `Symbolic` for the ordering with this name, as `sequence` finds it; for "auto" the better one."""
    if name != "auto":
        return Symbolic(pattern, sequence(name), name, method)
    one = Symbolic(pattern, sequence("amd"), "amd", method)
    if one.predicted_time < _WORTH_DISSECTING * pattern.nnz:
        return _because(one, f"auto: predicted {one.predicted_time:.2g} s, too little to try 'nd'")
    other = Symbolic(pattern, sequence("nd"), "nd", method)
    if other.predicted_time < one.predicted_time:
        one, other = other, one
    times = f"predicted {one.predicted_time:.2g} s, {other.ordering!r} {other.predicted_time:.2g} s"
    return _because(one, f"auto: {times}")


def _because(symbolic: Symbolic, reason: str) -> Symbolic:
    """The same, with a reason."""
    explained = object.__new__(Symbolic)
    explained.__dict__.update(symbolic.__dict__, reason=reason)
    return explained


@cached(32)
def _embedding(symbolic: Symbolic, pattern: Pattern) -> Embedding:
    return Embedding(symbolic, pattern)


def outside_of_exact_fill(symbolic: Symbolic, rows: np.ndarray, columns: np.ndarray) -> int:
    """The first of these entries that only the padding of relaxed supernodes would hold, or -1.

    The panels could take it, but the exact pattern of L, and so the factor as a matrix, would not.
    """
    A, n = symbolic.pattern, symbolic.n
    rows, columns = np.maximum(rows, columns), np.minimum(rows, columns)
    known = np.isin(_keys(n, rows, columns), _keys(n, A.rows, A.columns))
    new = np.flatnonzero(~known & (rows != columns))
    if not new.size:
        return -1
    inverse = np.argsort(symbolic.permutation)
    i, j = inverse[rows[new]], inverse[columns[new]]
    L, _ = symbolic.factor_pattern()
    filled = np.isin(_keys(n, np.maximum(i, j), np.minimum(i, j)), _keys(n, L.rows, L.columns))
    return -1 if filled.all() else int(new[~filled][0])


def _keys(n: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The positions in an n x n matrix as integers."""
    return columns * np.int64(n) + rows


@cached(8)
def _factor_pattern(symbolic: Symbolic) -> tuple[Pattern, IndexMap]:
    n, nnz = symbolic.n, symbolic.nnz
    if symbolic.factor_size > LARGEST:
        raise ValueError(
            f"L with {nnz} nonzeros is too large to be a matrix of its own; use solve and half_solve instead"
        )
    A = symbolic.pattern
    pointers, rows, position = _native.factor_pattern(
        symbolic._handle, n, nnz, A.column_pointers, A.rows
    )
    return Pattern((n, n), pointers, rows), IndexMap(position, symbolic.factor_size)
