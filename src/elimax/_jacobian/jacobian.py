"""Sparse Jacobians and Hessians of functions, from few of their derivatives along vectors."""

import functools
import operator
from collections.abc import Callable
from typing import Any, Literal

from elimax._jacobian.arguments import Argnums, check_function
from elimax._jacobian.call import call_of
from elimax._jacobian.compressed import ChunkSize
from elimax._jacobian.plan import Kind, Request, evaluate, plan_of, remembered_plans
from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._structure.coloring import Coloring
from elimax._structure.pattern import Pattern


def jacfwd(
    f: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    pattern: Pattern | None = None,
    coloring: Coloring | None = None,
    chunk_size: ChunkSize = "auto",
    verify: bool | None = None,
) -> Callable[..., Any]:
    """The sparse Jacobian of a function, by Jacobian-vector products: one for each color of its columns.

    As `elimax.jacobian`, which says all, but always forward.
    """
    return _derivative(
        f, argnums, has_aux, holomorphic, "column", pattern, coloring, chunk_size, verify
    )


def jacrev(
    f: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    pattern: Pattern | None = None,
    coloring: Coloring | None = None,
    chunk_size: ChunkSize = "auto",
    verify: bool | None = None,
) -> Callable[..., Any]:
    """The sparse Jacobian of a function, by vector-Jacobian products: one for each color of its rows.

    As `elimax.jacobian`, which says all, but always in reverse.
    """
    return _derivative(
        f, argnums, has_aux, holomorphic, "row", pattern, coloring, chunk_size, verify
    )


def jacobian(
    f: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    pattern: Pattern | None = None,
    coloring: Coloring | None = None,
    chunk_size: ChunkSize = "auto",
    verify: bool | None = None,
) -> Callable[..., Any]:
    """The sparse Jacobian of a function, from as few products as its pattern allows.

        J = ex.jacobian(f)(x)           # a SparseMatrix
        x = x - ex.solve(J, f(x))       # one Newton step

    **Arguments:**

    - `f`: any function of JAX, from arguments that are pytrees of arrays to a pytree of arrays.
    - `argnums`: the arguments it is differentiated by, which are one vector together.
    - `has_aux`: whether `f` returns a pair, of which only the first is differentiated.
    - `holomorphic`: whether `f` is a holomorphic function of complex numbers.
    - `pattern`: where the Jacobian can be nonzero; found by `elimax.jacobian_pattern` if None.
    - `coloring`: which columns or rows share a product, from `elimax.color`; by columns, by rows, or of both
        kinds together, whichever takes the fewest products, if None.
    - `chunk_size`: how many products are held in memory at once: "auto" takes all of them, or as many as
        need little memory (some 2^22 numbers). Each chunk is read before the next one is computed.
    - `verify`: by default, a pattern that was found is compared with three products before it is first used,
        at the point of the call or, under `jit`, at two random ones. Where `f` cannot be run then (it closes
        over traced values, calls foreign code or fails there), each evaluation takes one more product
        instead, and is NaN if it differs. True compares a given pattern as well; False none.

    **Returns:** a function with the arguments of `f`. It returns a `SparseMatrix` with a row for each element
    of the output and a column for each one of the differentiated arguments, both in the order in which
    `jax.tree` flattens them; with `has_aux`, a pair of that and the auxiliary results.

    **Raises:** `ValueError` naming a row if entries are missing; for a pattern of another shape, positions
    that do not exist, and a pattern that is not found and would be dense and large; `TypeError` for what is
    not of floating-point numbers.

    **Derivative:** that of `f`, to every order and in both modes. It can be vmapped and jitted.

    **Cost:** one product for each color, all in one batch. Pattern and coloring are found when a function is
    first called with arguments of some shapes, and remembered for as long as it lives.

    **Source:** Gebremedhin, Manne and Pothen, SIAM Review 47 (2005); Curtis, Powell and Reid (1974).
    """
    return _derivative(
        f, argnums, has_aux, holomorphic, "fewest", pattern, coloring, chunk_size, verify
    )


def hessian(
    f: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    kind: Literal["star", "acyclic"] = "star",
    pattern: Pattern | None = None,
    coloring: Coloring | None = None,
    chunk_size: ChunkSize = "auto",
    verify: bool | None = None,
) -> Callable[..., Any]:
    """The sparse Hessian of a function with one value, from few of its gradient's derivatives.

        H = ex.hessian(f)(x)            # a SymmetricMatrix
        ex.cholesky(H).logdet()         # what a Laplace approximation needs

    Arguments, errors and derivatives are those of `elimax.jacobian`, and:

    - `kind`: how entries are read. "star" reads each of them off one product. "acyclic" needs fewer products,
        about half for a band, and gets the entries one from the other by subtraction.
    - `pattern`: symmetric, or a general one that is structurally symmetric.

    **Returns:** a function with the arguments of `f`, which returns a `SymmetricMatrix` (complex symmetric,
    not Hermitian, if `holomorphic`); with `has_aux`, a pair of that and the auxiliary results.

    **Raises:** `ValueError` if `f` returns more than one number, and as `elimax.jacobian`.

    **Cost:** one derivative of the gradient, forward over reverse, for each color.

    **Source:** Gebremedhin, Tarafdar, Manne and Pothen, SIAM J. Sci. Comput. 29 (2007).
    """
    if kind not in ("star", "acyclic"):
        raise ValueError(f'`kind` must be "star" or "acyclic", got {kind!r}')
    return _derivative(
        f, argnums, has_aux, holomorphic, kind, pattern, coloring, chunk_size, verify
    )


_ALLOWED: dict[Kind, tuple[str, ...]] = {
    "column": ("column",),
    "row": ("row",),
    "fewest": ("column", "row", "bidirectional"),
    "star": ("star", "acyclic"),
    "acyclic": ("star", "acyclic"),
}


def _derivative(
    f: Callable[..., Any],
    argnums: Argnums,
    has_aux: bool,
    holomorphic: bool,
    kind: Kind,
    pattern: Pattern | None,
    coloring: Coloring | None,
    chunk_size: ChunkSize,
    verify: bool | None,
) -> Callable[..., SparseMatrix | SymmetricMatrix | tuple[SparseMatrix | SymmetricMatrix, Any]]:
    check_function(f)
    if pattern is not None and not isinstance(pattern, Pattern):
        raise TypeError(f"`pattern` must be a Pattern, got {type(pattern).__name__}")
    if coloring is not None:
        if not isinstance(coloring, Coloring):
            raise TypeError(f"`coloring` must be a Coloring, got {type(coloring).__name__}")
        if coloring.kind not in _ALLOWED[kind]:
            raise ValueError(
                f'`coloring` is of kind "{coloring.kind}", but needed is one of {_ALLOWED[kind]}'
            )
        if pattern is not None:
            raise ValueError(
                "give `pattern` or `coloring`, which has a pattern of its own, not both"
            )
    if verify not in (None, True, False):
        raise TypeError(f"`verify` must be True, False or None, got {verify!r}")
    request = Request(kind, pattern, coloring, verify)
    size = _checked_chunk_size(chunk_size)
    plans = remembered_plans(f)

    @functools.wraps(f, assigned=("__module__", "__name__", "__qualname__"), updated=())
    def derivative(*args: Any, **kwargs: Any) -> Any:
        call = call_of(f, args, kwargs, argnums, has_aux=has_aux, holomorphic=holomorphic)
        if call.is_abstract:
            raise TypeError(
                "derivatives are evaluated at arrays, but some argument is a jax.ShapeDtypeStruct; "
                "elimax.jacobian_pattern and elimax.hessian_pattern take shapes, and so does jax.eval_shape"
            )
        call = call.gradient() if request.is_symmetric else call
        matrix, aux = evaluate(call, plan_of(f, call, request, plans), size)
        return (matrix, aux) if has_aux else matrix

    return derivative


def _checked_chunk_size(chunk_size: Any) -> ChunkSize:
    if isinstance(chunk_size, str) and chunk_size == "auto":
        return "auto"
    if isinstance(chunk_size, bool) or not hasattr(chunk_size, "__index__"):
        raise TypeError(f'`chunk_size` must be an integer or "auto", got {chunk_size!r}')
    size = operator.index(chunk_size)
    if size < 1:
        raise ValueError(f"`chunk_size` must be positive, got {size}")
    return size
