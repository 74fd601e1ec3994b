"""How a solve went, in the words of lineax and in our own."""

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


def check_solution(solution: lx.Solution) -> lx.Solution:
    """The solution itself if it was successful; otherwise the error that says what lineax's result does not.

    `lx.linear_solve(..., throw=True)` reports failures with the sentences of lineax. With `throw=False` and
    this function, outside of `jit`, they are ours: which column is to blame, and what can be done.

    **Arguments:**

    - `solution`: what `lx.linear_solve` returned for a solver of Elimax.

    **Raises:** `FactorizationError` if a solve failed, the first one of a batch; `TypeError` if the solution
    stems from another solver.
    """
    if "status" not in solution.stats:
        raise TypeError(
            "`solution` must stem from a solver of Elimax, whose statistics have a status, got "
            f"{sorted(solution.stats)}"
        )
    status, detail = np.broadcast_arrays(
        np.atleast_1d(solution.stats["status"]), np.atleast_1d(solution.stats["detail"])
    )
    failed = np.flatnonzero(status)
    if failed.size:
        first = failed[0]
        error = np.broadcast_to(solution.stats["backward_error"], status.shape).flat[first]
        code = int(status.flat[first])
        if code == _results.REFINEMENT_STAGNATED:
            raise _results.FactorizationError(
                _results.REFINEMENT_STAGNATED_SENTENCE, error=float(error)
            )
        _results.check(code, int(detail.flat[first]))
    return solution
