"""Fields on graphs: intrinsic and proper conditional autoregressions, Leroux, BYM and BYM2, simultaneous
ones.

With W the weights of a graph, D = diag(W 1) and R = D - W its Laplacian, a vertex without neighbors has no
place in R; it is a field of its own there, with precision tau, and no null vector (Freni-Sterrantino et al.
2018). Every connected component of two or more vertices has a null vector, its level, and a constraint,
that it sums to zero.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Array, ArrayLike, Float

from elimax.stats.gaussian import NullSpace
from elimax.stats.precision.family import Precision, linear_family, structured
from elimax.stats.precision.graph import as_graph, component_labels, laplacian
from elimax.stats.precision.scaling import scaled


def besag(graph: Any, scale: bool = False) -> Precision:
    """Intrinsic conditional autoregression (ICAR): tau (D - W). Hyperparameter: tau.

    **Arguments:**

    - `graph`: a symmetric SciPy matrix or array of positive weights (`adjacency`, `read_graph`).
    - `scale`: R scaled, component by component, so that the geometric mean of the marginal variances is 1 at
      tau = 1 (Sorbye and Rue 2014).

    **Raises:** `TypeError` and `ValueError` for what is not a graph.

    **Source:** Besag, York and Mollie, Ann. Inst. Statist. Math. 43 (1991).
    """
    R, space = _structure(graph, scale)
    return structured("besag", R, space, 0 if space is None else space.rank)


def car(graph: Any, diagonal: str | Float[ArrayLike, " n"] = "degree") -> Precision:
    """Proper conditional autoregression: tau (D - rho W). Hyperparameters: rho, tau.

    Positive definite for rho between the reciprocals of the extreme eigenvalues of D^-1/2 W D^-1/2; that is
    |rho| < 1 for "degree".

    **Arguments:**

    - `diagonal`: D: "degree", diag(W 1); "identity"; or n positive numbers.

    **Raises:** `TypeError` and `ValueError` for what is not a graph; with "degree", for a vertex without
    neighbors.
    """
    W = as_graph(graph)
    n = W.shape[0]
    if isinstance(diagonal, str):
        if diagonal not in ("degree", "identity"):
            raise ValueError(
                f'`diagonal` must be "degree", "identity" or n numbers, got {diagonal!r}'
            )
        d = np.asarray(W.sum(axis=1)) if diagonal == "degree" else np.ones(n)
    else:
        d = np.asarray(diagonal, np.float64).reshape(-1)
    if d.shape != (n,) or not (d > 0).all():
        raise ValueError(
            f"`diagonal` must be {n} positive numbers; a vertex without neighbors has degree 0: give others, "
            'or "identity"'
        )
    return linear_family(
        "car", ("rho", "tau"), [sp.diags_array(d), W], lambda rho, tau: (tau, -tau * rho)
    )


def sar(weights: Any, scales: Float[ArrayLike, " n"] | None = None) -> Precision:
    """Simultaneous autoregression: tau (I - rho W)' S (I - rho W). Hyperparameters: rho, tau.

    x = rho W x + e, with independent e of precision tau S. Its log-determinant is n log tau + log|S| +
    2 log|det(I - rho W)|.

    **Arguments:**

    - `weights`: W, square, SciPy or array, symmetric or not (rows that sum to one, often).
    - `scales`: the diagonal of S; ones by default.

    **Raises:** `TypeError` and `ValueError` for other arguments.
    """
    if not (sp.issparse(weights) or isinstance(weights, np.ndarray)) or weights.ndim != 2:
        raise TypeError(f"`weights` must be a square SciPy matrix, got {type(weights).__name__}")
    W = sp.csr_array(weights, dtype=np.float64)
    n = W.shape[0]
    if W.shape != (n, n):
        raise ValueError(f"`weights` must be square, got shape {W.shape}")
    s = np.ones(n) if scales is None else np.asarray(scales, np.float64).reshape(-1)
    if s.shape != (n,) or not (s > 0).all():
        raise ValueError(f"`scales` must be {n} positive numbers")
    S = sp.diags_array(s)
    terms = [S, S @ W + W.T @ S, W.T @ S @ W]
    return linear_family(
        "sar", ("rho", "tau"), terms, lambda rho, tau: (tau, -tau * rho, tau * rho**2)
    )


def leroux(graph: Any) -> Precision:
    """Leroux's autoregression: tau ((1 - mixing) I + mixing (D - W)). Hyperparameters: mixing in [0, 1), tau.

    **Raises:** as `besag`.

    **Source:** Leroux, Lei and Breslow (2000), in Statistical Models in Epidemiology.
    """
    W = as_graph(graph)
    terms = [sp.eye_array(W.shape[0]), laplacian(W)]
    return linear_family(
        "leroux", ("mixing", "tau"), terms, lambda mixing, tau: (tau * (1 - mixing), tau * mixing)
    )


def bym(graph: Any, scale: bool = False) -> Precision:
    """Besag-York-Mollie: b = u + v, the sum of a `besag` field u and independent v. Size 2 n: (b, u).

    Hyperparameters: tau_v and tau_u. In (b, u) the precision is sparse: [tau_v I, -tau_v I; ., tau_v I +
    tau_u R].

    **Arguments, raises:** as `besag`.
    """
    R, space = _structure(graph, scale)
    n = R.shape[0]
    eye = sp.eye_array(n)
    noise = _kron(np.array([[1.0, -1.0], [-1.0, 1.0]]), eye)
    terms = [noise, _block(R)]
    both = None if space is None else NullSpace(np.tile(space.basis, (2, 1)))
    family = linear_family("bym", ("tau_v", "tau_u"), terms, lambda v, u: (v, u))
    if space is None or both is None:
        return family
    # u sums to zero, and b stays free.
    rows = np.concatenate([np.zeros((space.rank, n)), space.basis.T], axis=1)
    return dataclasses.replace(family, null_space=both, levels=space.rank, constraints=rows)


def bym2(graph: Any) -> Precision:
    r"""BYM2: b = (sqrt(1 - phi) v + sqrt(phi) u) / sqrt(tau), u a scaled `besag` field. Size 2 n: (b, u).

    Hyperparameters: phi in [0, 1), the share of the structured part, and tau, the precision of b. u is scaled
    to a typical variance of 1, so that tau and phi mean the same on every graph. The precision of (b, u) is
    sparse:

        [tau / (1 - phi) I   -sqrt(phi tau) / (1 - phi) I]
        [.                    phi / (1 - phi) I + R       ]

    Without a structureless part, phi = 1, there is no such precision: everything is NaN. Its null vectors
    depend on the hyperparameters, so the constraints, that u sums to zero in every
    component, belong to it.

    **Raises:** as `besag`.

    **Source:** Riebler, Sorbye, Simpson and Rue, Stat. Methods Med. Res. 25 (2016), section 3.4.
    """
    R, space = _structure(graph, scale=True)
    n = R.shape[0]
    eye = sp.eye_array(n)
    cross = _kron(np.array([[0.0, 1.0], [1.0, 0.0]]), eye)
    terms = [_kron(np.diag([1.0, 0.0]), eye), cross, _block(eye), _block(R)]

    def coefficients(phi: Array, tau: Array) -> tuple[Any, ...]:
        rest = 1 - phi
        return tau / rest, -jnp.sqrt(phi * tau) / rest, phi / rest, 1.0

    family = linear_family("bym2", ("phi", "tau"), terms, coefficients)
    if space is None:
        return family
    below = NullSpace.stack(NullSpace.empty(n), space)
    return dataclasses.replace(family, settled=(below, below.basis.T))


def _structure(graph: Any, scale: bool) -> tuple[sp.csr_array, NullSpace | None]:
    """The Laplacian, with ones for single vertices, and the levels of its components."""
    W = as_graph(graph)
    labels = component_labels(W)
    R = sp.csr_array(laplacian(W) + sp.diags_array((labels < 0).astype(float)))
    space = NullSpace.components(labels) if (labels >= 0).any() else None
    return (scaled(R, space, labels) if scale else R), space


def _block(R: Any) -> Any:
    """R in the lower right one of two by two blocks."""
    return _kron(np.diag([0.0, 1.0]), R)


def _kron(A: np.ndarray, B: Any) -> Any:
    """In a format of its own choice SciPy stores the zeros of A, if B is half full."""
    return sp.kron(A, B, format="csc")
