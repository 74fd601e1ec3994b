"""Calls from native code into Python: the ctypes twin of `cpp/host.h`.

One Python function serves all of them. Native code knows it from the first `connect` of a process until the
interpreter ends; it is called on threads of XLA, with the interpreter's lock held.
"""

import atexit
import ctypes
from collections.abc import Callable
from ctypes import POINTER, c_char, c_int64, c_void_p
from typing import Any

import numpy as np

from elimax._structure._native import library

SETUP, SOLVE, SOLVE_TRANSPOSED = range(3)
SCALARS = tuple(map(np.dtype, ("float32", "float64", "complex64", "complex128")))
_SUCCESS, _FAILURE = 1, 2
_MESSAGE_SIZE = 4096


class _HostArray(ctypes.Structure):
    _fields_ = (("data", c_void_p), ("batch", c_int64), ("rows", c_int64), ("columns", c_int64))


class HostCall(ctypes.Structure):
    """One call: who is meant (`token`), what is asked, and where operands and results lie."""

    _fields_ = (
        ("token", c_int64),
        ("operation", c_int64),
        ("scalar", c_int64),
        ("arrays", _HostArray * 5),
        ("outcome", c_int64),
        ("message", c_char * _MESSAGE_SIZE),
    )

    def view(self, which: int, dtype: np.dtype) -> np.ndarray:
        """Array `which`, of shape (batch, rows, columns): XLA's own memory, for the length of the call."""
        array = self.arrays[which]
        shape = array.batch, array.rows, array.columns
        size = shape[0] * shape[1] * shape[2] * dtype.itemsize
        if size == 0:
            return np.empty(shape, dtype)
        memory = (c_char * size).from_address(array.data)
        return np.ndarray(shape, dtype, memory)

    def fail(self, message: str) -> None:
        """The program ends with this error, to which native code adds the name of the solver."""
        text = message.encode(errors="replace").replace(b"\0", b" ")[: _MESSAGE_SIZE - 1]
        self.message = text.decode(errors="ignore").encode()
        self.outcome = _FAILURE

    def succeed(self) -> None:
        self.outcome = _SUCCESS


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
