"""Every way a call can fail at run time, with the sentence the user reads.

A kernel returns a status, int32: 0 for success, `1 + column` for a failing column, or one of the negative
codes below. The sentences are filled in by Python outside of a trace and by the native kernels under one.
"""

NOT_FINITE = -1

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
ZERO_DIAGONAL_SENTENCE = (
    "elimax: the triangular matrix is singular: the diagonal entry of column {column} is zero or "
    "missing. Pass unit_diagonal=True if ones are implied; with throw=False the solution is NaN "
    "and the status is 1 + column."
)


class FactorizationError(ArithmeticError):
    """A factorization or triangular solve failed because of the values it was given.

    **Attributes:**

    - `column`: the failing column in the caller's numbering, or None if no column is to blame.
    - `entry`: the position in `values` of a NaN or infinite entry, or None.
    """

    def __init__(self, sentence: str, column: int | None = None, entry: int | None = None) -> None:
        super().__init__(sentence.format(column=column, entry=entry))
        self.column, self.entry = column, entry


def check(status: int, detail: int, pivot_sentence: str) -> None:
    """Raises `FactorizationError` if the status of one matrix is not that of success."""
    if status == NOT_FINITE:
        raise FactorizationError(NOT_FINITE_SENTENCE, entry=detail)
    if status:
        raise FactorizationError(pivot_sentence, column=status - 1)
