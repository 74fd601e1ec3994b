"""The computational graph of a function: its equations as vertices, elemental partials as edges."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elimax._jacobian.arguments import struct, trace
from elimax._jacobian.elimination.layout import Layout, diagonal
from elimax._jacobian.elimination.partial import Call, Partial, partial
from elimax._jacobian.sparsity.values import folded, is_array
from elimax._primitive.define import is_traced

_CALLS = {"jit", "pjit", "closed_call", "core_call", "call", "remat2", "checkpoint", "eval_jaxpr"}
_CUSTOM = {"custom_jvp_call", "custom_vjp_call"}


@dataclasses.dataclass(frozen=True)
class Vertex:
    """An equation of the inlined program.

    **Attributes:**

    - `number`: from 1, in the order of the program.
    - `call`: the primitive and its operands' types.
    - `operands`, `results`: variables.
    """

    number: int
    call: Call
    operands: tuple[int, ...]
    results: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Edge:
    """A partial derivative that is not zero: of result r of an equation by its operand k."""

    vertex: Vertex
    operand: int
    result: int
    partial: Partial

    @property
    def ends(self) -> tuple[int, int]:
        """The variable that is differentiated by, and the one that is differentiated."""
        return self.vertex.operands[self.operand], self.vertex.results[self.result]


class ComputationalGraph:
    """What `computational_graph` returns: vertices are the equations of the program, numbered from 1.

    `print` shows every equation with its number, its shapes, and the vertices that its result is
    differentiated by; `elimax.plotting.draw_graph` draws them.

    **Attributes:**

    - `vertices`: all equations.
    - `edges`: the partial derivatives between what depends on the differentiated arguments and what an output
        depends on; all others are pruned.
    - `inputs`: variables that are differentiated by. `outputs`: variables, repeated as often as they are
        returned. `auxiliary`: those that are returned, and not differentiated.
    """

    def __init__(
        self,
        avals: dict[int, Any],
        constants: dict[int, Any],
        vertices: list[Vertex],
        arguments: list[int],
        inputs: list[int],
        outputs: list[int],
        auxiliary: list[int],
    ) -> None:
        self.avals, self.constants, self.vertices = avals, constants, vertices
        self.arguments, self.inputs = arguments, inputs
        self.outputs, self.auxiliary = outputs, auxiliary
        self.edges = _edges(vertices, inputs, outputs)
        self.producer = {v: x for x in vertices for v in x.results}

    @functools.cached_property
    def intermediates(self) -> dict[int, list[int]]:
        """The variables that are to be eliminated, by the number of their vertex: those between inputs and
        outputs, among them outputs that others are computed from."""
        starts = {edge.ends[0] for edge in self.edges}
        ends = {edge.ends[1] for edge in self.edges}
        found: dict[int, list[int]] = {}
        for v in sorted(starts & ends):
            found.setdefault(self.producer[v].number, []).append(v)
        return dict(sorted(found.items()))

    @functools.cached_property
    def layouts(self) -> list[tuple[int, int, Layout]]:
        """All edges by their ends, several between two variables included; variables that are returned and
        differentiated further, or returned and differentiated by, are connected to a copy of theirs, which
        `targets` names."""
        found = [(*edge.ends, edge.partial.layout) for edge in self.edges]
        return found + [
            (v, copy, diagonal(self.avals[v].shape).constant)
            for v, copy in self.targets.items()
            if v != copy
        ]

    @functools.cached_property
    def targets(self) -> dict[int, int]:
        """For every output that depends on an input, where its derivatives end: itself, or a copy."""
        starts = {edge.ends[0] for edge in self.edges} | set(self.inputs)
        ends = {edge.ends[1] for edge in self.edges} | set(self.inputs)
        return {
            v: copy_of(v) if v in starts else v for v in dict.fromkeys(self.outputs) if v in ends
        }

    def __str__(self) -> str:
        into: dict[int, list[int]] = {}
        for edge in self.edges:
            into.setdefault(edge.ends[1], []).append(edge.ends[0])
        lines = [f"inputs: {', '.join(self.label(v) for v in self.inputs)}"]
        for x in self.vertices:
            types = ", ".join(_type(self.avals[v]) for v in x.results)
            by = dict.fromkeys(p for v in x.results for p in into.get(v, ()))
            returned = " (output)" * any(v in self.outputs for v in x.results)
            edges = " <- " + ", ".join(self.label(p) for p in by) if by else ""
            lines.append(f"{x.number:4d}  {x.call.name}: {types}{edges}{returned}")
        lines.append(f"outputs: {', '.join(self.label(v) for v in self.outputs)}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"ComputationalGraph({len(self.vertices)} equations, {len(self.intermediates)} to eliminate, "
            f"{len(self.inputs)} inputs, {len(self.outputs)} outputs)"
        )

    def label(self, variable: int) -> str:
        """The number of the equation that a variable comes from, with its place if that has several; "x0",
        "x1", ... for inputs, and "-" for what does not depend on any."""
        if variable in self.inputs:
            return f"x{self.inputs.index(variable)}"
        if variable not in self.producer:
            return "-"
        x = self.producer[variable]
        place = f".{x.results.index(variable)}" if len(x.results) > 1 else ""
        return f"{x.number}{place}"


def copy_of(variable: int) -> int:
    """The node of a variable as an output, if others are computed from it."""
    return -1 - variable


def _type(aval: Any) -> str:
    return f"{aval.dtype}[{','.join(map(str, aval.shape))}]"


def graph_of(
    f: Callable[..., Any],
    function: Callable[..., Any],
    arguments: Sequence[Any],
    differentiated: Sequence[int],
) -> ComputationalGraph:
    """The graph of a function of arrays, which calls `f` and returns two lists, by some of its arguments.

    The second list is not differentiated.

    Integer arguments that are not traced count as constants, so that what they index has a fixed structure.

    **Raises:** `TypeError` naming an equation that computes with complex numbers between them, or if `f`
    looks at values in Python.

    **Cost:** one trace of the function; no numbers are computed, but those of constant indices.
    """
    jaxpr, (differentiable, _) = trace(f, function, *map(struct, arguments))
    builder = _Builder()
    inputs = [builder.variable(v.aval) for v in jaxpr.jaxpr.invars]
    for k, (v, x) in enumerate(zip(inputs, arguments, strict=True)):
        if k not in differentiated and not is_traced(x) and not _inexact(builder.avals[v]):
            if isinstance(x, np.ndarray | np.generic | jax.Array | int):
                builder.known[v] = x
    outputs = builder.inline(jaxpr.jaxpr, jaxpr.consts, inputs)
    return ComputationalGraph(
        builder.avals,
        builder.constants,
        builder.vertices,
        inputs,
        [inputs[k] for k in differentiated],
        outputs[: len(differentiable)],
        outputs[len(differentiable) :],
    )


class _Builder:
    """Equations with calls inlined, variables numbered from 0."""

    def __init__(self) -> None:
        self.avals: dict[int, Any] = {}
        self.constants: dict[int, Any] = {}  # literals and what the function closes over
        self.known: dict[int, Any] = {}  # on the host
        self.vertices: list[Vertex] = []

    def variable(self, aval: Any) -> int:
        self.avals[len(self.avals)] = aval
        return len(self.avals) - 1

    def constant(self, aval: Any, x: Any) -> int:
        v = self.variable(aval)
        self.constants[v] = x
        if not is_traced(x) and not jnp.issubdtype(aval.dtype, jax.dtypes.extended):
            self.known[v] = x
        return v

    def inline(self, jaxpr: Any, consts: Sequence[Any], arguments: Sequence[int]) -> list[int]:
        """The variables of the results; calls within are worked off with a stack, not by recursion."""
        names: dict[Any, int] = dict(zip(jaxpr.invars, arguments, strict=True))
        for v, x in zip(jaxpr.constvars, consts, strict=True):
            names[v] = self.constant(v.aval, x)
        stack: list[tuple[Any, dict[Any, int], Any]] = [(iter(jaxpr.eqns), names, None)]
        while stack:
            equations, names, after = stack[-1]
            equation = next(equations, None)
            if equation is None:
                stack.pop()
                if after is not None:
                    outer, results, inner = after
                    found = [self.read(names, v) for v in inner.outvars]
                    outer.update(zip(results, found, strict=True))
                continue
            operands = [self.read(names, v) for v in equation.invars]
            if equation.primitive.name in _CALLS:
                closed = equation.params.get("jaxpr") or equation.params["call_jaxpr"]
                inner = getattr(closed, "jaxpr", closed)
                inside = dict(zip(inner.invars, operands, strict=True))
                for v, x in zip(inner.constvars, getattr(closed, "consts", ()), strict=True):
                    inside[v] = self.constant(v.aval, x)
                stack.append((iter(inner.eqns), inside, (names, equation.outvars, inner)))
                continue
            results = [self.variable(v.aval) for v in equation.outvars]
            names.update(zip(equation.outvars, results, strict=True))
            self.add(equation, operands, results)
        return [self.read(names, v) for v in jaxpr.outvars]

    def read(self, names: dict[Any, int], v: Any) -> int:
        return self.constant(v.aval, v.val) if hasattr(v, "val") else names[v]

    def add(self, equation: Any, operands: list[int], results: list[int]) -> None:
        known = tuple(self.known.get(v) for v in operands)
        call = Call(
            equation.primitive,
            equation.params,
            tuple(v.aval for v in equation.invars),
            tuple(v.aval for v in equation.outvars),
            known,
            tuple(operands.index(v) for v in operands),
        )
        self.vertices.append(Vertex(len(self.vertices) + 1, call, tuple(operands), tuple(results)))
        if equation.primitive.name not in _CUSTOM:
            found = folded(equation, known)  # index arithmetic
            self.known.update((v, x) for v, x in zip(results, found, strict=True) if is_array(x))


def _inexact(aval: Any) -> bool:
    return jnp.issubdtype(aval.dtype, np.inexact)


def _check_real(x: Vertex, *avals: Any) -> None:
    if any(jnp.issubdtype(aval.dtype, np.complexfloating) for aval in avals):
        raise TypeError(
            f"jacve: equation {x.number}, `{x.call.name}`, computes with complex numbers, whose derivatives "
            "are not products of partials in general; use jax.jacobian for this function"
        )


def _edges(vertices: list[Vertex], inputs: list[int], outputs: list[int]) -> list[Edge]:
    """Those on a path from an input to an output, in the order of the program."""
    useful = set(outputs)
    for x in reversed(vertices):
        if useful.intersection(x.results):
            useful.update(x.operands)
    active = set(inputs)
    found: list[Edge] = []
    for x in vertices:
        first = len(found)
        for r, v in enumerate(x.results):
            if v not in useful or not _inexact(x.call.results[r]):
                continue
            for k, u in enumerate(x.operands):
                if u not in active or not _inexact(x.call.operands[k]):
                    continue
                _check_real(x, x.call.operands[k], x.call.results[r])
                entry = partial(x.call, k, r)
                if entry is not None:
                    found.append(Edge(x, k, r, entry))
        active.update(edge.ends[1] for edge in found[first:])
    useful = set(outputs)
    kept = []
    for edge in reversed(found):
        if edge.ends[1] in useful:
            useful.add(edge.ends[0])
            kept.append(edge)
    return kept[::-1]
