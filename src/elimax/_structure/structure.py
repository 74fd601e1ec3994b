"""What all structures have in common: immutable integers, compared, hashed and named by their content.

A structure is told by its kind, by a header of integers, by integer arrays, and by the structures that it is
built on. Their 128-bit hash is its digest, the same in every process: compiled programs name the structure by
it, and the native core keeps the structure under that name once it is pinned.
"""

import abc
import dataclasses
import functools
import hashlib
from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar, cast

import numpy as np

from elimax._structure import _native

F = TypeVar("F", bound=Callable[..., Any])


class Structure(abc.ABC):
    """The base of the frozen dataclasses `IndexMap`, `Pattern`, `Symbolic`, `LUSymbolic` and embeddings.

    A copy is the object itself. Pickling keeps the arguments of the constructor, which checks them again.
    """

    kind: ClassVar[str]

    @property
    @abc.abstractmethod
    def content(self) -> tuple[tuple[int, ...], tuple[np.ndarray, ...]]:
        """A header of integers and int32 arrays."""

    @property
    def foundations(self) -> "tuple[Structure, ...]":
        """The structures that this one is built on."""
        return ()

    def _pin(self) -> None:
        """Registers the structure natively under its digest; a subclass may have it in native memory."""
        _native.pin_content(self.kind, self.preamble, self.content[1], self.digest)

    def pin(self, name: str = "") -> dict[str, np.int64]:
        """Registers the structure natively; the attributes by which an FFI call names it."""
        self._pin()
        return _native.hash_attributes(name or self.kind, self.digest)

    @functools.cached_property
    def preamble(self) -> np.ndarray:
        """All of the content but the arrays; `Content` in cpp/core.h says in which order."""
        (header, arrays), foundations = self.content, self.foundations
        sizes = [array.size for array in arrays]
        hashes = np.frombuffer(b"".join(structure.digest for structure in foundations), np.int64)
        return np.array(
            [len(foundations), len(header), len(arrays), *sizes, *hashes, *header], np.int64
        )

    @functools.cached_property
    def digest(self) -> bytes:
        """128 bits that identify the content."""
        digest = hashlib.blake2b(self.kind.encode().ljust(16, b"\0"), digest_size=16)
        digest.update(self.preamble.data)
        for array in self.content[1]:
            digest.update(array.data)
        return digest.digest()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Structure) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).checked, (self.arguments, self.digest)

    # -- out of storage

    @classmethod
    def parameters(cls) -> dict[str, Any]:
        """Names and types of what the constructor takes."""
        fields = dataclasses.fields(cast(Any, cls))
        return {field.name: field.type for field in fields if field.init}

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was called with."""
        return {name: getattr(self, name) for name in self.parameters()}

    @classmethod
    def checked(cls, arguments: dict[str, Any], digest: bytes) -> Self:
        """The structure with these arguments, if it still has this digest.

        **Raises:** `ValueError` if it has another one, or if the constructor does not take them.
        """
        try:
            structure = cls(**arguments)
        except Exception as error:  # damage can be anything, down to arguments of another type
            raise ValueError(f"a stored {cls.__name__} is damaged: {error}") from error
        if structure.digest != digest:
            raise ValueError(
                f"a stored {cls.__name__} is damaged, or stems from another version of Elimax that lays it "
                "out differently; make it, and what was computed with it, again"
            )
        return structure


_caches: list[Any] = []


def cached(size: int) -> Callable[[F], F]:
    """Keeps the results of the last `size` calls, whose arguments are compared by content."""

    def decorate(function: F) -> F:
        remembering = functools.lru_cache(maxsize=size)(function)
        _caches.append(remembering)
        return cast(F, remembering)

    return decorate


def forget() -> None:
    """Drops the results that `cached` keeps; what is pinned stays pinned."""
    for cache in _caches:
        cache.cache_clear()
