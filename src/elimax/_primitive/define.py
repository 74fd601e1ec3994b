"""The one door to JAX's internals: a native kernel becomes a JAX primitive.

A primitive over a fixed structure is told by what its kernel looks like for one matrix (`kernel.py`): the
rank of each operand, the shapes of the results, and the attributes that name the structure. `define` adds the
rest, the same for all: shapes, batching, lowering for the CPU, and a clear error for every other platform.

Batching: operands may have leading dimensions, one for every `vmap`, and a batch of any depth is one native
call. An operand may have the first few of them only, or none: then each of its elements serves several of the
batch in a row. Where only the right-hand sides are batched, they become columns of one call per matrix
(`batching.py`).

Devices: types tell how values lie on them (`sharding.py`), and in a program for several devices XLA divides a
call along the batch or the columns (`partition.py`).

Derivatives are not told here but in `derivative.py`; Taylor mode follows from them (`taylor.py`).
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any

import jax
import jax.extend.core
import numpy as np
from jax.extend.mlir import ir
from jax.interpreters import batching, mlir

from elimax._primitive.batching import batch_calls, batch_columns
from elimax._primitive.kernel import Kernel, Shape
from elimax._primitive.partition import divide, sharding_rule
from elimax._primitive.sharding import vary_alike
from elimax._primitive.taylor import define_taylor_rule
from elimax._structure import _native
from elimax._structure.structure import Structure, cached, forget


class Primitive(jax.extend.core.Primitive):
    """A primitive whose operands are made to vary alike over the devices of a `shard_map`."""

    def bind(self, *operands: Any, **params: Any) -> Any:
        return super().bind(*vary_alike(operands), **params)


def is_traced(x: Any) -> bool:
    """Whether `x` is abstract: then Python cannot read its values."""
    return isinstance(x, jax.core.Tracer)


def is_staged(*operands: Any) -> bool:
    """Whether results computed from `operands` now will be abstract: then Python cannot read a status.

    Inside of `jit` that holds for constants, too; outside of it `grad` alone leaves values concrete.
    """
    return any(is_traced(jax.lax.stop_gradient(x)) for x in operands)


def is_batchable(function: Callable[..., Any], *operands: jax.ShapeDtypeStruct) -> bool:
    """Whether `jax.vmap` makes one program of a batch: everything that the function calls has a batching
    rule, and none that calls foreign code once for each element."""
    jaxpr = jax.make_jaxpr(function)(*operands)
    if _calls_one_by_one(jaxpr.jaxpr):
        return False
    batch = [jax.ShapeDtypeStruct((2, *x.shape), x.dtype) for x in operands]
    try:
        jax.eval_shape(jax.vmap(jax.extend.core.jaxpr_as_fun(jaxpr)), *batch)
    except (NotImplementedError, ValueError, AttributeError):
        return False  # a primitive without a rule, with effects in order, with an unfinished rule
    return True


def runs_now(jaxpr: Any, foreign: bool = True) -> bool:
    """Whether a closed jaxpr can be evaluated while others are traced: it closes over no traced values, and,
    unless `foreign` code may be called, it has no effects and no callbacks."""
    if any(is_traced(x) for x in jaxpr.consts):
        return False
    return foreign or not (
        jaxpr.effects or any_equation(jaxpr.jaxpr, lambda e: "callback" in e.primitive.name)
    )


def evaluate_now(jaxpr: Any, *operands: Any) -> list[np.ndarray]:
    """The results of such a jaxpr, compiled, whatever is being traced."""
    with jax.ensure_compile_time_eval():
        return [np.asarray(x) for x in jax.jit(jax.extend.core.jaxpr_as_fun(jaxpr))(*operands)]


def _calls_one_by_one(jaxpr: Any) -> bool:
    """Whether a callback or a foreign function, at any depth, is evaluated element by element."""
    return any_equation(
        jaxpr, lambda e: str(e.params.get("vmap_method", "")).startswith("sequential")
    )


def any_equation(jaxpr: Any, predicate: Callable[[Any], bool]) -> bool:
    """Whether some equation, at any depth, is as `predicate` says."""
    waiting = [jaxpr]
    while waiting:
        for equation in waiting.pop().eqns:
            if predicate(equation):
                return True
            parts = jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr)
            waiting += [getattr(x, "jaxpr", x) for x in parts if _is_jaxpr(x)]
    return False


def _is_jaxpr(x: Any) -> bool:
    return isinstance(x, jax.extend.core.Jaxpr | jax.extend.core.ClosedJaxpr)


def define(kernel: Kernel, *, multiple_results: bool = False) -> Primitive:
    """The JAX primitive of a native kernel, with everything but derivatives."""
    primitive = Primitive(f"elimax_{kernel.name}")
    primitive.multiple_results = multiple_results
    target = _register(kernel.target or kernel.name)

    def abstract(*operands: Any, **params: Any) -> Any:
        results = kernel.result_types(operands, params)
        return results if multiple_results else results[0]

    def call(*operands: jax.Array, devices: int, restored: Any, **params: Any) -> Any:
        hidden = kernel.n_derivative_only
        unseen, seen = list(operands[:hidden]), list(operands[hidden:])
        batch = kernel.batch_shape(operands)
        division = divide(
            seen,
            [kernel.rank(i) for i in range(hidden, len(operands))],
            None if kernel.columns is None else kernel.columns - hidden,
            kernel.summed,
            batch,
            devices,
        )
        if division is not None:
            seen, batch = division.operands, division.batch
        shapes = kernel.result_shapes([*unseen, *seen], params, batch)
        seen, attributes = _with_structures(seen, kernel.attributes(**params), restored)
        results = _native_call_p.bind(
            *seen,
            target=target,
            results=tuple(shapes),
            attributes=tuple(attributes.items()),
            is_divided=division is not None,
        )
        if division is not None:
            results = division.join(results)
        return results if multiple_results else results[0]

    def lower(ctx: Any, *operands: Any, **params: Any) -> Any:
        untyped = [jax.core.ShapedArray(x.shape, x.dtype) for x in ctx.avals_in]
        for_export = ctx.module_context.lowering_parameters.for_export
        restored = _restored_for(operands[kernel.n_derivative_only :]) if for_export else None
        devices = 1 if for_export else _partitioned_devices(ctx.module_context.axis_context)
        rule = mlir.lower_fun(
            functools.partial(call, devices=devices, restored=restored),
            multiple_results=multiple_results,
        )
        return rule(ctx.replace(avals_in=untyped), *operands, **params)

    def batch(operands: Sequence[Any], dims: Sequence[Any], **params: Any) -> tuple[Any, Any]:
        def bind(*operands: Any) -> list[Any]:
            results = primitive.bind(*operands, **params)
            return results if multiple_results else [results]

        mapped = [i for i, dim in enumerate(dims) if dim is not None]
        if mapped == [kernel.columns]:
            results, dims_out = batch_columns(kernel, mapped[0], bind, operands, dims)
        else:
            results, dims_out = batch_calls(kernel, bind, operands, dims)
        return (results, dims_out) if multiple_results else (results[0], dims_out[0])

    primitive.def_abstract_eval(abstract)
    primitive.def_impl(functools.partial(_evaluate, primitive))
    batching.primitive_batchers[primitive] = batch
    define_taylor_rule(primitive)
    mlir.register_lowering(primitive, functools.partial(_wrong_platform, primitive.name))
    mlir.register_lowering(primitive, lower, platform="cpu", cacheable=False)
    return primitive


# --- evaluation outside of a trace ------------------------------------------------------------


def _evaluate(primitive: Primitive, *operands: Any, **params: Any) -> Any:
    """Outside of a trace: compiled once per shapes and structure, as `jax.jit` caches it.

    Nothing but compiling it evaluates a primitive, so that is done under `jax.disable_jit`, too.
    """
    with jax.disable_jit(False):
        return _jitted(primitive, tuple(sorted(params.items())))(*operands)


@functools.lru_cache(maxsize=4096)
def _jitted(primitive: Primitive, params: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    def evaluate(*operands: Any) -> Any:
        return primitive.bind(*operands, **dict(params))

    evaluate.__name__ = evaluate.__qualname__ = primitive.name
    evaluate.__dict__["_apply_primitive"] = True  # so that jax_debug_nans looks no deeper
    return jax.jit(evaluate)


def clear_structures() -> None:
    """Forgets every sparsity structure of this process, and what was compiled for single operations.

    A compiled function keeps the structures that it uses registered with the native core, and analyses are
    kept so that they need not be repeated. A process that sees ever new patterns gets the memory back by
    calling this together with `jax.clear_caches()`. Matrices, patterns and factors remain valid.

    A function that was compiled before and is called again without `jax.clear_caches()` fails, saying that
    its structure is not registered; it never computes with another one.
    """
    _jitted.cache_clear()
    forget()
    _native.clear_structures()


def _wrong_platform(name: str, ctx: Any, *operands: Any, **params: Any) -> Any:
    platforms = ", ".join(ctx.module_context.platforms)
    raise NotImplementedError(
        f"{name} runs on the CPU only, but the computation is being compiled for {platforms}. "
        "Place its inputs on the CPU, jax.device_put(x, jax.devices('cpu')[0]), or make the CPU "
        "the default, "
        "jax.config.update('jax_default_device', jax.devices('cpu')[0])."
    )


# --- native calls ------------------------------------------------------------------------------

targets: list[str] = []


def _register(name: str) -> str:
    """Makes the native handler `elimax_NAME` known to XLA; the name of the target."""
    target = f"elimax_{name}"
    handler = jax.ffi.pycapsule(getattr(_native.library, target))
    jax.ffi.register_ffi_target(target, handler, platform="cpu")
    jax.ffi.register_ffi_target_as_batch_partitionable(target)
    if target not in targets:
        targets.append(target)
    return target


# Inside of lowering only: a call whose operands and results XLA may divide into groups.
_native_call_p = jax.extend.core.Primitive("elimax_native_call")
_native_call_p.multiple_results = True


@_native_call_p.def_abstract_eval
def _native_call_results(*operands: Any, results: Sequence[Shape], **params: Any) -> list[Any]:
    return [jax.core.ShapedArray(x.shape, x.dtype) for x in results]


def _lower_native_call(
    ctx: Any, *operands: Any, target: str, results: Any, attributes: Any, is_divided: bool
) -> Any:
    extra = {}
    if is_divided:
        rule = sharding_rule(ctx.avals_in, ctx.avals_out)
        extra["mhlo.frontend_attributes"] = ir.Attribute.parse('{num_batch_dims = "1"}')
        extra["sdy.sharding_rule"] = ir.Attribute.parse(rule)
    call = jax.ffi.ffi_lowering(target, extra_attributes=extra)
    return call(ctx, *operands, **dict(attributes))


mlir.register_lowering(_native_call_p, _lower_native_call)


def _partitioned_devices(context: Any) -> int:
    """How many devices XLA divides the program among: inside of `shard_map`, none but one's own."""
    if getattr(context, "manual_axes", ()):
        return 1
    return context.mesh.size if hasattr(context, "mesh") else getattr(context, "num_devices", 1)


# --- structures --------------------------------------------------------------------------------
# A compiled program names its structures by hash. In this process they are pinned when it is lowered. A
# program that is lowered for export carries their content as well: `elimax_restore` makes the structure
# from it where it is not pinned, and hands an operand on to the kernel, which therefore runs after it.


def _with_structures(
    operands: Sequence[jax.Array], attributes: Mapping[str, Any], restored: Set[int] | None
) -> tuple[list[jax.Array], dict[str, Any]]:
    """What a handler gets: a structure under the name NAME reaches it as NAME_high and NAME_low.

    In a program for export, `restored` are the (upper) hashes of structures that need not be restored.
    """
    plain: dict[str, Any] = {}
    structures: dict[Structure, None] = {}  # in the order in which they are built
    for name, value in attributes.items():
        if isinstance(value, Structure):
            plain |= value.pin(name)
            if restored is not None and int(plain[f"{name}_high"]) not in restored:
                structures |= dict.fromkeys(_from_the_ground(value))
        else:
            plain[name] = value
    *others, last = operands  # seldom a large one
    return [*others, functools.reduce(_restore, structures, last)], plain


def _restored_for(operands: Sequence[Any]) -> Set[int]:
    """The hashes of the structures that the native calls used whose results these MLIR values are.

    They need not be restored for what reads the results: passing a factor on unchanged would copy it.
    """
    restored: set[int] = set()
    for operand in operands:
        attributes = getattr(operand.owner, "attributes", {})  # an argument is owned by a block
        if "mhlo.backend_config" in attributes:
            config = attributes["mhlo.backend_config"]
            restored.update(item.attr.value for item in config if item.name.endswith("_high"))
    return restored


def _from_the_ground(structure: Structure) -> Iterator[Structure]:
    for foundation in structure.foundations:
        yield from _from_the_ground(foundation)
    yield structure


_RESTORE = _register("restore")


def _restore(operand: jax.Array, structure: Structure) -> jax.Array:
    """`operand`, once the structure is pinned."""
    restore = jax.ffi.ffi_call(
        _RESTORE,
        jax.ShapeDtypeStruct(operand.shape, operand.dtype),
        input_output_aliases={0: 0},
    )
    _, arrays = structure.content
    return restore(
        operand,
        *(_constants(structure)() if arrays else ()),
        kind=structure.kind,
        preamble=structure.preamble,
        **_native.hash_attributes("content", structure.digest),
    )


@cached(64)
def _constants(structure: Structure) -> Callable[[], tuple[np.ndarray, ...]]:
    """The arrays of the content, as a function of the exported program: it holds them once."""
    _, arrays = structure.content

    def constants() -> tuple[np.ndarray, ...]:
        return arrays

    constants.__name__ = f"elimax_{structure.kind}"
    return jax.jit(constants)
