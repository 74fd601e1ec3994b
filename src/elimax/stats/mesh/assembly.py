"""Mass and stiffness of linear finite elements, assembled by scikit-fem; the extra `stats` installs it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
import skfem

from elimax._matrix import SymmetricMatrix
from elimax.stats.mesh.mesh import Mesh
from elimax.stats.precision.anisotropic import DirectionalElements
from elimax.stats.precision.barrier import BarrierElements
from elimax.stats.precision.finite_elements import FiniteElements, square_pattern, symmetric

Form = Callable[[Any, Any], Any]


def _mass(u: Any, v: Any) -> Any:
    return u * v


def _stiffness(u: Any, v: Any) -> Any:
    return sum(a * b for a, b in zip(u.grad, v.grad, strict=True))


_DIRECTIONS: tuple[Form, ...] = (
    lambda u, v: u.grad[0] * v.grad[0],
    lambda u, v: u.grad[0] * v.grad[1] + u.grad[1] * v.grad[0],
    lambda u, v: u.grad[1] * v.grad[1],
)


def finite_elements(mesh: Mesh) -> FiniteElements:
    """As `Mesh.finite_elements`; one set for each default float."""

    def make() -> FiniteElements:
        mass = _lumped(mesh)
        G = _assembled(mesh, _stiffness, order=0)
        first, weight = symmetric(G), scipy.sparse.diags_array(1 / mass)
        second = symmetric(G @ weight @ G, square_pattern(first.pattern))
        return FiniteElements(_diagonal(mass), first, second, mesh.dimension)

    return _once(mesh, "finite_elements", make)


def mass_matrix(mesh: Mesh) -> SymmetricMatrix:
    """As `Mesh.mass_matrix`."""
    return _once(mesh, "mass", lambda: symmetric(_assembled(mesh, _mass, order=2)))


def directional_elements(mesh: Mesh) -> DirectionalElements:
    """As `Mesh.directional_elements`."""
    if mesh.dimension == 1:
        raise ValueError("a mesh on a line has one direction only")

    def make() -> DirectionalElements:
        mass = _lumped(mesh)
        weight = scipy.sparse.diags_array(1 / mass)
        parts = [_assembled(mesh, form, order=0) for form in _DIRECTIONS]
        stiffness = tuple(map(symmetric, parts))
        pattern, squares = square_pattern(stiffness[0].pattern), []
        for i, j in zip(*np.triu_indices(3), strict=True):
            product = parts[i] @ weight @ parts[j]
            both = product if i == j else product + product.T
            squares.append(symmetric(both, pattern))
        return DirectionalElements(_diagonal(mass), stiffness, tuple(squares))

    return _once(mesh, "directional", make)


def barrier_elements(mesh: Mesh, barrier: Any) -> BarrierElements:
    """As `Mesh.barrier_elements`."""
    chosen = np.asarray(barrier)
    m = len(mesh.cells)
    if chosen.dtype == bool:
        if chosen.shape != (m,):
            raise ValueError(
                f"`barrier`: a mask must have shape ({m},), one for every cell, got {chosen.shape}"
            )
        inside = chosen
    else:
        if chosen.size == 0:
            chosen = chosen.astype(int)
        if chosen.dtype.kind not in "iu" or chosen.ndim != 1:
            raise TypeError(
                "`barrier` must be a mask of the cells, or a list of their indices, got an array of dtype "
                f"{chosen.dtype} and shape {chosen.shape}"
            )
        outside = np.flatnonzero((chosen < 0) | (chosen >= m))
        if outside.size:
            raise ValueError(f"`barrier`: {chosen[outside[0]]} is outside of 0 .. {m - 1}")
        inside = np.isin(np.arange(m), chosen)
    masks = (~inside, inside)
    with jax.ensure_compile_time_eval():
        normal, wall = (_diagonal(_lumped(mesh, mask)) for mask in masks)
        first, second = (symmetric(_assembled(mesh, _stiffness, 0, mask)) for mask in masks)
    return BarrierElements((normal, wall), (first, second), mesh.dimension)


def _once(mesh: Mesh, name: str, make: Callable[[], Any]) -> Any:
    key = name, jnp.zeros(()).dtype
    if key not in mesh._made:
        with jax.ensure_compile_time_eval():
            mesh._made[key] = make()
    return mesh._made[key]


def _lumped(mesh: Mesh, mask: np.ndarray | None = None) -> np.ndarray:
    """The integral of every basis function over all cells, or those of a mask."""
    size = mesh.areas if mask is None else np.where(mask, mesh.areas, 0.0)
    corners = mesh.cells.shape[1]
    return np.bincount(mesh.cells.ravel(), np.repeat(size / corners, corners), mesh.n)


def _diagonal(values: np.ndarray) -> SymmetricMatrix:
    return SymmetricMatrix.diags(jnp.asarray(values, float))


def _assembled(
    mesh: Mesh, form: Form, order: int, mask: np.ndarray | None = None
) -> scipy.sparse.csc_array:
    """On the pattern of the mesh, whatever is zero; the values of cells outside of a mask are."""
    line = mesh.dimension == 1
    points, cells = np.ascontiguousarray(mesh.points.T), np.ascontiguousarray(mesh.cells.T)
    grid = skfem.MeshLine(points, cells) if line else skfem.MeshTri(points, cells)
    element = skfem.ElementLineP1() if line else skfem.ElementTriP1()
    basis = skfem.Basis(grid, element, intorder=order)
    weight = np.ones(len(mesh.cells)) if mask is None else mask.astype(float)
    bilinear = skfem.BilinearForm(lambda u, v, w: form(u, v) * w["weight"])
    entries = bilinear.coo_data(basis, weight=weight[:, None])
    return scipy.sparse.coo_array((entries.data, entries.indices), entries.shape).tocsc()
