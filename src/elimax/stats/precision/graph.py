"""Graphs, as symmetric SciPy matrices of weights: from edges, from R-INLA's files; connected components."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from scipy.sparse.csgraph import connected_components


def adjacency(
    edges: Int[np.ndarray, "m 2"], n: int, weights: Float[np.ndarray, " m"] | None = None
) -> sp.csr_array:
    """The graph on 0, ..., n - 1 with these edges, given once or twice, in any direction.

    **Raises:** `ValueError` naming an edge that leaves the graph or joins a vertex with itself, or for
    weights that are not positive; of an edge that is given twice, the larger one counts.
    """
    edges = np.asarray(edges)
    if edges.size == 0:
        edges = np.zeros((0, 2), np.int64)
    if edges.ndim != 2 or edges.shape[1] != 2 or not np.issubdtype(edges.dtype, np.integer):
        raise ValueError(
            f"`edges` must be integers of shape (m, 2), got {edges.dtype} {edges.shape}"
        )
    wrong = np.flatnonzero((edges < 0).any(1) | (edges >= n).any(1) | (edges[:, 0] == edges[:, 1]))
    if wrong.size:
        raise ValueError(
            f"`edges`: edge {wrong[0]}, {edges[wrong[0]].tolist()}, does not join two of the vertices "
            f"0 .. {n - 1}"
        )
    w = np.ones(len(edges)) if weights is None else np.asarray(weights, np.float64).reshape(-1)
    if w.shape != (len(edges),) or not (w > 0).all():
        raise ValueError(f"`weights` must be {len(edges)} positive numbers, one for each edge")
    i, j = edges.T
    key, position = np.unique(
        np.maximum(i, j) * np.int64(n) + np.minimum(i, j), return_inverse=True
    )
    merged = np.zeros(key.size)
    np.maximum.at(merged, position, w)
    lower = sp.coo_array((merged, (key // n, key % n)), (n, n))
    return sp.csr_array(lower + lower.T)


def read_graph(path: str | os.PathLike[str]) -> sp.csr_array:
    """The graph in a file of R-INLA: n, then for every vertex its name, the number of its neighbors, and
    they.

    Vertices are 1, ..., n or 0, ..., n - 1; what follows a # is a comment.

    **Raises:** `ValueError` saying what is wrong with the file.
    """
    text = [line.partition("#")[0] for line in Path(path).read_text().splitlines()]
    try:
        numbers = [int(word) for line in text for word in line.split()]
    except ValueError as error:
        raise ValueError(f"{path}: a graph file holds integers only: {error}") from None
    if not numbers:
        raise ValueError(f"{path}: the file is empty")
    n, position = numbers[0], 1
    names: list[int] = []
    edges: list[tuple[int, int]] = []
    for _ in range(n):
        if position + 2 > len(numbers) or position + 2 + numbers[position + 1] > len(numbers):
            raise ValueError(f"{path}: the file ends within vertex {len(names) + 1} of {n}")
        name, size = numbers[position : position + 2]
        names.append(name)
        edges += [(name, other) for other in numbers[position + 2 : position + 2 + size]]
        position += 2 + size
    if position != len(numbers):
        raise ValueError(f"{path}: {len(numbers) - position} numbers follow after vertex {n}")
    first = 0 if 0 in names else 1
    if sorted(names) != list(range(first, n + first)):
        raise ValueError(f"{path}: vertices must be {first} .. {n - 1 + first}, each once")
    return adjacency(np.array(edges, np.int64).reshape(-1, 2) - first, n)


def as_graph(graph: Any) -> sp.csr_array:
    """A graph as a symmetric matrix of positive weights without diagonal.

    **Arguments:**

    - `graph`: a square SciPy matrix or array; `adjacency` and `read_graph` make one.

    **Raises:** `TypeError`, or `ValueError` for what is not symmetric, not positive, or has a diagonal.
    """
    if not (sp.issparse(graph) or isinstance(graph, np.ndarray)) or graph.ndim != 2:
        raise TypeError(
            f"`graph` must be a square SciPy matrix or an array of weights, got {type(graph).__name__}; "
            "precision.adjacency(edges, n) and precision.read_graph(path) make one"
        )
    W = sp.csr_array(graph, dtype=np.float64)
    W.sum_duplicates()
    W.eliminate_zeros()
    if W.shape[0] != W.shape[1]:
        raise ValueError(f"`graph` must be square, got shape {W.shape}")
    if W.diagonal().any() or (W.data < 0).any() or not np.isfinite(W.data).all():
        raise ValueError("`graph` must have finite, positive weights, and none on its diagonal")
    if abs(W - W.T).max() > 1e-12 * max(1.0, abs(W).max() if W.nnz else 0.0):
        raise ValueError("`graph` must be symmetric")
    return W


def laplacian(W: sp.csr_array) -> sp.csr_array:
    """diag(W 1) - W."""
    return sp.csr_array(sp.diags_array(W.sum(axis=1)) - W)


def component_labels(W: sp.csr_array) -> Int[np.ndarray, " n"]:
    """The number of its connected component for every vertex; -1 for a vertex without neighbors."""
    _, labels = connected_components(W, directed=False)
    return np.where(np.bincount(labels)[labels] > 1, labels, -1)
