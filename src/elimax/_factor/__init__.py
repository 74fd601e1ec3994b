"""Factorizations, and what is computed from them: Cholesky, LDL^H, LU, and the choice among them."""

from elimax._factor.cholesky import Cholesky as Cholesky
from elimax._factor.cholesky import cholesky as cholesky
from elimax._factor.choose import analyze as analyze
from elimax._factor.choose import factor as factor
from elimax._factor.choose import logdet as logdet
from elimax._factor.choose import selected_inverse as selected_inverse
from elimax._factor.choose import slogdet as slogdet
from elimax._factor.choose import solve as solve
from elimax._factor.incomplete import IncompleteLU as IncompleteLU
from elimax._factor.incomplete import incomplete_lu as incomplete_lu
from elimax._factor.ldl import LDL as LDL
from elimax._factor.ldl import ldl as ldl
from elimax._factor.lu import LU as LU
from elimax._factor.lu import lu as lu
