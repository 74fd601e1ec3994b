"""LDL^H of symmetric and Hermitian matrices that need not be definite."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Inexact, Int

from elimax._factor.pivoted import DATA, META, Pivoted, Solution
from elimax._factor.selected import selected_inverse_of, support_of
from elimax._matrix import SymmetricMatrix
from elimax._primitive.determinant import inertia as _inertia
from elimax._primitive.product import gather
from elimax._structure.ldl_symbolic import analyze_ldl
from elimax._structure.ordering import Ordering
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import Symbolic


class Inertia(NamedTuple):
    """How many eigenvalues are positive, negative and zero; -1 each where that is not known."""

    positive: Int[Array, ""]
    negative: Int[Array, ""]
    zero: Int[Array, ""]


@functools.partial(jax.tree_util.register_dataclass, data_fields=DATA, meta_fields=META)
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LDL(Pivoted):
    r"""$P S A S P^\top = L D L^\mathsf{H}$ for a symmetric or Hermitian matrix, indefinite as well.

    S scales by powers of two, D has blocks of order 1 and 2, chosen within supernodes. For a complex
    symmetric matrix (`hermitian=False`) it is $L D L^\top$. Made by `elimax.ldl`; a pytree.

    **Attributes:**

    - `matrix`: the factorized matrix.
    - `symbolic`: the static structure.
    - `values`, `pivots`: the numeric factor (a cache without derivative).
    - `row_scale`, `column_scale`: the diagonal of S.
    - `status`: int32; 0; -1: a NaN or infinite value; -3: pivots were perturbed; -4: element growth made the
      factor inaccurate. `solve` refines its answers with -3 and -4, nothing else is defined then.
    - `detail`: int32; with status -1 the position of the entry in `matrix.values`, with -3 the column of the
      first perturbed pivot in the caller's numbering.
    - `throw`: whether a failure is an error.
    """

    @property
    def _eliminated(self) -> Symbolic:
        return self.symbolic

    def solve(
        self, b: Inexact[ArrayLike, " n"] | Inexact[ArrayLike, "n k"], *, refine: bool = True
    ) -> Inexact[Array, "n ..."]:
        r"""$x = A^{-1} b$ for one right-hand side or k of them, by iterative refinement.

        The componentwise backward error of every column is at most 10 roundings. With `refine=False` it is
        one pass over the factor, unchecked: for preconditioning.

        **Raises:** `ValueError` or `TypeError` if `b` does not fit. `FactorizationError`, or JAX's own error
        where values are abstract, if refinement stagnates; with `throw=False` such a column is NaN
        (`solve_checked` returns it).

        **Derivative:** $x' = A^{-1}(b' - A' x)$, in both arguments, every order and mode.

        **Cost:** as `Cholesky.solve`, and a residual in twice the precision; once more for each step of
        refinement, usually none or one.

        **Source:** Arioli, Demmel and Duff, SIAM J. Matrix Anal. Appl. 10 (1989).
        """
        return self._solve(b, transpose=False, refine=refine)

    def solve_checked(self, b: Inexact[ArrayLike, " n"] | Inexact[ArrayLike, "n k"]) -> Solution:
        """As `solve`, but never an error: the best solution with the status and backward error achieved."""
        return self._solve_checked(b, transpose=False)

    def inertia(self) -> Inertia:
        """How many eigenvalues are positive, negative and zero, by Sylvester's law.

        **Raises:** `ValueError` for a complex symmetric matrix, whose eigenvalues are complex; as `slogdet`
        if the factor is not exact, and then with `throw=False` all three are -1.

        **Cost:** one pass over D.
        """
        if self.matrix.storage == "symmetric" and jnp.iscomplexobj(self.matrix.values):
            raise ValueError("a complex symmetric matrix (hermitian=False) has no inertia")
        counts = _inertia(self._factored(self.matrix))
        known = self._guarded(jnp.zeros((), self.row_scale.dtype)) == 0
        return Inertia(*jnp.where(known, counts, -1))

    def selected_inverse(self, pattern: Pattern | None = None) -> SymmetricMatrix:
        r"""The entries of $A^{-1}$ on the pattern of A, or on any symmetric `pattern` inside the filled one.

        **Raises:** `ValueError` if `pattern` is not a symmetric one of the shape of A or has entries outside
        of the filled pattern; as `slogdet` if the factor is not exact.

        **Derivative:** $(A^{-1})' = -A^{-1} A' A^{-1}$ on the same pattern; every order and mode.

        **Cost:** about two factorizations.
        """
        return selected_inverse_of(self.matrix, pattern, self._inverse_gradient)

    def inverse_diagonal(self) -> Inexact[Array, " n"]:
        r"""$\mathrm{diag}(A^{-1})$; real, but for complex symmetric matrices. As `selected_inverse`."""
        support = support_of(self.matrix, self.matrix.pattern)
        diagonal = gather(self._inverse_gradient(support), support.diagonal())
        return jnp.real(diagonal) if self.matrix.hermitian else diagonal


def ldl(
    A: SymmetricMatrix,
    symbolic: Symbolic | None = None,
    ordering: Ordering = "auto",
    throw: bool = True,
) -> LDL:
    r"""Factorizes a symmetric or Hermitian matrix, definite or not: $P S A S P^\top = L D L^\mathsf{H}$.

    Pivots of order 1 and 2 are chosen within supernodes, so that the structure stays static. One that is too
    small for its column is replaced by a larger one, which the status tells. `analyze(A, kind="ldl")` with
    the values of A pairs rows with weak diagonal entries, which makes that rarer.

    **Arguments:**

    - `A`: the matrix, in float32, float64, complex64 or complex128; computed in its own precision.
    - `symbolic`: what `analyze(..., kind="ldl")` returned for a pattern that holds that of A; analyzed (and
      cached) from the pattern alone if None.
    - `ordering`: "auto", "amd", "nd", "natural" or a permutation; only used without `symbolic`.
    - `throw`: whether a failure of what is computed from the factor is an error: `FactorizationError`, or
      where values are abstract JAX's own error with the same sentence. With False it is NaN.

    **Returns:** the factor. Perturbed pivots alone are no error: `solve` may well succeed.

    **Raises:** `TypeError` for a matrix that is not a `SymmetricMatrix`; `ValueError` if it has entries
    outside of the filled pattern of `symbolic`, or if that is simplicial, and as `analyze`;
    `FactorizationError` for a NaN or infinite value.

    **Derivative:** of everything computed from the factor, with respect to `A.values`.

    **Cost:** that of `cholesky` where supernodes are definite, up to about twice that elsewhere.

    **Source:** Bunch and Kaufman, Math. Comp. 31 (1977); within supernodes, with perturbed pivots: Schenk and
    Gaertner, Electron. Trans. Numer. Anal. 23 (2006).
    """
    if not isinstance(A, SymmetricMatrix):
        raise TypeError(
            f"`A` must be a SymmetricMatrix, got {type(A).__name__}. Build one with "
            "SymmetricMatrix.from_scipy or from_dense, or call lu for a general matrix."
        )
    symbolic = analyze_ldl(A.pattern, ordering) if symbolic is None else symbolic
    if not isinstance(symbolic, Symbolic):
        raise TypeError(
            f"`symbolic` must be a Symbolic, as analyze returns it, got {type(symbolic).__name__}; an "
            "ordering is given by name, ordering=..."
        )
    if symbolic.method != "supernodal":
        raise ValueError(
            f"`symbolic` must be supernodal, got method={symbolic.method!r}; use "
            "analyze(A, kind='ldl'), or method='supernodal'"
        )
    return LDL._factorize(A, symbolic, symbolic, throw)
