"""The sparse columns of the random effects: Z, Lambda(theta), and their product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

import elimax as ex
from elimax.stats.mixed.random_term import RandomTerm, Sizes, identity, starts, templates


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False, repr=False)
class RandomDesign:
    """The columns Z of the random effects b = Lambda(theta) u, as sparse matrices: a pytree.

    The linear predictor of a mixed model is X beta + Z Lambda(theta) u with u ~ N(0, I), whatever the
    response is distributed like. An observation has k entries per term, in the columns of its level, in Z as
    in Z Lambda: the pattern is one and static.

    **Attributes:**

    - `designs`: the columns of each term, (n, k).
    - `order`: sorts the entries, term after term, into those of `pattern`.
    - `pattern`: of Z and of Z Lambda, (n, q).
    - `sizes`: per term: levels, k.
    """

    designs: tuple[Float[Array, "n k"], ...]
    order: Int[Array, " nnz"]
    pattern: ex.Pattern = field(metadata={"static": True})
    sizes: Sizes = field(metadata={"static": True})

    @classmethod
    def from_terms(cls, terms: Sequence[RandomTerm]) -> RandomDesign:
        """Finds the pattern, once, on the host."""
        sizes = tuple(term.size for term in terms)
        start = starts(sizes)
        columns = np.concatenate(
            [
                (first + term.codes[:, None] * k + np.arange(k)).reshape(-1)
                for term, first, (_, k) in zip(terms, start, sizes, strict=False)
            ]
        )
        n = len(terms[0].codes)
        rows = np.concatenate([np.repeat(np.arange(n), k) for _, k in sizes])
        pattern = ex.Pattern.from_coo(rows, columns, (n, int(start[-1])))
        sorted_to = np.lexsort((rows, columns))
        return cls(
            tuple(jnp.asarray(term.design) for term in terms),
            jnp.asarray(sorted_to),
            pattern,
            sizes,
        )

    @property
    def Z(self) -> ex.SparseMatrix:
        """The columns of b, (n, q)."""
        return self.scaled(jnp.asarray(identity(self.sizes)))

    def scaled(self, theta: Float[Array, " t"]) -> ex.SparseMatrix:
        """Z Lambda(theta), the columns of u, (n, q).

        **Derivative:** linear in theta.

        **Cost:** n sum_i k_i^2 flops and a gather of n sum_i k_i entries.
        """
        values = [
            (design @ T).reshape(-1)
            for design, T in zip(self.designs, templates(self.sizes, theta), strict=True)
        ]
        return ex.SparseMatrix(self.pattern, jnp.concatenate(values)[self.order])

    def factor(self, theta: Float[Array, " t"]) -> ex.SparseMatrix:
        """Lambda(theta), (q, q): block diagonal with a copy of T_i per level of term i.

        **Derivative:** linear in theta.
        """
        blocks = [
            ex.kron(ex.SparseMatrix.eye(levels, T.dtype), _lower(T))
            for (levels, _), T in zip(self.sizes, templates(self.sizes, theta), strict=True)
        ]
        factor = ex.block_diag(*blocks)
        assert isinstance(factor, ex.SparseMatrix)
        return factor


def _lower(T: Float[Array, "k k"]) -> ex.SparseMatrix:
    k = T.shape[0]
    row, column = np.tril_indices(k)
    return ex.SparseMatrix.from_coo(row, column, T[row, column], (k, k))
