"""Every jvp and transpose rule: the formula, its source, the code.

Primitives do not know each other; this file knows them all. Rules are stated in terms of A: the factor that a
primitive takes is a cache of A, computed from `stop_gradient(A)`, and has no tangent.

Conventions. For real A, a direction v of the stored values stands for the symmetric matrix A(v).
For Hermitian A the maps v -> A(v) and everything below are real-linear, and JAX's transpose is with
respect to the pairing Re(sum s v), without conjugation.

Operands may have leading dimensions for batches, some of them the first few only (define.py). So rules
contract the last axis, and the cotangents of all elements that one of an operand serves are summed.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import ad

from elimax._primitive.define import Primitive
from elimax._primitive.determinant import pivoted_inverse_gradient_p, slogdet_p
from elimax._primitive.factor import factor_values_p
from elimax._primitive.factor_derivative import (
    factor_adjoint_p,
    factor_derivative_p,
    factor_product_l_p,
    factor_product_x_p,
    factor_product_y_p,
)
from elimax._primitive.guard import guard_p
from elimax._primitive.product import (
    contract_a_p,
    contract_b_p,
    contract_c_p,
    gather_matrix_p,
    gather_p,
    product_v_p,
    product_x_p,
    product_y_p,
    scatter_matrix_p,
    scatter_p,
)
from elimax._primitive.refined_solve import refined_solve_p
from elimax._primitive.scaling import scale_p
from elimax._primitive.selected_inverse import inverse_gradient_p, logdet_p
from elimax._primitive.solve import solve_p
from elimax._primitive.triangular import triangular_solve_p


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, ad.Zero)


def _zero_like(primal_out: Any) -> ad.Zero:
    return ad.Zero(jax.typeof(primal_out).to_tangent_aval())


def _sum(terms: Sequence[Any], primal_out: Any) -> Any:
    """The sum of the tangents that are not symbolically zero."""
    if not terms:
        return _zero_like(primal_out)
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _shared(ct: Any, operand: Any, rank: int) -> Any:
    """Sums the cotangents of those elements of a batch that `operand`, of that rank, serves in a row."""
    return ct.sum(axis=tuple(range(operand.aval.ndim - rank, ct.ndim - rank)))


def _aligned(x: Any, like: Any, rank: int) -> Any:
    """`x` with a dimension of size 1 for every leading one of `like` that it lacks."""
    lead = x.ndim - rank
    return jnp.expand_dims(x, tuple(range(lead, lead + like.ndim - x.ndim)))


# --- products, gathers and scatters ----------------------------------------------------------------
# Multilinear: the jvp is the sum over the operands, each in turn replaced by its tangent.


def _multilinear_jvp(
    primitive: Primitive, primals: Sequence[Any], tangents: Sequence[Any], **params: Any
) -> tuple[Any, Any]:
    terms = [
        primitive.bind(*primals[:i], tangent, *primals[i + 1 :], **params)
        for i, tangent in enumerate(tangents)
        if not _is_zero(tangent)
    ]
    value = primitive.bind(*primals, **params)
    return value, _sum(terms, value)


def _trilinear(slots: Sequence[Primitive], ranks: Sequence[int]) -> None:
    """The slots of a form t(z_0, z_1, z_2) = Re(sum z_s slot_s(the other two)), linear in every z.

    The transpose of a slot in one of its operands asks for that operand's slot, with the cotangent in
    the place of the slot that was computed.
    """

    def transpose(slot: int, ct: Any, left: Any, right: Any, **params: Any) -> list[Any]:
        arguments = [left, right]
        arguments.insert(slot, ct)
        unknown = next(s for s, z in enumerate(arguments) if ad.is_undefined_primal(z))
        operand = arguments.pop(unknown)
        if _is_zero(ct):
            result = ad.Zero(operand.aval)
        else:
            result = slots[unknown].bind(*arguments, **params)
            result = _shared(result, operand, ranks[unknown])
        return [result if operand is z else None for z in (left, right)]

    for slot, primitive in enumerate(slots):
        ad.primitive_jvps[primitive] = functools.partial(_multilinear_jvp, primitive)
        ad.primitive_transposes[primitive] = functools.partial(transpose, slot)


def _linear(primitive: Primitive, transposed: Primitive) -> None:
    """One operand, and a primitive that computes the transpose."""

    def transpose(ct: Any, operand: Any, **params: Any) -> list[Any]:
        return [ad.Zero(operand.aval) if _is_zero(ct) else transposed.bind(ct, **params)]

    ad.primitive_jvps[primitive] = functools.partial(_multilinear_jvp, primitive)
    ad.primitive_transposes[primitive] = transpose


_trilinear([product_v_p, product_x_p, product_y_p], (1, 2, 2))
_trilinear([contract_a_p, contract_b_p, contract_c_p], (1, 1, 1))
_trilinear([factor_product_l_p, factor_product_x_p, factor_product_y_p], (1, 2, 2))
_linear(gather_p, scatter_p)
_linear(scatter_p, gather_p)
_linear(gather_matrix_p, scatter_matrix_p)
_linear(scatter_matrix_p, gather_matrix_p)


# --- scaled and guarded values ---------------------------------------------------------------------
# Linear in the first operand and their own transposes; scales and status are constants.


def _linear_in_first(primitive: Primitive) -> None:
    def jvp(primals, tangents, **params):
        x, *others = primals
        value = primitive.bind(x, *others, **params)
        tx, *_ = tangents
        if _is_zero(tx):
            return value, _zero_like(value)
        return value, primitive.bind(tx, *others, **params)

    def transpose(ct, x, *others, **params):
        if _is_zero(ct):
            return [ad.Zero(x.aval), *(None for _ in others)]
        ct = _shared(primitive.bind(ct, *others, **params), x, 1)
        return [ct, *(None for _ in others)]

    ad.primitive_jvps[primitive] = jvp
    ad.primitive_transposes[primitive] = transpose


_linear_in_first(scale_p)
_linear_in_first(guard_p)


# --- solve -----------------------------------------------------------------------------------------
# A x = b  =>  A' x + A x' = b'  =>  x' = A^-1 (b' - A' x)       (Giles 2008)


# The halves:  L y = P b      =>  y' = L^-1 P (b' - P^T L' y)
#              L^H P x = z    =>  x' = P^T L^-H (z' - L'^H P x),  where L^H P x = conj(L^T P conj(x))


def _solve_jvp(primals, tangents, *, symbolic, embedding, part):
    a, factor, b = primals
    ta, _, tb = tangents
    structure = dict(symbolic=symbolic, embedding=embedding)
    x = solve_p.bind(a, factor, b, part=part, **structure)
    terms = [] if _is_zero(tb) else [tb]
    if not _is_zero(ta):
        if part == "whole":
            storage = "hermitian" if jnp.iscomplexobj(a) else "symmetric"
            product = product_y_p.bind(ta, x, pattern=embedding.pattern, storage=storage)
        else:
            tl = factor_derivative_p.bind(a, factor, ta, **structure)
            if part == "forward":
                product = factor_product_y_p.bind(tl, x, symbolic=symbolic)
            else:
                product = jnp.conj(factor_product_x_p.bind(tl, jnp.conj(x), symbolic=symbolic))
        terms = [_aligned(y, product, 2) for y in terms] + [-product]
    if not terms:
        return x, _zero_like(x)
    return x, solve_p.bind(a, factor, _sum(terms, x), part=part, **structure)


# The transpose of b -> A^-1 b is A^-T = conj(A^-1 conj(.)); those of the halves are each other, conjugated.
_TRANSPOSED_PART = {"whole": "whole", "forward": "backward", "backward": "forward"}


def _solve_transpose(ct, a, factor, b, *, symbolic, embedding, part):
    if _is_zero(ct):
        return None, None, ad.Zero(b.aval)
    transposed = solve_p.bind(
        a,
        factor,
        jnp.conj(ct),
        symbolic=symbolic,
        embedding=embedding,
        part=_TRANSPOSED_PART[part],
    )
    return None, None, _shared(jnp.conj(transposed), b, 2)


def _refined_solve_jvp(primals, tangents, **params):
    a, factor, pivots, _ = primals
    ta, _, _, tb = tangents
    x, errors = refined_solve_p.bind(*primals, **params)
    terms = [] if _is_zero(tb) else [tb]
    if not _is_zero(ta):
        structure = dict(pattern=params["embedding"].pattern, storage=params["storage"])
        if params["adjoint"]:  # A'^H x = conj(A'^T conj(x))
            product = jnp.conj(product_x_p.bind(ta, jnp.conj(x), **structure))
        else:
            product = product_y_p.bind(ta, x, **structure)
        terms = [_aligned(y, product, 2) for y in terms] + [-product]
    if not terms:
        return (x, errors), (_zero_like(x), _zero_like(errors))
    tx, _ = refined_solve_p.bind(a, factor, pivots, _sum(terms, x), **params)
    return (x, errors), (tx, _zero_like(errors))


def _refined_solve_transpose(cts, a, factor, pivots, b, *, adjoint, storage, **params):
    ct, _ = cts
    if _is_zero(ct):
        return None, None, None, ad.Zero(b.aval)
    conj = jnp.conj
    if storage == "symmetric":
        conj = jnp.asarray  # A^-T = A^-1
    elif storage == "general":
        adjoint = not adjoint  # A^-T = conj(A^-H conj(.))
    params |= dict(adjoint=adjoint, storage=storage)
    transposed, _ = refined_solve_p.bind(a, factor, pivots, conj(ct), **params)
    return None, None, None, _shared(conj(transposed), b, 2)


ad.primitive_jvps[refined_solve_p] = _refined_solve_jvp
ad.primitive_transposes[refined_solve_p] = _refined_solve_transpose
ad.primitive_jvps[solve_p] = _solve_jvp
ad.primitive_transposes[solve_p] = _solve_transpose


# --- log-determinant and the selected inverse ------------------------------------------------------
# f = log det A  =>  f' = tr(A^-1 A') = Re <G_0(a), a'>          (Giles 2008)


def _logdet_jvp(primals, tangents, **params):
    a, factor = primals
    ta, _ = tangents
    value = logdet_p.bind(a, factor, **params)
    if _is_zero(ta):
        return value, _zero_like(value)
    gradient = inverse_gradient_p.bind(a, factor, **params)
    return value, jnp.real(jnp.sum(gradient * _aligned(ta, gradient, 1), axis=-1))


# G_k' = G_{k+1}(a; v, a') + sum_i G_k(a; v with v_i replaced by v_i'), and the same for C_k and R_k.
# Behind a come the operands that are a cache of it: the factor and, where it has some, its pivots.


def _family_jvp(primitive, cached, primals, tangents, **params):
    a, cache, v = primals[0], primals[1 : 1 + cached], primals[1 + cached :]
    ta, tv = tangents[0], tangents[1 + cached :]
    value = primitive.bind(*primals, **params)
    terms = [] if _is_zero(ta) else [primitive.bind(*primals, ta, **params)]
    for i, tvi in enumerate(tv):
        if not _is_zero(tvi):
            terms.append(primitive.bind(a, *cache, *_replace(v, i, tvi), **params))
    return value, _sum(terms, value)


def _family_transpose(transposed, cached, ct, a, *others, **params):
    """`transposed(ct, i, v, params)` is the cotangent of v_i."""
    cache, v = others[:cached], others[cached:]
    where = next(i for i, vi in enumerate(v) if ad.is_undefined_primal(vi))
    if _is_zero(ct):
        ct_v = ad.Zero(v[where].aval)
    else:
        primitive, arguments = transposed(ct, where, v)
        ct_v = _shared(primitive.bind(a, *cache, *arguments, **params), v[where], 1)
    return [None] * (1 + cached) + [ct_v if i == where else None for i in range(len(v))]


def _family(
    primitive: Primitive,
    transposed: Callable[..., tuple[Primitive, list[Any]]],
    cached: int = 1,
) -> None:
    ad.primitive_jvps[primitive] = functools.partial(_family_jvp, primitive, cached)
    ad.primitive_transposes[primitive] = functools.partial(_family_transpose, transposed, cached)


def _replace(v, where, new):
    return [*v[:where], new, *v[where + 1 :]]


ad.primitive_jvps[logdet_p] = _logdet_jvp
# <s, G_k(a; .., v_i, ..)> = D^{k+1} f(a)[.., v_i, .., s] is symmetric in v_i and s: the transpose swaps them.
_family(inverse_gradient_p, lambda ct, i, v: (inverse_gradient_p, _replace(v, i, ct)))
_family(
    pivoted_inverse_gradient_p,
    lambda ct, i, v: (pivoted_inverse_gradient_p, _replace(v, i, ct)),
    cached=2,
)


# log det A = log|det A| + i phase  =>  its derivative t = tr(A^-1 A') = <G_0(a), a'>, and
# (log|det A|)' = Re t,  sign' = i Im t sign.


def _slogdet_jvp(primals, tangents, **params):
    a, factor, pivots = primals
    ta, *_ = tangents
    sign, logdet = slogdet_p.bind(a, factor, pivots, **params)
    if _is_zero(ta):
        return (sign, logdet), (_zero_like(sign), _zero_like(logdet))
    gradient = pivoted_inverse_gradient_p.bind(a, factor, pivots, **params)
    t = jnp.sum(gradient * _aligned(ta, gradient, 1), axis=-1)
    if params["storage"] == "hermitian" or not jnp.iscomplexobj(t):
        tsign = _zero_like(sign)
    else:
        tsign = 1j * jnp.imag(t) * sign
    return (sign, logdet), (tsign, jnp.real(t))


ad.primitive_jvps[slogdet_p] = _slogdet_jvp


# --- the factor itself -----------------------------------------------------------------------------
# <ct, C_k(a; .., v_i, ..)> = <R_{k-1}(a; ct, the other v), v_i>, by definition of R.
# <s, R_k(a; ct, v)> = <ct, C_{k+1}(a; v, s)>: transposed in ct that is C_{k+1}, in v_i R_k with s for v_i.

_family(
    factor_derivative_p,
    lambda ct, i, v: (factor_adjoint_p, [ct, *v[:i], *v[i + 1 :]]),
)
_family(
    factor_adjoint_p,
    lambda s, i, v: (
        (factor_derivative_p, [*v[1:], s]) if i == 0 else (factor_adjoint_p, _replace(v, i, s))
    ),
)


def _factor_values_jvp(primals, tangents, *, symbolic, embedding, index_map):
    a, factor = primals
    ta, _ = tangents
    structure = dict(symbolic=symbolic, embedding=embedding)
    values = factor_values_p.bind(a, factor, index_map=index_map, **structure)
    if _is_zero(ta):
        return values, _zero_like(values)
    tl = factor_derivative_p.bind(a, factor, ta, **structure)
    return values, gather_p.bind(tl, index_map=index_map)


ad.primitive_jvps[factor_values_p] = _factor_values_jvp


# --- triangular solve ------------------------------------------------------------------------------
# op(T) x = b  =>  x' = op(T)^-1 (b' - op(T') x); the transpose in b is op(T)^-T.


def _triangular_solve_jvp(primals, tangents, **params):
    t, b = primals
    tt, tb = tangents
    x, status = triangular_solve_p.bind(t, b, **params)
    terms = [] if _is_zero(tb) else [tb]
    if not _is_zero(tt):
        product_p = product_x_p if params["transpose"] else product_y_p
        product = product_p.bind(tt, x, pattern=params["pattern"], storage="general")
        terms = [_aligned(y, product, 2) for y in terms] + [-product]
    if not terms:
        return (x, status), (_zero_like(x), _zero_like(status))
    tx, _ = triangular_solve_p.bind(t, _sum(terms, x), **params)
    return (x, status), (tx, _zero_like(status))


def _triangular_solve_transpose(cts, t, b, *, transpose, **params):
    ct, _ = cts
    if _is_zero(ct):
        return None, ad.Zero(b.aval)
    ct_b, _ = triangular_solve_p.bind(t, ct, transpose=not transpose, **params)
    return None, _shared(ct_b, b, 2)


ad.primitive_jvps[triangular_solve_p] = _triangular_solve_jvp
ad.primitive_transposes[triangular_solve_p] = _triangular_solve_transpose
