"""What a solver on the host made of the matrices it met: bounded, the least recently used one goes first.

An object is kept under the hash of its matrix together with the values it was made for: a look-up compares
them, so that an object never answers for another matrix.
"""

import collections
import dataclasses
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

Name = tuple[bytes, bool]  # the hash of a matrix, and whether its transpose is meant


@dataclasses.dataclass
class Counts:
    """How often each thing happened: calls from compiled programs, and the user's functions.

    - `calls`: calls from compiled programs, each of which may be for a whole batch;
    - `hits`: matrices whose object was still kept;
    - `setups`, `refreshes`, `solves`: calls of the user's functions, transposed solves among `solves`;
    - `evictions`: objects that made room for others.
    """

    calls: int = 0
    hits: int = 0
    setups: int = 0
    refreshes: int = 0
    solves: int = 0
    evictions: int = 0


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why there is no object, or no solution: a code of `_results.py`, and the cause in words."""

    code: int
    cause: str = ""


@dataclasses.dataclass(frozen=True)
class Kept:
    """An object, the values it was made for, and the call that made it.

    Objects of one `family` can be refreshed into each other.
    """

    content: Any
    values: np.ndarray
    family: Hashable
    call: int


class Registry:
    """Objects by name, at most `capacity` of them; `release` is called with each one that goes."""

    def __init__(
        self, capacity: int, release: Callable[[Any], object] | None, counts: Counts
    ) -> None:
        self.capacity = capacity
        self._release = release
        self._counts = counts
        self._kept: collections.OrderedDict[Name, Kept] = collections.OrderedDict()
        self._failures: collections.OrderedDict[Name, Failure] = collections.OrderedDict()
        self._given_away: collections.OrderedDict[Name, Hashable] = collections.OrderedDict()
        self._wanted_again: set[Hashable] = set()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, name: Name) -> Kept | None:
        """The object of that name, which is the most recently used one now."""
        kept = self._kept.get(name)
        if kept is not None:
            self._kept.move_to_end(name)
        return kept

    def latest(self) -> tuple[Name, Kept] | None:
        """The name of the most recently used object, and the object."""
        return next(reversed(self._kept.items()), None)

    def take(self, family: Hashable, call: int) -> Kept | None:
        """Gives the least recently used object of a family away, to be made into another one.

        One that this very call has made is still wanted, unless it had to make room anyway.
        """
        is_full = len(self) >= self.capacity
        if family in self._wanted_again and not is_full:
            return None
        oldest = next(iter(self._kept), None) if is_full else None
        for name, kept in self._kept.items():
            if kept.family == family and (kept.call != call or name == oldest):
                self._given_away[name] = family
                while len(self._given_away) > self.capacity:
                    self._given_away.popitem(last=False)
                return self._kept.pop(name)
        return None

    def miss(self, name: Name) -> None:
        """A solve asks for an object that is not kept. If it was given away, then several matrices of that
        family are in use at once, and no more of them are given away until there is no room."""
        if name in self._given_away:
            self._wanted_again.add(self._given_away.pop(name))

    def make_room(self) -> None:
        """Lets go of objects until there is room for one more."""
        while len(self) >= self.capacity:
            _, kept = self._kept.popitem(last=False)
            self._counts.evictions += 1
            self.let_go(kept.content)

    def keep(self, name: Name, kept: Kept) -> None:
        self._failures.pop(name, None)
        self._kept[name] = kept

    def let_go(self, content: Any) -> None:
        if self._release is not None:
            self._release(content)

    def clear(self) -> None:
        """Lets go of all objects, the least recently used first."""
        self._failures.clear()
        self._given_away.clear()
        self._wanted_again.clear()
        while self._kept:
            self.let_go(self._kept.popitem(last=False)[1].content)

    # -- failures are remembered, so that solves do not repeat in vain what took a setup long to find out

    def failure(self, name: Name) -> Failure | None:
        return self._failures.get(name)

    def remember_failure(self, name: Name, failure: Failure) -> None:
        self._failures[name] = failure
        while len(self._failures) > self.capacity:
            self._failures.popitem(last=False)

    def forget_failure(self, name: Name) -> None:
        self._failures.pop(name, None)
