"""A function of pytrees at its arguments: its graph, and how a Jacobian is put together from blocks."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elimax._jacobian.arguments import Argnums, Auxiliary, check_function, is_array, positions
from elimax._jacobian.elimination.graph import ComputationalGraph, graph_of
from elimax._jacobian.elimination.layout import empty
from elimax._jacobian.elimination.structured import StructuredTensor


def computational_graph(
    f: Callable[..., Any],
    *args: Any,
    argnums: Argnums = 0,
    has_aux: bool = False,
    **kwargs: Any,
) -> ComputationalGraph:
    """The graph that `ex.jacve` eliminates: equations of the inlined program, numbered from 1.

    **Arguments:**

    - `f`, `argnums`, `has_aux`: as for `ex.jacve`.
    - `args`, `kwargs`: arguments of `f`, or their shapes and dtypes (`jax.ShapeDtypeStruct`).

    **Returns:** an object that prints every equation with its edges; `elimax.draw_graph` draws it.

    **Raises:** `TypeError` as `ex.jacve` does.

    **Cost:** one trace of the function.
    """
    return Problem(f, args, kwargs, argnums, has_aux).graph


class Problem:
    """A function at arguments, flattened: its graph, and how results are put together."""

    def __init__(
        self,
        f: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        argnums: Argnums,
        has_aux: bool,
    ) -> None:
        check_function(f)
        self.single = not isinstance(argnums, Sequence | np.ndarray)
        chosen = positions(argnums, len(args))
        every, tree = jax.tree.flatten(tuple(args))
        traced = [is_array(leaf) for leaf in every]
        self.leaves = [leaf for leaf in every if is_array(leaf)]
        spans = np.cumsum([0, *(len(jax.tree.leaves(x)) for x in args)])
        differentiated = [range(spans[k], spans[k + 1]) for k in chosen]
        for k in sorted({leaf for span in differentiated for leaf in span}):
            _check_real("argument", every[k])
        place = np.cumsum(traced) - 1  # of a leaf among the arrays
        flat = sorted({int(place[leaf]) for span in differentiated for leaf in span})
        trees: list[Any] = []
        self._auxiliary = Auxiliary()

        def function(*leaves: Any) -> tuple[list[Any], list[Any]]:
            arrays = iter(leaves)
            filled = [next(arrays) if flag else x for flag, x in zip(traced, every, strict=True)]
            result = f(*jax.tree.unflatten(tree, filled), **kwargs)
            out, aux = self._auxiliary.split(f, result, has_aux)
            trees.append(jax.tree.structure(out))
            return jax.tree.leaves(out), aux

        self.graph = graph_of(f, function, self.leaves, flat)
        self.out_tree = trees[-1]
        for v in self.graph.outputs:
            _check_real("output", self.graph.avals[v])
        self.arguments = [
            jax.tree.unflatten(
                jax.tree.structure(args[k]), [self.graph.arguments[place[leaf]] for leaf in span]
            )
            for k, span in zip(chosen, differentiated, strict=True)
        ]

    def value(self, values: dict[int, Any]) -> Any:
        """The output of the function."""
        return jax.tree.unflatten(self.out_tree, [values[v] for v in self.graph.outputs])

    def aux(self, values: dict[int, Any]) -> Any:
        """The auxiliary output."""
        return self._auxiliary.join([values[v] for v in self.graph.auxiliary])

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
            jax.tree.map(
                lambda u, w=w: leaf(w, u),
                self.arguments[0] if self.single else tuple(self.arguments),
            )
            for w in self.graph.outputs
        ]
        return jax.tree.unflatten(self.out_tree, rows)


def _check_real(what: str, x: Any) -> None:
    dtype = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
    if not jnp.issubdtype(dtype, np.floating):
        raise TypeError(
            f"jacve: each differentiated {what} must be an array of real numbers, got dtype {dtype}"
        )
