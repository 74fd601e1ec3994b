"""Which factorization fits a matrix, by name or by itself; and the calls that do all in one."""

from collections.abc import Callable
from typing import Any, Literal, overload

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Inexact

from elimax._factor.cholesky import Cholesky, cholesky
from elimax._factor.ldl import LDL, ldl
from elimax._factor.lu import LU, lu
from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._primitive.define import is_staged
from elimax._structure.ldl_symbolic import analyze_ldl
from elimax._structure.lu_symbolic import LUSymbolic, analyze_lu
from elimax._structure.ordering import Ordering
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import Symbolic
from elimax._structure.symbolic import analyze as analyze_cholesky

_FACTORIZATIONS: dict[str, Callable[..., Cholesky | LDL | LU]] = {
    "cholesky": cholesky,
    "ldl": ldl,
    "lu": lu,
}
KINDS = ("auto", *_FACTORIZATIONS)


def kind_of(A: SparseMatrix | SymmetricMatrix) -> str:
    """The factorization that fits: "cholesky" for a `SymmetricMatrix` that is declared positive definite,
    "ldl" for any other, "lu" for a general matrix.

    **Raises:** `TypeError` for what is not a sparse matrix.
    """
    if isinstance(A, SymmetricMatrix):
        return "cholesky" if A.positive_definite else "ldl"
    if isinstance(A, SparseMatrix):
        return "lu"
    raise TypeError(
        f"`A` must be a SymmetricMatrix or a SparseMatrix, got {type(A).__name__}. Build one with "
        "from_scipy or from_dense."
    )


def factor(
    A: SparseMatrix | SymmetricMatrix, kind: str = "auto", **options: Any
) -> Cholesky | LDL | LU:
    """The factorization of that kind, or the one that fits.

    **Arguments:**

    - `A`: the matrix.
    - `kind`: "cholesky", "ldl", "lu"; or "auto": Cholesky for a `SymmetricMatrix` declared positive definite
      (`as_positive_definite`), LDL^H for any other, LU for a general matrix.
    - `options`: those of `cholesky`, `ldl` and `lu`: `symbolic`, `ordering`, `throw`.

    **Raises:** `ValueError` for an unknown kind; `TypeError` for what is not a sparse matrix; and as these.
    """
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    return _FACTORIZATIONS[kind_of(A) if kind == "auto" else kind](A, **options)


@overload
def analyze(
    A: SymmetricMatrix | Pattern,
    kind: Literal["cholesky", "ldl"] = "cholesky",
    ordering: Ordering = "auto",
    method: str = "auto",
) -> Symbolic: ...


@overload
def analyze(
    A: SparseMatrix | SymmetricMatrix | Pattern,
    kind: Literal["lu"],
    ordering: Ordering = "auto",
    method: str = "auto",
) -> LUSymbolic: ...


@overload
def analyze(
    A: SparseMatrix | SymmetricMatrix | Pattern,
    kind: str,
    ordering: Ordering = "auto",
    method: str = "auto",
) -> Symbolic | LUSymbolic: ...


def analyze(
    A: SparseMatrix | SymmetricMatrix | Pattern,
    kind: str = "cholesky",
    ordering: Ordering = "auto",
    method: str = "auto",
) -> Symbolic | LUSymbolic:
    """The symbolic analysis of a pattern: ordering, elimination tree, supernodes, sizes and flops.

    For LDL^H and LU the values count, too, where they are given and concrete: rows are then matched with
    columns so that the product of the diagonal entries is as large as possible (for LDL^H: weak diagonal
    entries are paired). Such an analysis is passed on explicitly, `lu(A, symbolic=...)`; it holds for any
    values on the pattern, and is best for values like these. From a bare pattern, or under a trace, the
    structure alone decides, and the diagonal is preferred.

    **Arguments:**

    - `A`: a matrix or its pattern; symmetric for "cholesky" and "ldl".
    - `kind`: "cholesky", "ldl" or "lu"; "auto" is what `factor` takes (for a pattern, "ldl" or "lu").
    - `ordering`: "auto" (the one of "amd" and "nd" with the lower predicted time, as `repr` tells; nested
      dissection is tried only where the work is large enough to pay for it), "amd", "nd", "natural" or a
      permutation.
    - `method`: for "cholesky", how columns are eliminated. "supernodal" works on dense blocks of several
      columns, "simplicial" column by column with scalar code, which is faster where L has a handful of
      entries per column: chains, narrow bands, trees. "auto" takes the one that is predicted to be faster.

    **Returns:** a `Symbolic`, or for LU an `LUSymbolic`; cached per pattern and options where values do not
    count.

    **Raises:** `TypeError` for what is neither matrix nor pattern; `ValueError` for a pattern that is not
    symmetric or not square as it must be, one that is structurally singular (for "ldl" and "lu"), values that
    are not finite, or an unknown kind, ordering or method.

    **Cost:** nearly linear in nnz(A) plus the cost of the ordering, on the host; a hash look-up if cached.

    **Source:** the matching: Duff and Koster, SIAM J. Matrix Anal. Appl. 22 (2001); its symmetric form: Duff
    and Pralet, SIAM J. Matrix Anal. Appl. 27 (2005).
    """
    if not isinstance(A, Pattern | SymmetricMatrix | SparseMatrix):
        raise TypeError(
            f"`A` must be a SymmetricMatrix, a SparseMatrix or a Pattern, got {type(A).__name__}"
        )
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    if kind == "auto":
        symmetric = "ldl" if isinstance(A, Pattern) and A.symmetric else "lu"
        kind = symmetric if isinstance(A, Pattern) else kind_of(A)
    if kind == "lu" and isinstance(A, SymmetricMatrix):
        A = A.to_general()
    if kind != "lu" and isinstance(A, SparseMatrix):
        raise TypeError(
            f"`A` must be a SymmetricMatrix or a Pattern, got SparseMatrix, for kind={kind!r}; "
            "kind='lu' is for general matrices"
        )
    pattern = A if isinstance(A, Pattern) else A.pattern
    if kind == "cholesky":
        return analyze_cholesky(pattern, ordering, method)
    if method != "auto":
        raise ValueError(f"`method` is for kind='cholesky', got {method!r} for kind={kind!r}")
    magnitudes = None
    if not isinstance(A, Pattern) and not is_staged(A.values):
        magnitudes = np.abs(np.asarray(jax.lax.stop_gradient(A.values)))
        entries = np.flatnonzero(~np.isfinite(magnitudes))
        if entries.size:
            raise ValueError(
                f"`A` has a NaN or infinite value: entry {entries[0]} of `values`; its pattern alone, "
                "A.pattern, can be analyzed"
            )
    analyze_pivoted = analyze_ldl if kind == "ldl" else analyze_lu
    return analyze_pivoted(pattern, ordering, magnitudes)


def solve(
    A: SparseMatrix | SymmetricMatrix, b: Inexact[ArrayLike, "n ..."], **options: Any
) -> Inexact[Array, "n ..."]:
    r"""$A^{-1} b$ in one call: `factor(A, **options).solve(b)`."""
    return factor(A, **options).solve(b)


def logdet(A: SparseMatrix | SymmetricMatrix, **options: Any) -> Float[Array, ""]:
    r"""$\log|\det A|$ in one call: `factor(A, **options).logdet()`."""
    return factor(A, **options).logdet()


def slogdet(
    A: SparseMatrix | SymmetricMatrix, **options: Any
) -> tuple[Inexact[Array, ""], Float[Array, ""]]:
    r"""Sign and $\log|\det A|$ in one call: `factor(A, **options).slogdet()`."""
    return factor(A, **options).slogdet()


def selected_inverse(
    A: SparseMatrix | SymmetricMatrix, **options: Any
) -> SparseMatrix | SymmetricMatrix:
    r"""$A^{-1}$ on the pattern of A (of its transpose if it is general) in one call.

    `factor(A, **options).selected_inverse()`.
    """
    return factor(A, **options).selected_inverse()
