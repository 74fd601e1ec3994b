"""Triangulations of the plane and subdivisions of a line, on the host."""

import dataclasses
import functools
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Int

from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax.stats.mesh import geometry
from elimax.stats.mesh.arguments import (
    check_size,
    coordinates,
    one_or_two,
    oriented,
    polygon,
)
from elimax.stats.mesh.generation import subdivide, triangulate
from elimax.stats.precision.anisotropic import DirectionalElements
from elimax.stats.precision.barrier import BarrierElements
from elimax.stats.precision.finite_elements import FiniteElements, general

_EXTENSION = 0.3  # of the largest extent of the points: the default width of what is around them


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Mesh:
    """Triangles in the plane, or intervals of a line, and the continuous functions that are linear on each.

    **Arguments:**

    - `points`: the vertices, (n, 2); on a line (n, 1) or (n,).
    - `cells`: three vertices of every triangle, (m, 3), in any orientation, which becomes counterclockwise;
        or the two ends of every interval, (m, 2). Indices start at 0.

    A mesh is immutable, its arrays are NumPy's, and it is compared by identity.

    **Raises:** `TypeError` or `ValueError` naming the vertex or cell at fault: coordinates that are not
    finite, indices out of range, cells without area, cells and vertices that are there twice, edges of more
    than two triangles, vertices of no cell.

    **Source:** piecewise linear bases for Gaussian fields: Lindgren, Rue and Lindström, JRSS-B 73 (2011).
    """

    points: Float[np.ndarray, "n d"]
    cells: Int[np.ndarray, "m d+1"]
    _made: dict[Any, Any] = dataclasses.field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        points, cells = oriented(self.points, self.cells)
        for name, array in (("points", points), ("cells", cells)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    # -- construction

    @classmethod
    def from_points(
        cls,
        points: Float[ArrayLike, "k d"],
        max_edge: float | tuple[float, float],
        cutoff: float = 0.0,
        offset: float | tuple[float, float] | None = None,
        boundary: Float[ArrayLike, "b 2"] | None = None,
    ) -> "Mesh":
        """A mesh around data points: fine where they are, and continued beyond, coarser with the distance.

        A Matern field on a mesh has too large a variance near the boundary, up to about one range from it; so
        the region of interest is surrounded by an extension, in which this dies out.

        **Arguments:**

        - `points`: (k, 2), or (k,) or (k, 1) on a line. They become the first vertices of the mesh.
        - `max_edge`: the longest edge among the data, and that of the extension; one number for both.
            A third of the range at most keeps the error of discretization small.
        - `cutoff`: a point that is closer than this to an earlier one is no vertex. Points that are very
            close to each other otherwise make very small triangles around them. It is at least 1e-7 of the
            largest extent of the points.
        - `offset`: how far the fine region reaches beyond the data (or `boundary`, which defines it),
            and how wide the extension around it is. A single number is the width; zero is none.
            By default the fine region reaches one edge beyond the data, and the extension is 0.3 times
            their largest extent wide; it should be about the range.
        - `boundary`: a closed polygon of the plane, to which edges conform: it, its convex hull if there is
            an extension, is the fine region. Points outside of everything are no vertices.

        **Returns:** the mesh; on a line its knots are sorted. Angles are above 20 degrees but where the
        polygon has acute corners; no edge is longer than `max_edge`.

        **Raises:** `ValueError` or `TypeError` naming the argument; `ValueError` if the mesh would have more
        than ten million vertices.

        **Cost:** a dozen Delaunay triangulations on the host.

        **Source:** Ruppert, J. Algorithms 18 (1995); on extensions: Lindgren and Rue, JSS 63 (2015).
        """
        data = coordinates("points", points)
        if not len(data) and boundary is None:
            raise ValueError("`points` must hold at least one point if there is no `boundary`")
        longest = one_or_two("max_edge", max_edge, lambda x: (x, x), positive=True)
        if data.shape[1] == 1 and boundary is not None:
            raise ValueError("`boundary` is a polygon: it goes with points of the plane")
        shape = None if boundary is None else polygon(boundary)
        around = data if shape is None else np.concatenate([data, shape])
        extent = float(np.ptp(around, axis=0).max()) or longest[0]
        chosen: Any = _EXTENSION * extent if offset is None else offset
        widths = one_or_two("offset", chosen, lambda x: (longest[0], x))
        near = one_or_two("cutoff", cutoff, lambda x: (x, x))[0]
        check_size(data if shape is None else shape, longest, widths, shape is None)
        if data.shape[1] == 1:
            return cls.from_interval(subdivide(data[:, 0], longest, near, widths))
        return cls(*triangulate(data, longest, near, widths, shape))

    @classmethod
    def from_interval(cls, knots: Float[ArrayLike, " n"]) -> "Mesh":
        """The intervals between knots, which are sorted; vertex k is the k-th smallest.

        **Raises:** `ValueError` for fewer than two knots, or two equal ones.
        """
        sorted_knots = np.sort(coordinates("knots", knots, dimensions=(1,))[:, 0])
        if sorted_knots.size < 2:
            raise ValueError(f"`knots` must be at least two, got {sorted_knots.size}")
        index = np.arange(sorted_knots.size)
        return cls(sorted_knots[:, None], np.stack([index[:-1], index[1:]], axis=1))

    def refine(self) -> "Mesh":
        """Every triangle becomes four similar ones, or every interval two; vertices keep their places."""
        return Mesh(*geometry.halve(self.points, self.cells))

    # -- facts

    @property
    def dimension(self) -> int:
        """2 for triangles, 1 for intervals."""
        return self.points.shape[1]

    @property
    def n(self) -> int:
        """The number of vertices: of coefficients of a field."""
        return len(self.points)

    @property
    def triangles(self) -> Int[np.ndarray, "m 3"]:
        """The cells, of a mesh of the plane.

        **Raises:** `ValueError` on a line.
        """
        if self.dimension == 1:
            raise ValueError("a mesh on a line has no triangles; its intervals are `cells`")
        return self.cells

    @functools.cached_property
    def areas(self) -> Float[np.ndarray, " m"]:
        """Of the triangles; the lengths of intervals."""
        if self.dimension == 1:
            return np.diff(self.points[self.cells][:, :, 0], axis=1)[:, 0]
        return geometry.signed_areas(self.points, self.cells)

    @functools.cached_property
    def edges(self) -> Int[np.ndarray, "e 2"]:
        """Pairs of vertices, each once, the smaller one first, sorted."""
        return geometry.cell_edges(self.cells)

    @functools.cached_property
    def edge_lengths(self) -> Float[np.ndarray, " e"]:
        """In the order of `edges`."""
        return np.linalg.norm(np.diff(self.points[self.edges], axis=1)[:, 0], axis=1)

    @functools.cached_property
    def angles(self) -> Float[np.ndarray, "m 3"]:
        """At the corners of triangles, in degrees; small ones make finite elements inaccurate."""
        return geometry.angles(self.points, self.triangles)

    def __repr__(self) -> str:
        lengths = f"edges {self.edge_lengths.min():.3g} to {self.edge_lengths.max():.3g}"
        if self.dimension == 1:
            return f"Mesh({self.n} knots, {len(self.cells)} intervals, {lengths})"
        angle = f"smallest angle {self.angles.min():.1f} degrees"
        return f"Mesh({self.n} vertices, {len(self.cells)} triangles, {lengths}, {angle})"

    # -- what it is for

    def locate(
        self, locations: Float[ArrayLike, "k d"]
    ) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, "k d+1"]]:
        """The cell that holds each location, -1 for none, and its barycentric coordinates there.

        **Cost:** a search in k-d trees: about a second for 100,000 locations.
        """
        x = coordinates("locations", locations, dimensions=(self.dimension,))
        if self.dimension == 2:
            return geometry.locate(self.points, self.cells, x)
        return geometry.locate_on_line(self.points[:, 0], self.cells, x[:, 0])

    def projector(self, locations: Float[ArrayLike, "k d"], outside: str = "error") -> SparseMatrix:
        """A with (A x)_k the value at location k of the field with values x at the vertices.

        Rows hold barycentric coordinates, at most three that are not zero, and sum to one.

        **Arguments:**

        - `locations`: (k, 2), or (k,) or (k, 1) on a line; concrete.
        - `outside`: "error", or "zero" for rows of zeros where the mesh does not reach.

        **Returns:** (k, n), in the default float.

        **Raises:** `ValueError` naming the first location that lies outside, or for coordinates that are
        not finite.
        """
        if outside not in ("error", "zero"):
            raise ValueError(f'`outside` must be "error" or "zero", got {outside!r}')
        cell, weights = self.locate(locations)
        lost = np.flatnonzero(cell < 0)
        if lost.size and outside == "error":
            where = tuple(coordinates("locations", locations)[lost[0]].tolist())
            raise ValueError(
                f"`locations`: {lost.size} of {cell.size} lie outside of the mesh, the first is number "
                f'{lost[0]} at {where}; make the mesh larger, or take outside="zero"'
            )
        row, corner = np.nonzero((weights > 0) & (cell >= 0)[:, None])
        vertices = self.cells[cell[row], corner]
        return general(row, vertices, weights[row, corner], (cell.size, self.n))

    def finite_elements(self) -> FiniteElements:
        """The matrices that Matern precisions are made of; computed once, with scikit-fem.

        **Raises:** `ModuleNotFoundError` without scikit-fem: pip install 'elimax[stats]'.

        **Cost:** about a second for 100,000 vertices.
        """
        return _door("assembly", "stats", "scikit-fem").finite_elements(self)

    def mass_matrix(self) -> SymmetricMatrix:
        """The consistent mass matrix: element (i, j) is the integral of the product of two basis functions.

        **Raises:** as `finite_elements`.
        """
        return _door("assembly", "stats", "scikit-fem").mass_matrix(self)

    def directional_elements(self) -> DirectionalElements:
        """Stiffness by direction, for anisotropic fields.

        **Raises:** as `finite_elements`; `ValueError` on a line.
        """
        return _door("assembly", "stats", "scikit-fem").directional_elements(self)

    def barrier_elements(
        self, barrier: Bool[ArrayLike, " m"] | Int[ArrayLike, " b"] | Sequence[int]
    ) -> BarrierElements:
        """Mass and stiffness of the cells that are a barrier, and of the others.

        **Arguments:**

        - `barrier`: which cells: a mask, or their indices.

        **Raises:** as `finite_elements`; `ValueError` for indices out of range or a mask of another length.
        """
        return _door("assembly", "stats", "scikit-fem").barrier_elements(self, barrier)

    def plot(self, ax: Any = None, **style: Any) -> Any:
        """Draws the mesh with matplotlib, on `ax` or on new axes, which are returned.

        `style` goes to `matplotlib.collections.LineCollection`.

        **Raises:** `ModuleNotFoundError` without matplotlib: pip install 'elimax[plotting]'.
        """
        return _door("plot", "plotting", "matplotlib").draw_mesh(self, ax, **style)

    def plot_field(self, values: Float[ArrayLike, " n"], ax: Any = None, **style: Any) -> Any:
        """Draws the field with these values at the vertices, in colors; a line in one dimension.

        `style` goes to matplotlib's `tripcolor` (or `plot`); the axes are returned, `ax.collections[-1]`
        is what a color bar describes.

        **Raises:** `ValueError` if there is not one value for every vertex; as `plot`.
        """
        return _door("plot", "plotting", "matplotlib").draw_field(self, values, ax, **style)


def _door(module: str, extra: str, package: str) -> Any:
    """A module that needs an extra, imported when it is asked for."""
    try:
        return importlib.import_module(f"elimax.stats.mesh.{module}")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"this needs {package}: pip install 'elimax[{extra}]'", name=error.name
        ) from error
