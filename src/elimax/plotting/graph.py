"""Pictures of computational graphs."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from elimax._jacobian.elimination.graph import ComputationalGraph


def draw_graph(graph: ComputationalGraph, ax: Axes | None = None) -> Axes:
    """Draws what `ex.computational_graph` returns: inputs on the left, outputs on the right.

    Only what lies between them is drawn; a vertex is as far to the right as the longest path to it.

    **Arguments:**

    - `graph`: of at most a few hundred equations, to be readable.
    - `ax`: the axes to draw on; those of a new figure by default.

    **Returns:** the axes.
    """
    ends = [edge.ends for edge in graph.edges]
    depth = dict.fromkeys(graph.inputs, 0)
    for u, w in ends:  # in the order of the program
        depth[w] = max(depth.get(w, 0), depth[u] + 1)
    columns: dict[int, list[int]] = {}
    for v, d in depth.items():
        columns.setdefault(d, []).append(v)
    place = {
        v: (float(d), k - (len(column) - 1) / 2)
        for d, column in columns.items()
        for k, v in enumerate(column)
    }
    if ax is None:
        tallest = max(map(len, columns.values()), default=1)
        size = (2 + 0.6 * len(columns), 1.5 + 0.4 * tallest)
        _, ax = plt.subplots(figsize=size, layout="constrained")
    for u, w in ends:
        arrow = {"arrowstyle": "-|>", "color": "0.6", "shrinkA": 8, "shrinkB": 8, "linewidth": 0.8}
        ax.annotate("", place[w], place[u], arrowprops=arrow)
    for v, (x, y) in place.items():
        color = "C2" if v in graph.inputs else "C1" if v in graph.outputs else "C0"
        box = {"boxstyle": "round", "facecolor": "white", "edgecolor": color}
        ax.text(x, y, _name(graph, v), ha="center", va="center", fontsize=7, bbox=box)
    heights = [y for _, y in place.values()] or [0.0]
    ax.set_xlim(-0.6, max((d for d, _ in place.values()), default=0.0) + 0.6)
    ax.set_ylim(min(heights) - 0.6, max(heights) + 0.6)
    ax.set_axis_off()
    return ax


def _name(graph: ComputationalGraph, variable: int) -> str:
    label = graph.label(variable)
    vertex = graph.producer.get(variable)
    return label if vertex is None else f"{label} {vertex.call.name}"
