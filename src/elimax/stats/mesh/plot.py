"""Pictures of meshes and of fields on them; they need matplotlib, which the extra `plotting` installs."""

from typing import Any

import matplotlib.collections
import matplotlib.pyplot as plt
import matplotlib.tri
import numpy as np

from elimax.stats.mesh.mesh import Mesh


def draw_mesh(mesh: Mesh, ax: Any = None, **style: Any) -> Any:
    """As `Mesh.plot`."""
    ax = _axes(mesh, ax)
    ends = mesh.points[mesh.edges]
    if mesh.dimension == 1:
        ends = np.concatenate([ends, np.zeros_like(ends)], axis=2)
        ax.plot(mesh.points[:, 0], np.zeros(mesh.n), "|", color=style.get("color", "0.4"))
    drawn: dict[str, Any] = {"color": "0.4", "linewidth": 0.4} | style
    ax.add_collection(matplotlib.collections.LineCollection(ends, **drawn))
    ax.autoscale_view()
    return ax


def draw_field(mesh: Mesh, values: Any, ax: Any = None, **style: Any) -> Any:
    """As `Mesh.plot_field`."""
    field = np.asarray(values)
    if field.shape != (mesh.n,):
        raise ValueError(
            f"`values` must have shape ({mesh.n},), one for every vertex, got {field.shape}"
        )
    ax = _axes(mesh, ax)
    if mesh.dimension == 1:
        order = np.argsort(mesh.points[:, 0])
        ax.plot(mesh.points[order, 0], field[order], **style)
        return ax
    x, y = mesh.points.T
    triangulation = matplotlib.tri.Triangulation(x, y, mesh.triangles)
    ax.tripcolor(triangulation, field, **({"shading": "gouraud"} | style))
    ax.autoscale_view()
    return ax


def _axes(mesh: Mesh, ax: Any) -> Any:
    if ax is None:
        size = (6, 5) if mesh.dimension == 2 else (6, 3)
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    if mesh.dimension == 2:
        ax.set_aspect("equal")
    return ax
