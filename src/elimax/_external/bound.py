"""A solver on the host and the structure of the matrices that a program uses it for.

Compiled programs name the pair by a token. Tokens are random, so that a program from JAX's persistent
compilation cache, made by another process, meets an unknown token and never somebody else's solver.
"""

import hashlib
import secrets
from typing import Any

import numpy as np
import scipy.sparse

from elimax._primitive.product import Storage
from elimax._structure.index_map import IndexMap
from elimax._structure.pattern import Pattern


class Bound:
    """A host solver for one pattern and storage; compared by identity, as `Host.bind` makes only one."""

    def __init__(self, host: Any, name: str, pattern: Pattern, storage: Storage) -> None:
        self.host = host
        self.name = name
        self.pattern = pattern
        self.storage = storage
        self.token = secrets.randbits(62)
        self._general, index_map = pattern.to_general()
        self._source = None if index_map.is_identity else _Source(index_map, storage)

    def key(self, values: np.ndarray) -> bytes:
        """The hash of the matrix: of its structure, its dtype and its values."""
        digest = hashlib.blake2b(self.pattern.digest, digest_size=16)
        digest.update(f"{self.storage} {values.dtype}".encode())
        digest.update(values.data)
        return digest.digest()

    def matrix(self, values: np.ndarray, transposed: bool) -> scipy.sparse.csc_array:
        """The matrix, or its transpose: both triangles, in memory of its own."""
        data = values.copy() if self._source is None else self._source.gather(values)
        rows, pointers = self._general.rows.copy(), self._general.column_pointers.copy()
        matrix = scipy.sparse.csc_array((data, rows, pointers), self._general.shape)
        return scipy.sparse.csc_array(matrix.T) if transposed else matrix


BOUND: dict[int, Bound] = {}  # those that compiled programs may call, by their tokens


class _Source:
    """Where the entries of both triangles are found among the stored values."""

    def __init__(self, index_map: IndexMap, storage: Storage) -> None:
        indices = index_map.indices
        self._entry = np.where(indices < 0, ~indices, indices)
        self._mirrored = np.flatnonzero(indices < 0) if storage == "hermitian" else None
        counts = np.bincount(self._entry, minlength=index_map.input_size)
        self._diagonal = np.flatnonzero(counts[self._entry] == 1)

    def gather(self, values: np.ndarray) -> np.ndarray:
        data = values[self._entry]
        if self._mirrored is not None:
            data[self._mirrored] = data[self._mirrored].conj()
            data[self._diagonal] = data[self._diagonal].real
        return data


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two vectors have equal bits; a NaN equals itself, and zeros of different signs differ."""
    word = np.uint32 if a.itemsize == 4 else np.uint64
    return a.dtype == b.dtype and bool((a.view(word) == b.view(word)).all())


def is_finite(a: np.ndarray) -> bool:
    """Whether no entry is NaN or infinite."""
    return bool(np.logical_and.reduce(np.isfinite(a), axis=None))
