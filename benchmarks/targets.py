"""Whom each operation is compared with, and the ratios of our time to theirs that we want to reach."""

from dataclasses import dataclass

DIRECT = ("cholmod", "pardiso", "eigen")
IN_JAX = ("sparsax", "klujax", "jax")


@dataclass(frozen=True)
class Target:
    """Our time over that of the fastest of `peers`, which are beginnings of names."""

    peers: tuple[str, ...]
    mean: float
    """Most that the geometric mean over the matrices should be."""
    worst: float
    """Most that any single ratio should be."""
    matrices: str = ""
    """How the names of those begin that it is meant for."""


_ONE_THREAD = {
    "analyze": Target(("cholmod-supernodal-amd", "cholmod-simplicial-amd"), 1.0, 1.3),
    "factor": Target(DIRECT, 0.67, 1.0),
    "solve_1": Target(DIRECT, 0.8, 1.1),
    "solve_64": Target(DIRECT, 0.8, 1.1),
    "gradient": Target(("sparsax",), 0.1, 0.3),
    "solve_gradient": Target(IN_JAX, 0.2, 0.5),
    "selected_inverse": Target(("tmb",), 0.5, 0.8),
}


def targets(threads: int) -> dict[str, Target]:
    """By operation; an operation that nobody else has is missing."""
    return _ONE_THREAD if threads == 1 else _ONE_THREAD | {"factor": Target(DIRECT, 0.6, 1.0)}


IN_FACTORIZATIONS = {
    "gradient": Target(("elimax",), 3.0, 4.0),
    "selected_inverse": Target(("elimax",), 2.0, 2.0),
    "factor_float32": Target(("elimax",), 1 / 1.6, 1 / 1.6, matrices="lap3d"),
}
"""The same with our own factorization in float64 below the fraction."""

MEMORY = Target(("cholmod-supernodal",), 1.0, 1.2)
"""The same of the memory that a factorization takes."""
