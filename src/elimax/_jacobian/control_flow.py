"""What the results of branches and loops depend on.

The body of a loop is interpreted once, with an input for each element that goes into it: that makes it a
boolean matrix, and steps are products with it. Where there are too many steps to follow, or their number is
not known, the carry depends on whatever any number of steps can bring to it, which its transitive closure
tells.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from elimax._jacobian.dependence import Dependence, group, identity, multiply, stack, take, union

Known = np.ndarray | None
Depends = list[Dependence | None]
Interpret = Callable[
    [Any, Sequence[Dependence | None], Sequence[Known]], tuple[Depends, list[Known]]
]

_STEPS = 64  # that are followed one by one


def cond(interpret: Interpret, equation: Any, dependences: Depends, known: list[Known]) -> Depends:
    """The union over all branches."""
    branches = equation.params["branches"]
    found = [interpret(branch, dependences[1:], known[1:])[0] for branch in branches]
    return [union(results) for results in zip(*found, strict=True)]


def scan(interpret: Interpret, equation: Any, dependences: Depends, known: list[Known]) -> Depends:
    """Step by step; a long one with what all steps together may have carried along."""
    params = equation.params
    n_consts, n_carry, length = params["num_consts"], params["num_carry"], params["length"]
    first = n_consts + n_carry
    avals = [v.aval for v in equation.invars]
    sizes = [math.prod(x.shape) for x in avals[:first]]
    sizes += [math.prod(x.shape[1:]) for x in avals[first:]]
    constants = [*known[:n_consts], *[None] * (len(sizes) - n_consts)]
    used = [D is not None for D in dependences]
    body = _body(interpret, params["jaxpr"], sizes, constants, used, slice(n_consts, first))
    consts, carry, stacked = (
        dependences[:n_consts],
        dependences[n_consts:first],
        dependences[first:],
    )

    def elements(t: int) -> Depends:
        return [
            None if D is None else take(D, np.arange(size) + t * size)
            for D, size in zip(stacked, sizes[first:], strict=True)
        ]

    if length > _STEPS:
        together = [
            None if D is None else group(D, np.tile(np.arange(size), length), size)
            for D, size in zip(stacked, sizes[first:], strict=True)
        ]
        carry = _closure(body, [*consts, *carry, *together], slice(n_consts, first))
        return [*carry, *_all_steps(body, [*consts, *carry], stacked, n_carry, length)]
    results: dict[int, Depends] = {}
    for t in range(length)[::-1] if params["reverse"] else range(length):
        found = body.step([*consts, *carry, *elements(t)])
        carry, results[t] = found[:n_carry], found[n_carry:]
    per_step = [math.prod(v.aval.shape[1:]) for v in equation.outvars[n_carry:]]
    ys = [
        stack([results[t][k] for t in range(length)], [size] * length) if results else None
        for k, size in enumerate(per_step)
    ]
    return [*carry, *ys]


def _all_steps(
    body: "_Body", shared: Depends, stacked: Depends, n_carry: int, length: int
) -> Depends:
    """The stacked results of a scan in which every step may see the same constants and carry."""
    inputs = list(zip([*shared, *stacked], body.sizes, body.used, body.stops, strict=True))
    each = sp.eye_array(length, dtype=bool)
    found = []
    for R in body.results[n_carry:]:
        parts = []
        for k, (D, size, flag, stop) in enumerate(inputs):
            if R is None or D is None or not flag:
                continue
            block = sp.csr_array(sp.csc_array(R)[:, stop - size : stop])
            if k < len(shared):
                once = multiply(block, D)
                parts.append(take(once, np.tile(np.arange(once.shape[0]), length)))
            else:
                parts.append(multiply(sp.csr_array(sp.kron(each, block, format="csr")), D))
        found.append(union(parts))
    return found


def while_loop(
    interpret: Interpret, equation: Any, dependences: Depends, known: list[Known]
) -> Depends:
    """What any number of steps may carry along."""
    params = equation.params
    skipped, n_consts = params["cond_nconsts"], params["body_nconsts"]
    operands = equation.invars[skipped:]
    sizes = [math.prod(v.aval.shape) for v in operands]
    constants = [*known[skipped : skipped + n_consts], *[None] * (len(sizes) - n_consts)]
    inputs = dependences[skipped:]
    carry = slice(n_consts, len(sizes))
    used = [D is not None for D in inputs]
    body = _body(interpret, params["body_jaxpr"], sizes, constants, used, carry)
    return _closure(body, inputs, carry)


CONTROL_FLOW = {"cond": cond, "scan": scan, "while": while_loop}


@dataclasses.dataclass(frozen=True)
class _Body:
    """The results of one step, in terms of those inputs that are used, one below the other."""

    results: Depends
    sizes: list[int]
    used: list[bool]

    @property
    def stops(self) -> np.ndarray:
        """Where the elements of each input end."""
        return np.cumsum([size * flag for size, flag in zip(self.sizes, self.used, strict=True)])

    def inputs(self, dependences: Depends) -> Dependence | None:
        taken = [k for k, flag in enumerate(self.used) if flag]
        return stack([dependences[k] for k in taken], [self.sizes[k] for k in taken])

    def step(self, dependences: Depends) -> Depends:
        whole = self.inputs(dependences)
        if whole is None:
            return [None] * len(self.results)
        return [None if R is None else multiply(R, whole) for R in self.results]


def _body(
    interpret: Interpret,
    jaxpr: Any,
    sizes: list[int],
    known: list[Known],
    used: list[bool],
    carry: slice,
) -> _Body:
    """Interprets the body, again for as long as more of the carry comes to depend on anything."""
    used = list(used)
    while True:
        stops = np.cumsum([size * flag for size, flag in zip(sizes, used, strict=True)])
        whole = identity(int(stops[-1]) if sizes else 0)
        inputs = [
            take(whole, np.arange(stop - size, stop)) if flag else None
            for stop, size, flag in zip(stops, sizes, used, strict=True)
        ]
        results, _ = interpret(jaxpr, inputs, known)
        carried = results[: carry.stop - carry.start]
        grown = [flag or D is not None for flag, D in zip(used[carry], carried, strict=True)]
        if grown == used[carry]:
            return _Body(results, sizes, used)
        used[carry] = grown


def _closure(body: _Body, dependences: Depends, carry: slice) -> Depends:
    """The carry after any number of steps, which is (I + J)^k (D + K) for k large enough, with J its
    dependence on itself and K that on all else."""
    sizes, used = body.sizes[carry], body.used[carry]
    size = sum(s for s, flag in zip(sizes, used, strict=True) if flag)
    one_step = stack(
        [D for D, flag in zip(body.results, used, strict=False) if flag],
        [s for s, flag in zip(sizes, used, strict=True) if flag],
    )
    start = stack(
        [D for D, flag in zip(dependences[carry], used, strict=True) if flag],
        [s for s, flag in zip(sizes, used, strict=True) if flag],
    )
    whole = body.inputs(dependences)
    if one_step is None or whole is None:
        return list(dependences[carry])
    before = sum(s for s, f in zip(body.sizes[: carry.start], body.used, strict=False) if f)
    is_carry = np.zeros(one_step.shape[1], bool)
    is_carry[before : before + size] = True
    inner = sp.csc_array(one_step)[:, is_carry]
    reach = sp.csr_array(sp.csr_array(inner) + identity(size))
    while True:
        further = multiply(reach, reach)
        if further.nnz == reach.nnz:
            break
        reach = further
    found = multiply(reach, union([start, multiply(one_step, whole)]))
    stops = np.cumsum([s * flag for s, flag in zip(sizes, used, strict=True)])
    return [
        take(found, np.arange(stop - s, stop)) if flag else None
        for stop, s, flag in zip(stops, sizes, used, strict=True)
    ]
