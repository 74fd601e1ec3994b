"""The entries of a matrix that is only known by its products, from one product for each color.

    A s_0, A s_1, ...          one product for each color of columns, s_c being its indicator vector
    A^T t_0, A^T t_1, ...      one for each color of rows

make up the *compressed* matrix, from which every entry is read. Where it would need much memory it is
computed in chunks of colors, and each chunk is read before the next one is computed.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact, Int

from elimax._matrix import SparseMatrix
from elimax._primitive.define import is_batchable
from elimax._primitive.product import gather, gather_matrix
from elimax._structure.coloring import Coloring
from elimax._structure.index_map import ZERO, IndexMap
from elimax._triangular import triangular_solve
from elimax._types import Values

# Elements of a compressed matrix that is held at once.
_AT_ONCE = 2**24
# Elements of a chunk of one that is not, and how many chunks there are at most.
_CHUNK = 2**22
_CHUNKS = 128

# Seeds are constants of the program if they are no more than this: XLA then moves and selects their elements
# when it compiles (half a second for a million of them), and not in each run (3 to 8 times faster for
# stencils of several components). Not if there are many, as for what is nearly dense: it would multiply
# matrices then.
_CONSTANT = 2**22
_FEW = 64

ChunkSize = int | Literal["auto"]


@dataclasses.dataclass(frozen=True)
class Linear:
    """A linear function of flat vectors of `size` elements and of one dtype.

    - `product`: x -> A x, or y -> A^T y.
    """

    product: Callable[[Inexact[Array, " size"]], Inexact[Array, " length"]]
    size: int
    dtype: Any


@dataclasses.dataclass(frozen=True)
class _Side:
    """The products with the columns, or with the rows, of a matrix.

    - `seed`: gathers the indicator vector of a color from its unit vector.
    - `n_colors`, `length`: how many products, and how long each is.
    - `entries`: those that are read off this side; `color`, `place`: where each of them is found.
    """

    linear: Linear
    seed: IndexMap
    n_colors: int
    length: int
    entries: np.ndarray
    color: np.ndarray
    place: np.ndarray

    def products(self, colors: Int[Array, " c"]) -> Inexact[Array, "c length"]:
        """Those of a few colors: in one batch if all that is called has a batching rule."""

        def product(color: Int[Array, ""]) -> Inexact[Array, " length"]:
            unit = (jnp.arange(self.n_colors) == color).astype(self.linear.dtype)
            return self.linear.product(gather(unit, self.seed))

        return jax.vmap(product)(colors) if self.is_batchable else jax.lax.map(product, colors)

    @functools.cached_property
    def is_batchable(self) -> bool:
        vector = jax.ShapeDtypeStruct((self.linear.size,), self.linear.dtype)
        return is_batchable(self.linear.product, vector)

    def all_products(self) -> Inexact[Array, "n_colors length"]:
        if self.n_colors == 1 and (self.seed.indices == 0).all():
            return self.linear.product(jnp.ones(self.linear.size, self.linear.dtype))[None]
        few = self.n_colors <= _FEW and self.n_colors * self.linear.size <= _CONSTANT
        if not few or not self.is_batchable:
            return self.products(jnp.arange(self.n_colors))
        is_mine = np.arange(self.n_colors)[:, None] == self.seed.indices
        return jax.vmap(self.linear.product)(is_mine.astype(self.linear.dtype))

    def readings(self, chunk_size: int) -> tuple[Inexact[Array, " readings"], np.ndarray]:
        """What is read off all products, and where among it the reading of every entry is."""
        if chunk_size == self.n_colors:
            place = self.color * np.int64(self.length) + self.place
            reader = IndexMap(place, self.n_colors * self.length)
            return gather_matrix(self.all_products(), reader), np.arange(place.size)
        chunk = self.color // chunk_size
        n_chunks = -(-self.n_colors // chunk_size)
        order = np.argsort(chunk, kind="stable")
        counts = np.bincount(chunk, minlength=n_chunks)
        most = int(counts.max(initial=0))
        rank = np.arange(chunk.size) - np.repeat(np.cumsum(counts) - counts, counts)
        read = np.full((n_chunks, most), ZERO, np.int64)
        within = (self.color - chunk * chunk_size) * np.int64(self.length) + self.place
        read[chunk[order], rank] = within[order]
        readers = [
            functools.partial(gather_matrix, index_map=IndexMap(row, chunk_size * self.length))
            for row in read
        ]

        def step(k: Int[Array, ""]) -> Inexact[Array, " most"]:
            products = self.products(k * chunk_size + jnp.arange(chunk_size))
            return jax.lax.switch(k, readers, products)

        where = np.empty(chunk.size, np.int64)
        where[order] = chunk[order] * np.int64(most) + rank
        return jax.lax.map(step, jnp.arange(n_chunks)).reshape(-1), where


def read_off(
    coloring: Coloring,
    columns: Linear | None,
    rows: Linear | None = None,
    *,
    chunk_size: ChunkSize = "auto",
) -> Values:
    """The values of the matrix A on `coloring.pattern`, in the order of that pattern.

    **Arguments:**

    - `coloring`: of its columns, rows, or both.
    - `columns`: x -> A x; not needed if `coloring` has no colors of columns.
    - `rows`: y -> A^T y (not conjugated); not needed if it has none of rows.
    - `chunk_size`: how many products are held at once; "auto" takes all, or as many as need little memory.

    **Derivative:** whatever that of the products is; linear in them.

    **Cost:** `coloring.num_colors` products: in one batch, or in turns where `columns` or `rows` call what
    has no batching rule, or one that works element by element.
    """
    sides = _sides(coloring, columns, rows)
    if not sides:
        given = columns or rows
        return jnp.zeros(coloring.pattern.nnz, given and given.dtype)
    where = np.empty(coloring.pattern.nnz, np.int64)
    parts: list[Inexact[Array, " readings"]] = []
    offset = 0
    for side in sides:
        readings, place = side.readings(_chunk_size(side, chunk_size))
        where[side.entries] = place + offset
        parts.append(readings)
        offset += readings.size
    readings = parts[0] if len(parts) == 1 else jnp.concatenate(parts)
    return _substituted(coloring, gather(readings, IndexMap(where, offset)))


def _sides(coloring: Coloring, columns: Linear | None, rows: Linear | None) -> list[_Side]:
    m, n = coloring.pattern.shape
    n_columns, n_rows = coloring.num_column_colors, coloring.num_row_colors
    color, place = coloring.color_of_entry, coloring.place_of_entry
    sides = []
    if columns is not None and n_columns:
        mine = np.flatnonzero(color < n_columns)
        seed = coloring.column_seed
        sides.append(_Side(columns, seed, n_columns, m, mine, color[mine], place[mine]))
    if rows is not None and n_rows:
        mine = np.flatnonzero(color >= n_columns)
        seed = coloring.row_seed
        sides.append(_Side(rows, seed, n_rows, n, mine, color[mine] - n_columns, place[mine]))
    return sides


def _chunk_size(side: _Side, chunk_size: ChunkSize) -> int:
    elements = max(1, side.linear.size, side.length)
    if chunk_size != "auto":
        size = chunk_size
    elif side.n_colors * elements <= _AT_ONCE:
        size = side.n_colors
    else:
        size = max(1, _CHUNK // elements, -(-side.n_colors // _CHUNKS))
    n_chunks = -(-side.n_colors // min(size, side.n_colors))
    return -(-side.n_colors // n_chunks)  # chunks of one size, as far as possible


def _substituted(coloring: Coloring, readings: Inexact[Array, " nnz"]) -> Values:
    """The values, if every reading is the sum of one of them and of others that are known before."""
    if coloring.substitution is None:
        return readings
    pattern, order = coloring.substitution.pattern, coloring.substitution.order
    T = SparseMatrix(pattern, jnp.ones(pattern.nnz, readings.dtype))
    return gather(triangular_solve(T, readings, unit_diagonal=True, throw=False), order)
