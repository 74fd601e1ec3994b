"""What is known of values before a program runs: constants, and what is computed from nothing else.

Sparsity does not look at values, but for indices, masks and the like, which are mostly constants. They are
computed by JAX itself, so that they are what the program will see. In the body of a loop a value may be
known in every step, but not the same: then the body is told apart only if a rule asks for that value.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

FOLDED = 2**22  # elements of a constant that is worth computing
# These only move elements, so that what is known in part stays so.
_MOVING = {"concatenate", "reshape", "broadcast_in_dim", "squeeze", "transpose", "slice", "copy"}


class Loop:
    """A loop whose body is interpreted once for all steps; `asked` if a rule wanted a value of one step."""

    def __init__(self) -> None:
        self.asked = False


@dataclasses.dataclass(frozen=True)
class Varying:
    """A value that is known in every step of some loops, but not the same in all."""

    loops: frozenset[Loop]

    def ask(self) -> None:
        for loop in self.loops:
            loop.asked = True


@dataclasses.dataclass(frozen=True)
class Partly:
    """An array of integers of which some elements are known, and some may be known in every step of loops."""

    values: np.ndarray
    known: np.ndarray
    loops: frozenset[Loop]


Known: TypeAlias = Any  # an array, `Varying`, `Partly`, or None


def is_array(x: Known) -> bool:
    """Whether a value is known here and now."""
    return x is not None and not isinstance(x, Varying | Partly)


def settled(x: Known) -> np.ndarray | None:
    """The value of a constant. One that is known in every step of a loop is asked for."""
    if isinstance(x, Varying):
        x.ask()
    return x if is_array(x) else None


@contextlib.contextmanager
def on_host() -> Iterator[None]:
    """JAX computes at once, on the CPU, whatever is being traced and wherever programs run."""
    with jax.ensure_compile_time_eval(), jax.default_device(jax.devices("cpu")[0]):
        yield


def numbers(x: Any) -> Any:
    """A constant as a NumPy array, but for keys of random numbers."""
    return x if jnp.issubdtype(jnp.asarray(x).dtype, jax.dtypes.extended) else np.asarray(x)


def folded(equation: Any, known: Sequence[Known]) -> list[Known]:
    """What is known of the results of an equation from what is known of its operands."""
    results = [v.aval for v in equation.outvars]
    nothing: list[Known] = [None] * len(results)
    if all(x is None for x in known) and known:
        return nothing
    # An axis has a name, and a callback an effect, in the running program only.
    if sum(math.prod(x.shape) for x in results) > FOLDED or equation.effects:
        return nothing
    if "axis_name" in equation.params or "callback" in equation.primitive.name:
        return nothing
    if all(is_array(x) for x in known):
        return _computed(equation, known)
    if all(is_array(x) or isinstance(x, Varying) for x in known):
        return [Varying(_loops(known))] * len(results)
    partly = equation.primitive.name in _MOVING and jnp.issubdtype(results[0].dtype, jnp.integer)
    if equation.primitive.name == "convert_element_type" and isinstance(known[0], Partly):
        known_too = _computed(equation, [known[0].values])
        return [dataclasses.replace(known[0], values=known_too[0])]
    if not partly:
        return nothing
    parts = [_part(x, v.aval) for x, v in zip(known, equation.invars, strict=True)]
    (values,) = _computed(equation, [part.values for part in parts])
    (mask,) = _computed(equation, [part.known for part in parts])
    return [Partly(values, mask, frozenset().union(*(part.loops for part in parts)))]


def _part(x: Known, aval: Any) -> Partly:
    if isinstance(x, Partly):
        return x
    if is_array(x):
        return Partly(x, np.ones(np.shape(x), bool), frozenset())
    zeros = np.zeros(aval.shape, aval.dtype)
    return Partly(zeros, zeros.astype(bool), x.loops if isinstance(x, Varying) else frozenset())


def _loops(known: Sequence[Known]) -> frozenset[Loop]:
    return frozenset().union(*(x.loops for x in known if isinstance(x, Varying)))


def _computed(equation: Any, operands: Sequence[Any]) -> list[Any]:
    with on_host():
        found = equation.primitive.bind(*operands, **equation.params)
    return [numbers(x) for x in (found if equation.primitive.multiple_results else [found])]


def stacked(steps: Sequence[Known]) -> Known:
    """What is known of the results of all steps of a loop, one after the other."""
    if steps and all(is_array(x) for x in steps):
        return np.stack(steps) if all(isinstance(x, np.ndarray) for x in steps) else None
    if steps and all(is_array(x) or isinstance(x, Varying) for x in steps):
        return Varying(_loops(steps))
    return None
