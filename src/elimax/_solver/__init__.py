"""Solvers for lineax, and so for optimistix, diffrax and whatever else takes one of its solvers."""

from elimax._solver.auto import AutoSparse as AutoSparse
from elimax._solver.direct import DirectSolver as DirectSolver
from elimax._solver.direct import Outcome as Outcome
from elimax._solver.direct import State as State
from elimax._solver.factorizing import SparseCholesky as SparseCholesky
from elimax._solver.factorizing import SparseLDL as SparseLDL
from elimax._solver.factorizing import SparseLSTSQ as SparseLSTSQ
from elimax._solver.factorizing import SparseLU as SparseLU
from elimax._solver.incomplete import SparseILU as SparseILU
from elimax._solver.preconditioner import Preconditioner as Preconditioner
from elimax._solver.preconditioner import preconditioner as preconditioner
from elimax._solver.result import check_solution as check_solution
from elimax._solver.triangular import SparseTriangular as SparseTriangular
