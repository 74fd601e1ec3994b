"""What the results of a scan depend on.

Where the values of single steps matter, and there are few, they are followed; short scans are multiplied
step by step; long ones are composed (`composition.py`). All of this is exact. Only where a very long scan
cannot be composed, since it is too dense, every step may see whatever any other does.
"""

import dataclasses
import math
from typing import Any

import numpy as np
import scipy.sparse as sp

from elimax._jacobian.sparsity.body import Body, Depends, Interpret, Results, body_of
from elimax._jacobian.sparsity.composition import any_number, each, powers, prefixes, reduced
from elimax._jacobian.sparsity.dependence import (
    Dependence,
    TooDense,
    group,
    multiply,
    stack,
    take,
    union,
)
from elimax._jacobian.sparsity.values import Known, Varying, is_array, stacked

_SHORT = 64  # steps that are multiplied one after the other
_LONG = 512  # the same where all at once would be too dense


def scan(
    interpret: Interpret, equation: Any, dependences: Depends, known: list[Known], followed: bool
) -> Results:
    """With the values of every step if `followed`, and if they matter."""
    params, length = equation.params, equation.params["length"]
    n_consts, n_carry = _numbers_of(equation)
    first = n_consts + n_carry
    avals = [v.aval for v in equation.invars]
    sizes = [math.prod(x.shape) for x in avals[:first]]
    sizes += [math.prod(x.shape[1:]) for x in avals[first:]]
    carry = slice(n_consts, first)
    order = range(length)[::-1] if params["reverse"] else range(length)
    steps = _Steps(dependences, known, sizes, carry, order, equation)
    if length == 0:
        nothing: list[Any] = [None] * (len(equation.outvars) - n_carry)
        return [*dependences[carry], *nothing], [*known[carry], *nothing]
    body = body_of(interpret, params["jaxpr"], sizes, known, dependences, carry)
    varies = body.asked or any(isinstance(x, Varying) for x in body.known[n_carry:])
    if varies and followed:
        return steps.followed(interpret)
    if length <= _SHORT:
        found = steps.multiplied(body)
    else:
        try:
            found = _composed(body, steps)
        except TooDense:
            found = steps.multiplied(body) if length <= _LONG else _united(body, steps)
    repeated = [
        np.broadcast_to(x, (length, *x.shape)) if isinstance(x, np.ndarray) else None
        for x in body.known[n_carry:]
    ]
    return found, [*body.invariant(known), *repeated]


def _numbers_of(equation: Any) -> tuple[int, int]:
    """How many constants a scan has, and how many arrays it carries.

    Parameters that tell have other names in other versions of JAX; but only what is stacked has one axis more
    than in the body.
    """
    body = getattr(equation.params["jaxpr"], "jaxpr", equation.params["jaxpr"])

    def unstacked(variables: list[Any], own: list[Any]) -> int:
        pairs = zip(variables, own, strict=True)
        return sum(len(v.aval.shape) == len(b.aval.shape) for v, b in pairs)

    n_carry = unstacked(equation.outvars, body.outvars)
    return unstacked(equation.invars, body.invars) - n_carry, n_carry


@dataclasses.dataclass(frozen=True)
class _Steps:
    """The operands of a scan, and its steps in order."""

    dependences: Depends
    known: list[Known]
    sizes: list[int]
    carry: slice
    order: range
    equation: Any

    @property
    def stacked(self) -> list[tuple[Dependence | None, int]]:
        """What the elements of all steps depend on, and their size in one."""
        first = self.carry.stop
        return list(zip(self.dependences[first:], self.sizes[first:], strict=True))

    def elements(self, t: int) -> Depends:
        return [
            None if D is None else take(D, np.arange(size) + t * size) for D, size in self.stacked
        ]

    def gathered(self, results: dict[int, Depends]) -> Depends:
        """The results of all steps, one below the other."""
        n_carry = self.carry.stop - self.carry.start
        sizes = [math.prod(v.aval.shape[1:]) for v in self.equation.outvars[n_carry:]]
        return [
            stack([results[t][k] for t in sorted(results)], [size] * len(results))
            for k, size in enumerate(sizes)
        ]

    def multiplied(self, body: Body) -> Depends:
        """Step by step."""
        consts, carry = self.dependences[: self.carry.start], self.dependences[self.carry]
        results: dict[int, Depends] = {}
        for t in self.order:
            found = body.step([*consts, *carry, *self.elements(t)])
            carry, results[t] = found[: len(carry)], found[len(carry) :]
        return [*carry, *self.gathered(results)]

    def followed(self, interpret: Interpret) -> Results:
        """Step by step, with the values of each."""
        start, stop = self.carry.start, self.carry.stop
        carry, values = self.dependences[self.carry], self.known[self.carry]
        results: dict[int, Depends] = {}
        known: dict[int, list[Known]] = {}
        for t in self.order:
            elements = [
                x[t] if is_array(x) else x if isinstance(x, Varying) else None
                for x in self.known[stop:]
            ]
            found, constants = interpret(
                self.equation.params["jaxpr"],
                [*self.dependences[:start], *carry, *self.elements(t)],
                [*self.known[:start], *values, *elements],
            )
            carry, results[t] = found[: len(carry)], found[len(carry) :]
            values, known[t] = constants[: len(carry)], constants[len(carry) :]
        n_results = len(self.equation.outvars) - len(carry)
        ys = [stacked([known[t][k] for t in sorted(known)]) for k in range(n_results)]
        return [*carry, *self.gathered(results)], [*values, *ys]

    def in_order(self, body: Body) -> Dependence | None:
        """What the used elements of the first step depend on, then those of the second, ..."""
        T, used = len(self.order), body.used[self.carry.stop :]
        taken = [pair for pair, flag in zip(self.stacked, used, strict=True) if flag]
        together = stack([D for D, _ in taken], [size * T for _, size in taken])
        if together is None:
            return None
        sizes = [size for _, size in taken]
        lines = [np.arange(size * T).reshape(T, size) for size in sizes]
        offsets = T * (np.cumsum(sizes) - sizes)
        index = np.concatenate([a + b for a, b in zip(lines, offsets, strict=True)], 1)
        return take(together, index[:: self.order.step])


class _Terms:
    """What goes into every step: of constants and elements, into the carry and into the results."""

    def __init__(self, body: Body, steps: _Steps) -> None:
        self.body, self.steps, self.T = body, steps, len(steps.order)
        self.before = slice(0, body.carry.start)
        self.after = slice(body.carry.stop, len(body.sizes))
        self.shared = body.below(steps.dependences[self.before], self.before)
        self.elements = steps.in_order(body)
        self.start = body.below(steps.dependences[body.carry], body.carry)

    def constant(self, result: Dependence | None) -> Dependence | None:
        """That part of a result which is the same in every step."""
        E = self.body.part(result, self.before)
        return None if E is None or self.shared is None else multiply(E, self.shared)

    def own(self, result: Dependence | None) -> Dependence | None:
        """That part of a result which is of the elements of its step; of all steps."""
        F = self.body.part(result, self.after)
        return (
            None if F is None or self.elements is None else multiply(each(F, self.T), self.elements)
        )

    def repeated(self, D: Dependence | None) -> Dependence | None:
        return None if D is None else take(D, np.tile(np.arange(D.shape[0]), self.T))

    def results(self, carried: list[Dependence | None]) -> Depends:
        """The stacked results, given what the carry brings to each."""
        found = []
        for R, C in zip(self.body.results[self.body.n_carry :], carried, strict=True):
            D = union([self.repeated(self.constant(R)), self.own(R), C])
            if D is not None and self.steps.order.step < 0:
                D = take(D, np.arange(D.shape[0]).reshape(self.T, -1)[::-1])
            found.append(D)
        return found


def _composed(body: Body, steps: _Steps) -> Depends:
    """The results of a long scan, exactly."""
    terms = _Terms(body, steps)
    T, size = len(steps.order), body.height
    C = [body.part(R, body.carry) for R in body.results[body.n_carry :]]
    needed = any(M is not None and M.nnz for M in C)
    nothing: Depends = [None] * len(C)
    whole = body.step_matrix()
    J, v = body.part(whole, body.carry), terms.constant(whole)
    if J is None:  # the first step alone sees the carry that is there at the start
        J = sp.csr_array((size, size), dtype=bool)
    own = terms.own(whole)
    if own is None and not needed:
        carry = powers(J, terms.start, v, T)
        return [*body.apart(carry), *terms.results(nothing)]
    blocks = stack([terms.start, union([terms.repeated(v), own])], [size, size * T])
    if blocks is None:
        return [*[None] * body.n_carry, *terms.results(nothing)]
    if not needed:
        return [*body.apart(reduced(J, blocks, T + 1)), *terms.results(nothing)]
    blocks = prefixes(J, blocks, T + 1)
    last = take(blocks, np.arange(T * size, (T + 1) * size))
    earlier = take(blocks, np.arange(T * size))
    carried = [None if M is None else multiply(each(M, T), earlier) for M in C]
    return [*body.apart(last), *terms.results(carried)]


def _united(body: Body, steps: _Steps) -> Depends:
    """The results of a long scan in which every step may see what any other does."""
    terms = _Terms(body, steps)
    whole = body.step_matrix()
    B = body.part(whole, terms.after)
    parts = [terms.start, terms.constant(whole)]
    if B is not None and terms.elements is not None:
        anywhere = np.tile(np.arange(B.shape[1]), terms.T)
        parts.append(multiply(B, group(terms.elements, anywhere, B.shape[1])))
    J = body.part(whole, body.carry)
    carry = union(parts) if J is None else any_number(J, union(parts))
    carried: Depends = []
    for R in body.results[body.n_carry :]:
        C = body.part(R, body.carry)
        seen = None if C is None or carry is None else multiply(sp.csr_array(C), carry)
        carried.append(terms.repeated(seen))
    return [*body.apart(carry), *terms.results(carried)]
