r"""Quadratic forms on linear subspaces, by one sparse factorization.

`restricted(H, (A, e), null_space)` is $\frac12 x^\top H x$ on $\{A x = e\}$, for a sparse H that need only
be positive definite on that subspace. With E the unit rows of the pins of the null space (`NullSpace.pins`),

    H_k = H + kappa E'E        is sparse and positive definite,

and everything about H on the subspace follows from its factor and two dense matrices of a few columns:

    V1 = H_k^-1 - W P^-1 W',   W = H_k^-1 A',            P = A W                  the constraints, kriged
    V  = V1 + U T^-1 U',       U = V1 sqrt(kappa) E',    T = I - kappa E V1 E'    the pins, taken out

V is the inverse of H on the subspace (the covariance, if H is a precision), and with an orthonormal basis B
of $\{A x = 0\}$: log det(B'HB) = log det H_k + log det P + log det T - log det AA'. Any kappa gives the
same, it is no jitter: a multiple of the diagonal of H is taken. Without null space H_k is H.

If H is an intrinsic precision itself, H N = 0 (`intrinsic=True`), then sqrt(kappa) H_k^-1 E' is N N_I^-1 /
sqrt(kappa), exactly, the pins alone account for all of the null space, and nothing cancels: T is a product.

**Source:** Rue and Held, Gaussian Markov Random Fields (2005), section 2.3.3 (conditioning by kriging), 3.2
and 3.3 (intrinsic fields); Woodbury's identity.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, ArrayLike, Float, Int, Key

import elimax as ex
from elimax import _results
from elimax.stats.gaussian.null_space import NullSpace, check_null_space

Constraints = tuple[Float[Array, "k n"], Float[Array, " k"]]
GivenConstraints = tuple[Float[ArrayLike, "k n"], Float[ArrayLike, " k"] | None]

_ROUNDINGS = 16  # a pivot of so many roundings of its diagonal element is zero


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=("root", "columns"), meta_fields=()
)
@dataclasses.dataclass(frozen=True, eq=False)
class LowRank:
    """A term C S^-1 C' of an inverse: `root` is the lower Cholesky factor of S, `columns` are C root^-T."""

    root: Float[Array, "j j"]
    columns: Float[Array, "n j"]

    def apply(self, b: Float[Array, "j ..."]) -> Float[Array, "n ..."]:
        """C S^-1 b."""
        return self.columns @ _forward(self.root, b)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("factor", "constraints", "kappa", "removed", "added"),
    meta_fields=("null_space", "intrinsic"),
)
@dataclasses.dataclass(frozen=True, eq=False)
class Restricted:
    r"""$\frac12 x^\top H x$ on $\{A x = e\}$, factorized; made by `restricted`. A pytree.

    **Attributes:** `factor` of H_k; `constraints` (A, e) or None; `null_space` or None, and whether it is
    that of H (`intrinsic`); `kappa`; the terms of V = H_k^-1 - `removed` + `added`, W P^-1 W' and U T^-1 U'.
    """

    factor: ex.Cholesky
    constraints: Constraints | None
    kappa: Float[Array, ""]
    removed: LowRank | None
    added: LowRank | None
    null_space: NullSpace | None
    intrinsic: bool

    @property
    def n(self) -> int:
        return self.factor.shape[0]

    @property
    def unresolved(self) -> int:
        """How many directions have neither a precision nor a constraint: the inverse is infinite there."""
        if self.null_space is None or not self.intrinsic:
            return 0
        k = 0 if self.constraints is None else self.constraints[0].shape[0]
        return max(0, self.null_space.rank - k)

    @property
    def status(self) -> Int[Array, ""]:
        """int32: 0, or that of the factorization, or `-40` if the rows of A depend on each other (or leave
        null vectors where they should not), or `-41` if H is not positive definite on the subspace."""
        status = self.factor.status
        for term, code in (
            (self.removed, _results.CONSTRAINTS_DEPENDENT),
            (self.added, _results.UNRESOLVED),
        ):
            if term is not None:
                failed = (status == 0) & jnp.isnan(term.root).any()
                status = jnp.where(failed, jnp.int32(code), status)
        return status

    def solve(
        self, b: Float[ArrayLike, " n"] | Float[ArrayLike, "n m"], e: ArrayLike | None = None
    ) -> Float[Array, "n ..."]:
        r"""The minimizer of $\frac12 x^\top H x - b^\top x$ on $\{A x = e\}$: [H A'; A 0] [x; l] = [b; e].

        **Arguments:**

        - `b`: one right-hand side or m of them.
        - `e`: the right-hand side of the constraints, (k,) or (k, m); by default that of the constraints
          given.

        **Raises:** `ValueError` for shapes that do not fit, or if the constraints leave null vectors free.

        **Derivative:** in `b`, `e`, A and the values of H, every order and mode.

        **Cost:** one solve with the factor, and 4 n (k + r) flops.
        """
        self._check_resolved("solve")
        x = self.factor.solve(b)
        if self.constraints is not None and self.removed is not None:
            A, default = self.constraints
            e = default if e is None else jnp.asarray(e, A.dtype)
            missing = A @ x - (e if e.ndim == x.ndim else e[:, None])
            x = x - self.removed.apply(missing)
        if self.added is not None and self.null_space is not None:
            x = x + self.added.apply(jnp.sqrt(self.kappa) * x[self.null_space.pins])
        return x

    def solve_increment(self, b: Float[ArrayLike, "n *m"]) -> Float[Array, "n *m"]:
        """V b: as `solve`, with zeros for e."""
        if self.constraints is None:
            return self.solve(b)
        return self.solve(b, jnp.zeros((self.constraints[0].shape[0], *jnp.shape(b)[1:])))

    def logdet(self) -> Float[Array, ""]:
        r"""$\log\det(B^\top H B)$, B an orthonormal basis of $\{A x = 0\}$: natural logarithm.

        Where the constraints leave null vectors free it is the pseudo-determinant: the logarithms of the
        nonzero eigenvalues, added. NaN if `status` is not 0.

        **Derivative:** in A and the values of H, every order and mode; of an intrinsic H in directions that
        keep H N = 0.

        **Cost:** n + k + r logarithms; the gradient costs one selected inversion.
        """
        total = self.factor.logdet()
        space, k = self.null_space, 0
        if self.constraints is not None:
            A = self.constraints[0]
            k = A.shape[0]
            total = total - _logdet(_cholesky(A @ A.T))
        if space is not None and self.intrinsic and k <= space.rank:
            # log|H|_+ in closed form, and the volume of what the constraints hold: nothing to cancel.
            total = total - space.rank * jnp.log(self.kappa) + space.log_volume
            if k:
                G = A @ jnp.asarray(space.orthonormal, A.dtype)
                total = total + _logdet(_cholesky(G @ G.T))
            return total
        for term in (self.removed, self.added):
            total = total if term is None else total + _logdet(term.root)
        return total

    def inverse_diagonal(self) -> Float[Array, " n"]:
        """diag V: marginal variances, if H is a precision.

        **Raises:** `ValueError` if the constraints leave null vectors free.

        **Derivative:** every order and mode. **Cost:** about two factorizations.
        """
        self._check_resolved("inverse_diagonal")
        diagonal = self.factor.inverse_diagonal()
        if self.removed is None and self.added is None:
            return diagonal
        diagonal = diagonal + self._corrections(np.arange(self.n), np.arange(self.n))
        return jnp.maximum(diagonal, 0)  # what the constraints determine varies by a rounding

    def selected_inverse(self, pattern: ex.Pattern | None = None) -> ex.SymmetricMatrix:
        """The entries of V on the pattern of H, or on a symmetric one inside the filled pattern.

        **Raises:** as `Cholesky.selected_inverse`, and `ValueError` if null vectors are free.

        **Derivative:** every order and mode. **Cost:** about two factorizations, and (k + r) flops an entry.
        """
        self._check_resolved("selected_inverse")
        S = self.factor.selected_inverse(pattern)
        return S.with_values(S.values + self._corrections(S.pattern.rows, S.pattern.columns))

    def sample(self, key: Key[Array, ""], shape: tuple[int, ...] = ()) -> Float[Array, "*shape n"]:
        r"""Draws from $N(0, V)$: of mean zero, on $\{A x = 0\}$.

        **Raises:** `ValueError` if null vectors are free: an improper density has no draws.

        **Derivative:** of every draw at a fixed key (reparametrization). **Cost:** half a solve a draw.

        **Source:** Rue and Held (2005), algorithm 2.6 (conditioning by kriging).
        """
        self._check_resolved("sample")
        first, second = jax.random.split(key)
        x = self.factor.sample(first, shape)
        if self.constraints is not None and self.removed is not None:
            violation = self.constraints[0] @ x.reshape(-1, self.n).T
            x = x - self.removed.apply(violation).T.reshape(x.shape)
        if self.added is not None:
            columns = self.added.columns
            x = x + jax.random.normal(second, (*shape, columns.shape[1]), x.dtype) @ columns.T
        return x

    def _corrections(self, rows: np.ndarray, columns: np.ndarray) -> Array | float:
        """(V - H_k^-1)_ij for entries (i, j)."""
        total: Array | float = 0.0
        for sign, term in ((-1, self.removed), (1, self.added)):
            if term is not None:
                C = term.columns
                total = total + sign * jnp.sum(C[rows] * C[columns], axis=1)
        return total

    def _check_resolved(self, what: str) -> None:
        if self.unresolved and self.null_space is not None:
            raise ValueError(
                f"{what}: the field is improper: {self.unresolved} of the {self.null_space.rank} directions "
                "of its null space have no constraint, and so no variance. Add constraints (for a level: "
                "that the field sums to zero), or data, by `condition`."
            )


def restricted(
    H: ex.SymmetricMatrix,
    constraints: GivenConstraints | None = None,
    null_space: NullSpace | None = None,
    symbolic: ex.Symbolic | None = None,
    values: Float[Array, " size"] | None = None,
    *,
    intrinsic: bool = False,
) -> Restricted:
    r"""The quadratic form of H on $\{A x = e\}$, for H positive definite there.

    **Arguments:**

    - `H`: real and symmetric; positive definite once the pins of `null_space` are held.
    - `constraints`: (A, e), dense; None for none. A must have independent rows.
    - `null_space`: where H may be singular, or nearly so, without being so on the subspace; None if H is
      positive definite by itself.
    - `symbolic`: of a pattern that holds that of H and its diagonal; analyzed (and cached) if None.
    - `values`: the numeric factor, `Restricted.factor.values`, of the same H, if it has been computed
      already.
    - `intrinsic`: that `null_space` is exactly that of H, H N = 0.

    **Returns:** `Restricted`. What is computed from it is NaN where its `status` is not 0.

    **Raises:** `TypeError` and `ValueError` for arguments of another kind or shape.

    **Derivative:** in the values of H, A and e. **Cost:** one factorization and k + r solves.
    """
    if not isinstance(H, ex.SymmetricMatrix) or jnp.iscomplexobj(H.values):
        raise TypeError(f"`H` must be a real SymmetricMatrix, got {H!r}")
    n = H.shape[0]
    pair = check_constraints(constraints, n, H.dtype)
    space = check_null_space(null_space, n)
    kappa, factor = _held(H, space, symbolic, values)
    removed = added = None
    if pair is not None:
        A = pair[0]
        W = factor.solve(A.T)
        removed = _low_rank(W, _cholesky(A @ W))
    k = 0 if pair is None else pair[0].shape[0]
    if space is not None and not (intrinsic and k < space.rank):
        root = jnp.sqrt(kappa)
        if intrinsic:
            reached = jnp.asarray(space.interpolation, H.dtype) / root
            T = jnp.zeros((space.rank, space.rank), H.dtype)
        else:
            E = np.zeros((n, space.rank))
            E[space.pins, np.arange(space.rank)] = 1
            reached = factor.solve(jnp.asarray(E, H.dtype) * root)
            T = jnp.eye(space.rank, dtype=H.dtype) - root * reached[space.pins]
        if pair is not None and removed is not None:
            F = _forward(removed.root, pair[0] @ reached)
            T = T + F.T @ F
            reached = reached - removed.columns @ F
        # Errors of T are relative to the ones that were subtracted from.
        size = jnp.diagonal(T) if intrinsic else jnp.asarray(math.sqrt(n), H.dtype)
        added = _low_rank(reached, _cholesky(T, size))
    return Restricted(factor, pair, kappa, removed, added, space, intrinsic)


def check_constraints(constraints: object, n: int, dtype: np.dtype) -> Constraints | None:
    """(A, e) as arrays of shapes (k, n) and (k,); None for None or no rows.

    **Raises:** `TypeError` and `ValueError` naming the argument.
    """
    if constraints is None:
        return None
    if not (isinstance(constraints, tuple | list) and len(constraints) == 2):
        raise TypeError(
            f"`constraints` must be a pair (A, e) of arrays (k, n) and (k,), got {type(constraints).__name__}"
        )
    A, e = constraints
    A = jnp.atleast_2d(jnp.asarray(A, dtype))
    if A.ndim != 2 or A.shape[1] != n or A.shape[0] > n:
        raise ValueError(f"`constraints`: A must have shape (k, {n}) with k <= {n}, got {A.shape}")
    e = jnp.zeros(A.shape[0], dtype) if e is None else jnp.asarray(e, dtype).reshape(-1)
    if e.shape != A.shape[:1]:
        raise ValueError(
            f"`constraints`: e must have one element for each of the {A.shape[0]} rows of A, got {e.shape}"
        )
    return (A, e) if A.shape[0] else None


def _held(
    H: ex.SymmetricMatrix,
    space: NullSpace | None,
    symbolic: ex.Symbolic | None,
    values: Array | None,
) -> tuple[Array, ex.Cholesky]:
    """kappa, and the factor of H_k."""
    pattern = H.pattern.with_diagonal()
    entries, kappa = H.on_pattern(pattern).values, jnp.ones((), H.dtype)
    if space is not None:
        diagonal = H.diagonal()  # draws depend on kappa: it has derivatives
        at_pins = jnp.mean(diagonal[space.pins])
        kappa = jnp.where(at_pins > 0, at_pins, jnp.mean(diagonal))
        entries = entries.at[pattern.diagonal().indices[space.pins]].add(kappa)
    held = ex.SymmetricMatrix(pattern, entries)
    return kappa, _factorized(held, symbolic, values)


def _low_rank(columns: Float[Array, "n j"], root: Float[Array, "j j"]) -> LowRank:
    return LowRank(root, _forward(root, columns.T).T)


def _factorized(
    H: ex.SymmetricMatrix, symbolic: ex.Symbolic | None, values: Array | None
) -> ex.Cholesky:
    if values is None:
        return ex.cholesky(H, symbolic=symbolic, throw=False)
    symbolic = ex.analyze(H.pattern) if symbolic is None else symbolic
    values = jax.lax.stop_gradient(values)
    # A failed factor is NaN throughout.
    status = jnp.where(jnp.isnan(values[0]), jnp.int32(_results.NOT_FINITE), jnp.int32(0))
    return ex.Cholesky(H, symbolic, values, status, jnp.int32(0))


def _cholesky(S: Float[Array, "k k"], size: Array | None = None) -> Float[Array, "k k"]:
    """The lower factor; NaN if a pivot is not above the rounding level of numbers of this size."""
    L = jnp.linalg.cholesky(S)
    pivots = jnp.square(jnp.diagonal(L))
    size = jnp.diagonal(S) if size is None else size
    tiny = _ROUNDINGS * S.shape[0] * jnp.finfo(S.dtype).eps * size
    return jnp.where(jnp.all(pivots > tiny), L, math.nan)


def _logdet(L: Float[Array, "k k"]) -> Float[Array, ""]:
    return 2 * jnp.sum(jnp.log(jnp.diagonal(L)))


def _forward(L: Float[Array, "k k"], b: Array) -> Array:
    return solve_triangular(L, b, lower=True)
