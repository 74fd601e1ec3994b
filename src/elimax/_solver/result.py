"""How a solve went, in the words of lineax and in our own."""

import functools
from typing import Any

import lineax as lx
import numpy as np
from jaxtyping import Array, Int

from elimax import _results

# What lineax calls the failures; every other one is `singular`.
RESULTS = {
    _results.NOT_FINITE: lx.RESULTS.nonfinite_input,
    _results.EXTERNAL_BAD_INPUT: lx.RESULTS.nonfinite_input,
    _results.EXTERNAL_NOT_CONVERGED: lx.RESULTS.max_steps_reached,
    _results.EXTERNAL_FAILED: lx.RESULTS.breakdown,
    _results.EXTERNAL_WRONG_RESULT: lx.RESULTS.breakdown,
    _results.EXTERNAL_STALE: lx.RESULTS.breakdown,
}


def lineax_result(status: Int[Array, ""]) -> lx.RESULTS:
    """The `lineax.RESULTS` of a status. lineax accepts no codes but its own."""
    result = lx.RESULTS.where(status == 0, lx.RESULTS.successful, lx.RESULTS.singular)
    for code, name in RESULTS.items():
        result = lx.RESULTS.where(status == code, name, result)
    return result


@functools.singledispatch
def sentences(factor: Any) -> dict[str, str]:
    """Those by which `check_solution` tells what went wrong with a kind of factor, as `_results.check` takes
    them."""
    del factor
    return {"perturbed_sentence": _results.SINGULAR_SENTENCE}


def check_solution(solution: lx.Solution) -> lx.Solution:
    """The solution itself if it was successful; otherwise the error that says what lineax's result does not.

    `lx.linear_solve(..., throw=True)` reports failures with the sentences of lineax. With `throw=False` and
    this function, outside of `jit`, they are ours: which column is to blame, and what can be done.

    **Arguments:**

    - `solution`: what `lx.linear_solve` returned for a solver of Elimax.

    **Raises:** `FactorizationError` if a solve failed, the first one of a batch; `TypeError` if one failed
    that stems from another solver.
    """
    failures = np.asarray(solution.result != lx.RESULTS.successful)
    if not failures.any():
        return solution
    if not {"status", "detail", "backward_error"} <= set(solution.stats):
        raise TypeError(
            "`solution` must stem from a solver of Elimax, whose statistics have a status, got "
            f"{sorted(solution.stats)}"
        )
    told = (
        solution.result == lx.RESULTS.nonfinite_input,
        *(solution.stats[name] for name in ("status", "detail", "backward_error")),
    )
    first = np.flatnonzero(failures)[0]
    not_finite, status, detail, error = (
        np.broadcast_to(np.asarray(x), failures.shape).flat[first] for x in told
    )
    if not_finite and status != _results.NOT_FINITE:
        raise _results.FactorizationError(_results.NOT_FINITE_VECTOR_SENTENCE)
    if status == 0:
        raise _results.FactorizationError(_results.OVERFLOW_SENTENCE)
    if status == _results.REFINEMENT_STAGNATED:
        raise _results.FactorizationError(
            _results.REFINEMENT_STAGNATED_SENTENCE, error=float(error)
        )
    _results.check(int(status), int(detail), **sentences(solution.state.factor))
    return solution
