"""Solvers that live on the host: a matrix becomes a key, a key and a right-hand side a solution.

The key is the hash of the matrix, as four integers: under it the host keeps what the solver made of the
matrix. It is computed from the values alone and every solve has the values, too, so nothing is lost if XLA
repeats, drops or reorders a call, or if the host has thrown away what it kept.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact, Int32, UInt32

from elimax._primitive.define import define
from elimax._primitive.kernel import Kernel, Shape, check_values
from elimax._primitive.product import Storage
from elimax._structure.pattern import Pattern


class HostSolver(Protocol):
    """A solver and the structure of the matrices that it is for; compared by identity.

    `token` is what the host knows it by, `name` what errors call it.
    """

    token: int
    name: str
    pattern: Pattern
    storage: Storage


def _attributes(*, solver: HostSolver, **flags: bool) -> dict[str, Any]:
    return {"token": np.int64(solver.token), "solver": solver.name, **flags}


external_setup_p = define(
    Kernel(
        "external_setup",
        ranks=(1,),
        results=lambda a, *, solver: Shape((4,), np.uint32),
        attributes=_attributes,
    )
)
external_solve_p = define(
    Kernel(
        "external_solve",
        ranks=(1, 1, 2),
        results=lambda key, a, b, **params: (b, Shape((b.shape[1],), np.int32)),
        attributes=_attributes,
        columns=2,
    ),
    multiple_results=True,
)


def external_setup(a: Inexact[Array, " nnz"], solver: HostSolver) -> UInt32[Array, " 4"]:
    """The key of the matrix, for which the host sets the solver up. It has no derivative.

    A failure is left for the solves to tell, unless the solver is one that raises.

    **Cost:** one hash of the values, and the solver's setup unless it is kept already.
    """
    check_values(solver.pattern.nnz, a)
    return external_setup_p.bind(jax.lax.stop_gradient(a), solver=solver)


def external_solve(
    key: UInt32[Array, " 4"],
    a: Inexact[Array, " nnz"],
    b: Inexact[Array, "n k"],
    solver: HostSolver,
    transpose: bool = False,
) -> tuple[Inexact[Array, "n k"], Int32[Array, " k"]]:
    """A^-1 b, or A^-T b, and the status of every column; one that fails is NaN.

    A batch is one call of the host, and so are the columns, to which a `vmap` over right-hand sides adds.
    The transpose of a symmetric matrix is itself, of a Hermitian one its conjugate: both need no other setup.

    **Raises:** `ValueError` if the dtypes of `a` and `b` differ.

    **Derivative:** none; lineax differentiates solutions, whoever computed them.

    **Cost:** the solver's, a look-up by the key, and a comparison of the values with those that it was set up
    for.
    """
    check_values(solver.pattern.nnz, a)
    if a.dtype != b.dtype:
        raise ValueError(f"external_solve: the dtypes of a and b differ, {a.dtype} and {b.dtype}")
    conjugated = transpose and solver.storage == "hermitian"
    x, status = external_solve_p.bind(
        key,
        a,
        jnp.conj(b) if conjugated else b,
        solver=solver,
        transpose=transpose and solver.storage == "general",
    )
    return jnp.conj(x) if conjugated else x, status
