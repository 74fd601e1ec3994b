"""Meshes: what they are made from, how good their triangles are, where points lie in them."""

import subprocess
import sys
import time

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
import scipy.spatial

import elimax as ex
from elimax.stats import Mesh

matplotlib.use("Agg")
SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
HALVES = np.array([[0, 1, 2], [0, 3, 2]])  # the second one clockwise


@pytest.fixture
def square() -> Mesh:
    return Mesh(SQUARE, HALVES)


def total_area(mesh: Mesh) -> float:
    return float(mesh.areas.sum())


def table(path) -> np.ndarray:
    return np.loadtxt(path, delimiter=",", skiprows=1, dtype=str)


def numbers(path, *columns: str) -> np.ndarray:
    """Columns of a comma-separated table with quoted names."""
    names = [name.strip('"') for name in path.read_text().split("\n", 1)[0].split(",")]
    chosen = [names.index(name) for name in columns] if columns else range(len(names))
    return np.char.strip(table(path), '"')[:, list(chosen)].astype(float)


# -- a mesh of given triangles


def test_triangles_are_turned_counterclockwise(square):
    np.testing.assert_allclose(square.areas, [0.5, 0.5])
    assert square.dimension == 2
    np.testing.assert_array_equal(square.edges, [[0, 1], [0, 2], [0, 3], [1, 2], [2, 3]])
    np.testing.assert_allclose(square.edge_lengths, [1, np.sqrt(2), 1, 1, 1])
    np.testing.assert_allclose(np.sort(square.angles), [[45, 45, 90]] * 2)
    assert repr(square) == (
        "Mesh(4 vertices, 2 triangles, edges 1 to 1.41, smallest angle 45.0 degrees)"
    )


def test_a_mesh_is_immutable_and_keeps_its_own_arrays(square):
    with pytest.raises(ValueError, match="read-only"):
        square.points[0] = 7
    with pytest.raises(AttributeError):
        square.points = SQUARE
    points = SQUARE.copy()
    mesh = Mesh(points, HALVES)
    points[0] = 5
    assert mesh.points[0, 0] == 0


@pytest.mark.parametrize(
    ("points", "cells", "message"),
    [
        (SQUARE, [[0, 1, 2]], "1 belong to no cell, the first is number 3"),
        (SQUARE, [[1, 2, 3], [1, 3, 4]], r"number 1 is \[1, 3, 4\], .*indices start at 0"),
        (SQUARE, [[0, 1, 2], [0, 2, -1]], "outside of 0 .. 3"),
        (SQUARE, [[0, 1, 2], [0, 2, 3], [2, 0, 1]], "numbers 0 and 2 have the same vertices"),
        (SQUARE, [[0, 1, 2], [0, 2, 3], [0, 2, 2]], "number 2, .*has no area"),
        (SQUARE * [1, 0], HALVES, "the same"),
        (SQUARE[[0, 1, 2, 0]], HALVES, "numbers 0 and 3 are the same"),
        (
            [[0, 0], [1, 0], [0, 1], [1, 1], [2, 2.0]],
            [[1, 2, 0], [1, 2, 3], [1, 2, 4]],
            "3 of them meet",
        ),
        (SQUARE * np.nan, HALVES, "number 0 is .* not finite"),
        (SQUARE, np.zeros((0, 3), int), "must be triangles"),
        (SQUARE, HALVES[:, :2], "must be triangles"),
        (np.zeros((4, 3)), HALVES, "must have shape"),
        ([0.0, 1.0, 2.0], [[0, 2], [1, 2]], "overlap"),
    ],
)
def test_meshes_that_are_none(points, cells, message):
    with pytest.raises(ValueError, match=message):
        Mesh(points, cells)


def test_types_of_what_is_no_mesh():
    with pytest.raises(TypeError, match="`cells` must be integers"):
        Mesh(SQUARE, HALVES + 0.5)
    with pytest.raises(TypeError, match="`points` must be real numbers"):
        Mesh(SQUARE.astype(str), HALVES)


def test_refinement_keeps_area_and_angles(square):
    finer = square.refine().refine()
    assert len(finer.cells) == 32 and finer.n == 25
    np.testing.assert_allclose(finer.areas, 1 / 32)
    np.testing.assert_allclose(np.sort(finer.angles), [[45, 45, 90]] * 32)
    np.testing.assert_array_equal(finer.points[:4], SQUARE)
    line = Mesh.from_interval([0.0, 3.0, 1.0]).refine()
    np.testing.assert_allclose(np.sort(line.points[:, 0]), [0, 0.5, 1, 2, 3])
    assert total_area(line) == 3


# -- meshes around data


@pytest.mark.parametrize("cutoff", [0.0, 0.03])
@pytest.mark.parametrize("scale", [1.0, 1e-2])
def test_mesh_around_points(rng, cutoff, scale):
    points = scale * rng.uniform(size=(200, 2))
    mesh = Mesh.from_points(points, max_edge=(0.06, 0.2), cutoff=cutoff, offset=(0.1, 0.6))
    assert mesh.angles.min() > 20
    assert mesh.edge_lengths.max() < 0.2
    reach = np.abs(mesh.points[mesh.edges].mean(axis=1) - points.mean(axis=0)).max(axis=1)
    assert mesh.edge_lengths[reach < 0.4 * scale + 0.05].max() <= 0.06
    # the region reaches 0.7 beyond the data, in every direction
    turn = np.linspace(0, 2 * np.pi, 50)
    rim = points[0] + 0.69 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    assert (mesh.locate(rim)[0] >= 0).all()
    # data are vertices, but for those closer to another than the cutoff
    distance = np.linalg.norm(points[:, None] - mesh.points[None], axis=2).min(axis=1)
    assert distance.max() <= cutoff
    kept = int((distance == 0).sum())
    assert kept == 200 if cutoff == 0 else kept < 200
    np.testing.assert_array_equal(np.sort(mesh.points[:kept], 0), np.sort(points[distance == 0], 0))
    between = np.linalg.norm(mesh.points[:kept, None] - mesh.points[None, :kept], axis=2)
    assert (between + np.eye(kept) * 9).min() > cutoff
    # the convex region is covered once
    assert total_area(mesh) == pytest.approx(_hull_area(mesh.points), rel=1e-6)


def _hull_area(points: np.ndarray) -> float:
    return float(scipy.spatial.ConvexHull(points).volume)


def test_clusters_are_graded(rng):
    """Points that are close to each other make small triangles around them, but no thin ones."""
    close = np.concatenate([rng.normal(scale=1e-4, size=(10, 2)), rng.normal(size=(10, 2))])
    mesh = Mesh.from_points(close, max_edge=(0.5, 2.0), offset=(1.0, 3.0))
    assert mesh.angles.min() > 20
    assert mesh.n < 3000
    assert mesh.edge_lengths.min() < 1e-3 < 0.2 < mesh.edge_lengths.max()


@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6, 1e-8, 1e-12])
def test_two_points_that_are_close(gap):
    """Both are vertices if they can be told apart, one if not; the region has no hole between them."""
    mesh = Mesh.from_points([[0, 0], [gap, 0], [1, 1]], max_edge=(0.3, 0.6))
    assert mesh.angles.min() > 20
    assert (mesh.points[1].tolist() == [gap, 0]) == (gap > 1e-7)
    boundary = 2 * len(mesh.edges) - 3 * len(mesh.cells)  # edges of one triangle
    assert mesh.n - len(mesh.edges) + len(mesh.cells) == 1  # Euler: a disk
    assert 0 < boundary < 60


def test_lattices_of_data_without_an_extension():
    """Points on the sides of their hull, and four on every circle."""
    x, y = np.meshgrid(np.arange(8.0), np.arange(6.0))
    mesh = Mesh.from_points(np.stack([x.ravel(), y.ravel()], axis=1), 0.5, offset=(0, 0))
    assert mesh.angles.min() > 20 and total_area(mesh) == pytest.approx(35)


def test_same_points_make_the_same_mesh(rng):
    points = rng.uniform(size=(50, 2))
    first, second = (Mesh.from_points(points, (0.1, 0.3)) for _ in range(2))
    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.cells, second.cells)


def test_coordinates_far_from_zero(rng):
    """As those of maps in meters: the mesh is that of the same points at the origin."""
    points, corner = rng.uniform(size=(60, 2)) * 128, np.array([2.0**22, 2.0**23])
    near = Mesh.from_points(points, (16.0, 32.0), offset=(16.0, 64.0))
    far = Mesh.from_points(points + corner, (16.0, 32.0), offset=(16.0, 64.0))
    assert far.angles.min() > 20 and near.n == far.n
    distance = np.abs(far.points[:60] - corner - points).max()
    assert distance < 1e-8
    np.testing.assert_allclose(far.areas.sum(), near.areas.sum(), rtol=1e-9)
    A = far.projector(points + corner)
    np.testing.assert_allclose(A @ (far.points - corner), points, atol=1e-6)


@pytest.mark.parametrize("points", [[[0.3, 0.4]], [[0.0, 0.0], [1.0, 1.0]], [[0.0, 0.0]] * 5])
def test_few_points_have_a_mesh(points):
    mesh = Mesh.from_points(points, max_edge=0.2, offset=(0.3, 0.5))
    assert mesh.angles.min() > 20
    assert (mesh.locate(points)[0] >= 0).all()


def test_a_boundary_is_made_of_edges(rng):
    boundary = np.array([[0, 0], [2, 0], [2, 2], [1, 0.6], [0, 2.0]])
    points = rng.uniform(0, 2, size=(60, 2))
    alone = Mesh.from_points(points, max_edge=0.15, offset=0, boundary=boundary)
    assert total_area(alone) == pytest.approx(2 + 0.6, rel=1e-9)
    assert alone.angles.min() > 20
    assert alone.locate([[1.0, 1.5]])[0] == -1
    around = Mesh.from_points(points, max_edge=(0.15, 0.4), offset=1.0, boundary=boundary)
    assert around.angles.min() > 20
    assert around.locate([[1.0, 1.5], [-0.9, 1.0]])[0].min() >= 0
    corners = around.points[around.cells]
    center = corners.mean(axis=1)
    inside = alone.locate(center)[0] >= 0
    assert around.areas[inside].sum() == pytest.approx(2.6, rel=1e-9)


def test_data_at_the_edge_of_the_region(rng):
    """Without any offset the hull of the data is the region, and data lie on its boundary and close to it."""
    points = rng.uniform(size=(100, 2))
    mesh = Mesh.from_points(points, max_edge=0.1, offset=(0, 0))
    assert total_area(mesh) == pytest.approx(_hull_area(points), rel=1e-6)
    assert np.quantile(mesh.angles.min(axis=1), 0.01) > 20
    assert (mesh.locate(points)[0] >= 0).all()


def test_lines():
    mesh = Mesh.from_points([3.0, 1.0, 1.05], max_edge=(0.2, 1.0), cutoff=0.1, offset=(0.5, 2.0))
    knots = mesh.points[:, 0]
    assert mesh.dimension == 1 and knots[0] == -1.5 and knots[-1] == 5.5
    assert (np.diff(knots) > 0).all()
    assert {1.0, 3.0} <= set(knots) and 1.05 not in knots
    assert np.diff(knots[(knots >= 0.5) & (knots <= 3.5)]).max() <= 0.2 + 1e-12
    assert np.diff(knots).max() <= 1.0
    assert repr(Mesh.from_interval([0, 2, 1])) == "Mesh(3 knots, 2 intervals, edges 1 to 1)"
    with pytest.raises(ValueError, match="no triangles"):
        mesh.triangles  # noqa: B018


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_edge": 0}, "`max_edge` must be positive"),
        ({"max_edge": (0.1, 0.2, 0.3)}, "`max_edge` must be one length or two"),
        ({"max_edge": (0.2, 0.1)}, "inner <= outer"),
        ({"max_edge": 1e-6}, "more than 10000000"),
        ({"max_edge": 0.1, "cutoff": -1}, "`cutoff`"),
        ({"max_edge": 0.1, "offset": np.nan}, "`offset`"),
        ({"max_edge": 0.1, "boundary": SQUARE[:2]}, "at least three corners"),
        ({"max_edge": 0.1, "boundary": np.outer(np.arange(4), [1, 2])}, "with an area"),
        (
            {
                "max_edge": 0.1,
                "boundary": SQUARE[[0, 2, 1, 3]] + [[0, 0], [0, 0.5], [0, 0], [0, 0]],
            },
            "cross",
        ),
        ({"max_edge": 0.1, "points": [[0, 0], [1, 1]], "offset": (0, 1)}, "on a line"),
        ({"max_edge": 0.1, "points": [[0, 0], [1, np.inf]]}, "number 1 is .*not finite"),
        ({"max_edge": 0.1, "points": []}, "at least one point"),
        ({"max_edge": 0.1, "points": [0.0, 1.0], "boundary": SQUARE}, "points of the plane"),
        ({"max_edge": 0.1, "points": [1.0], "offset": (0, 0)}, "`offset` must be positive"),
    ],
)
def test_what_makes_no_mesh(arguments, message):
    with pytest.raises(ValueError, match=message):
        Mesh.from_points(**({"points": SQUARE} | arguments))


def test_no_interval():
    with pytest.raises(ValueError, match="at least two"):
        Mesh.from_interval([1.0])
    with pytest.raises(ValueError, match="the same"):
        Mesh.from_interval([1.0, 2.0, 1.0])


# -- projectors


def test_projector_interpolates(rng):
    """Exact for linear functions; rows sum to one; at a vertex it picks the vertex."""
    mesh = Mesh.from_points(rng.uniform(size=(30, 2)), (0.1, 0.5))
    x = rng.uniform(size=(500, 2))
    A = mesh.projector(x)
    assert isinstance(A, ex.SparseMatrix) and A.shape == (500, mesh.n)
    np.testing.assert_allclose(A.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(A @ mesh.points, x, atol=1e-13)
    assert A.values.min() > 0
    at = mesh.projector(mesh.points).to_scipy()
    assert abs(at - sp.eye_array(mesh.n)).max() < 1e-9


def test_projector_on_a_line():
    mesh = Mesh([2.0, 0.0, 1.0, 5.0, 4.0], [[1, 2], [0, 2], [3, 4]])  # with a gap
    A = mesh.projector([0.0, 0.25, 2.0, 4.75, 5.0]).todense()
    expected = [[0, 1, 0, 0, 0], [0, 0.75, 0.25, 0, 0], [1, 0, 0, 0, 0]]
    np.testing.assert_allclose(A, [*expected, [0, 0, 0, 0.75, 0.25], [0, 0, 0, 1, 0]], atol=1e-15)
    assert mesh.locate([3.0, -1.0, 6.0])[0].tolist() == [-1, -1, -1]


def test_locations_outside(square):
    x = [[0.5, 0.5], [2.0, 0.5], [0.5, -1e-3]]
    with pytest.raises(ValueError, match=r"2 of 3 .* number 1 at \(2.0, 0.5\)"):
        square.projector(x)
    A = square.projector(x, outside="zero")
    np.testing.assert_allclose(A.sum(axis=1), [1, 0, 0])
    with pytest.raises(ValueError, match="`outside`"):
        square.projector(x, outside="nan")
    with pytest.raises(ValueError, match="not finite"):
        square.projector([[np.nan, 0.0]])
    with pytest.raises(ValueError, match="shape"):
        square.projector([1.0, 2.0, 3.0])
    assert square.projector(np.zeros((0, 2))).shape == (0, 4)


def test_location_in_meshes_of_any_kind(rng):
    """Not Delaunay, with slivers, a hole and sizes that differ by 1e6: as by looking at every triangle."""
    outer = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    rings = [outer * s for s in (1.0, 0.9, 1e-2, 1e-6)]
    cells = []
    for k in range(3):
        for i in range(4):
            j = (i + 1) % 4
            a, b, c, d = 4 * k + i, 4 * k + j, 4 * k + 4 + i, 4 * k + 4 + j
            cells += [[a, b, c], [b, d, c]]
    mesh = Mesh(np.concatenate(rings), cells)
    x = np.concatenate([rng.uniform(-1.1, 1.1, (300, 2)) * s for s in (1, 0.1, 1e-2, 1e-5, 1e-6)])
    found, weights = mesh.locate(x)
    corner = mesh.points[mesh.cells]
    T = np.stack([corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]], axis=2)
    st = np.einsum("mij,kmj->kmi", np.linalg.inv(T), x[:, None] - corner[None, :, 0])
    depth = np.minimum(st.min(axis=2), 1 - st.sum(axis=2))
    np.testing.assert_array_equal(found >= 0, depth.max(axis=1) >= 0)
    inside = found >= 0
    np.testing.assert_array_equal(found[inside], depth[inside].argmax(axis=1))
    rebuilt = np.einsum("kc,kcd->kd", weights[inside], corner[found[inside]])
    np.testing.assert_allclose(rebuilt, x[inside], atol=1e-14)


CASES = [
    ("meuse", "meuse", ("x", "y"), 1000.0),
    ("spdetoy", "spdetoy", ("s1", "s2"), 1.0),
    ("parana", "parana_precip_january_mean", ("lon", "lat"), 1.0),
    ("pcod", "pcod", ("X", "Y"), 1.0),
]


@pytest.mark.parametrize(("name", "data", "columns", "unit"), CASES)
def test_projectors_of_fmesher(shared, name, data, columns, unit):
    folder = shared / "data" / "csv"
    vertices = numbers(folder / f"{name}_mesh_vertices.csv")
    triangles = numbers(folder / f"{name}_mesh_triangles.csv").astype(int) - 1
    locations = numbers(folder / f"{data}.csv", *columns) / unit
    expected = sp.csc_array(scipy.io.mmread(folder / f"{name}_spde_A.mtx"))
    A = Mesh(vertices, triangles).projector(locations).to_scipy()
    assert abs(A - expected).max() < 1e-10


# -- pictures, extras, speed


def test_pictures(square):
    ax = square.plot(color="C1")
    assert len(ax.collections[0].get_segments()) == 5
    ax = square.plot_field([0.0, 1.0, 2.0, 3.0], ax=ax, cmap="magma")
    np.testing.assert_allclose(ax.collections[-1].get_array(), [0, 1, 2, 3])
    line = Mesh.from_interval([0.0, 1.0, 3.0])
    np.testing.assert_allclose(line.plot_field([4, 5, 6]).lines[0].get_xydata()[:, 0], [0, 1, 3])
    assert line.plot() is not None
    with pytest.raises(ValueError, match=r"`values` must have shape \(4,\)"):
        square.plot_field([1.0])
    plt.close("all")


def test_extras_are_imported_where_they_are_needed():
    program = """
import sys
sys.modules.update(skfem=None, matplotlib=None)
from elimax.stats import Mesh
mesh = Mesh.from_points([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], 0.3)
mesh.projector([[0.2, 0.2]])
for method in (mesh.finite_elements, mesh.plot):
    try:
        method()
    except ModuleNotFoundError as error:
        print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "elimax[stats]" in run.stdout and "elimax[plotting]" in run.stdout


@pytest.mark.slow
def test_a_large_mesh(rng):
    start = time.process_time()
    mesh = Mesh.from_points(rng.uniform(size=(1000, 2)), (0.0047, 0.1), offset=(0.03, 0.3))
    assert mesh.n > 90_000 and mesh.angles.min() > 20
    middle = time.process_time()
    assert middle - start < 30  # 4 to 8 s on a busy machine
    assert mesh.finite_elements().n == mesh.n
    assert time.process_time() - middle < 5  # 0.4 to 0.9 s
