"""Exported functions: compiled once, called in a process that has never seen the patterns.

When a program is lowered for export, `_primitive/define.py` makes it carry the content of its
structures. What is left to do here is to allow our custom calls, and to tell JAX how to write matrices and
factors that are arguments or results: their values are arrays, their structures become bytes.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.export
import numpy as np

from elimax._factor import LDL, LU, Cholesky
from elimax._least_squares import LeastSquares
from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._primitive.define import targets
from elimax._structure.archive import pack, unpack
from elimax._structure.lu_symbolic import LUSymbolic
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import Symbolic


def export(f: Callable[..., Any], *args: Any, **kwargs: Any) -> jax.export.Exported:
    """`jax.export` of a function that uses this package: a program to store, and to call elsewhere.

    ```python
    blob = ex.export(lambda A, b: ex.cholesky(A).solve(b), A, b).serialize()  # needs the extra elimax[export]
    x = jax.export.deserialize(blob).call(A, b)  # in any process that has imported elimax
    ```

    The program carries the structures that it uses: patterns, orderings, supernodes. Where they are not
    known they are rebuilt at the first call, without another search for an ordering.

    **Arguments:**

    - `f`: a function, or the result of `jax.jit`.
    - `args`, `kwargs`: what to call it with, of which structures, shapes and dtypes matter: arrays or
      `jax.ShapeDtypeStruct`s, matrices, factors, and pytrees of them. Matrices have a fixed size; batches and
      numbers of right-hand sides may be symbolic (`jax.export.symbolic_shape`).

    **Returns:** a `jax.export.Exported` for the CPU.

    **Raises:** what tracing `f` raises. Calling the program is an error if its structures are damaged, or
    if the version of Elimax that calls it lays factors out differently.

    **Derivative:** `serialize(vjp_order=k)` exports k reverse derivatives as well.

    **Cost:** some bytes for every entry of the patterns; calls cost what those of a jitted function cost. A
    batch that is sharded over devices stays so under `jax.shard_map`; elsewhere the program gathers it.

    `jax.export.export` itself does the same with `disabled_checks`: a
    `jax.export.DisabledSafetyCheck.custom_call(name)` for "elimax_restore" and for each custom call that
    its error message lists otherwise.
    """
    jitted = f if isinstance(f, jax.stages.Wrapped) else jax.jit(f)
    allowed = [jax.export.DisabledSafetyCheck.custom_call(target) for target in targets]
    return jax.export.export(jitted, platforms=["cpu"], disabled_checks=allowed)(*args, **kwargs)


jax.export.register_pytree_node_serialization(
    SparseMatrix,
    serialized_name="elimax.SparseMatrix",
    serialize_auxdata=lambda static: pack(static[0]),
    deserialize_auxdata=lambda blob: (unpack(Pattern, blob),),
)
jax.export.register_pytree_node_serialization(
    SymmetricMatrix,
    serialized_name="elimax.SymmetricMatrix",
    serialize_auxdata=lambda static: bytes(static[1:]) + pack(static[0]),
    deserialize_auxdata=lambda blob: (unpack(Pattern, blob[2:]), bool(blob[0]), bool(blob[1])),
)
jax.export.register_pytree_node_serialization(
    Cholesky,
    serialized_name="elimax.Cholesky",
    serialize_auxdata=lambda static: pack(static[0]),
    deserialize_auxdata=lambda blob: (unpack(Symbolic, blob),),
)
jax.export.register_pytree_node_serialization(
    LDL,
    serialized_name="elimax.LDL",
    serialize_auxdata=lambda static: bytes([static[1]]) + pack(static[0]),
    deserialize_auxdata=lambda blob: (unpack(Symbolic, blob[1:]), bool(blob[0])),
)
jax.export.register_pytree_node_serialization(
    LU,
    serialized_name="elimax.LU",
    serialize_auxdata=lambda static: bytes([static[1]]) + pack(static[0]),
    deserialize_auxdata=lambda blob: (unpack(LUSymbolic, blob[1:]), bool(blob[0])),
)
jax.export.register_pytree_node_serialization(
    LeastSquares,
    serialized_name="elimax.LeastSquares",
    serialize_auxdata=lambda static: np.array(static[0], np.int64).tobytes(),
    deserialize_auxdata=lambda blob: (tuple(np.frombuffer(blob, np.int64).tolist()),),
)
