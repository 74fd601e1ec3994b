"""A function of pytrees at its arguments: its graph, and how a Jacobian is put together from blocks."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elimax._jacobian.elimination.graph import ComputationalGraph, trace
from elimax._jacobian.elimination.layout import empty
from elimax._jacobian.elimination.structured import StructuredTensor


def computational_graph(
    f: Callable[..., Any], *args: Any, argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> ComputationalGraph:
    """The graph that `ex.jacve` eliminates: equations of the inlined program, numbered from 1.

    **Arguments:**

    - `f`, `argnums`, `has_aux`: as for `ex.jacve`.
    - `args`: arguments of `f`, or their shapes and dtypes (`jax.ShapeDtypeStruct`).

    **Returns:** an object that prints every equation with its edges; `elimax.plotting.draw_graph` draws it.

    **Raises:** `TypeError` as `ex.jacve` does.

    **Cost:** one trace of the function.
    """
    return Problem(f, args, {}, argnums, has_aux).graph


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
            jax.tree.map(
                lambda u, w=w: leaf(w, u),
                self.arguments[0] if self.single else tuple(self.arguments),
            )
            for w in self.graph.outputs
        ]
        return jax.tree.unflatten(self.out_tree, rows)


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
