"""One equation of a jaxpr as the sparsity rules see it, and the table of the rules.

A rule tells what every result of a linear primitive depends on. Most primitives only move elements, which
one index map describes (`moving_rules.py`); some move them by indices that are values themselves
(`indexing_rules.py`); the others unite elements in groups, or multiply them by a pattern
(`uniting_rules.py`, `window_rules.py`, `elimax_rules.py`).
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from elimax._jacobian.sparsity.dependence import Dependence, group, multiply, take
from elimax._jacobian.sparsity.values import Known, settled

Results = list[Dependence | None]


@dataclasses.dataclass(frozen=True)
class Equation:
    """One equation of a jaxpr, and what is known of its operands.

    - `dependences`: of each operand; None for one that depends on nothing.
    - `known`: what is known of the value of each operand (`values.py`).
    """

    primitive: Any
    params: dict[str, Any]
    operands: tuple[Any, ...]  # shapes and dtypes
    results: tuple[Any, ...]
    dependences: tuple[Dependence | None, ...]
    known: tuple[Known, ...]

    def constant(self, operand: int) -> np.ndarray | None:
        """The value of an operand if it is known, or None."""
        return settled(self.known[operand])

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


def moved(D: Dependence | None, index: np.ndarray) -> Dependence | None:
    return None if D is None else take(D, index)


def spread(e: Equation, operand: int, shape: Sequence[int]) -> Dependence | None:
    """An operand as wide as `shape`: axes of length 1, and missing ones, go with every element."""
    D = e.dependences[operand]
    if D is None or math.prod(e.operands[operand].shape) == math.prod(shape):
        return D
    return take(D, np.broadcast_to(e.positions(operand), shape))


def pairs(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sp.csr_array:
    """The boolean matrix with these entries, of which some may be the same."""
    ones = np.ones(rows.size, bool)
    return sp.csr_array((ones, (rows.ravel(), columns.ravel())), shape)


def along(e: Equation, operand: int, axis: int, pattern: np.ndarray) -> Dependence:
    """Every line along an axis is multiplied by the pattern, which is a dense boolean matrix."""
    lines = np.moveaxis(e.positions(operand), axis, 0)
    lines = lines.reshape(lines.shape[0], -1)
    i, j = np.nonzero(pattern)
    return multiply(pairs(lines[i], lines[j], (lines.size, lines.size)), e.dependences[operand])


def named(axes: Sequence[int], shape: Sequence[int]) -> list[bool]:
    return [axis in axes for axis in range(len(shape))]


def united(D: Dependence, index: np.ndarray, axes: Sequence[bool]) -> tuple[Dependence, np.ndarray]:
    """Elements that differ along these axes only are united: each stands for all of them."""
    along = tuple(axis for axis, flag in enumerate(axes) if flag)
    if not along or not index.size:
        return D, index
    representatives = np.broadcast_to(index.min(axis=along, keepdims=True), index.shape)
    groups, members = np.unique(representatives, return_inverse=True)
    members = members.reshape(index.shape)
    return group(D, members, groups.size), members
