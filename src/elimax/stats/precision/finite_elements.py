"""Mass and stiffness matrices of linear finite elements, as Matern precisions need them.

With the lumped mass matrix C0, which is diagonal, and the stiffness matrix G, an operator kappa^2 - Laplace
becomes K = kappa^2 C0 + G, and the precision of the field that it turns into white noise K C0^-1 K, which is
kappa^4 C0 + 2 kappa^2 G + G C0^-1 G: a combination of three matrices with fixed values.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Inexact

from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._primitive.define import is_traced
from elimax._structure.pattern import Pattern

Terms = tuple[Inexact[Array, " nnz"], ...]


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True, eq=False)
class FiniteElements:
    """The matrices of which Matern precisions are combinations; a pytree with their values as leaves.

    Made by `Mesh.finite_elements`, from the elements of a direction or a barrier, or by `from_matrices`.

    **Attributes:**

    - `c0`: the lumped mass matrix, (n, n), diagonal.
    - `g1`: the stiffness matrix G.
    - `g2`: G C0^-1 G, on a pattern that holds that of `g1`.
    - `dimension`: 1 or 2, of the space.
    - `barrier`: whether there is a barrier: then `c0`, `g1` and `g2` are the three terms of its precision,
        of alpha = 2 and constant kappa.
    """

    c0: SymmetricMatrix
    g1: SymmetricMatrix
    g2: SymmetricMatrix
    dimension: int = 2
    barrier: bool = False
    _made: dict[int, tuple[Pattern, Terms]] = dataclasses.field(
        init=False, default_factory=dict, repr=False
    )

    def tree_flatten_with_keys(self) -> tuple[Any, ...]:
        names = ("c0", "g1", "g2")
        children = tuple((jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in names)
        return children, (self.dimension, self.barrier)

    @classmethod
    def tree_unflatten(cls, static: tuple[int, bool], children: Any) -> "FiniteElements":
        c0, g1, g2 = children
        return cls(c0, g1, g2, *static)

    @classmethod
    def from_matrices(
        cls, c0: Any, g1: Any, g2: Any = None, dimension: int = 2
    ) -> "FiniteElements":
        """From matrices that were assembled elsewhere.

        **Arguments:**

        - `c0`, `g1`, `g2`: `SymmetricMatrix` or of SciPy; `c0` diagonal and positive. Without `g2`, it is
            computed as G C0^-1 G, of concrete values.
        - `dimension`: of the space, 1 or 2: it matters to the range and the standard deviation.

        **Raises:** `ValueError` for a `c0` that is not diagonal or not positive, shapes that differ, or
        another dimension; `TypeError` for other matrices.
        """
        if dimension not in (1, 2):
            raise ValueError(f"`dimension` must be 1 or 2, got {dimension!r}")
        mass, stiffness = _symmetric("c0", c0), _symmetric("g1", g1)
        if (mass.pattern.rows != mass.pattern.columns).any() or mass.nnz != mass.shape[0]:
            raise ValueError(
                "`c0` must be diagonal, none missing; lump a consistent mass matrix by its row sums"
            )
        if not is_traced(mass.values) and not (np.asarray(mass.values) > 0).all():
            k = np.argmin(np.asarray(mass.values) > 0)
            raise ValueError(f"`c0` must be positive, its entry {k} is {mass.values[k]}")
        if g2 is None:
            weight = scipy.sparse.diags_array(1 / mass.to_scipy().diagonal())
            G = stiffness.to_scipy()
            square = square_pattern(stiffness.pattern)
            second = symmetric(G @ weight @ G, square)
        else:
            second = _symmetric("g2", g2)
        if not mass.shape == stiffness.shape == second.shape:
            raise ValueError(
                "`c0`, `g1` and `g2` must have one shape, got "
                f"{mass.shape}, {stiffness.shape} and {second.shape}"
            )
        return cls(mass, stiffness, second, dimension)

    @property
    def n(self) -> int:
        """The number of vertices."""
        return self.c0.shape[0]

    def terms(self, alpha: int) -> tuple[Pattern, Terms]:
        """The pattern of the precision of order 1 or 2, and `c0`, `g1` (and `g2`) on it.

        Concrete values are copied there once, those of traced elements where they are needed.
        """
        if alpha in self._made:
            return self._made[alpha]
        matrices = (self.c0, self.g1, self.g2)[: alpha + 1]
        if any(is_traced(A.values) for A in matrices):
            return _on_one_pattern(matrices)
        with jax.ensure_compile_time_eval():
            self._made[alpha] = _on_one_pattern(matrices)
        return self._made[alpha]

    def __repr__(self) -> str:
        kind = ", barrier=True" if self.barrier else ""
        return f"FiniteElements(n={self.n}, dimension={self.dimension}, nnz={self.g2.nnz}{kind})"


def elements_of(source: Any) -> FiniteElements:
    """What a mesh, elements, or a tuple (c0, g1, g2) of the plane stands for."""
    if isinstance(source, FiniteElements):
        return source
    if isinstance(source, tuple | list) and len(source) in (2, 3):
        return FiniteElements.from_matrices(*source)
    if hasattr(source, "finite_elements"):
        return source.finite_elements()
    raise TypeError(
        f"`source` must be a Mesh, FiniteElements or a tuple (c0, g1, g2), got {type(source).__name__}"
    )


def symmetric(matrix: Any, pattern: Pattern | None = None) -> SymmetricMatrix:
    """The lower triangle of a SciPy matrix that is known to be symmetric, in the default float.

    On its own pattern, or on a larger one that is symmetric.
    """
    lower = scipy.sparse.tril(matrix, format="csc")
    lower.sum_duplicates()
    own = Pattern(lower.shape, lower.indptr, lower.indices, True)
    if pattern is None:
        return SymmetricMatrix(own, jnp.asarray(lower.data, float))
    values = np.zeros(pattern.nnz)
    values[own.embedding(pattern).indices] = lower.data
    return SymmetricMatrix(pattern, jnp.asarray(values, float))


def square_pattern(pattern: Pattern) -> Pattern:
    """Of G D G, a lower triangle, whatever cancels in it; SciPy's products leave zeros out."""
    whole = pattern.to_general()[0]
    return whole.product(whole).lower()[0]


def general(rows: Any, cols: Any, values: Any, shape: tuple[int, int]) -> SparseMatrix:
    """A matrix from entries on the host, in the default float."""
    return SparseMatrix.from_coo(rows, cols, jnp.asarray(values, float), shape)


def _symmetric(name: str, matrix: Any) -> SymmetricMatrix:
    if isinstance(matrix, SymmetricMatrix):
        return matrix
    if scipy.sparse.issparse(matrix):
        return SymmetricMatrix.from_scipy(matrix)
    raise TypeError(f"`{name}` must be a SymmetricMatrix or of SciPy, got {type(matrix).__name__}")


def _on_one_pattern(matrices: tuple[SymmetricMatrix, ...]) -> tuple[Pattern, Terms]:
    pattern = matrices[0].pattern
    for A in matrices[1:]:
        pattern = pattern.union(A.pattern)
    return pattern, tuple(A.on_pattern(pattern).values for A in matrices)
