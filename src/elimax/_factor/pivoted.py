r"""What factorizations that pivot have in common: refined solves, determinants, and what a status forbids.

The matrix is scaled by powers of two before it is factorized; a solution is refined until its componentwise
backward error is of the size of a rounding. A pivot that is too small for its column is replaced by a larger
one. Refinement repairs what that does to a solution, but nothing repairs determinants and inverses: they are
an error, or NaN, if the status says so.
"""

import abc
import dataclasses
from typing import Any, NamedTuple, Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact, Int

from elimax import _results
from elimax._factor.right_hand_side import as_columns
from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._primitive import derivative as derivative  # registers every rule
from elimax._primitive.define import is_staged
from elimax._primitive.determinant import pivoted_inverse_gradient, slogdet
from elimax._primitive.guard import guard
from elimax._primitive.pivoted import Factored, pivoted_factor
from elimax._primitive.refined_solve import refined_solve
from elimax._primitive.scaling import equilibrate, scale
from elimax._structure.lu_symbolic import LUSymbolic
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import Symbolic

DATA = ("matrix", "values", "pivots", "row_scale", "column_scale", "status", "detail")
META = ("symbolic", "throw")


class Solution(NamedTuple):
    """A solution with what refinement achieved.

    - `value`: the best solution found, even where the status is not 0.
    - `status`: int32, one for each right-hand side; 0 or `REFINEMENT_STAGNATED` (-5).
    - `backward_error`: the componentwise backward error of each right-hand side: the smallest omega for which
      (A + E) x = b + f with |E| <= omega |A| and |f| <= omega |b|.
    """

    value: Inexact[Array, "n ..."]
    status: Int[Array, "..."]
    backward_error: Float[Array, "..."]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Pivoted(abc.ABC):
    """A factorization with pivots; a pytree. Its attributes are told in `LDL` and `LU`."""

    matrix: Any
    symbolic: Any
    values: Inexact[Array, " size"]
    pivots: Int[Array, " n"]
    row_scale: Float[Array, " n"]
    column_scale: Float[Array, " n"]
    status: Int[Array, ""]
    detail: Int[Array, ""]
    throw: bool

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    @property
    @abc.abstractmethod
    def _eliminated(self) -> Symbolic:
        """The symmetric structure in which the kernels work."""

    def _factored(self, matrix: SparseMatrix | SymmetricMatrix) -> Factored:
        """For `matrix`, which is A on its own pattern or on a larger one."""
        scaled = scale(matrix.values, self.row_scale, self.column_scale, matrix.pattern)
        embedding = self.symbolic.embedding(matrix.pattern)
        return Factored(
            self._eliminated, embedding, matrix.storage, scaled, self.values, self.pivots
        )

    @classmethod
    def _factorize(
        cls,
        matrix: SparseMatrix | SymmetricMatrix,
        symbolic: Symbolic | LUSymbolic,
        eliminated: Symbolic,
        throw: bool,
    ) -> Self:
        staged = is_staged(matrix.values)
        rows, columns = cls._scales(matrix, symbolic)
        values, pivots, status, detail = pivoted_factor(
            scale(matrix.values, rows, columns, matrix.pattern),
            eliminated,
            symbolic.embedding(matrix.pattern),
            matrix.storage,
            throw=throw and staged,
        )
        if throw and not staged and int(status) == _results.NOT_FINITE:
            _results.check(int(status), int(detail))
        return cls(matrix, symbolic, values, pivots, rows, columns, status, detail, bool(throw))

    @classmethod
    def _scales(cls, matrix: Any, symbolic: Any) -> tuple[Array, Array]:
        """Powers of two by which rows and columns are scaled."""
        return equilibrate(matrix.values, matrix.pattern, matrix.storage)

    # -- solving

    def _solve(self, b: Any, transpose: bool, refine: bool) -> Array:
        staged = is_staged(self.matrix.values, self.values, b)
        x, errors = self._solved(b, transpose, refine, throw=self.throw and staged)
        accurate = errors <= _largest_error(self.dtype)
        if self.throw and not staged and not bool(jnp.all(accurate)):
            raise _results.FactorizationError(
                _results.REFINEMENT_STAGNATED_SENTENCE, error=float(jnp.max(errors))
            )
        x = x * jnp.where(accurate, 1, jnp.nan).astype(errors.dtype)
        return x.reshape(jnp.shape(b))

    def _solve_checked(self, b: Any, transpose: bool) -> Solution:
        x, errors = self._solved(b, transpose, refine=True, throw=False)
        stagnated = jnp.int32(_results.REFINEMENT_STAGNATED)
        status = jnp.where(errors <= _largest_error(self.dtype), jnp.int32(0), stagnated)
        lead = jnp.shape(b)[1:]
        return Solution(x.reshape(jnp.shape(b)), status.reshape(lead), errors.reshape(lead))

    def _solved(self, b: Any, transpose: bool, refine: bool, throw: bool) -> tuple[Array, Array]:
        """A x = b, with R and C the scales: (R A C) (C^-1 x) = R b, and the transpose of that."""
        columns = as_columns(b, self.shape[0], self.dtype)
        left, right = self.row_scale, self.column_scale
        if transpose:
            left, right = right, left
        y, errors = refined_solve(
            self._factored(self.matrix), left[:, None] * columns, transpose, refine, throw
        )
        return right[:, None] * y, errors

    # -- determinants and inverses

    def slogdet(self) -> tuple[Inexact[Array, ""], Float[Array, ""]]:
        r"""The sign of $\det A$, or for complex matrices its phase, and $\log|\det A|$.

        As `jnp.linalg.slogdet`: $\det A$ is the sign times the exponential of the logarithm.

        **Raises:** `FactorizationError`, or JAX's own error where values are abstract, if the status is that
        of a factor which is not exact; with `throw=False` both are NaN.

        **Derivative:** every order and mode; $\log\det A' = \mathrm{tr}(A^{-1} A')$.

        **Cost:** n multiplications; the gradient costs one selected inversion.
        """
        sign, logdet = slogdet(self._factored(self.matrix))
        exponents = jnp.frexp(self.row_scale)[1] + jnp.frexp(self.column_scale)[1] - 2
        scaled = jnp.sum(exponents).astype(logdet.dtype) * np.log(2).astype(logdet.dtype)
        return self._guarded(sign), self._guarded(logdet - scaled)

    def logdet(self) -> Float[Array, ""]:
        r"""$\log|\det A|$, natural logarithm; as `slogdet`, of which it is the second result."""
        return self.slogdet()[1]

    def _inverse_gradient(self, support: Pattern) -> Array:
        """G_0 of A on a pattern that holds that of A."""
        gradient = pivoted_inverse_gradient(self._factored(self.matrix.on_pattern(support)))
        return self._guarded(scale(gradient, self.row_scale, self.column_scale, support))

    def _guarded(self, x: Array) -> Array:
        """What perturbed pivots would make wrong."""
        staged = is_staged(self.status)
        if self.throw and not staged:
            _results.check(int(self.status), int(self.detail))
        return guard(x, self.status, self.detail, throw=self.throw and staged)

    def __repr__(self) -> str:
        dtype = getattr(self.values, "dtype", None)  # leaves may be placeholders
        return f"{type(self).__name__}(shape={self.symbolic.pattern.shape}, dtype={dtype}, {self.symbolic!r})"


def _largest_error(dtype: np.dtype) -> float:
    return 10 * float(np.finfo(dtype).eps)
