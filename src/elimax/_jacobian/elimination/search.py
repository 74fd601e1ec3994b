"""The search for an order of elimination with few multiplications.

The graph that is left depends on which vertices were eliminated, not on their order: another order of the
vertices between two places changes the costs between these places only. Orders are therefore searched with
the graph at every place at hand, and a move is judged by eliminating again what lies between its ends.
"""

import dataclasses
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from elimax._jacobian.elimination.elimination import (
    GREEDY,
    Elimination,
    Plans,
    program,
    resolve_order,
)
from elimax._jacobian.elimination.graph import ComputationalGraph, copy_of
from elimax._jacobian.elimination.layout import SCALAR
from elimax._jacobian.elimination.problem import Problem


@dataclasses.dataclass(frozen=True)
class EliminationOrder:
    """An order of elimination and what it costs; plain integers, for `json`, `pickle` and `jacve(f, order=)`.

    **Attributes:**

    - `order`: the numbers of the vertices.
    - `num_muls`, `num_adds`: the operations that elimination takes in this order.
    """

    order: tuple[int, ...]
    num_muls: int
    num_adds: int

    def __iter__(self) -> Iterator[int]:
        return iter(self.order)

    def __len__(self) -> int:
        return len(self.order)


class _Graph(Protocol):
    """A graph that forgets nothing: eliminating makes another one."""

    separable: bool  # whether what is left does not depend on the order

    def start(self) -> Any: ...

    def eliminate(self, state: Any, vertex: int) -> tuple[Any, int]: ...


class _ScalarGraph:
    """Sets of neighbors as the bits of integers."""

    separable = True

    def __init__(self, graph: ComputationalGraph) -> None:
        groups = graph.intermediates
        inner = [v for variables in groups.values() for v in variables]
        number = {v: k for k, v in enumerate(inner)}
        edges = {(u, w) for u, w, _ in graph.layouts}
        for u, w in edges:
            number.setdefault(u, len(number))
            number.setdefault(w, len(number))
        n = len(inner)
        self._into, self._out = [0] * n, [0] * n
        for u, w in edges:
            if number[u] < n:
                self._out[number[u]] |= 1 << number[w]
            if number[w] < n:
                self._into[number[w]] |= 1 << number[u]
        self._inner = (1 << n) - 1
        self._members = {
            k: [(number[v], ~(1 << number[copy_of(v)]) if copy_of(v) in number else -1) for v in vs]
            for k, vs in groups.items()
        }

    def start(self) -> tuple[list[int], list[int]]:
        return self._into, self._out

    def eliminate(
        self, state: tuple[list[int], list[int]], vertex: int
    ) -> tuple[tuple[list[int], list[int]], int]:
        into, out = state[0][:], state[1][:]
        cost = 0
        for v, counted in self._members[vertex]:
            before, after = into[v], out[v]
            cost += before.bit_count() * (after & counted).bit_count()
            others = ~(1 << v)
            rest = before & self._inner
            while rest:
                u = rest.bit_length() - 1
                out[u] = (out[u] | after) & others
                rest ^= 1 << u
            rest = after & self._inner
            while rest:
                w = rest.bit_length() - 1
                into[w] = (into[w] | before) & others
                rest ^= 1 << w
        return (into, out), cost


class _StructuredGraph:
    """Edges with layouts, copied before each elimination."""

    separable = False

    def __init__(self, graph: ComputationalGraph, plans: Plans) -> None:
        self._graph = graph
        self._plans = plans

    def start(self) -> Elimination:
        return Elimination(self._graph, self._plans)

    def eliminate(self, state: Elimination, vertex: int) -> tuple[Elimination, int]:
        after = state.copy()
        return after, sum(step.muls for step in after.eliminate(vertex))


Enough = Callable[[], float]


def _budget(budget: float, evaluations: Callable[[], int]) -> Enough:
    """How much of the budget is used up, from 0 to 1: evaluations if it is an integer, else seconds."""
    if isinstance(budget, int):
        return lambda: evaluations() / max(budget, 1)
    start = time.monotonic()
    return lambda: (time.monotonic() - start) / max(budget, 1e-9)


class _Search:
    """An order, with the graph and the costs at each of its places."""

    def __init__(self, graph: _Graph, order: Sequence[int]) -> None:
        self.graph = graph
        self.order = list(order)
        self.states: list[Any] = [graph.start()]
        self.costs: list[int] = []
        for vertex in self.order:
            state, cost = graph.eliminate(self.states[-1], vertex)
            self.states.append(state)
            self.costs.append(cost)
        self.evaluations = 0

    @property
    def total(self) -> int:
        return sum(self.costs)

    def attempt(self, first: int, vertices: list[int], allowed: float) -> bool:
        """Puts these vertices at the places from `first` on if it costs at most `allowed` more."""
        self.evaluations += 1
        if not self.graph.separable:
            vertices = vertices + self.order[first + len(vertices) :]
        last = first + len(vertices)
        allowed += sum(self.costs[first:last])
        state, states, costs, spent = self.states[first], [], [], 0
        for vertex in vertices:
            state, cost = self.graph.eliminate(state, vertex)
            spent += cost
            if spent > allowed:
                return False
            states.append(state)
            costs.append(cost)
        self.order[first:last] = vertices
        self.costs[first:last] = costs
        self.states[first + 1 : last + 1] = states
        return True


def _moved(order: list[int], rng: random.Random) -> tuple[int, list[int]]:
    """A random move: from which place on, and what stands there then. Neighbors are swapped, a vertex is
    moved, or a few that follow one another are."""
    n = len(order)
    length = rng.choice((1, 1, 1, 1, 2, 3, 5))
    reach = min(n - 1, 1 + int(rng.expovariate(1.0) * n / 8))
    length = min(length, n - 1)
    i = rng.randrange(n - length + 1)
    block = order[i : i + length]
    if rng.random() < 0.5:
        j = max(0, i - reach)
        return j, block + order[j:i]
    j = min(n, i + length + reach)
    return i, order[i + length : j] + block


def _anneal(
    graph: _Graph, start: Sequence[int], budget: float, heat: tuple[float, float], seed: int
) -> list[int]:
    """Random moves; one that costs more is accepted with a probability that falls with the temperature, which
    goes geometrically from the first to the second multiple of what a vertex costs on average.

    **Source:** Kirkpatrick, Gelatt, Vecchi, Optimization by simulated annealing, Science 220 (1983).
    """
    if len(start) < 2:
        return list(start)
    rng = random.Random(seed)
    search = _Search(graph, start)
    best, best_total = list(search.order), search.total
    used = _budget(budget, lambda: search.evaluations)
    hot, cold = (h * max(1, best_total) / len(start) for h in heat)
    while (share := used()) < 1:
        temperature = hot * (cold / hot) ** share if hot else 0.0
        first, vertices = _moved(search.order, rng)
        if search.attempt(first, vertices, -temperature * math.log(1 - rng.random())):
            total = search.total
            if total < best_total:
                best, best_total = list(search.order), total
    return best


_HEAT = {"local": (0.0, 0.0), "annealing": (0.8, 0.05)}
_EVALUATIONS = {True: 200_000, False: 2_000}  # of scalar programs, and of others


def elimination_order(
    f: Callable[..., Any],
    *args: Any,
    method: str = "annealing",
    budget: int | float | None = None,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    seed: int = 0,
    **kwargs: Any,
) -> EliminationOrder:
    """An order of elimination with few multiplications, for `ex.jacve(f, order)` with the same arguments.

    **Arguments:**

    - `f`, `argnums`, `has_aux`: as for `ex.jacve`.
    - `args`, `kwargs`: arguments of `f`, or their shapes and dtypes (`jax.ShapeDtypeStruct`).
    - `method`: "markowitz" and "minfill" are the greedy rules of `ex.jacve`; "local" and "annealing" start
        from the best of these and of the orders of the program, and move vertices: where that costs no more,
        or by simulated annealing.
    - `budget`: of "local" and "annealing": moves that are tried if it is an integer, else seconds. By default
        200,000 for scalar programs (ten seconds for a hundred equations), 2,000 for others.
    - `seed`: of the moves; the same seed, with a budget of moves, finds the same order everywhere.

    **Returns:** the order with its operation counts. It holds plain integers, to be saved and used again for
    the same program.

    **Raises:** `ValueError` for another method or a negative budget; what `ex.jacve` does.

    **Cost:** of a move, one elimination of the vertices that it passes; of structured programs, of all that
    come after it.

    **Source:** Griewank and Walther, Evaluating Derivatives (2008), section 10.1 (Markowitz's rule); the
    problem is NP-complete: Naumann, Mathematical Programming 112 (2008).
    """
    if method not in (*GREEDY, *_HEAT):
        known = ", ".join(f'"{name}"' for name in (*GREEDY, *_HEAT))
        raise ValueError(f"`method` must be one of {known}, got {method!r}")
    if budget is not None and (not isinstance(budget, int | float) or budget < 0):
        raise ValueError(f"`budget` must be moves or seconds, not negative, got {budget!r}")
    graph = Problem(f, args, kwargs, argnums, has_aux).graph
    plans = Plans()
    names = [method] if method in GREEDY else [*GREEDY, "fwd", "rev"]
    starts = [resolve_order(name, graph, plans) for name in names]
    made = [program(graph, order, plans).counts for order in starts]
    best = min(range(len(starts)), key=lambda k: made[k]["num_muls"])
    order = starts[best]
    if method in _HEAT:
        scalar = all(L == SCALAR for _, _, L in graph.layouts)
        searched = _ScalarGraph(graph) if scalar else _StructuredGraph(graph, plans)
        moves = _EVALUATIONS[scalar] if budget is None else budget
        order = _anneal(searched, order, moves, _HEAT[method], seed)
    counts = program(graph, order, plans).counts
    return EliminationOrder(tuple(order), counts["num_muls"], counts["num_adds"])
