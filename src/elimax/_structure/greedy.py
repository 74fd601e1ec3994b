"""Greedy colorings: the vertices in some order, each with the smallest color that is allowed."""

import numpy as np

from elimax._structure import _native_coloring as native
from elimax._structure.colorable import Colorable
from elimax._structure.coloring import Coloring, read_off
from elimax._structure.index_map import LARGEST

ORDERS = (
    "natural",
    "largest_first",
    "smallest_last",
    "incidence_degree",
    "dynamic_largest_first",
    "random",
)
_NATIVE = {"column": "columns", "row": "columns", "bidirectional": "star"}


def greedy(graph: Colorable, order: str | np.ndarray) -> Coloring:
    """The coloring that takes the vertices in this order, each with the smallest color that is allowed."""
    coloring = attempt(graph, order, LARGEST)
    assert coloring is not None
    return coloring


def attempt(graph: Colorable, order: str | np.ndarray, most: int) -> Coloring | None:
    """The same, or None if the vertices take more than `most` colors."""
    n = graph.size
    if isinstance(order, np.ndarray):
        sequence = order
    elif order == "natural":
        sequence = np.arange(n, dtype=np.int32)
    elif order == "random":
        sequence = np.random.default_rng(0).permutation(n).astype(np.int32)
    else:
        of_columns = graph.kind in ("column", "row")
        sequence = native.vertex_order(graph.vertices, order, of_columns)
    left = graph.pattern.shape[1] if graph.kind == "bidirectional" else -1
    kind = _NATIVE.get(graph.kind, graph.kind)
    colors = native.color(graph.vertices, kind, sequence, left, most)
    return None if colors is None else read_off(graph, colors)
