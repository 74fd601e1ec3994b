"""How a Laplace approximation can fail, with the sentences the user reads."""

CONVERGED = 0
NOT_CONVERGED = -50
LINE_SEARCH_FAILED = -51
INDEFINITE = -52
NOT_FINITE = -53
PRIOR_FAILED = -54

SENTENCES = {
    NOT_CONVERGED: (
        "Newton's iteration for the mode did not converge within the limit of iterations. Give a better "
        "`start`, or a larger `max_iterations`; `record` has the decrement that was reached."
    ),
    LINE_SEARCH_FAILED: (
        "Newton's iteration for the mode found no step that raises the joint density. Usual causes: (a) the "
        "likelihood has a kink or a wrong derivative; (b) `tolerance` is below rounding; (c) float32 is too "
        "short (enable jax_enable_x64)."
    ),
    INDEFINITE: (
        "the Hessian of the joint density is not positive definite where its gradient vanishes: there is no "
        "mode to approximate at. Usual causes: (a) data and constraints leave a direction of an intrinsic "
        "prior free, so that the posterior is improper; (b) the likelihood is not log-concave, and "
        "the iteration ended in a saddle point: give another `start`."
    ),
    NOT_FINITE: (
        "the likelihood, or one of its derivatives, is NaN or infinite at the mode or on the way to it. "
        "Usual causes: (a) an observation is outside of the support, or a parameter outside of its range; "
        "(b) the linear predictor overflows at the start: give another `start`."
    ),
    PRIOR_FAILED: (
        "the density of the latent field is NaN: its precision is not positive definite (an intrinsic field "
        "must declare its null space), or a parameter is NaN."
    ),
}


class LaplaceError(ArithmeticError):
    """A Laplace approximation failed because of the values it was given.

    **Attributes:** `status`: the code, as in `LaplaceApproximation.status`.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"laplace: {SENTENCES[status]} With throw=False the results are NaN.")
        self.status = status


def check(status: int) -> None:
    """Raises `LaplaceError` unless the status is that of success."""
    if status != CONVERGED:
        raise LaplaceError(status)
