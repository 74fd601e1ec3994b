r"""The Hessian of a latent Gaussian model: H = Q + A^T D A with a diagonal D, on a pattern found once.

Entry (i, j) of A^T D A is the sum over observations k of d_k a_ki a_kj: a linear map of d, whose matrix has
the entries a_ki a_kj at (position of (i, j) in H, k). It is a sparse matrix of fixed pattern, so that a new D
costs one product with it, and no product of sparse matrices. Its transpose sums a symmetric matrix over the
pairs of elements that one observation sees: diag(A S A^T), from the entries of S on the pattern of H.
"""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import elimax as ex
from elimax._primitive.product import gather, scatter
from elimax._structure.index_map import IndexMap
from elimax._structure.structure import cached


@dataclasses.dataclass(frozen=True)
class HessianStructure:
    """Where the parts of H = Q + A^T D A are found; integers, on the host.

    **Attributes:**

    - `pattern`: of H (lower triangle, with its diagonal).
    - `prior`: where the entries of Q are in it.
    - `squares`: the pattern (nnz(H), m) of the map from d to the values of A^T D A.
    - `left`, `right`: the entries of A whose products are the values of that map; None if A is the identity.
    """

    pattern: ex.Pattern
    prior: IndexMap
    squares: ex.Pattern
    left: IndexMap | None
    right: IndexMap | None


@cached(64)
def hessian_structure(prior: ex.Pattern, design: ex.Pattern | None) -> HessianStructure:
    """The structure of H for a prior precision (symmetric pattern) and a design (None: the identity).

    **Cost:** sorts the pairs of entries in each row of the design: r (r + 1) / 2 for a row of r entries.
    """
    prior_with_diagonal = prior.with_diagonal()
    n = prior.shape[0]
    if design is None:
        pattern = prior_with_diagonal
        squares = ex.Pattern.from_coo(pattern.diagonal().indices, np.arange(n), (pattern.nnz, n))
        return HessianStructure(pattern, prior.embedding(pattern), squares, None, None)
    m = design.shape[0]
    order = np.lexsort((design.columns, design.rows))  # row by row
    rows, columns = design.rows[order].astype(np.int64), design.columns[order].astype(np.int64)
    starts = np.searchsorted(rows, np.arange(m))
    counts = np.arange(rows.size) - starts[rows] + 1  # entry p meets those of its row up to itself
    left = np.repeat(np.arange(rows.size), counts)
    within = np.arange(left.size) - np.repeat(np.cumsum(counts) - counts, counts)
    right = starts[rows[left]] + within
    touched = ex.Pattern.from_coo(columns[left], columns[right], (n, n), symmetric=True)
    pattern = prior_with_diagonal.union(touched)
    position = _positions(pattern, columns[left], columns[right])
    squares, place = ex.Pattern.from_coo_with_map(position, rows[left], (pattern.nnz, m))
    back = np.argsort(place.indices)
    return HessianStructure(
        pattern,
        prior.embedding(pattern),
        squares,
        IndexMap(order[left[back]], design.nnz),
        IndexMap(order[right[back]], design.nnz),
    )


def _positions(pattern: ex.Pattern, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Where entries that the pattern holds are in it."""
    n = pattern.shape[0]
    keys = pattern.columns.astype(np.int64) * n + pattern.rows
    return np.searchsorted(keys, columns * n + rows)


class Hessian(eqx.Module):
    """H = Q + A^T D A as a function of the diagonal of D; a pytree of the values of Q and of A."""

    prior: Float[Array, " nnz"]
    squares: ex.SparseMatrix
    structure: HessianStructure = eqx.field(static=True)

    @classmethod
    def of(cls, Q: ex.SymmetricMatrix, A: ex.SparseMatrix | None) -> "Hessian":
        """**Cost:** two gathers and a scatter."""
        s = hessian_structure(Q.pattern, None if A is None else A.pattern)
        if A is None or s.left is None or s.right is None:
            values = jnp.ones(s.squares.nnz, Q.dtype)
        else:
            values = gather(A.values, s.left) * gather(A.values, s.right)
        return cls(scatter(Q.values, s.prior), ex.SparseMatrix(s.squares, values), s)

    def at(self, d: Float[Array, " m"]) -> ex.SymmetricMatrix:
        """H. **Cost:** one product with a sparse matrix. **Derivative:** linear in d."""
        return ex.SymmetricMatrix(self.structure.pattern, self.prior + self.squares @ d)

    def quadratic_forms(self, S: ex.SymmetricMatrix) -> Float[Array, " m"]:
        """diag(A S A^T), for S on the pattern of H. **Derivative:** linear in S."""
        pattern = self.structure.pattern
        twice = np.where(pattern.rows == pattern.columns, 1.0, 2.0)
        return (S.values * jnp.asarray(twice, S.dtype)) @ self.squares
