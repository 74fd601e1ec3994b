"""What every sparse matrix can do: a static pattern and its traced values.

Index work is NumPy on patterns, at trace time and cached by content; what is traced are products,
gathers and scatters of the values, so every operation is jittable, and differentiable to every order.
"""

import abc
import numbers
from collections.abc import Callable
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jax.experimental.sparse import BCOO, BCSR
from jaxtyping import Array, ArrayLike, Inexact

from elimax._primitive.define import is_traced
from elimax._primitive.product import Storage, gather, product
from elimax._structure.pattern import Pattern
from elimax._types import DTYPES, Scalar, Values, as_dense, as_numbers, promote


class Matrix(abc.ABC):
    """A pattern and the values of its entries, in the order of the pattern.

    Instances are immutable pytrees: the pattern is static, the values are the only leaf. Under `jax.vmap` a
    matrix whose values carry a leading batch axis is a batch of matrices.
    """

    pattern: Pattern
    values: Values

    __array_ufunc__ = None  # NumPy leaves arithmetic with matrices to the methods below
    __iter__ = None  # Python would take A[0], A[1], ... for rows
    _symmetric: bool

    def __init__(self, pattern: Pattern, values: Inexact[ArrayLike, " nnz"]) -> None:
        if not isinstance(pattern, Pattern):
            raise TypeError(f"`pattern` must be a Pattern, got {type(pattern).__name__}")
        if pattern.symmetric != self._symmetric:
            flavor = "symmetric (a lower triangle)" if self._symmetric else "general"
            method = "lower" if self._symmetric else "to_general"
            raise ValueError(
                f"the pattern of a {type(self).__name__} must be {flavor}; P.{method}()[0] makes it so"
            )
        values = as_numbers("values", values)
        if values.shape != (pattern.nnz,):
            raise ValueError(
                f"`values` must have shape ({pattern.nnz},), one value for every entry of {pattern}, got "
                f"{values.shape}. For a batch of matrices use jax.vmap."
            )
        self._fill(pattern, values)

    def _fill(self, pattern: Pattern, values: Any) -> None:
        object.__setattr__(self, "pattern", pattern)
        object.__setattr__(self, "values", values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"a {type(self).__name__} is immutable; use with_values for new values"
        )

    # -- the pytree

    def _static(self) -> tuple[Any, ...]:
        return (self.pattern,)

    def tree_flatten_with_keys(self) -> tuple[Any, ...]:
        return ((jax.tree_util.GetAttrKey("values"), self.values),), self._static()

    def tree_flatten(self) -> tuple[Any, ...]:
        return (self.values,), self._static()

    @classmethod
    @abc.abstractmethod
    def tree_unflatten(cls, static: tuple[Any, ...], leaves: tuple[Any, ...]) -> Self:
        """Takes leaves of any kind: JAX puts placeholders into pytrees."""

    # -- facts

    @property
    def shape(self) -> tuple[int, int]:
        return self.pattern.shape

    @property
    def nnz(self) -> int:
        """The number of stored entries."""
        return self.pattern.nnz

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    @property
    @abc.abstractmethod
    def storage(self) -> Storage:
        """How the values stand for the matrix."""

    def __repr__(self) -> str:
        dtype = getattr(self.values, "dtype", None)
        return (
            f"{type(self).__name__}(shape={self.shape}, nnz={self.nnz}, dtype={dtype}, "
            f"density={self.pattern.density:.3g}{self._flavor()})"
        )

    def _flavor(self) -> str:
        return ""

    # -- the same pattern, other values

    @abc.abstractmethod
    def with_values(self, values: Inexact[ArrayLike, " nnz"]) -> Self:
        """A matrix with the same pattern and new values: the hot path under `jit`.

        **Raises:** `ValueError` if there is not one value for every entry; `TypeError` for a dtype that
        is not real or complex.
        """

    def astype(self, dtype: Any) -> Self:
        """The matrix in another precision; a complex one becomes real by dropping imaginary parts.

        **Raises:** `TypeError` if `dtype` is not float32, float64, complex64 or complex128.
        """
        name = np.dtype(dtype).name
        if name not in DTYPES:
            raise TypeError(f"`dtype` must be one of {', '.join(DTYPES)}, got {name}")
        real = jnp.iscomplexobj(self.values) and not name.startswith("complex")
        return self.with_values((self.values.real if real else self.values).astype(dtype))

    def conj(self) -> Self:
        """Every entry conjugated."""
        return self.with_values(jnp.conj(self.values))

    def __neg__(self) -> "Matrix":
        return self._scaled(jnp.multiply, -1)

    # -- addition and scaling

    @abc.abstractmethod
    def __add__(self, other: Any) -> "Matrix":
        """The sum, on the union of the patterns; symmetric if both are.

        **Raises:** `ValueError` if the shapes differ; `TypeError` for what is not a sparse matrix.

        **Cost:** two scatters, none if the patterns are equal. **Derivative:** linear.
        """

    def __radd__(self, other: Any) -> "Matrix":
        return self + other

    def __sub__(self, other: Any) -> "Matrix":
        check_matrix("-", other)
        return self + (-other)

    def __rsub__(self, other: Any) -> "Matrix":
        return self - other

    def __mul__(self, scalar: Any) -> "Matrix":
        """The multiple by a scalar, which may be traced; dtypes are promoted as in JAX.

        A complex multiple of a Hermitian matrix is a `SparseMatrix`.

        **Raises:** `ValueError` for an array, `TypeError` for a matrix or what is not a number.
        """
        return self._scaled(jnp.multiply, _as_scalar("*", scalar))

    __rmul__ = __mul__

    def __truediv__(self, scalar: Any) -> "Matrix":
        return self._scaled(jnp.divide, _as_scalar("/", scalar))

    def _scaled(self, operation: Callable[..., Array], scalar: Any) -> "Matrix":
        return self.with_values(operation(self.values, scalar))

    # -- products

    def __matmul__(self, other: Any) -> Any:
        """A @ x for a vector, A @ X for a dense matrix, A @ B for a sparse one, which is a `SparseMatrix`.

        x @ A and X @ A work as well. Dtypes are promoted as in JAX.

        **Raises:** `ValueError` if the shapes do not fit; `TypeError` for what is not an array of numbers.

        **Cost:** one pass over the values; A @ B: one step for each of its multiplications.

        **Derivative:** bilinear.
        """
        return self._times(other, transpose=False)

    def __rmatmul__(self, other: Any) -> Array:
        return self._times(as_dense("@: the other operand", other).T, transpose=True).T

    def _times(self, other: Any, transpose: bool) -> Inexact[Array, "m *k"]:
        x = as_dense("@: the other operand", other)
        n = self.shape[0 if transpose else 1]
        if x.ndim not in (1, 2) or x.shape[0] != n:
            shapes = (x.T.shape, self.shape) if transpose else (self.shape, x.shape)
            raise ValueError(
                f"@: shapes {shapes[0]} and {shapes[1]} do not fit. For a batch of dense arrays use jax.vmap."
            )
        values, x = promote(self.values, x)
        columns = x if x.ndim == 2 else x[:, None]
        y = product(values, columns, self.pattern, self.storage, transpose)
        return y if x.ndim == 2 else y[:, 0]

    def sum(self, axis: int | None = None) -> Inexact[Array, "..."]:
        """The sum of all entries; of every column (`axis=0`) or of every row (`axis=1`)."""
        ones = [jnp.ones(size, self.dtype) for size in self.shape]
        match axis:
            case None:
                return jnp.sum(self @ ones[1])
            case 0 | -2:
                return ones[0] @ self
            case 1 | -1:
                return self @ ones[1]
        raise ValueError(f"`axis` must be None, 0 or 1, got {axis!r}")

    # -- parts

    def diagonal(self) -> Inexact[Array, " min_m_n"]:
        """The main diagonal, zero where the pattern has no entry.

        **Cost:** one gather. **Derivative:** linear.
        """
        return gather(self.values, self.pattern.diagonal())

    def trace(self) -> Scalar:
        """The sum of the diagonal."""
        return jnp.sum(self.diagonal())

    # -- conversion

    @abc.abstractmethod
    def to_general(self) -> Any:
        """The matrix as a `SparseMatrix`, which holds both triangles of a symmetric one."""

    @abc.abstractmethod
    def todense(self) -> Inexact[Array, "m n"]:
        """The dense array. **Derivative:** linear."""

    @abc.abstractmethod
    def to_scipy(self) -> scipy.sparse.csc_array:
        """A SciPy array of all entries: a copy, which may be written to.

        **Raises:** `TypeError` under a trace: SciPy needs concrete values.
        """

    @abc.abstractmethod
    def to_bcoo(self) -> BCOO:
        """A `jax.experimental.sparse.BCOO` of all entries, in row-major order. **Derivative:** linear."""

    @abc.abstractmethod
    def to_bcsr(self) -> BCSR:
        """A `jax.experimental.sparse.BCSR` of all entries. **Derivative:** linear."""


def check_matrix(operation: str, other: Any) -> None:
    """Raises the `TypeError` of a sum with something else than a sparse matrix."""
    if not isinstance(other, Matrix):
        raise TypeError(
            f"{operation}: both operands must be sparse matrices of Elimax, got {type(other).__name__}. A "
            "dense array goes with A.todense(), a multiple of the identity is c * SparseMatrix.eye(n)"
        )


def _as_scalar(operation: str, scalar: Any) -> Any:
    if isinstance(scalar, Matrix):
        raise TypeError(
            f"`{operation}` takes a matrix and a scalar; the product of two matrices is A @ B"
        )
    if not (isinstance(scalar, numbers.Number) or hasattr(scalar, "dtype")):
        raise TypeError(f"`{operation}` takes a matrix and a scalar, got {type(scalar).__name__}")
    if jnp.ndim(scalar) != 0:
        raise ValueError(
            f"`{operation}` takes a matrix and a scalar, got an array of shape {jnp.shape(scalar)}; to scale "
            "rows use SparseMatrix.diags(d) @ A, to scale columns A @ SparseMatrix.diags(d)"
        )
    return scalar


def concrete(operation: str, values: Any) -> np.ndarray:
    """The values as a NumPy array.

    **Raises:** `TypeError` if they are traced.
    """
    if is_traced(values):
        raise TypeError(
            f"{operation} needs concrete values, and they are traced by jit, vmap or grad; call it outside"
        )
    return np.asarray(values)
