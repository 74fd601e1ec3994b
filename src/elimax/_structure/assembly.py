"""Patterns put together from patterns: Kronecker products and blocks."""

import numpy as np

from elimax._structure.index_map import IndexMap
from elimax._structure.pattern import Pattern
from elimax._structure.structure import cached

Blocks = tuple[tuple[Pattern | None, ...], ...]


@cached(64)
def kron(A: Pattern, B: Pattern) -> tuple[Pattern, IndexMap, IndexMap]:
    """The pattern of the Kronecker product of two general patterns.

    Its values are the products of what the two maps gather from the values of A and of B.
    """
    (m, n), (height, width) = A.shape, B.shape
    rows = A.rows[:, None] * np.int64(height) + B.rows
    cols = A.columns[:, None] * np.int64(width) + B.columns
    pattern, position = Pattern.from_coo_with_map(
        rows.ravel(), cols.ravel(), (m * height, n * width)
    )
    entry_a, entry_b = np.divmod(np.argsort(position.indices), max(1, B.nnz))
    return pattern, IndexMap(entry_a, A.nnz), IndexMap(entry_b, B.nnz)


@cached(64)
def block(blocks: Blocks) -> tuple[Pattern, IndexMap]:
    """The pattern of a matrix of blocks; None is a block of zeros.

    Its values are what the map scatters from the values of all blocks, concatenated row by row of
    blocks.

    **Raises:** `ValueError` if the rows of `blocks` differ in length, naming the block whose shape does
    not fit its row or column of blocks, or a row or column that has no block.
    """
    if not blocks or any(len(line) != len(blocks[0]) for line in blocks):
        raise ValueError("block: every row of `blocks` must have the same number of blocks")
    present = [
        (r, c, P) for r, line in enumerate(blocks) for c, P in enumerate(line) if P is not None
    ]
    heights = _sizes(len(blocks), "row", [(r, (r, c), P.shape[0]) for r, c, P in present])
    widths = _sizes(len(blocks[0]), "column", [(c, (r, c), P.shape[1]) for r, c, P in present])
    top, left = np.cumsum(heights) - heights, np.cumsum(widths) - widths
    rows = np.concatenate([P.rows + top[r] for r, _, P in present])
    cols = np.concatenate([P.columns + left[c] for _, c, P in present])
    return Pattern.from_coo_with_map(rows, cols, (int(heights.sum()), int(widths.sum())))


def _sizes(count: int, line: str, found: list[tuple[int, tuple[int, int], int]]) -> np.ndarray:
    """The common size of every row (or column) of blocks."""
    sizes = np.full(count, -1, np.int64)
    for k, where, size in found:
        if sizes[k] not in (-1, size):
            raise ValueError(
                f"block: block {where} does not fit: {line} {k} of the blocks has size {sizes[k]}, not {size}"
            )
        sizes[k] = size
    if (sizes < 0).any():
        raise ValueError(
            f"block: {line} {np.argmin(sizes)} of the blocks holds None only, so its size is unknown; put a "
            "matrix without entries there"
        )
    return sizes


@cached(64)
def block_diagonal(patterns: tuple[Pattern, ...]) -> tuple[Pattern, IndexMap]:
    """The pattern with the given ones along its diagonal; symmetric if all of them are.

    Its values are what the map scatters from the values of all patterns, concatenated.
    """
    shapes = np.array([P.shape for P in patterns], np.int64).reshape(-1, 2)
    starts = np.cumsum(shapes, axis=0) - shapes
    empty = np.empty(0, np.int64)
    rows = [P.rows + top for P, top in zip(patterns, starts[:, 0], strict=True)]
    cols = [P.columns + left for P, left in zip(patterns, starts[:, 1], strict=True)]
    m, n = shapes.sum(axis=0)
    symmetric = all(P.symmetric for P in patterns)
    return Pattern.from_coo_with_map(
        np.concatenate([empty, *rows]), np.concatenate([empty, *cols]), (int(m), int(n)), symmetric
    )
