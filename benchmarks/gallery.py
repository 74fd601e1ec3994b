"""The matrices of the benchmark: symmetric positive definite, float64, the same on every machine.

Two- and three-dimensional grid Laplacians, the precision of a Matern field on a triangulated square
and of a space-time field, a random geometric graph, crossed random effects, a band and a tridiagonal.
They span the range that a sparse solver must serve: supernodes of one column and of thousands.

A matrix travels to the peers as a file, lower triangle by columns, rows sorted within a column:

    int64 n, int64 nnz, int64 ptr[n + 1], int32 rows[nnz], float64 values[nnz]
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree


def laplacian(nodes: int) -> sp.csc_matrix:
    """Second differences on a path of `nodes` nodes, zero beyond its ends."""
    return sp.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(nodes, nodes), format="csc")


def grid2d(side: int) -> sp.csc_matrix:
    """5-point Laplacian of a square grid, plus the identity."""
    return sp.csc_matrix(sp.kronsum(laplacian(side), laplacian(side)) + sp.identity(side**2))


def grid3d(side: int) -> sp.csc_matrix:
    """7-point Laplacian of a cubic grid, plus the identity."""
    plane = sp.kronsum(laplacian(side), laplacian(side))
    return sp.csc_matrix(sp.kronsum(plane, laplacian(side)) + sp.identity(side**3))


def matern(side: int, correlation_range: float = 0.2, seed: int = 0) -> sp.csc_matrix:
    """Precision of a Matern field with alpha = 2 on a mesh of side x side nodes over the unit square.

    Q = (kappa^4 C + 2 kappa^2 G + G C^-1 G) / (4 pi kappa^2), with linear elements, lumped mass matrix C,
    stiffness matrix G and kappa = sqrt(8) / range (Lindgren, Rue, Lindstroem 2011). Inner nodes are
    moved by up to a fifth of the spacing: on a regular grid the diagonal edges of G would vanish.
    """
    random = np.random.default_rng(seed)
    spacing = 1.0 / (side - 1)
    nodes = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1) * spacing
    nodes[1:-1, 1:-1] += random.uniform(-0.2, 0.2, (side - 2, side - 2, 2)) * spacing
    nodes = nodes.reshape(-1, 2)

    number = np.arange(side**2).reshape(side, side)
    corners = [number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]]
    a, b, c, d = (corner.ravel() for corner in corners)
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    opposite = nodes[triangles[:, [2, 0, 1]]] - nodes[triangles[:, [1, 2, 0]]]
    first, second = opposite[:, 0], opposite[:, 1]
    area = 0.5 * np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    stiffness = np.einsum("tid,tjd->tij", opposite, opposite) / (4 * area)[:, None, None]
    rows, columns = np.repeat(triangles, 3, 1), np.tile(triangles, (1, 3))
    G = sp.csc_matrix(
        (stiffness.ravel(), (rows.ravel(), columns.ravel())), shape=(side**2, side**2)
    )
    C = np.bincount(triangles.ravel(), np.repeat(area / 3, 3), side**2)

    kappa2 = 8 / correlation_range**2
    Q = kappa2**2 * sp.diags(C) + 2 * kappa2 * G + G @ sp.diags(1 / C) @ G
    return sp.csc_matrix((Q + Q.T) / (8 * np.pi * kappa2))


def autoregression(steps: int, rho: float = 0.9) -> sp.csc_matrix:
    """Precision of a stationary AR(1) series with unit variance."""
    diagonal = np.full(steps, 1 + rho**2)
    diagonal[[0, -1]] = 1
    off_diagonal = np.full(steps - 1, -rho)
    Q = sp.diags([off_diagonal, diagonal, off_diagonal], [-1, 0, 1])
    return sp.csc_matrix(Q / (1 - rho**2))


def spacetime(steps: int, side: int) -> sp.csc_matrix:
    """Separable precision: AR(1) in time, Matern in space."""
    return sp.csc_matrix(sp.kron(autoregression(steps), matern(side)))


def geometric_graph(nodes: int, degree: float = 6, seed: int = 1) -> sp.csc_matrix:
    """Graph Laplacian + I / 10 of random points in the unit square joined to their near neighbors."""
    points = np.random.default_rng(seed).uniform(size=(nodes, 2))
    radius = np.sqrt(degree / (np.pi * nodes))
    i, j = cKDTree(points).query_pairs(radius, output_type="ndarray").T
    weights = sp.csc_matrix((np.ones(len(i)), (i, j)), shape=(nodes, nodes))
    weights = weights + weights.T
    degrees = np.asarray(weights.sum(axis=0)).ravel()
    return sp.csc_matrix(sp.diags(degrees + 0.1) - weights)


def crossed_effects(observations: int, levels: tuple[int, int], seed: int = 2) -> sp.csc_matrix:
    """Z^T Z + I for a mixed model with two crossed grouping factors and balanced random assignment."""
    random = np.random.default_rng(seed)
    row = np.arange(observations)
    first = random.integers(levels[0], size=observations)
    second = levels[0] + random.integers(levels[1], size=observations)
    entries = (np.ones(2 * observations), (np.r_[row, row], np.r_[first, second]))
    Z = sp.csr_matrix(entries, shape=(observations, sum(levels)))
    return sp.csc_matrix(Z.T @ Z + sp.identity(sum(levels)))


def banded(n: int, bandwidth: int, seed: int = 3) -> sp.csc_matrix:
    """Uniform random band, made diagonally dominant."""
    random = np.random.default_rng(seed)
    bands = [random.uniform(-1, 1, n - k) for k in range(1, bandwidth + 1)]
    below = sp.diags(bands, list(range(-1, -bandwidth - 1, -1)), shape=(n, n))
    both = below + below.T
    return sp.csc_matrix(both + sp.diags(np.asarray(abs(both).sum(axis=0)).ravel() + 0.5))


def tridiagonal(n: int) -> sp.csc_matrix:
    """Second differences plus I / 100."""
    return sp.csc_matrix(laplacian(n) + 0.01 * sp.identity(n))


GALLERY: dict[str, Callable[[], sp.csc_matrix]] = {
    "lap2d_100": lambda: grid2d(100),
    "lap2d_316": lambda: grid2d(316),
    "lap2d_1000": lambda: grid2d(1000),
    "lap3d_20": lambda: grid3d(20),
    "lap3d_40": lambda: grid3d(40),
    "lap3d_60": lambda: grid3d(60),
    "spde_300": lambda: matern(300),
    "spacetime": lambda: spacetime(50, 60),
    "rgg_1e5": lambda: geometric_graph(100_000),
    "crossed": lambda: crossed_effects(75_000, (3000, 1000)),
    "banded_1e5": lambda: banded(100_000, 10),
    "tridiag_1e6": lambda: tridiagonal(1_000_000),
}
"""The matrices of the figures that are reported."""

QUICK: dict[str, Callable[[], sp.csc_matrix]] = {
    "lap2d_50": lambda: grid2d(50),
    "lap3d_12": lambda: grid3d(12),
    "spde_60": lambda: matern(60),
    "rgg_1e4": lambda: geometric_graph(10_000),
    "crossed_800": lambda: crossed_effects(5000, (600, 200)),
    "tridiag_1e5": lambda: tridiagonal(100_000),
}
"""Some of the same kinds, small: a comparison in about a minute."""


def write(path: Path, matrix: sp.csc_matrix) -> None:
    """Write the lower triangle of `matrix`; see the module docstring for the format."""
    lower = sp.csc_matrix(sp.tril(matrix))
    lower.sum_duplicates()
    lower.eliminate_zeros()
    lower.sort_indices()
    with path.open("wb") as file:
        np.array([lower.shape[0], lower.nnz], np.int64).tofile(file)
        lower.indptr.astype(np.int64).tofile(file)
        lower.indices.astype(np.int32).tofile(file)
        lower.data.astype(np.float64).tofile(file)


def order(path: Path) -> int:
    """The number of rows of the matrix in the file."""
    return int(np.fromfile(path, np.int64, 1)[0])


def read_lower(path: Path) -> sp.csc_matrix:
    """The lower triangle in the file."""
    with path.open("rb") as file:
        n, nnz = np.fromfile(file, np.int64, 2)
        ptr = np.fromfile(file, np.int64, n + 1).astype(np.int32)
        rows = np.fromfile(file, np.int32, nnz)
        values = np.fromfile(file, np.float64, nnz)
    return sp.csc_matrix((values, rows, ptr), shape=(n, n))


def read(path: Path) -> sp.csc_matrix:
    """The symmetric matrix in the file, both triangles, indices sorted."""
    lower = read_lower(path)
    full = sp.csc_matrix(lower + sp.tril(lower, -1).T)
    full.sort_indices()
    return full


def matrix_file(name: str, folder: Path) -> Path:
    """The file of the matrix called `name`, generated into `folder` when it is not there yet."""
    path = folder / f"{name}.csc"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        write(unfinished, (GALLERY | QUICK)[name]())
        unfinished.rename(path)
    return path
