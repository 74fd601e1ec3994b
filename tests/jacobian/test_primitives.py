"""Every primitive of JAX that is public is in a case, or has a reason not to be."""

import jax
import jax.extend
import jax.numpy as jnp
from jax import lax

from elimax._jacobian.sparsity.equation import RULES
from elimax._jacobian.sparsity.linear_pattern import _CALLS

from .cases import ELEMENTS, INDICES, MOVES, SUMS, WINDOWS
from .oracle import N, gradient_of
from .programs import ALGEBRA, CONTROL_FLOW, ELIMAX

TABLES = [ELEMENTS, MOVES, INDICES, SUMS, WINDOWS, CONTROL_FLOW, ALGEBRA, ELIMAX]
EXCLUDED = {
    # between devices, within a shard_map
    *("all_gather", "all_to_all", "axis_index", "pmax", "pmin", "ppermute", "psum"),
    *("psum_invariant", "ragged_all_to_all", "reduce_scatter", "pbroadcast", "pcast"),
    *("all_gather_invariant", "all_gather_reduced", "psum_scatter", "sharding_constraint"),
    # tokens and compilation
    *("after_all", "create_token", "dce_sink", "stage", "call", "closed_call", "eval_jaxpr"),
    # mutable arrays, which are not followed
    *("get", "swap", "addupdate", "empty2", "empty", "ref", "freeze"),
    # integers, and how numbers are stored, which have no derivatives
    *("bitcast_convert_type", "clz", "mulhi", "population_count", "or", "shift_left"),
    *("shift_right_logical", "reduce_and", "reduce_or", "reduce_xor", "shift_right_arithmetic"),
    *("eq_to", "le_to", "lt_to", "nextafter", "is_finite", "random_clone", "rng_bit_generator"),
    *("rng_uniform", "random_fold_in", "random_split", "threefry2x32"),
    *("lu_pivots_to_permutation",),
    # which JAX itself does not differentiate
    *("cholesky_update", "hessenberg", "schur", "symmetric_product", "tridiagonal", "ormqr"),
    *("select_and_scatter", "custom_lin", "householder_product"),
}


def public_primitives() -> set[str]:
    modules = (lax, lax.linalg, jax.extend.core.primitives)
    return {
        getattr(module, name).name
        for module in modules
        for name in dir(module)
        if name.endswith("_p")
    }


def names_within(jaxpr) -> set[str]:
    found, waiting = set(), [jaxpr]
    while waiting:
        inner = waiting.pop()
        inner = getattr(inner, "jaxpr", inner)
        for equation in inner.eqns:
            found.add(equation.primitive.name)
            for value in equation.params.values():
                parts = value if isinstance(value, tuple) else (value,)
                waiting += [x for x in parts if hasattr(x, "eqns") or hasattr(x, "jaxpr")]
    return found


def names_in_the_cases() -> set[str]:
    found: set[str] = set()
    x = jnp.ones(N)
    for case in (case for table in TABLES for case in table.values()):
        functions = [case.f] if case.gradient is None else [case.f, gradient_of(case.f)]
        for f in functions:
            found |= names_within(jax.make_jaxpr(lambda t, f=f: jax.jvp(f, (x,), (t,)))(x))
            found |= names_within(jax.make_jaxpr(f)(x))
    return found


def test_every_primitive_is_in_a_case():
    found = names_in_the_cases()
    assert public_primitives() - found - EXCLUDED == set()
    # ... and so is every rule; some are for what only other versions of JAX have.
    devices = {"reshard", "pvary", "pcast", "psum", "psum_invariant", "sharding_constraint"}
    seldom = {"elimax_external_solve"} | devices
    assert set(RULES) - found - seldom == set()
    assert not set(RULES) & _CALLS
