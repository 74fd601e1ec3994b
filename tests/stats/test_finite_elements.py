"""Mass and stiffness matrices: against fmesher's, closed forms, and integrals triangle by triangle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

import elimax as ex
from elimax.stats import FiniteElements, Mesh, diffusion_tensor, matern

from ..helpers import assert_close
from .test_mesh import numbers


@pytest.fixture
def mesh(rng) -> Mesh:
    return Mesh.from_points(rng.uniform(size=(10, 2)), max_edge=(0.3, 0.6), offset=(0.1, 0.4))


def gradients(mesh: Mesh) -> np.ndarray:
    """Of the three basis functions on every triangle."""
    corner = mesh.points[mesh.cells]
    T = np.concatenate([corner, np.ones((len(corner), 3, 1))], axis=2)
    return np.linalg.inv(T).transpose(0, 2, 1)[:, :, :2]


def stiffness(mesh: Mesh, tensor=((1.0, 0.0), (0.0, 1.0)), weight=1.0) -> np.ndarray:
    d = gradients(mesh)
    local = np.einsum("mia,ab,mjb,m->mij", d, tensor, d, mesh.areas * weight)
    G = np.zeros((mesh.n, mesh.n))
    np.add.at(G, (mesh.cells[:, :, None], mesh.cells[:, None, :]), local)
    return G


def lumped(mesh: Mesh, weight=1.0) -> np.ndarray:
    c = np.zeros(mesh.n)
    np.add.at(c, mesh.cells, (mesh.areas * weight / 3)[:, None])
    return c


@pytest.mark.parametrize("name", ["meuse", "spdetoy", "parana", "pcod"])
def test_matrices_of_fmesher(shared, name):
    folder = shared / "data" / "csv"
    vertices = numbers(folder / f"{name}_mesh_vertices.csv")
    triangles = numbers(folder / f"{name}_mesh_triangles.csv").astype(int) - 1
    mesh = Mesh(vertices, triangles)
    elements = mesh.finite_elements()
    ours = {"c0": elements.c0, "g1": elements.g1, "g2": elements.g2, "c1": mesh.mass_matrix()}
    compared = 0
    for key, matrix in ours.items():
        path = folder / f"{name}_spde_{key}.mtx"
        if path.exists():
            expected = sp.csc_array(scipy.io.mmread(path))
            compared += 1
            assert abs(matrix.to_scipy() - expected).max() < 1e-10 * abs(expected).max()
    assert compared >= 3


def test_matrices_by_triangle(mesh):
    elements = mesh.finite_elements()
    G, c = stiffness(mesh), lumped(mesh)
    assert_close(elements.g1.todense(), G, 1e-13)
    assert_close(elements.c0.todense(), np.diag(c), 1e-13)
    assert_close(elements.g2.todense(), G / c @ G, 1e-12)
    mass = mesh.mass_matrix()
    np.testing.assert_allclose(mass.sum(axis=1), c, rtol=1e-12)
    x, y = jnp.asarray(mesh.points).T
    exact = np.sum(mesh.areas * (mesh.points[mesh.cells] @ [1, 2]).mean(axis=1))
    np.testing.assert_allclose(jnp.sum(mass @ (x + 2 * y)), exact, rtol=1e-12)


def test_patterns_depend_on_the_mesh_alone():
    """Right angles make entries of the stiffness matrix zero; they stay in the pattern."""
    square = Mesh([[0, 0], [1, 0], [1, 1], [0, 1.0]], [[0, 1, 2], [0, 2, 3]]).refine()
    elements = square.finite_elements()
    assert elements.g1.nnz == square.n + len(square.edges)
    assert (np.abs(elements.g1.values) < 1e-15).any()
    reach = abs(elements.g1.pattern.to_scipy().astype(int))
    assert elements.g2.pattern == ex.Pattern.from_scipy(reach @ reach, symmetric=True)


def test_elements_of_a_line():
    knots = np.array([0.0, 1.0, 1.5, 3.0])
    elements = Mesh.from_interval(knots).finite_elements()
    h = np.diff(knots)
    G = np.diag(np.append(1 / h, 0) + np.append(0, 1 / h)) - np.diag(1 / h, 1) - np.diag(1 / h, -1)
    c = np.append(h, 0) / 2 + np.append(0, h) / 2
    assert_close(elements.g1.todense(), G, 1e-14)
    assert_close(elements.c0.todense(), np.diag(c), 1e-14)
    assert_close(elements.g2.todense(), G / c @ G, 1e-14)
    assert elements.dimension == 1
    with pytest.raises(ValueError, match="one direction"):
        Mesh.from_interval(knots).directional_elements()


def test_matrices_are_made_once_outside_of_any_trace(mesh):
    seen = []

    @jax.jit
    def f(kappa):
        seen.append(mesh.finite_elements())
        return matern(mesh, kappa).values

    first = f(1.0)
    np.testing.assert_allclose(f(2.0), matern(mesh, 2.0).values)
    assert len(seen) == 1 and seen[0] is mesh.finite_elements()
    np.testing.assert_allclose(first, matern(seen[0], 1.0).values)


def test_elements_are_a_pytree(mesh):
    elements = mesh.finite_elements()
    leaves, tree = jax.tree.flatten(elements)
    assert len(leaves) == 3
    again = jax.tree.unflatten(tree, leaves)
    f = jax.jit(lambda elements, kappa: matern(elements, kappa).values)
    np.testing.assert_allclose(f(again, 1.5), matern(mesh, 1.5).values, rtol=1e-14)
    assert "dimension=2" in repr(again)


# -- anisotropy


def test_diffusion_tensor(rng):
    H = diffusion_tensor(0.4, 3.0)
    e = np.array([np.cos(0.4), np.sin(0.4)])
    np.testing.assert_allclose(np.linalg.det(H), 1)
    np.testing.assert_allclose(H @ e, 3 * e)
    np.testing.assert_allclose(diffusion_tensor(1.0, 1.0), np.eye(2), atol=1e-15)


def test_directional_elements(mesh):
    H = np.array([[2.0, 0.3], [0.3, 0.7]])
    elements = mesh.directional_elements().with_diffusion(H)
    G, c = stiffness(mesh, H), lumped(mesh)
    assert_close(elements.g1.todense(), G, 1e-12)
    assert_close(elements.g2.todense(), G / c @ G, 1e-12)
    plain, same = mesh.finite_elements(), mesh.directional_elements().with_diffusion(np.eye(2))
    for name in ("g1", "g2"):
        assert_close(getattr(same, name).values, getattr(plain, name).values, 1e-12)
    with pytest.raises(ValueError, match=r"`tensor` must have shape \(2, 2\)"):
        mesh.directional_elements().with_diffusion(np.ones(2))


# -- barriers


def test_barrier_elements(mesh):
    wall = mesh.points[mesh.cells].mean(axis=1)[:, 0] > 0.5
    parts = mesh.barrier_elements(wall)
    by_index = mesh.barrier_elements(np.flatnonzero(wall))
    for k, mask in enumerate((~wall, wall)):
        assert_close(parts.c0[k].diagonal(), lumped(mesh, mask), 1e-13)
        assert_close(parts.g1[k].todense(), stiffness(mesh, weight=mask), 1e-13)
        np.testing.assert_array_equal(parts.g1[k].values, by_index.g1[k].values)
    f, kappa = 0.3, 2.0
    weight = np.where(wall, f**2, 1)
    A = kappa**2 * np.diag(lumped(mesh)) + stiffness(mesh, weight=weight)
    expected = A / lumped(mesh, weight) @ A
    assert_close(matern(parts.with_fraction(f), kappa).todense(), expected, 1e-12)
    whole = matern(parts.with_fraction(1.0), kappa)
    assert_close(whole.todense(), matern(mesh, kappa).todense(), 1e-12)


def test_no_barrier(mesh):
    none = mesh.barrier_elements([]).with_fraction(0.1)
    assert_close(matern(none, 2.0).todense(), matern(mesh, 2.0).todense(), 1e-12)
    m = len(mesh.cells)
    with pytest.raises(ValueError, match=f"`barrier`: {m} is outside"):
        mesh.barrier_elements([0, m])
    with pytest.raises(ValueError, match="mask must have shape"):
        mesh.barrier_elements([True])
    with pytest.raises(TypeError, match="`barrier` must be"):
        mesh.barrier_elements([0.5])
    for fraction in (0.0, 1.5, np.nan, np.ones(2)):
        with pytest.raises(ValueError, match="`range_fraction`"):
            mesh.barrier_elements([0]).with_fraction(fraction)


# -- from matrices


def test_from_matrices(mesh):
    elements = mesh.finite_elements()
    c0, g1, g2 = (A.to_scipy() for A in (elements.c0, elements.g1, elements.g2))
    for again in (
        FiniteElements.from_matrices(c0, g1, g2),
        FiniteElements.from_matrices(elements.c0, elements.g1),
    ):
        assert_close(again.g2.todense(), elements.g2.todense(), 1e-13)
    with pytest.raises(ValueError, match="`c0` must be diagonal"):
        FiniteElements.from_matrices(mesh.mass_matrix(), g1)
    with pytest.raises(ValueError, match="`c0` must be positive, its entry 0"):
        FiniteElements.from_matrices(-c0, g1)
    with pytest.raises(ValueError, match="`dimension`"):
        FiniteElements.from_matrices(c0, g1, dimension=3)
    with pytest.raises(ValueError, match="one shape"):
        FiniteElements.from_matrices(c0, g1, sp.eye_array(2))
    with pytest.raises(TypeError, match="`g1` must be"):
        FiniteElements.from_matrices(c0, g1.toarray())
