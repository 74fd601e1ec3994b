"""The one door to JAX's internals: a native kernel becomes a JAX primitive.

A primitive over a fixed structure is told by what its kernel looks like for one matrix: the rank of each
operand, the shapes of the results, and the attributes that name the structure. `define` adds the rest,
the same for all: shapes, batching, lowering for the CPU, and a clear error for every other platform.

Batching: operands may have leading dimensions, one for every `vmap`, and a batch of any depth is one native
call. An operand may have the first few of them only, or none: then each of its elements serves several of the
batch in a row. Where only the right-hand sides are batched, they become columns of one call per matrix.

Devices: types tell how values lie on them (`sharding.py`), and in a program for several devices XLA divides a
call along the batch or the columns (`partition.py`).

Derivatives are not told here but in `derivative.py`; Taylor mode follows from them (`taylor.py`).
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
from jax.extend.mlir import ir
from jax.interpreters import batching, mlir

from elimax._primitive.native_call import register, restored_for, with_structures
from elimax._primitive.partition import divide, sharding_rule
from elimax._primitive.sharding import (
    explicit_axes,
    merge,
    result_type,
    sharded_axes,
    split,
    vary_alike,
)
from elimax._primitive.taylor import define_taylor_rule
from elimax._structure import _native
from elimax._structure.structure import forget

Shape = jax.ShapeDtypeStruct


@dataclasses.dataclass(frozen=True)
class Kernel:
    """What `define` needs to know about a native kernel, batch dimensions left out.

    - `ranks`: the rank of each operand; the last one holds for all further operands.
    - `results`: shapes and dtypes of the results, from those of the operands and the static parameters. A
      single `Shape` instead of a tuple means a primitive with one result.
    - `attributes`: from the static parameters, the attributes of the native call. A structure under the
      name NAME is pinned, and reaches the kernel as its hash in NAME_high and NAME_low.
    - `target`: the native handler, the symbol `elimax_TARGET` of the shared library; the name, if empty.
    - `n_derivative_only`: how many leading operands the kernel never sees: values of A that only derivative
      rules need.
    - `columns`: the operand of rank 2, if there is one, whose columns the kernel treats one by one: the first
      result has a column for each of them, any other result none.
    - `summed`: operands of rank 2 over whose columns the kernel sums.
    """

    name: str
    ranks: tuple[int, ...]
    results: Callable[..., Shape | tuple[Shape, ...]]
    attributes: Callable[..., dict[str, Any]]
    target: str = ""
    n_derivative_only: int = 0
    columns: int | None = None
    summed: tuple[int, ...] = ()

    def rank(self, operand: int) -> int:
        return self.ranks[min(operand, len(self.ranks) - 1)]

    def batch_shape(self, operands: Sequence[Any]) -> tuple[int, ...]:
        """The leading dimensions of the results: the longest of those of the operands."""
        leads = (x.shape[: len(x.shape) - self.rank(i)] for i, x in enumerate(operands))
        return max(leads, key=len)

    def result_shapes(
        self, operands: Sequence[Any], params: dict[str, Any], batch: tuple[int, ...]
    ) -> list[Shape]:
        cores = [
            Shape(x.shape[len(x.shape) - self.rank(i) :], x.dtype) for i, x in enumerate(operands)
        ]
        results = self.results(*cores, **params)
        results = results if isinstance(results, tuple) else (results,)
        return [Shape(batch + result.shape, result.dtype) for result in results]

    def result_types(self, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
        """The shapes, with how the results are spread over devices, from the types of the operands."""
        ranks = [self.rank(i) for i in range(len(operands))]
        columns = self.summed if self.columns is None else (self.columns,)
        batch, column = sharded_axes(self.name, operands, ranks, columns)
        shapes = self.result_shapes(operands, params, self.batch_shape(operands))
        return [
            result_type(operands, shape, batch, column if i == 0 and not self.summed else None)
            for i, shape in enumerate(shapes)
        ]


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


def check_values(size: int, values: Any) -> None:
    """Raises the `ValueError` for values that are not those of one matrix, or one factor, of `size` entries.

    Those of matrices are checked where matrices are made, but pytrees can be put together from any leaves.
    """
    if values.ndim != 1:
        raise ValueError(
            f"a batch of matrices, with values of shape {values.shape}, came out of jax.vmap; what is to be "
            "done with each of them goes under jax.vmap, too: jax.vmap(lambda A: ...)(batch)"
        )
    if values.shape[0] != size:
        raise ValueError(
            f"a matrix or a factor has {values.shape[0]} values and a structure of {size} entries: they "
            "do not belong together"
        )


def define(kernel: Kernel, *, multiple_results: bool = False) -> Primitive:
    """The JAX primitive of a native kernel, with everything but derivatives."""
    primitive = Primitive(f"elimax_{kernel.name}")
    primitive.multiple_results = multiple_results
    target = register(kernel.target or kernel.name)

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
        seen, attributes = with_structures(seen, kernel.attributes(**params), restored)
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
        restored = restored_for(operands) if for_export else None
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
            results, dims_out = _batch_columns(mapped[0], bind, operands, dims)
        else:
            results, dims_out = _batch_calls(kernel, bind, operands, dims)
        return (results, dims_out) if multiple_results else (results[0], dims_out[0])

    primitive.def_abstract_eval(abstract)
    primitive.def_impl(functools.partial(_evaluate, primitive))
    batching.primitive_batchers[primitive] = batch
    define_taylor_rule(primitive)
    mlir.register_lowering(primitive, functools.partial(_wrong_platform, primitive.name))
    mlir.register_lowering(primitive, lower, platform="cpu", cacheable=False)
    return primitive


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


def _batch_columns(
    i: int, bind: Callable[..., list[Any]], operands: Sequence[Any], dims: Sequence[Any]
) -> tuple[list[Any], list[int | None]]:
    """Only operand `i` has the new batch: it becomes columns, whatever earlier batches there are."""
    x = jnp.moveaxis(operands[i], dims[i], -2)
    *_, batch, k = x.shape
    axes = explicit_axes(x, x.ndim - 2)
    y, *others = bind(*operands[:i], merge(x, x.ndim - 2, axes), *operands[i + 1 :])
    y = split(y, y.ndim - 1, (batch, k), axes)
    return [y, *others], [y.ndim - 2, *(None for _ in others)]


def _batch_calls(
    kernel: Kernel, bind: Callable[..., list[Any]], operands: Sequence[Any], dims: Sequence[Any]
) -> tuple[list[Any], list[int | None]]:
    """Any other batch: one more leading dimension.

    In front of the others, or behind them if less must be copied so. In front, an operand that has others
    but not the new one is copied; behind them, one that has the new one but not all others.
    """
    leads: list[tuple[Any, ...]] = []
    cores: list[tuple[Any, ...]] = []
    for i, (x, dim) in enumerate(zip(operands, dims, strict=True)):
        shape = tuple(size for d, size in enumerate(x.shape) if d != dim)
        n_leading = len(shape) - kernel.rank(i)
        leads.append(shape[:n_leading])
        cores.append(shape[n_leading:])
    size = next(x.shape[dim] for x, dim in zip(operands, dims, strict=True) if dim is not None)
    full = max(leads, key=len)
    copied_in_front = copied_behind = 0
    for dim, lead, core in zip(dims, leads, cores, strict=True):
        if dim is None and lead:
            copied_in_front += core[0]
        elif dim is not None and len(lead) < len(full):
            copied_behind += core[0]
    place = len(full) if copied_behind < copied_in_front else 0

    def placed(x: Any, dim: int | None, lead: tuple[int, ...], core: tuple[int, ...]) -> Any:
        if dim is None:
            return x if len(lead) <= place else jnp.broadcast_to(x, (size, *x.shape))
        x = jnp.moveaxis(x, dim, min(place, len(lead)))
        if len(lead) >= place:
            return x
        x = jnp.expand_dims(x, tuple(range(len(lead), place)))
        return jnp.broadcast_to(x, (*full, size, *core))

    results = bind(*map(placed, operands, dims, leads, cores))
    return results, [place] * len(results)
