"""Jacobians by vertex elimination."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from elimax._jacobian.arguments import check_function
from elimax._jacobian.elimination.elimination import Plans, Program, program, resolve_order
from elimax._jacobian.elimination.graph import ComputationalGraph
from elimax._jacobian.elimination.problem import Problem
from elimax._jacobian.elimination.search import EliminationOrder
from elimax._jacobian.elimination.structured import StructuredTensor, accumulate, multiply


def jacve(
    f: Callable[..., Any],
    order: str | Sequence[int] | EliminationOrder = "rev",
    argnums: int | Sequence[int] = (0,),
    *,
    has_aux: bool = False,
    return_value: bool = False,
    count_ops: bool = False,
    sparse_representation: bool = False,
) -> Callable[..., Any]:
    """The Jacobian of `f`, accumulated by eliminating the vertices of its computational graph.

    The same numbers in the same pytree as `jax.jacobian(f, argnums)`.

    **Arguments:**

    - `f`: a function of pytrees of arrays to a pytree of real arrays.
    - `order`: of elimination: "fwd" or "forward", the order of the program; "rev" or "reverse";
        "markowitz": at each step the vertex with the fewest multiplications, of several the last;
        "minfill": with the fewest new edges, then multiplications; what `ex.elimination_order` returns; or a
        sequence with the number of every vertex to be eliminated. Vertex k is equation k, from 1, of the
        program with its calls inlined, which `ex.computational_graph(f, *args)` prints. Equations that are
        pruned, or whose results are outputs only, may be in a sequence or not.
    - `argnums`: the arguments to differentiate by: an integer, or several for a tuple in place of each leaf.
    - `has_aux`: whether `f` returns a pair of which only the first is differentiated.
    - `return_value`, `count_ops`: return more, see below.
    - `sparse_representation`: leaves are `SparseMatrix` where both arrays are vectors, and structured tensors
        with `layout`, `value` and `todense()` for others.

    **Returns:** a function of the arguments of `f` that returns the Jacobian; or a tuple of those that are
    asked for out of the value of `f`, the Jacobian, the auxiliary output and the operation counts, in this
    order. Counts are a dictionary: `num_muls`, `num_adds`, and `order_counts` with (vertex, multiplications,
    additions) in the order of elimination. For scalar programs a vertex costs its predecessors times its
    successors, edges of value one included, and each product that falls onto an edge costs an addition; for
    arrays those are counted that the structured products and sums take. Elemental partials are not counted.

    **Raises:** `ValueError` for an order with missing, unknown or repeated vertices, which lists them;
    `TypeError` for arguments, outputs or equations that are not real.

    **Derivative:** it can be jitted, vmapped and differentiated like any function that JAX traces; without
    `jit` every call traces and plans anew.

    **Cost:** the multiplications that `count_ops` tells. Elementwise operations on vectors of length n are
    edges of n values: a chain of them costs O(n). Tracing takes a plan for every pair of edges that meet.

    **Source:** Griewank and Walther, Evaluating Derivatives (2008), sections 9.1, 10.1.
    """

    check_function(f)

    @functools.wraps(f, assigned=("__module__", "__name__", "__qualname__"), updated=())
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        problem = Problem(f, args, kwargs, argnums, has_aux)
        graph = problem.graph
        plans = Plans()
        made = program(graph, resolve_order(_vertices(order), graph, plans), plans)
        values, blocks = accumulate_blocks(graph, made, problem.leaves)
        found = [problem.value(values)] if return_value else []
        found.append(problem.assemble(blocks, sparse_representation))
        found += [problem.aux(values)] if has_aux else []
        found += [made.counts] if count_ops else []
        return found[0] if len(found) == 1 else tuple(found)

    return jacobian


def accumulate_blocks(
    graph: ComputationalGraph, made: Program, leaves: Sequence[Any]
) -> tuple[dict[int, Any], dict[tuple[int, int], StructuredTensor]]:
    """The values of all variables, and the edges that are left at the end of the program."""
    values = dict(graph.constants)
    values.update(zip(graph.arguments, leaves, strict=True))
    by_vertex: dict[int, list[Any]] = {}
    for edge in graph.edges:
        by_vertex.setdefault(edge.vertex.number, []).append(edge)
    edges: dict[tuple[int, int], StructuredTensor] = {}
    tensors = []
    for x in graph.vertices:
        operands = [values[v] for v in x.operands]
        values.update(zip(x.results, x.call.apply(operands), strict=True))
        for edge in by_vertex.get(x.number, ()):
            dtype = graph.avals[edge.ends[1]].dtype
            tensors.append(
                StructuredTensor(edge.partial.layout, edge.partial.value(operands), dtype)
            )
    tensors += [
        StructuredTensor(L, 1, graph.avals[u].dtype)
        for u, _, L in graph.layouts[len(graph.edges) :]
    ]
    for (u, w, _), merge, tensor in zip(graph.layouts, made.merges, tensors, strict=True):
        before = edges.get((u, w))
        edges[u, w] = tensor if merge is None else accumulate(merge, before, tensor)  # type: ignore[arg-type]
    for step in made.steps:
        left, right = edges[step.v, step.w], edges[step.u, step.v]
        term = multiply(step.product, left, right)
        if step.sum is not None:
            term = accumulate(step.sum, edges[step.u, step.w], term)
        edges[step.u, step.w] = term
    return values, edges


def _vertices(order: Any) -> Any:
    return order.order if isinstance(order, EliminationOrder) else order
