"""One equation of a jaxpr as the sparsity rules see it, and the table of the rules.

A rule tells what every result of a linear primitive depends on. Most primitives only move elements, which
one index map describes (`moving_rules.py`); some move them by indices that are values themselves
(`indexing_rules.py`); the others unite elements in groups, or multiply them by a pattern
(`uniting_rules.py`).
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from elimax._jacobian.dependence import Dependence, group, take

Results = list[Dependence | None]


@dataclasses.dataclass(frozen=True)
class Equation:
    """One equation of a jaxpr, and what is known of its operands.

    - `dependences`: of each operand; None for one that depends on nothing.
    - `constant`: the value of an operand if it is known, or None.
    """

    primitive: Any
    params: dict[str, Any]
    operands: tuple[Any, ...]  # shapes and dtypes
    results: tuple[Any, ...]
    dependences: tuple[Dependence | None, ...]
    constant: Callable[[int], np.ndarray | None]

    @property
    def only(self) -> Dependence:
        """The dependence of the one operand that has any."""
        (found,) = [D for D in self.dependences if D is not None]
        return found

    def positions(self, operand: int = 0) -> np.ndarray:
        """The number of every element of an operand, in its shape."""
        shape = self.operands[operand].shape
        return np.arange(math.prod(shape)).reshape(shape)


Rule = Callable[[Equation], Results]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def unknown_position(e: Equation) -> Results:
    """The same as for a primitive without a rule."""
    raise LookupError(e.primitive.name)


# -- what rules are made of


@contextlib.contextmanager
def on_host() -> Iterator[None]:
    """JAX computes at once, on the CPU, whatever is being traced and wherever programs run."""
    with jax.ensure_compile_time_eval(), jax.default_device(jax.devices("cpu")[0]):
        yield


def moved(D: Dependence | None, index: np.ndarray) -> Dependence | None:
    return None if D is None else take(D, index)


def named(axes: Sequence[int], shape: Sequence[int]) -> list[bool]:
    return [axis in axes for axis in range(len(shape))]


def united(D: Dependence, index: np.ndarray, axes: Sequence[bool]) -> tuple[Dependence, np.ndarray]:
    """Elements that differ along these axes only are united: each stands for all of them."""
    along = tuple(axis for axis, flag in enumerate(axes) if flag)
    if not along:
        return D, index
    representatives = np.broadcast_to(index.min(axis=along, keepdims=True), index.shape)
    groups, members = np.unique(representatives, return_inverse=True)
    members = members.reshape(index.shape)
    return group(D, members, groups.size), members
