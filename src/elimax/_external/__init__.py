"""Solvers that live on the host: any Python object that can solve, behind the face of lineax."""

from elimax._external.host import OnFailure as OnFailure
from elimax._external.solver import ExternalSolver as ExternalSolver
