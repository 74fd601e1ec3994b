"""Elimax: sparse elimination for JAX.

    A = ex.SymmetricMatrix.from_scipy(S)      a sparse matrix: a static pattern and traced values
    F = ex.cholesky(A)                        ordering, symbolic analysis (once per pattern), factorization
    ex.ldl(A), ex.lu(A), ex.least_squares(A)  symmetric indefinite; general; of any shape
    F.solve(b), F.logdet(), F.selected_inverse(), F.inverse_diagonal(), F.half_solve(z), F.L
    lx.linear_solve(operator, b, ex.SparseLU()) solvers for lineax, optimistix and diffrax
    ex.jacobian(f)(x), ex.hessian(f)(x)       sparse derivatives of a function, from few products
    ex.jacve(f, order="rev")(x)               a Jacobian by vertex elimination

Everything jits, vmaps and differentiates to every order, in both modes, with respect to `A.values`.

Below this surface, from the ground: `_structure` (integers, on the host), `_primitive` (JAX primitives over
a fixed structure), `_matrix` (pattern and values), `_factor`, `_least_squares` and `_triangular` (what is
computed from them), `_jacobian` (sparse derivatives of functions), `_operator` and
`_solver` (the faces to lineax). Above it, `elimax.stats`: random fields, Laplace approximation, mixed models.
"""

import importlib as _importlib
import typing as _typing

from elimax._primitive import jax_version as _jax_version  # noqa: F401, before all else

# isort: split
from elimax._export import export as export
from elimax._external import ExternalSolver as ExternalSolver
from elimax._factor import LDL as LDL
from elimax._factor import LU as LU
from elimax._factor import Cholesky as Cholesky
from elimax._factor import IncompleteLU as IncompleteLU
from elimax._factor import analyze as analyze
from elimax._factor import cholesky as cholesky
from elimax._factor import factor as factor
from elimax._factor import incomplete_lu as incomplete_lu
from elimax._factor import ldl as ldl
from elimax._factor import logdet as logdet
from elimax._factor import lu as lu
from elimax._factor import selected_inverse as selected_inverse
from elimax._factor import slogdet as slogdet
from elimax._factor import solve as solve
from elimax._jacobian import check_pattern as check_pattern
from elimax._jacobian import computational_graph as computational_graph
from elimax._jacobian import elimination_order as elimination_order
from elimax._jacobian import hessian as hessian
from elimax._jacobian import hessian_pattern as hessian_pattern
from elimax._jacobian import jacfwd as jacfwd
from elimax._jacobian import jacobian as jacobian
from elimax._jacobian import jacobian_pattern as jacobian_pattern
from elimax._jacobian import jacrev as jacrev
from elimax._jacobian import jacve as jacve
from elimax._least_squares import LeastSquares as LeastSquares
from elimax._least_squares import least_squares as least_squares
from elimax._least_squares import lstsq as lstsq
from elimax._matrix import SparseMatrix as SparseMatrix
from elimax._matrix import SymmetricMatrix as SymmetricMatrix
from elimax._matrix import block as block
from elimax._matrix import block_diag as block_diag
from elimax._matrix import kron as kron
from elimax._operator import SparseLinearOperator as SparseLinearOperator
from elimax._operator import diagonal as diagonal
from elimax._operator import materialise as materialise
from elimax._primitive.define import clear_structures as clear_structures
from elimax._results import FactorizationError as FactorizationError
from elimax._results import NotConverged as NotConverged
from elimax._solver import AutoSparse as AutoSparse
from elimax._solver import SparseCholesky as SparseCholesky
from elimax._solver import SparseILU as SparseILU
from elimax._solver import SparseLDL as SparseLDL
from elimax._solver import SparseLSTSQ as SparseLSTSQ
from elimax._solver import SparseLU as SparseLU
from elimax._solver import SparseTriangular as SparseTriangular
from elimax._solver import check_solution as check_solution
from elimax._solver import preconditioner as preconditioner
from elimax._structure.color import color as color
from elimax._structure.coloring import Coloring as Coloring
from elimax._structure.lu_symbolic import LUSymbolic as LUSymbolic
from elimax._structure.pattern import Pattern as Pattern
from elimax._structure.symbolic import Symbolic as Symbolic
from elimax._triangular import triangular_solve as triangular_solve

_DRAWN = ("draw_graph", "spy")


def __getattr__(name: str) -> _typing.Any:
    """What draws needs matplotlib, which is imported when it is asked for."""
    if name not in _DRAWN:
        raise AttributeError(f"module 'elimax' has no attribute {name!r}")
    try:
        return getattr(_importlib.import_module("elimax.plotting"), name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"elimax.{name} draws with matplotlib: pip install 'elimax[plotting]'", name=error.name
        ) from error
