"""Operators of lineax: sparse matrices as operators, and operators as sparse matrices."""

from elimax._jacobian.space import Space as Space
from elimax._operator.assemble import sparse_matrix as sparse_matrix
from elimax._operator.materialise import diagonal as diagonal
from elimax._operator.materialise import materialise as materialise
from elimax._operator.sparse import SparseLinearOperator as SparseLinearOperator
