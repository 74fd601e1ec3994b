"""Jacobians by vertex elimination."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elimax._jacobian.elimination import Plans, Program, program, resolve_order
from elimax._jacobian.elimination_search import EliminationOrder
from elimax._jacobian.graph import ComputationalGraph, trace
from elimax._jacobian.layout import empty
from elimax._jacobian.structured import StructuredTensor, accumulate, multiply


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
    `TypeError` for arguments or outputs that are not real.

    **Derivative:** it can be jitted, vmapped and differentiated like any function that JAX traces.

    **Cost:** the multiplications that `count_ops` tells. Elementwise operations on vectors of length n are
    edges of n values: a chain of them costs O(n). Tracing takes a plan for every pair of edges that meet.

    **Source:** Griewank and Walther, Evaluating Derivatives (2008), sections 9.1, 10.1.
    """

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


def computational_graph(
    f: Callable[..., Any], *args: Any, argnums: int | Sequence[int] | None = None, has_aux: bool = False
) -> ComputationalGraph:
    """The graph that `ex.jacve` eliminates: equations of the inlined program, numbered from 1.

    **Arguments:**

    - `f`, `argnums`, `has_aux`: as for `ex.jacve`; all arguments by default.
    - `args`: arguments of `f`, or their shapes and dtypes (`jax.ShapeDtypeStruct`).

    **Returns:** an object that prints every equation with its edges, and draws itself by `draw()`.

    **Raises:** `TypeError` as `ex.jacve` does.

    **Cost:** one trace of the function.
    """
    chosen = tuple(range(len(args))) if argnums is None else argnums
    return Problem(f, args, {}, chosen, has_aux).graph


class Problem:
    """A function at arguments, flattened: its graph, and how results are put together."""

    def __init__(
        self,
        f: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        argnums: int | Sequence[int],
        has_aux: bool,
    ) -> None:
        self.single = not isinstance(argnums, Sequence | np.ndarray)
        numbers = [argnums] if self.single else list(argnums)  # type: ignore[arg-type]
        chosen = [_position(k, len(args)) for k in numbers]
        self.leaves, tree = jax.tree.flatten(tuple(args))
        spans = np.cumsum([0, *(len(jax.tree.leaves(x)) for x in args)])
        differentiated = [range(spans[k], spans[k + 1]) for k in chosen]
        flat = sorted({leaf for span in differentiated for leaf in span})
        for k in flat:
            _check_real("argument", self.leaves[k])
        trees: list[Any] = []

        def function(*leaves: Any) -> tuple[list[Any], list[Any]]:
            result = f(*jax.tree.unflatten(tree, leaves), **kwargs)
            if has_aux and not (isinstance(result, tuple) and len(result) == 2):
                raise TypeError(
                    f"with `has_aux` the function must return a pair of an output and something else, got "
                    f"{type(result).__name__}"
                )
            out, aux = result if has_aux else (result, None)
            trees.extend([jax.tree.structure(out), jax.tree.structure(aux)])
            return jax.tree.leaves(out), jax.tree.leaves(aux)

        self.graph = trace(function, self.leaves, flat)
        self.out_tree, self.aux_tree = trees[-2:]
        for v in self.graph.outputs:
            _check_real("output", self.graph.avals[v])
        self.arguments = [
            jax.tree.unflatten(
                jax.tree.structure(args[k]), [self.graph.arguments[leaf] for leaf in span]
            )
            for k, span in zip(chosen, differentiated, strict=True)
        ]

    def value(self, values: dict[int, Any]) -> Any:
        """The output of the function."""
        return jax.tree.unflatten(self.out_tree, [values[v] for v in self.graph.outputs])

    def aux(self, values: dict[int, Any]) -> Any:
        """The auxiliary output."""
        return jax.tree.unflatten(self.aux_tree, [values[v] for v in self.graph.auxiliary])

    def assemble(self, blocks: dict[tuple[int, int], StructuredTensor], sparse: bool) -> Any:
        """The pytree of `jax.jacobian`: that of the output, with one of the arguments for every leaf."""

        def leaf(w: int, u: int) -> Any:
            out, into = self.graph.avals[w], self.graph.avals[u]
            block = blocks.get((u, self.graph.targets.get(w, w)))
            if block is None:
                if not sparse:
                    return jnp.zeros((*out.shape, *into.shape), into.dtype)
                block = StructuredTensor(empty(out.shape, into.shape), 0, into.dtype)
            block = block.astype(into.dtype)
            if not sparse:
                return block.todense()
            matrix = len(out.shape) == len(into.shape) == 1
            return block.to_sparse_matrix() if matrix else block.materialized()

        rows = [
            jax.tree.map(lambda u, w=w: leaf(w, u), self.arguments[0] if self.single else tuple(self.arguments))
            for w in self.graph.outputs
        ]
        return jax.tree.unflatten(self.out_tree, rows)


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


def _position(k: Any, n: int) -> int:
    try:
        position = operator.index(k)
    except TypeError as error:
        raise TypeError(f"`argnums` must be integers, got {k!r}") from error
    if not -n <= position < n:
        raise ValueError(f"`argnums` has {position}, but there are {n} positional arguments")
    return position % n


def _check_real(what: str, x: Any) -> None:
    dtype = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
    if not jnp.issubdtype(dtype, np.floating):
        raise TypeError(
            f"jacve: each differentiated {what} must be an array of real numbers, got dtype {dtype}"
        )
