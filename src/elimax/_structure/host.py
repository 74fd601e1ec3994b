"""Calls from native code into Python: the ctypes twin of `cpp/host.h`.

One Python function serves all of them. Native code knows it from the first `connect` of a process until the
interpreter ends; it is called on threads of XLA, with the interpreter's lock held.
"""

import atexit
import ctypes
import math
from collections.abc import Callable, Sequence
from ctypes import POINTER, c_char, c_int64, c_void_p
from typing import Any

import numpy as np

from elimax._structure._native import library

SETUP, SOLVE, SOLVE_TRANSPOSED = range(3)
SCALARS = tuple(map(np.dtype, ("float32", "float64", "complex64", "complex128")))
_SUCCESS, _FAILURE = 1, 2
_MESSAGE_SIZE = 4096
_CONTENTS = 3 + 5 * 4  # token, operation, scalar, and the arrays


class HostCall(ctypes.Structure):
    """One call, of which `read` tells the contents."""

    _fields_ = (
        ("contents", c_int64 * _CONTENTS),
        ("outcome", c_int64),
        ("message", c_char * _MESSAGE_SIZE),
    )

    def read(self) -> tuple[int, int, int, Sequence[int]]:
        """Token, operation, scalar, and the address, batch, rows and columns of each array, in a row."""
        token, operation, scalar, *arrays = self.contents
        return token, operation, scalar, arrays

    def fail(self, message: str) -> None:
        """The program ends with this error, to which native code adds the name of the solver."""
        text = message.encode(errors="replace").replace(b"\0", b" ")[: _MESSAGE_SIZE - 1]
        self.message = text.decode(errors="ignore").encode()
        self.outcome = _FAILURE

    def succeed(self) -> None:
        self.outcome = _SUCCESS


def view(address: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array in XLA's own memory, which is there for the length of the call."""
    size = math.prod(shape) * dtype.itemsize
    if size == 0:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, memoryview((c_char * size).from_address(address)))


_FUNCTION = ctypes.CFUNCTYPE(None, POINTER(HostCall))
library.elimax_set_host.restype, library.elimax_set_host.argtypes = None, (c_void_p,)
_connected: list[Any] = []  # native code itself keeps nothing alive


def connect(serve: Callable[[HostCall], None]) -> None:
    """From now on native code calls `serve`, until the interpreter ends.

    A call that it does not mark as a success or a failure is an error of the running program.
    """
    function = _FUNCTION(lambda pointer: serve(pointer.contents))
    _connected.append(function)
    library.elimax_set_host(ctypes.cast(function, c_void_p))
    atexit.register(library.elimax_set_host, None)
