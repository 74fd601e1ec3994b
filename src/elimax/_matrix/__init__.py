"""Sparse matrices: a static pattern and traced values.

- `base`: what every matrix can do
- `sparse`: `SparseMatrix`, general
- `symmetric`: `SymmetricMatrix`, a lower triangle that stands for both
- `assembly`: matrices made of matrices
"""

from elimax._matrix.assembly import block as block
from elimax._matrix.assembly import block_diag as block_diag
from elimax._matrix.assembly import kron as kron
from elimax._matrix.base import Matrix as Matrix
from elimax._matrix.sparse import SparseMatrix as SparseMatrix
from elimax._matrix.symmetric import SymmetricMatrix as SymmetricMatrix
