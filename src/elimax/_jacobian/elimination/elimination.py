"""Vertex elimination on layouts: what is multiplied and added in which order, and what it costs.

Eliminating a variable v connects each u that it is differentiated by to each w that is differentiated by
it: the edge from u to w gains the product of those from v to w and from u to v. When only inputs and outputs
are left, edges are blocks of the Jacobian (Griewank and Walther, Evaluating Derivatives, 2008, chapters 9
and 10). The order is free, and decides the cost; to find the best one is NP-complete.

A product of scalars is one multiplication, whatever the factors, so that eliminating a vertex of a scalar
program costs its predecessors times its successors; a product that falls onto an edge that there is already
is one addition. An output that others are computed from is eliminated as an intermediate, and its edges stay
as those of the output, which costs nothing. Of structured tensors, the values that are multiplied and added
up are counted.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from elimax._jacobian.elimination.graph import ComputationalGraph, copy_of
from elimax._jacobian.elimination.layout import SCALAR, Layout
from elimax._jacobian.elimination.layout_algebra import Product, Sum, add, product


class Plans:
    """Products and sums of layouts, each planned once."""

    def __init__(self) -> None:
        self._products: dict[tuple[Layout, Layout], Product] = {}
        self._sums: dict[tuple[Layout, Layout], Sum] = {}

    def product(self, L: Layout, R: Layout) -> Product:
        found = self._products.get((L, R))
        if found is None:
            found = self._products[L, R] = product(L, R)
        return found

    def sum(self, L: Layout, R: Layout) -> Sum:
        found = self._sums.get((L, R))
        if found is None:
            found = self._sums[L, R] = add(L, R)
        return found


@dataclasses.dataclass(frozen=True)
class Step:
    """The edge from u to w gains a product by way of v."""

    u: int
    v: int
    w: int
    product: Product
    sum: Sum | None

    @property
    def muls(self) -> int:
        return 0 if self.w == copy_of(self.v) else self.product.muls

    @property
    def adds(self) -> int:
        return self.product.adds + (self.sum.adds if self.sum else 0)


class Elimination:
    """The edges that are left, by both ends, and the steps that led there.

    **Attributes:**

    - `into[w][u]`, `out[u][w]`: the layout of the derivative of w by u.
    - `merges`: sums of the edges that were parallel from the start, in the order of `graph.layouts`.
    """

    def __init__(self, graph: ComputationalGraph, plans: Plans) -> None:
        self.plans = plans
        self.groups = graph.intermediates
        self.into: dict[int, dict[int, Layout]] = {}
        self.out: dict[int, dict[int, Layout]] = {}
        self.merges: list[Sum | None] = []
        for u, w, L in graph.layouts:
            before = self.into.get(w, {}).get(u)
            merge = None if before is None else plans.sum(before, L)
            self.merges.append(merge)
            self._connect(u, w, L if merge is None else merge.layout)

    def copy(self) -> "Elimination":
        """The same edges, to be eliminated in another way."""
        other = object.__new__(Elimination)
        other.plans, other.groups, other.merges = self.plans, self.groups, self.merges
        other.into = {w: dict(edges) for w, edges in self.into.items()}
        other.out = {u: dict(edges) for u, edges in self.out.items()}
        return other

    def _connect(self, u: int, w: int, L: Layout) -> None:
        self.into.setdefault(w, {})[u] = L
        self.out.setdefault(u, {})[w] = L

    def muls(self, vertex: int) -> int:
        """Multiplications that eliminating a vertex now would cost."""
        total = 0
        for v in self.groups[vertex]:
            into, out = self.into[v], self.out[v]
            left = [L for w, L in out.items() if w != copy_of(v)]
            if all(L is SCALAR for L in into.values()) and all(L is SCALAR for L in left):
                total += len(into) * len(left)
            else:
                total += sum(self.plans.product(L, R).muls for L in left for R in into.values())
        return total

    def fill(self, vertex: int) -> int:
        """Edges that eliminating a vertex now would create."""
        return sum(
            w not in self.out[u]
            for v in self.groups[vertex]
            for u in self.into[v]
            for w in self.out[v]
        )

    def neighbors(self, vertex: int) -> set[int]:
        """Variables next to those of a vertex."""
        found: set[int] = set()
        for v in self.groups[vertex]:
            found.update(self.into[v], self.out[v])
        return found

    def eliminate(self, vertex: int) -> list[Step]:
        """Eliminates the variables of a vertex."""
        steps = []
        for v in self.groups[vertex]:
            into, out = self.into.pop(v), self.out.pop(v)
            for u in into:
                del self.out[u][v]
            for w, left in out.items():
                del self.into[w][v]
                for u, right in into.items():
                    found = self.plans.product(left, right)
                    before = self.into[w].get(u)
                    if not found.layout.nnz:
                        continue  # nothing meets
                    union = None if before is None else self.plans.sum(before, found.layout)
                    self._connect(u, w, found.layout if union is None else union.layout)
                    steps.append(Step(u, v, w, found, union))
        return steps


@dataclasses.dataclass(frozen=True)
class Program:
    """All steps of an elimination, and their operation counts.

    **Attributes:**

    - `order_counts`: for every vertex, in order, its number, multiplications and additions.
    """

    merges: list[Sum | None]
    steps: list[Step]
    order_counts: list[tuple[int, int, int]]

    @property
    def counts(self) -> dict[str, Any]:
        return {
            "num_muls": sum(muls for _, muls, _ in self.order_counts),
            "num_adds": sum(adds for _, _, adds in self.order_counts),
            "order_counts": self.order_counts,
        }


def program(graph: ComputationalGraph, order: Sequence[int], plans: Plans) -> Program:
    """The elimination of the vertices in this order, which has all of them."""
    elimination = Elimination(graph, plans)
    steps: list[Step] = []
    counts = []
    for vertex in order:
        if vertex not in elimination.groups:
            continue
        made = elimination.eliminate(vertex)
        counts.append((vertex, sum(s.muls for s in made), sum(s.adds for s in made)))
        steps += made
    return Program(elimination.merges, steps, counts)


# -- orders

Cost = Callable[[Elimination, int], tuple[int, ...]]


def greedy(graph: ComputationalGraph, plans: Plans, cost: Cost) -> list[int]:
    """At each step the vertex of least cost, the last one of several."""
    elimination = Elimination(graph, plans)
    left = {vertex: cost(elimination, vertex) for vertex in elimination.groups}
    vertex_of = {v: k for k, variables in elimination.groups.items() for v in variables}
    order = []
    while left:
        chosen = min(left, key=lambda vertex: (left[vertex], -vertex))
        touched = elimination.neighbors(chosen)
        del left[chosen]
        elimination.eliminate(chosen)
        order.append(chosen)
        # what is next to a neighbor sees which edges there are
        around = {vertex_of[v] for v in touched if v in vertex_of}
        around |= {
            vertex_of[v]
            for u in touched
            for v in (*elimination.into.get(u, ()), *elimination.out.get(u, ()))
            if v in vertex_of
        }
        for vertex in around & left.keys():
            left[vertex] = cost(elimination, vertex)
    return order


def markowitz(elimination: Elimination, vertex: int) -> tuple[int, ...]:
    """Multiplications: for scalars, predecessors times successors."""
    return (elimination.muls(vertex),)


def min_fill(elimination: Elimination, vertex: int) -> tuple[int, ...]:
    """New edges, then multiplications."""
    return elimination.fill(vertex), elimination.muls(vertex)


GREEDY: dict[str, Cost] = {"markowitz": markowitz, "minfill": min_fill}


def resolve_order(order: str | Sequence[int], graph: ComputationalGraph, plans: Plans) -> list[int]:
    """The vertices to eliminate, in order.

    **Arguments:**

    - `order`: "fwd" or "forward", "rev" or "reverse", "markowitz", "minfill", or a sequence with the number
        of every vertex that is to be eliminated; equations that are pruned, or that outputs alone come from,
        may be in it or not.

    **Raises:** `ValueError` listing what is missing, unknown or repeated, or for another name; `TypeError`
    for what is neither a name nor a sequence of integers.
    """
    needed = list(graph.intermediates)
    if isinstance(order, str):
        if order in ("fwd", "forward"):
            return needed
        if order in ("rev", "reverse"):
            return needed[::-1]
        if order in GREEDY:
            return greedy(graph, plans, GREEDY[order])
        raise ValueError(
            f'`order` must be "fwd", "rev", "markowitz", "minfill" or a sequence of vertices, got {order!r}'
        )
    try:
        given = [int(k) for k in order]
        exact = all(k == x for k, x in zip(given, order, strict=True))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`order` must be a name or a sequence of integers, got {order!r}"
        ) from error
    if not exact:
        raise TypeError(f"`order` must be a name or a sequence of integers, got {order!r}")
    seen: set[int] = set()
    repeated = sorted({k for k in given if k in seen or seen.add(k)})  # type: ignore[func-returns-value]
    unknown = sorted(k for k in seen if not 1 <= k <= len(graph.vertices))
    missing = [k for k in needed if k not in seen]
    wrong = {"missing": missing, "unknown": unknown, "repeated": repeated}
    if any(wrong.values()):
        listed = "; ".join(f"{word}: {_listed(ks)}" for word, ks in wrong.items() if ks)
        raise ValueError(
            f"`order` must have each vertex that is to be eliminated once, of the {len(graph.vertices)} "
            f"equations of the program, numbered from 1; {listed}. ex.computational_graph(f, *args) prints "
            "the equations"
        )
    return [k for k in given if k in graph.intermediates]


def _listed(vertices: Sequence[int]) -> str:
    shown = ", ".join(map(str, vertices[:20]))
    return f"{shown}, ... ({len(vertices)} in all)" if len(vertices) > 20 else shown
