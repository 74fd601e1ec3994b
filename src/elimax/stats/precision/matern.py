r"""Precisions of Matern fields by stochastic partial differential equations.

A field with Matern covariance solves $(\kappa^2 - \Delta)^{\alpha/2} \tau x = $ white noise. On the linear
finite elements of a mesh it becomes a Gaussian Markov random field, whose precision is a combination of three
fixed matrices.

**Source:** Lindgren, Rue and Lindström, J. R. Stat. Soc. B 73 (2011) 423-498.
"""

from typing import Any

import numpy as np
from jaxtyping import Array, ArrayLike, Float

from elimax._matrix import SymmetricMatrix
from elimax._primitive.define import is_traced
from elimax._primitive.product import gather
from elimax._structure.index_map import IndexMap
from elimax._structure.pattern import Pattern
from elimax._types import as_numbers
from elimax.stats.precision.finite_elements import FiniteElements, elements_of
from elimax.stats.precision.matern_parameters import matern_parameters


def matern(
    source: Any,
    kappa: Float[ArrayLike, "*n"] | None = None,
    tau: Float[ArrayLike, "*n"] | None = None,
    alpha: int = 2,
    *,
    range: Float[ArrayLike, "*n"] | None = None,
    sigma: Float[ArrayLike, "*n"] | None = None,
) -> SymmetricMatrix:
    r"""The precision of a Matern field on a mesh, of smoothness $\nu = \alpha - d/2$ in d dimensions.

    With the lumped mass matrix $C$ and the stiffness matrix $G$ it is $\tau^2 (\kappa^2 C + G)$ for alpha 1,
    and $\tau^2 (\kappa^4 C + 2 \kappa^2 G + G C^{-1} G)$ for alpha = 2. If $\kappa$ and $\tau$ vary over the
    vertices, with diagonal matrices $K$ and $T$ of them, it is $T (K C K + G) T$, and
    $T (K^2 C K^2 + K^2 G + G K^2 + G C^{-1} G) T$.

    **Arguments:**

    - `source`: a `Mesh`; `FiniteElements`, as those with a diffusion tensor or a barrier; or a tuple
        (c0, g1, g2) of matrices, of the plane.
    - `kappa`, `tau`: positive, scalars or one for every vertex; `tau` is 1 by default. Kappa has the unit
        of an inverse length.
    - `alpha`: 1 or 2. In the plane alpha = 1 has no continuous limit, and no standard deviation.
    - `range`, `sigma`: instead of kappa and tau, in the unit of length of the mesh and in that of the field:
        the distance at which the correlation is about 0.13, and the marginal standard deviation (away from
        the boundary). If they vary, so slowly that they make sense locally.

    **Returns:** a matrix (n, n), declared positive definite, on one pattern for all values.

    **Raises:** `ValueError` if not exactly kappa or (range and sigma) are given, for a concrete one that
    is not positive and finite, for a shape other than () and (n,), for another alpha, for alpha = 1 or a
    varying kappa with a barrier; `TypeError` for another source.

    **Derivative:** in all numbers, every order and mode.

    **Cost:** for scalars one multiply-add of three vectors of nnz, for vectors two gathers of nnz for each.
    Inside of `jit`, elements that are closed over are constants of the program: for a large mesh hand
    `FiniteElements` over as an argument.

    **Source:** Lindgren, Rue and Lindström, J. R. Stat. Soc. B 73 (2011), sections 2.3 and 3.2.
    """
    elements = elements_of(source)
    if alpha not in (1, 2):
        raise ValueError(f"`alpha` must be 1 or 2, got {alpha!r}")
    if elements.barrier and alpha == 1:
        raise ValueError("`alpha` must be 2 with a barrier, got 1")
    if kappa is None and tau is None and range is not None and sigma is not None:
        check_parameters({"range": range, "sigma": sigma}, elements.n)
        kappa, tau = matern_parameters(range, sigma, alpha, elements.dimension)
    elif kappa is not None and range is None and sigma is None:
        tau = 1.0 if tau is None else tau
    else:
        raise ValueError("give either `kappa` (and `tau`), or both `range` and `sigma`")
    k, t = check_parameters({"kappa": kappa, "tau": tau}, elements.n)
    if k.ndim and elements.barrier:
        raise ValueError("`kappa` must be one number with a barrier, got one for every vertex")
    pattern, terms = elements.terms(alpha)
    values = _values(elements, alpha, pattern, terms, k)
    return SymmetricMatrix(pattern, _products(t, pattern) * values).as_positive_definite()


def check_parameters(
    parameters: dict[str, Any], n: int | None = None
) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """As arrays; raises the `ValueError` of those that are not positive, or not scalars (or of n numbers)."""
    arrays = []
    for name, value in parameters.items():
        array = as_numbers(name, value)
        if array.shape not in ((), (n,)):
            shape = "()" if n is None else f"() or ({n},)"
            raise ValueError(f"`{name}` must have shape {shape}, got {array.shape}")
        if not is_traced(array):
            host = np.atleast_1d(np.asarray(array))
            bad = np.flatnonzero(~((host > 0) & np.isfinite(host)))
            if bad.size:
                where = f", number {bad[0]} of them" if array.ndim else ""
                raise ValueError(f"`{name}` must be positive and finite, got {host[bad[0]]}{where}")
        arrays.append(array)
    first, second = arrays
    return first, second


def _values(
    elements: FiniteElements,
    alpha: int,
    pattern: Pattern,
    terms: tuple[Float[Array, " nnz"], ...],
    kappa: Float[Array, "*n"],
) -> Float[Array, " nnz"]:
    """Of the precision with tau = 1."""
    product = _products(kappa, pattern)
    if alpha == 1:
        return product * terms[0] + terms[1]
    mass, stiffness, square = terms
    if kappa.ndim == 0:
        return product * (product * mass + 2 * stiffness) + square
    i, j = _at_ends(kappa**2, pattern)
    return product**2 * mass + (i + j) * stiffness + square


def _products(x: Float[Array, "*n"], pattern: Pattern) -> Float[Array, "*nnz"]:
    """x_i x_j for every entry (i, j), or the square of a scalar."""
    if x.ndim == 0:
        return x * x
    i, j = _at_ends(x, pattern)
    return i * j


def _at_ends(
    x: Float[Array, " n"], pattern: Pattern
) -> tuple[Float[Array, " nnz"], Float[Array, " nnz"]]:
    rows, columns = IndexMap(pattern.rows, x.size), IndexMap(pattern.columns, x.size)
    return gather(x, rows), gather(x, columns)
