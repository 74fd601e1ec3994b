"""Structures as bytes: .npz archives, which NumPy reads without running code and which have checksums.

An archive holds the arguments of the constructor by name, those of a structure among them under NAME.*, and
the digest.
"""

import io
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from elimax._structure.structure import Structure

S = TypeVar("S", bound=Structure)


def pack(structure: Structure) -> bytes:
    buffer = io.BytesIO()
    entries: dict[str, Any] = dict(_entries(structure, ""))
    np.savez_compressed(buffer, **entries)
    return buffer.getvalue()


def unpack(cls: type[S], archive: bytes) -> S:
    """The structure that `pack` made the bytes of.

    **Raises:** `ValueError` for any other bytes.
    """
    try:
        with np.load(io.BytesIO(archive), allow_pickle=False) as entries:
            return _build(cls, entries, "")
    except Exception as error:  # whatever the readers of such files raise
        raise ValueError(f"these bytes are not a stored {cls.__name__}: {error}") from error


def _entries(structure: Structure, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    yield prefix + "digest", np.frombuffer(structure.digest, np.uint8)
    for name, value in structure.arguments.items():
        if isinstance(value, Structure):
            yield from _entries(value, f"{prefix}{name}.")
        else:
            yield prefix + name, np.asarray(value)


def _build(cls: type[S], entries: Mapping[str, np.ndarray], prefix: str) -> S:
    def argument(name: str, kind: Any) -> Any:
        if isinstance(kind, type) and issubclass(kind, Structure):
            return _build(kind, entries, f"{prefix}{name}.")
        array = entries[prefix + name]
        return array.item() if array.ndim == 0 else array

    arguments = {name: argument(name, kind) for name, kind in cls.parameters().items()}
    return cls.checked(arguments, entries[prefix + "digest"].tobytes())
