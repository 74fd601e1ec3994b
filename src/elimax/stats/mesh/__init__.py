"""Meshes: triangles of the plane and intervals of a line, their finite elements, and pictures of them."""

from elimax.stats.mesh.mesh import Mesh as Mesh
