"""The body of a loop, interpreted once for all of its steps.

With an input for each element that goes into it, a body is a boolean matrix. A step is

    carry <- J carry + K constants + B element,        result = C carry + E constants + F element.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from elimax._jacobian.sparsity.dependence import Dependence, identity, multiply, stack, take
from elimax._jacobian.sparsity.values import Known, Loop, Varying, is_array

Depends: TypeAlias = list[Dependence | None]
Results: TypeAlias = tuple[Depends, list[Known]]
Interpret = Callable[[Any, Sequence[Dependence | None], Sequence[Known]], Results]


@dataclasses.dataclass(frozen=True)
class Body:
    """The results of one step, in terms of those inputs that are used, one below the other.

    - `sizes`, `used`: of the inputs, of which those of `carry` come back.
    - `passed`: of each of the carry, whether the body hands it on as it is.
    - `known`: what is known of the results in every step.
    - `asked`: whether a rule wanted to know a value that is known, but not the same, in every step.
    """

    results: Depends
    sizes: list[int]
    used: list[bool]
    carry: slice
    passed: list[bool]
    known: list[Known]
    asked: bool

    @property
    def n_carry(self) -> int:
        return self.carry.stop - self.carry.start

    @property
    def height(self) -> int:
        """Elements of that part of the carry which depends on anything."""
        used = zip(self.sizes[self.carry], self.used[self.carry], strict=True)
        return sum(size * flag for size, flag in used)

    def columns(self, inputs: slice) -> slice:
        """Where these inputs are among those that are used."""
        stops = np.cumsum([0, *(s * f for s, f in zip(self.sizes, self.used, strict=True))])
        return slice(int(stops[inputs.start]), int(stops[inputs.stop]))

    def part(self, result: Dependence | None, inputs: slice) -> sp.csr_array | None:
        """A result in terms of some of the inputs only."""
        if result is None:
            return None
        return sp.csr_array(sp.csc_array(result)[:, self.columns(inputs)])

    def step_matrix(self) -> Dependence | None:
        """The carry in terms of all inputs: [K J B]."""
        return self.below(self.results[: self.n_carry], self.carry)

    def below(self, dependences: Depends, inputs: slice) -> Dependence | None:
        """Those of these inputs that are used, one below the other."""
        used = self.used[inputs]
        return stack(
            [D for D, flag in zip(dependences, used, strict=True) if flag],
            [s for s, flag in zip(self.sizes[inputs], used, strict=True) if flag],
        )

    def apart(self, carry: Dependence | None) -> Depends:
        """The opposite: the used part of the carry as it goes in and out."""
        sizes = [s * f for s, f in zip(self.sizes[self.carry], self.used[self.carry], strict=True)]
        stops = np.cumsum(sizes)
        return [
            take(carry, np.arange(stop - size, stop)) if size and carry is not None else None
            for stop, size in zip(stops, sizes, strict=True)
        ]

    def step(self, dependences: Depends) -> Depends:
        whole = self.below(dependences, slice(0, len(self.sizes)))
        if whole is None:
            return [None] * len(self.results)
        return [None if R is None else multiply(R, whole) for R in self.results]

    def invariant(self, known: list[Known]) -> list[Known]:
        """What is known of the carry after the loop."""
        values = zip(known[self.carry], self.passed, strict=True)
        return [value if flag else None for value, flag in values]


def body_of(
    interpret: Interpret,
    jaxpr: Any,
    sizes: list[int],
    known: list[Known],
    dependences: Depends,
    carry: slice,
) -> Body:
    """Interprets the body, again for as long as more of the carry comes to depend on anything, or less of it
    is known in every step."""
    inner = getattr(jaxpr, "jaxpr", jaxpr)
    used = [D is not None for D in dependences]
    n_carry = carry.stop - carry.start
    passed = [inner.outvars[k] is inner.invars[carry.start + k] for k in range(n_carry)]
    loop = Loop()
    values = list(known)
    for k in range(carry.start, len(sizes)):
        if k >= carry.stop or not passed[k - carry.start]:
            values[k] = _in_every_step(values[k], loop)
    while True:
        loop.asked = False
        stops = np.cumsum([size * flag for size, flag in zip(sizes, used, strict=True)])
        whole = identity(int(stops[-1]) if sizes else 0)
        inputs = [
            take(whole, np.arange(stop - size, stop)) if flag else None
            for stop, size, flag in zip(stops, sizes, used, strict=True)
        ]
        results, found = interpret(jaxpr, inputs, values)
        settled = True
        for k, i in enumerate(range(carry.start, carry.stop)):
            if results[k] is not None and not used[i]:
                used[i], settled = True, False
            if values[i] is not None and _in_every_step(found[k], loop) is None:
                values[i], settled = None, False
        if settled:
            return Body(results, sizes, used, carry, passed, found, loop.asked)


def _in_every_step(value: Known, loop: Loop) -> Known:
    """What is known of a value that the steps of the loop change."""
    if isinstance(value, Varying):
        return Varying(value.loops | {loop})
    return Varying(frozenset([loop])) if is_array(value) else None


def n_equations(jaxpr: Any) -> int:
    """Of a jaxpr and of those within it."""
    count, waiting = 1, [jaxpr]
    while waiting:
        inner = waiting.pop()
        inner = getattr(inner, "jaxpr", inner)
        count += len(inner.eqns)
        for equation in inner.eqns:
            for value in equation.params.values():
                parts = value if isinstance(value, tuple) else (value,)
                waiting += [x for x in parts if hasattr(x, "eqns") or hasattr(x, "jaxpr")]
    return count
