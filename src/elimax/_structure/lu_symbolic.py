r"""Symbolic LU factorization: all of $P A Q = L U$ that does not depend on values.

A matching says which row of A gives every column its diagonal entry; with its rows in that order, A becomes
B. The pattern of B + B^T, which is symmetric, is analyzed as for Cholesky: L and U^T both have the structure
that `Symbolic` finds for it. Rows are exchanged inside a supernode only, which changes nothing of all this.
"""

import dataclasses
import functools

import numpy as np

from elimax._structure import _native
from elimax._structure.index_map import frozen
from elimax._structure.matching import perfect_matching
from elimax._structure.ordering import Ordering, given, order
from elimax._structure.pattern import Pattern
from elimax._structure.structure import Structure, cached
from elimax._structure.symbolic import Symbolic, choose, outside_of_exact_fill

_UNSCALED = frozen(np.zeros(0, np.int32))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LUSymbolic(Structure):
    """The static structure of an LU factorization: immutable, compared and hashed by content.

    `analyze_lu` makes it.

    **Arguments:**

    - `pattern`: a general square pattern.
    - `matching`: `matching[j]` is the row whose entry in column j comes to lie on the diagonal.
    - `symbolic`: the supernodal structure of the pattern of B + B^T with its diagonal, where row j of B is
      row `matching[j]` of A.
    - `exponents`: of powers of two that scale the rows, and behind them of those that scale the columns,
      before values are known; no scaling if empty.

    **Attributes:** `n` rows; `nnz` nonzeros in L + U; `flops` of the numeric factorization; `supernodes`;
    `ordering`, by name.

    **Raises:** `ValueError` if the parts do not belong together.
    """

    kind = "lu_symbolic"
    pattern: Pattern
    matching: np.ndarray
    symbolic: Symbolic
    exponents: np.ndarray = dataclasses.field(default_factory=lambda: _UNSCALED)

    def __post_init__(self) -> None:
        n = _check_square(self.pattern)
        object.__setattr__(self, "exponents", frozen(np.asarray(self.exponents)))
        if self.exponents.shape not in ((0,), (2 * n,)):
            raise ValueError(
                f"`exponents` must have one number for every row and column, {2 * n}, got "
                f"shape {self.exponents.shape}"
            )
        object.__setattr__(self, "matching", _check_matching(n, self.matching))
        if self.symbolic.pattern != paired(self.pattern, self.matching):
            raise ValueError("`symbolic` is not for the pattern of A with matched rows")
        if self.symbolic.method != "supernodal":
            raise ValueError("`symbolic` must be supernodal for an LU factorization")

    @property
    def n(self) -> int:
        return self.symbolic.n

    @property
    def nnz(self) -> int:
        """The number of nonzeros in L + U, padding excluded, as if all of B + B^T were nonzero."""
        return 2 * self.symbolic.nnz - self.n

    @functools.cached_property
    def flops(self) -> float:
        """Multiplications, additions and divisions of the numeric factorization."""
        below = self.symbolic.column_counts.astype(np.float64) - 1
        return float((below * (1 + 2 * below)).sum())

    @property
    def supernodes(self) -> int:
        return self.symbolic.supernodes

    @property
    def ordering(self) -> str:
        return self.symbolic.ordering

    @property
    def column_permutation(self) -> np.ndarray:
        """`column_permutation[k]` is the column of A that the k-th pivot eliminates."""
        return self.symbolic.permutation

    @functools.cached_property
    def row_permutation(self) -> np.ndarray:
        """`row_permutation[k]` is the row of A that gives the k-th pivot, if none are exchanged."""
        return frozen(self.matching[self.symbolic.permutation])

    @property
    def content(self) -> tuple[tuple[int, ...], tuple[np.ndarray, ...]]:
        return (), (self.matching, self.exponents)

    @property
    def foundations(self) -> tuple[Structure, ...]:
        return self.pattern, self.symbolic

    def scales(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """What rows and columns are scaled by before values are known: powers of two of a real dtype.

        Only if there are exponents.
        """
        most = np.finfo(dtype).maxexp - 4
        scales = np.ldexp(np.ones(2 * self.n, dtype), np.clip(self.exponents, -most, most))
        return scales[: self.n], scales[self.n :]

    def embedding(self, pattern: Pattern) -> "GeneralEmbedding":
        """Where the values of a general pattern, in the caller's numbering, sit in the factor; cached.

        **Raises:** `ValueError` naming an entry that lies outside of the filled pattern.
        """
        return _embedding(self.symbolic, pattern, self.matching.tobytes())

    def __repr__(self) -> str:
        moved = np.count_nonzero(self.matching != np.arange(self.n))
        reason = f" ({self.symbolic.reason})" if self.symbolic.reason else ""
        return (
            f"LUSymbolic(n={self.n}, nnz(L+U)={self.nnz}, flops={self.flops:.3g}, "
            f"supernodes={self.supernodes}, matched off the diagonal={moved}, "
            f"ordering={self.ordering!r}{reason})"
        )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class GeneralEmbedding(Structure):
    """Where the values of a general pattern sit in the panels of L and of U^H: an `Embedding` for LU.

    `LUSymbolic.embedding` makes it.

    **Raises:** `ValueError` naming an entry that lies outside of the filled pattern.
    """

    kind = "lu_embedding"
    symbolic: Symbolic
    pattern: Pattern
    matching: np.ndarray
    _handle: _native.Handle = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        symbolic, pattern = self.symbolic, self.pattern
        _check_square(pattern)
        if pattern.shape != symbolic.pattern.shape:
            raise ValueError(
                f"the pattern has shape {pattern.shape}, but what was analyzed has {symbolic.pattern.shape}"
            )
        object.__setattr__(self, "matching", _check_matching(symbolic.n, self.matching))
        handle, outside = _native.embed_general(
            symbolic._handle, symbolic.n, pattern.column_pointers, pattern.rows, self.matching
        )
        if handle is not None:
            rows = np.argsort(self.matching)[pattern.rows]
            outside = outside_of_exact_fill(symbolic, rows, pattern.columns)
        if outside >= 0:
            raise ValueError(
                f"the entry ({pattern.rows[outside]}, {pattern.columns[outside]}) lies outside of the "
                "filled pattern L + U of what was analyzed. Analyze a pattern that holds it, for example "
                "the union of both."
            )
        object.__setattr__(self, "_handle", handle)

    @property
    def content(self) -> tuple[tuple[int, ...], tuple[np.ndarray, ...]]:
        return (), (self.matching,)

    @property
    def foundations(self) -> tuple[Structure, ...]:
        return self.symbolic, self.pattern

    def _pin(self) -> None:
        _native.pin_embedding(self._handle, self.digest)

    def __repr__(self) -> str:
        return f"GeneralEmbedding({self.pattern!r} in {self.symbolic!r})"


def analyze_lu(
    pattern: Pattern, ordering: Ordering = "auto", magnitudes: np.ndarray | None = None
) -> LUSymbolic:
    """The symbolic LU factorization of a general square pattern.

    **Arguments:**

    - `ordering`: "auto", "amd", "nd", "natural" or a permutation of the columns.
    - `magnitudes`: the absolute value of every entry, for a matching whose product is largest; without them
      it is one that keeps most of the diagonal.

    **Returns:** an `LUSymbolic`; without magnitudes the latest ones are kept, so that analyzing a pattern
    again is a look-up.

    **Raises:** `TypeError` if `pattern` is not a `Pattern`; `ValueError` if it is symmetric (a lower
    triangle), not square, or structurally singular (naming rows and columns), for an `ordering` that is
    neither known nor a permutation, or for magnitudes that do not fit, are negative or not finite.

    **Cost:** that of the matching and of `analyze` for the pattern of B + B^T.

    **Source:** Duff and Koster, SIAM J. Matrix Anal. Appl. 22 (2001), of the matching and its scaling.
    """
    if not isinstance(pattern, Pattern):
        raise TypeError(f"analyze: expected a Pattern, got a {type(pattern).__name__}")
    n = _check_square(pattern)
    name, permutation = (
        (ordering, b"") if isinstance(ordering, str) else ("given", given(n, ordering).tobytes())
    )
    if magnitudes is None:
        return _analyze(pattern, name, permutation)
    matching = perfect_matching(pattern, magnitudes)
    exponents = np.rint(np.concatenate([matching.row_scale, matching.column_scale]))
    return _matched(pattern, matching.row_of_column, exponents, name, permutation)


@cached(16)
def _analyze(pattern: Pattern, name: str, permutation: bytes) -> LUSymbolic:
    return _matched(pattern, perfect_matching(pattern).row_of_column, _UNSCALED, name, permutation)


def _matched(
    pattern: Pattern,
    matching: np.ndarray,
    exponents: np.ndarray,
    name: str,
    permutation: bytes,
) -> LUSymbolic:
    B = paired(pattern, matching)
    sequence = np.frombuffer(permutation, np.int32)
    symbolic = choose(
        B, name, lambda name: sequence if name == "given" else order(B, name), "supernodal"
    )
    return LUSymbolic(pattern, matching, symbolic, exponents)


def paired(pattern: Pattern, matching: np.ndarray) -> Pattern:
    """The symmetric pattern of B + B^T with its diagonal, where row j of B is row `matching[j]` of A."""
    i, j = np.argsort(matching)[pattern.rows], pattern.columns
    return Pattern.from_coo(np.maximum(i, j), np.minimum(i, j), pattern.shape, True).with_diagonal()


@cached(32)
def _embedding(symbolic: Symbolic, pattern: Pattern, matching: bytes) -> GeneralEmbedding:
    return GeneralEmbedding(symbolic, pattern, np.frombuffer(matching, np.int32))


def _check_square(pattern: Pattern) -> int:
    if pattern.symmetric:
        raise ValueError(
            "an LU factorization takes a general pattern, got a symmetric one; call to_general() on it"
        )
    m, n = pattern.shape
    if m != n:
        raise ValueError(f"the matrix must be square, got shape {pattern.shape}")
    return n


def _check_matching(n: int, matching: np.ndarray) -> np.ndarray:
    matching = frozen(np.asarray(matching))
    if not np.array_equal(np.sort(matching), np.arange(n)):
        raise ValueError(f"`matching` must hold every one of the {n} rows once")
    return matching
