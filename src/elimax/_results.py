"""Every way a call can fail at run time, with the sentence the user reads.

A kernel returns a status, int32: 0 for success, `1 + column` for a failing column, or one of the negative
codes below. The sentences are filled in by Python outside of a trace and by the native kernels under one.
"""

NOT_FINITE = -1
PIVOTS_PERTURBED = -3
UNSTABLE = -4
REFINEMENT_STAGNATED = -5
EXTERNAL_FAILED = -20
EXTERNAL_NOT_CONVERGED = -21
EXTERNAL_WRONG_RESULT = -22
EXTERNAL_NOT_FINITE = -23
EXTERNAL_STALE = -24
EXTERNAL_BAD_INPUT = -25
CONSTRAINTS_DEPENDENT = -40
UNRESOLVED = -41

NOT_POSITIVE_DEFINITE_SENTENCE = (
    "elimax: the matrix is not positive definite (or is so only within rounding): the pivot of "
    "column {column} is not above rounding level. Usual causes: (a) the matrix is indefinite or "
    "singular, for example an intrinsic precision or a Laplacian without a boundary condition (add "
    "a constraint or a small multiple of the identity); (b) a sign or scale is wrong in the "
    "parameters that the values were computed from; (c) float32 is too short for its condition "
    "number (enable jax_enable_x64). With throw=False the outputs are NaN and `status` says where."
)
NOT_FINITE_SENTENCE = (
    "elimax: the matrix has a NaN or infinite value: entry {entry} of `values`. With throw=False "
    "the outputs are NaN and `status` is -1, `detail` the entry."
)
PIVOTS_PERTURBED_SENTENCE = (
    "elimax: the factor is that of a matrix nearby: pivots too small for their columns, the first of them in "
    "column {column}, were replaced, so that it has no determinant, inertia or inverse to tell; `solve` "
    "refines its answers and is right where it does not fail. Usual causes: (a) the matrix is singular, or "
    "so within rounding; (b) its diagonal is weak, or has become weak, for the pivot sequence: analyze the "
    "matrix with its present values, analyze(A, kind=...), and pass symbolic=; (c) float32 is too short for "
    "its condition number. With throw=False the outputs are NaN and `status` is -3, `detail` the column."
)
UNSTABLE_SENTENCE = (
    "elimax: the factor is inaccurate: its entries grew so much during the elimination that rounding errors "
    "spoil determinants, inertia and inverse; `solve` refines its answers and is right where it does not "
    "fail. The pivot sequence does not fit these values: analyze the matrix with them, "
    "analyze(A, kind=...), and pass symbolic=. With throw=False the outputs are NaN and `status` is -4."
)
RANK_DEFICIENT_SENTENCE = (
    "elimax: the least-squares problem has no unique solution: its matrix is rank-deficient, as far as the "
    "square root of the precision can tell; {line} {column} is zero or depends on others. Remove such "
    "{line}s, or pass a damping; in float32 enable jax_enable_x64. With throw=False the solution is NaN and "
    "`status` is -3."
)
REFINEMENT_STAGNATED_SENTENCE = (
    "elimax: iterative refinement stagnated at a componentwise backward error of {error}: the matrix is "
    "singular, or so within rounding, or the pivot sequence does not fit its values: analyze the matrix with "
    "them, analyze(A, kind=...), and pass symbolic=. With throw=False the solution is NaN; `solve_checked` "
    "returns the best one with its error."
)
SINGULAR_SENTENCE = (
    "elimax: the matrix is singular, or so within rounding: the pivot of column {column}, the first of such, "
    "vanished, and refinement found no solution. Usual causes: (a) the column is zero or depends on "
    "others; (b) the pivot sequence does not fit the values: analyze the matrix with them, "
    "analyze(A, kind=...), and pass symbolic= to the solver; (c) float32 is too short for its condition "
    "number. With throw=False the solution is NaN, and in its statistics `status` is -3, `detail` the column."
)
ZERO_DIAGONAL_SENTENCE = (
    "elimax: the triangular matrix is singular: the diagonal entry of column {column} is zero or "
    "missing. Pass unit_diagonal=True if ones are implied (lineax: tag the operator with "
    "unit_diagonal_tag); with throw=False the solution is NaN and the status is 1 + column."
)
NOT_FINITE_VECTOR_SENTENCE = (
    "elimax: the right-hand side has a NaN or infinite value; nothing is wrong with the matrix."
)
OVERFLOW_SENTENCE = (
    "elimax: the solution overflows: matrix and right-hand side are finite, but some entry of the solution "
    "is not. Scale the problem, or compute in float64."
)
CONSTRAINTS_DEPENDENT_SENTENCE = (
    "elimax: the rows of the constraints depend on each other (or are so within rounding). Leave out those "
    "that the others imply."
)
UNRESOLVED_SENTENCE = (
    "elimax: the precision is not positive definite on the subspace of the constraints (or is so only within "
    "rounding): constraints and data leave a direction free."
)
# {cause} is what the solver did: an exception, a message, a shape.
EXTERNAL_SENTENCES = {
    NOT_FINITE: "the matrix has a NaN or infinite value, and was not set up for",
    EXTERNAL_FAILED: "its code raised an exception: {cause}",
    EXTERNAL_NOT_CONVERGED: "it did not converge: {cause}",
    EXTERNAL_WRONG_RESULT: "it returned {cause}",
    EXTERNAL_NOT_FINITE: "its solution has NaN or infinite entries",
    EXTERNAL_BAD_INPUT: "the right-hand side has NaN or infinite entries, and was not solved for",
    EXTERNAL_STALE: (
        "stale key: the key belongs to other values than those that came with it. A state is made by `init` "
        "and used as it is; make a new one for new values"
    ),
}


class NotConverged(ArithmeticError):
    """For the functions of an `ExternalSolver` to raise: the iteration ended without a solution.

    What is raised becomes a status, `lineax.RESULTS.max_steps_reached`; any other exception becomes
    `lineax.RESULTS.breakdown`.
    """


class FactorizationError(ArithmeticError):
    """A factorization or a solve failed because of the values it was given.

    **Attributes:**

    - `column`: the failing column in the caller's numbering, or None if no column is to blame.
    - `entry`: the position in `values` of a NaN or infinite entry, or None.
    - `error`: the backward error at which refinement stagnated, or None.
    """

    def __init__(
        self,
        sentence: str,
        column: int | None = None,
        entry: int | None = None,
        error: float | None = None,
    ) -> None:
        told = None if error is None else f"{error:.1e}"
        super().__init__(sentence.format(column=column, entry=entry, error=told))
        self.column, self.entry, self.error = column, entry, error


def check(
    status: int,
    detail: int,
    pivot_sentence: str = NOT_POSITIVE_DEFINITE_SENTENCE,
    perturbed_sentence: str = PIVOTS_PERTURBED_SENTENCE,
) -> None:
    """Raises `FactorizationError` if the status of one matrix is not that of success."""
    if status == NOT_FINITE:
        raise FactorizationError(NOT_FINITE_SENTENCE, entry=detail)
    if status == PIVOTS_PERTURBED:
        raise FactorizationError(perturbed_sentence, column=detail)
    if status == UNSTABLE:
        raise FactorizationError(UNSTABLE_SENTENCE)
    if status == CONSTRAINTS_DEPENDENT:
        raise FactorizationError(CONSTRAINTS_DEPENDENT_SENTENCE)
    if status == UNRESOLVED:
        raise FactorizationError(UNRESOLVED_SENTENCE)
    if status in EXTERNAL_SENTENCES:
        sentence = EXTERNAL_SENTENCES[status].format(cause="a RuntimeWarning has told what")
        raise FactorizationError(f"elimax: an external solver failed: {sentence}")
    if status > 0:
        raise FactorizationError(pivot_sentence, column=status - 1)
