"""The one door to the shared library: the ctypes twin of `cpp/api.cc`.

Host functions take and return NumPy arrays. `library` itself is also where `_primitive/define.py` finds the
handlers that XLA calls. `_native_coloring.py` has the functions for colorings.
"""

import ctypes
import importlib.resources
import sys
import weakref
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int32, c_int64, c_uint64, c_void_p

import numpy as np

_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
_PATH = importlib.resources.files("elimax._structure").joinpath(f"libelimax{_SUFFIX}")
library = ctypes.CDLL(str(_PATH))

INDEX = POINTER(c_int32)
_OFFSET = POINTER(c_int64)
_DOUBLE = POINTER(c_double)


def declare(name: str, result: type | None, *arguments: type) -> None:
    """The types of a function of the library."""
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments


declare("elimax_amd", c_int, c_int32, INDEX, INDEX, INDEX)
declare(
    "elimax_match",
    c_int32,
    c_int32,
    c_int32,
    INDEX,
    INDEX,
    _DOUBLE,
    INDEX,
    _DOUBLE,
    _DOUBLE,
)
declare("elimax_dulmage_mendelsohn", c_int, c_int32, c_int32, INDEX, INDEX, INDEX, INDEX, INDEX)
declare("elimax_symmetric_matching", c_int, c_int32, INDEX, INDEX, INDEX)
declare("elimax_analyze", c_void_p, c_int32, INDEX, INDEX, INDEX, _DOUBLE, c_int)
declare("elimax_symbolic_free", None, c_void_p)
declare("elimax_symbolic_scalars", None, c_void_p, _OFFSET, _DOUBLE)
declare("elimax_symbolic_workspace", c_int64, c_void_p, c_int)
declare("elimax_symbolic_array", None, c_void_p, c_int, POINTER(c_void_p), _OFFSET)
declare("elimax_embed", c_void_p, c_void_p, c_int32, INDEX, INDEX, INDEX)
declare("elimax_embed_general", c_void_p, c_void_p, c_int32, INDEX, INDEX, INDEX, INDEX)
declare("elimax_embedding_array", None, c_void_p, c_int, POINTER(c_void_p), _OFFSET)
declare("elimax_embedding_free", None, c_void_p)
declare("elimax_factor_pattern", c_int, c_void_p, c_int32, INDEX, INDEX, _OFFSET, INDEX, _OFFSET)
declare("elimax_pin_symbolic", c_int, c_void_p, c_uint64, c_uint64)
declare("elimax_pin_embedding", c_int, c_void_p, c_uint64, c_uint64)
declare(
    "elimax_pin_content",
    c_int,
    c_char_p,
    _OFFSET,
    c_int64,
    POINTER(INDEX),
    _OFFSET,
    c_int,
    c_uint64,
    c_uint64,
)
declare("elimax_clear_structures", None)
declare("elimax_counted", c_int64, c_int)
declare("elimax_instruction_set", c_char_p)


def index(array: np.ndarray):
    """The pointer to an int32 array."""
    assert array.dtype == np.int32 and array.flags.c_contiguous
    return array.ctypes.data_as(INDEX)


def _offset(array: np.ndarray):
    assert array.dtype == np.int64 and array.flags.c_contiguous
    return array.ctypes.data_as(_OFFSET)


def _double(array: np.ndarray | None):
    if array is None:
        return None
    assert array.dtype == np.float64 and array.flags.c_contiguous
    return array.ctypes.data_as(_DOUBLE)


def _words(digest: bytes) -> tuple[int, int]:
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")


def hash_attributes(name: str, digest: bytes) -> dict[str, np.int64]:
    """The two FFI attributes `NAME_high` and `NAME_low` that carry a 128-bit content hash."""
    high, low = np.array(_words(digest), np.uint64).view(np.int64)
    return {f"{name}_high": high, f"{name}_low": low}


class Handle:
    """Owns a C++ structure; NumPy views of its arrays keep the handle alive."""

    def __init__(self, pointer: int | None, free) -> None:
        if pointer is None:
            raise MemoryError("elimax: out of memory while analyzing a sparsity structure")
        self.pointer = pointer
        weakref.finalize(self, free, pointer)


class _View:
    """An array over memory of a handle, by NumPy's array interface."""

    def __init__(self, handle: Handle, address: int, size: int, dtype: np.dtype) -> None:
        self.handle = handle
        self.__array_interface__ = {
            "data": (address, True),
            "shape": (size,),
            "typestr": dtype.str,
            "version": 3,
        }


METHODS = ("auto", "supernodal", "simplicial")


def amd(n: int, column_pointers: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Approximate minimum degree ordering of a symmetric pattern given by its lower triangle."""
    permutation = np.empty(n, np.int32)
    if not library.elimax_amd(n, index(column_pointers), index(rows), index(permutation)):
        raise MemoryError("elimax: out of memory while ordering")
    return permutation


def match(
    shape: tuple[int, int],
    column_pointers: np.ndarray,
    rows: np.ndarray,
    magnitudes: np.ndarray | None,
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """The structural rank; the row of every column in a maximum-product matching, or -1; the binary
    logarithms of the scale of every row and of every column."""
    m, n = shape
    row_of_column, row_scale, column_scale = np.empty(n, np.int32), np.empty(m), np.empty(n)
    rank = library.elimax_match(
        m,
        n,
        index(column_pointers),
        index(rows),
        _double(magnitudes),
        index(row_of_column),
        _double(row_scale),
        _double(column_scale),
    )
    if rank < 0:
        raise MemoryError("elimax: out of memory while matching rows with columns")
    return rank, row_of_column, row_scale, column_scale


def dulmage_mendelsohn(
    shape: tuple[int, int], column_pointers: np.ndarray, rows: np.ndarray, row_of_column: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The part of every row and of every column: 0 square, 1 underdetermined, 2 overdetermined."""
    m, n = shape
    row_part, column_part = np.empty(m, np.int32), np.empty(n, np.int32)
    if not library.elimax_dulmage_mendelsohn(
        m,
        n,
        index(column_pointers),
        index(rows),
        index(row_of_column),
        index(row_part),
        index(column_part),
    ):
        raise MemoryError("elimax: out of memory while decomposing a sparsity structure")
    return row_part, column_part


def symmetric_matching(row_of_column: np.ndarray, weak: np.ndarray) -> np.ndarray:
    """The lowest column of the group that every column belongs to."""
    n = row_of_column.size
    group = np.empty(n, np.int32)
    if not library.elimax_symmetric_matching(n, index(row_of_column), index(weak), index(group)):
        raise MemoryError("elimax: out of memory while pairing columns")
    return group


def analyze(
    n: int,
    column_pointers: np.ndarray,
    rows: np.ndarray,
    permutation: np.ndarray,
    model: Sequence[float],
    method: str,
) -> Handle:
    """The C++ `Symbolic`; `model` lists the members of the C++ struct `TimeModel`."""
    pointer = library.elimax_analyze(
        n,
        index(column_pointers),
        index(rows),
        index(permutation),
        (c_double * 11)(*model),
        METHODS.index(method),
    )
    return Handle(pointer, library.elimax_symbolic_free)


def symbolic_scalars(symbolic: Handle) -> tuple[list[int], list[float]]:
    """n, supernodes, factor_nonzeros, factor_size, max_columns, max_rows, max_below and the
    position of the method in `METHODS`; flops and predicted nanoseconds."""
    integers, floats = (c_int64 * 8)(), (c_double * 2)()
    library.elimax_symbolic_scalars(symbolic.pointer, integers, floats)
    return list(integers), list(floats)


def symbolic_workspace(symbolic: Handle, threads: int) -> int:
    """The numbers that a factorization by so many threads needs beside the factor."""
    return library.elimax_symbolic_workspace(symbolic.pointer, threads)


_SYMBOLIC_ARRAYS = (
    ("permutation", np.int32),
    ("inverse", np.int32),
    ("parent", np.int32),
    ("counts", np.int32),
    ("super", np.int32),
    ("super_parent", np.int32),
    ("row_ptr", np.int64),
    ("rows", np.int32),
    ("relative", np.int32),
    ("panel", np.int64),
)


_EMBEDDING_ARRAYS = (
    ("ptr", np.int64),
    ("source", np.int32),
    ("target", np.int64),
    ("diagonal", np.int32),
    ("row_order", np.int32),
)


def _array(handle: Handle, read, arrays: tuple, name: str) -> np.ndarray:
    which = [array for array, _ in arrays].index(name)
    dtype = np.dtype(arrays[which][1])
    address, size = c_void_p(), c_int64()
    read(handle.pointer, which, byref(address), byref(size))
    if not size.value:
        return np.empty(0, dtype)
    return np.asarray(_View(handle, address.value or 0, size.value, dtype))


def symbolic_array(symbolic: Handle, name: str) -> np.ndarray:
    """A read-only view of one array of the C++ `Symbolic`, without a copy."""
    return _array(symbolic, library.elimax_symbolic_array, _SYMBOLIC_ARRAYS, name)


def embedding_array(embedding: Handle, name: str) -> np.ndarray:
    """A read-only view of one array of the C++ `Embedding`, without a copy."""
    return _array(embedding, library.elimax_embedding_array, _EMBEDDING_ARRAYS, name)


def embed(
    symbolic: Handle, n: int, column_pointers: np.ndarray, rows: np.ndarray
) -> tuple[Handle | None, int]:
    """Where the values of a pattern sit in the panels; or None and the first value outside of them."""
    outside = c_int32(-1)
    pointer = library.elimax_embed(
        symbolic.pointer, n, index(column_pointers), index(rows), byref(outside)
    )
    if pointer is None and outside.value >= 0:
        return None, outside.value
    return Handle(pointer, library.elimax_embedding_free), -1


def embed_general(
    symbolic: Handle,
    n: int,
    column_pointers: np.ndarray,
    rows: np.ndarray,
    row_of_column: np.ndarray,
) -> tuple[Handle | None, int]:
    """The same for a general pattern whose row `row_of_column[j]` is matched with column j."""
    outside = c_int32(-1)
    pointer = library.elimax_embed_general(
        symbolic.pointer,
        n,
        index(column_pointers),
        index(rows),
        index(row_of_column),
        byref(outside),
    )
    if pointer is None and outside.value >= 0:
        return None, outside.value
    return Handle(pointer, library.elimax_embedding_free), -1


def factor_pattern(
    symbolic: Handle, n: int, factor_nonzeros: int, column_pointers: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column pointers and rows of the exact pattern of L, and the positions of its values in the factor."""
    factor_pointers = np.empty(n + 1, np.int64)
    factor_rows = np.empty(factor_nonzeros, np.int32)
    position = np.empty(factor_nonzeros, np.int64)
    if not library.elimax_factor_pattern(
        symbolic.pointer,
        n,
        index(column_pointers),
        index(rows),
        _offset(factor_pointers),
        index(factor_rows),
        _offset(position),
    ):
        raise MemoryError("elimax: out of memory while computing the pattern of L")
    return factor_pointers, factor_rows, position


def _pinned(success: int) -> None:
    if not success:
        raise MemoryError("elimax: out of memory while registering a sparsity structure")


def pin_symbolic(symbolic: Handle, digest: bytes) -> None:
    _pinned(library.elimax_pin_symbolic(symbolic.pointer, *_words(digest)))


def pin_embedding(embedding: Handle, digest: bytes) -> None:
    _pinned(library.elimax_pin_embedding(embedding.pointer, *_words(digest)))


def pin_content(
    kind: str, preamble: np.ndarray, arrays: Sequence[np.ndarray], digest: bytes
) -> None:
    """Pins the structure with this content; what it is built on must be pinned.

    **Raises:** `ValueError` for content that is not valid or does not have this digest.
    """
    pointers = (INDEX * len(arrays))(*map(index, arrays))
    sizes = np.array([array.size for array in arrays], np.int64)
    result = library.elimax_pin_content(
        kind.encode(),
        _offset(preamble),
        preamble.size,
        pointers,
        _offset(sizes),
        len(arrays),
        *_words(digest),
    )
    _pinned(result != 2)
    if result != 0:
        raise ValueError(f"the content of a sparsity structure of kind {kind!r} is damaged")


def clear_structures() -> None:
    """Forget every pinned structure; programs compiled before must be traced and compiled again."""
    library.elimax_clear_structures()


_COUNTERS = (
    "factorization",
    "solve",
    "half_solve",
    "inverse_gradient",
    "factor_derivative",
    "factor_adjoint",
)


def counted(name: str) -> int:
    """How often a kernel ran in this process, one count per matrix of a batch."""
    return library.elimax_counted(_COUNTERS.index(name))


def instruction_set() -> str:
    """The instruction set that the dense kernels use on this processor."""
    return library.elimax_instruction_set().decode()
