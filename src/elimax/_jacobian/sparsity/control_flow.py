"""What the results of branches, loops and solves depend on, of which each has jaxprs of its own.

A branch or a step whose values are known is interpreted as the program will run it. The body of any other
loop is interpreted once (`body.py`); a loop of which it is not known how often it runs brings to its carry
whatever any number of steps can.
"""

import math
from typing import Any

import numpy as np
import scipy.sparse as sp

from elimax._jacobian.sparsity.body import Depends, Interpret, Results, body_of, n_equations
from elimax._jacobian.sparsity.composition import any_number
from elimax._jacobian.sparsity.dependence import (
    Dependence,
    everything,
    group,
    identity,
    multiply,
    stack,
    take,
    union,
)
from elimax._jacobian.sparsity.scan import scan
from elimax._jacobian.sparsity.values import Known, settled

STEPS = 64  # of a loop whose values are known that are followed at any price
EQUATIONS = 2**14  # that are interpreted at most, if there are more steps


def affordable(steps: int, jaxpr: Any) -> bool:
    """Whether so many steps may be interpreted one by one."""
    return steps <= STEPS or steps * n_equations(jaxpr) <= EQUATIONS


def cond(interpret: Interpret, equation: Any, dependences: Depends, known: list[Known]) -> Results:
    """The branch that is taken if that is known; or else the union over all."""
    branches = equation.params["branches"]
    which = settled(known[0])
    if which is not None:
        branch = branches[min(max(int(which), 0), len(branches) - 1)]
        return interpret(branch, dependences[1:], known[1:])
    found = [interpret(branch, dependences[1:], known[1:])[0] for branch in branches]
    return [union(results) for results in zip(*found, strict=True)], [None] * len(found[0])


def scan_loop(
    interpret: Interpret, equation: Any, dependences: Depends, known: list[Known]
) -> Results:
    """Step by step with the values of each, if there are few and rules ask for them; or else composed."""
    steps = affordable(equation.params["length"], equation.params["jaxpr"])
    return scan(interpret, equation, dependences, known, steps)


def while_loop(
    interpret: Interpret, equation: Any, dependences: Depends, known: list[Known]
) -> Results:
    """Step by step where values tell how many there are; or else what any number of them may carry along."""
    params = equation.params
    skipped, n_consts = params["cond_nconsts"], params["body_nconsts"]
    first = skipped + n_consts
    consts = dependences[skipped:first], known[skipped:first]
    state: Results = dependences[first:], known[first:]
    for step in range(EQUATIONS):
        if not affordable(step, params["body_jaxpr"]):
            break
        asked = [*known[:skipped], *state[1]]
        verdict = settled(interpret(params["cond_jaxpr"], [None] * len(asked), asked)[1][0])
        if verdict is None:
            break
        if not verdict:
            return state
        state = interpret(params["body_jaxpr"], [*consts[0], *state[0]], [*consts[1], *state[1]])
    inputs, values = dependences[skipped:], known[skipped:]
    sizes = [math.prod(v.aval.shape) for v in equation.invars[skipped:]]
    consts_only, carry = slice(0, n_consts), slice(n_consts, len(sizes))
    body = body_of(interpret, params["body_jaxpr"], sizes, values, inputs, carry)
    whole = body.step_matrix()
    if whole is None:
        return [None] * body.n_carry, body.invariant(values)
    constants = body.below(inputs[:n_consts], consts_only)
    added = None if constants is None else multiply(body.part(whole, consts_only), constants)
    start = union([body.below(inputs[n_consts:], carry), added])
    return body.apart(any_number(body.part(whole, carry), start)), body.invariant(values)


def linear_solve(
    interpret: Interpret, equation: Any, dependences: Depends, known: list[Known]
) -> Results:
    """All of a solution depends on all of the right-hand side that the operator connects it with."""
    lengths, jaxprs = equation.params["const_lengths"], equation.params["jaxprs"]
    first, n_consts = sum(lengths), lengths.matvec
    sizes = [math.prod(v.aval.shape) for v in equation.invars[first:]]
    right = stack(dependences[first:], sizes)
    nothing: list[Any] = [None] * len(equation.outvars)
    if any(D is not None for D in dependences[:first]):  # it is not linear in the operator
        return [everything(dependences, math.prod(v.aval.shape)) for v in equation.outvars], nothing
    if right is None:
        return nothing, nothing
    n = sum(sizes)
    stops = np.cumsum(sizes)
    inputs = [take(identity(n), np.arange(b - s, b)) for b, s in zip(stops, sizes, strict=True)]
    values = [*known[:n_consts], *[None] * len(sizes)]
    found, _ = interpret(jaxprs.matvec, [*[None] * n_consts, *inputs], values)
    operator = stack(found[: len(sizes)], sizes)
    operator = sp.csr_array((n, n), dtype=bool) if operator is None else operator
    n_blocks, labels = sp.csgraph.connected_components(operator, directed=False)
    whole: Dependence = take(group(right, labels, n_blocks), labels)
    parts = [take(whole, np.arange(b - s, b)) for b, s in zip(stops, sizes, strict=True)]
    others = [everything([right], math.prod(v.aval.shape)) for v in equation.outvars[len(sizes) :]]
    return [*parts, *others], nothing


CONTROL_FLOW = {
    "cond": cond,
    "scan": scan_loop,
    "while": while_loop,
    "custom_linear_solve": linear_solve,
}
