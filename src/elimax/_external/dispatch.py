"""From native code to the solver that is meant: one function serves the calls of all of them."""

import atexit
import threading

import numpy as np

from elimax._external.bound import BOUND
from elimax._external.host import Failed
from elimax._structure.host import SCALARS, SETUP, SOLVE_TRANSPOSED, HostCall, connect, view

_UINT32, _INT32 = np.dtype(np.uint32), np.dtype(np.int32)
_lock = threading.Lock()
_is_connected = threading.Event()


def start() -> None:
    """Makes this process ready for calls, once."""
    with _lock:
        if not _is_connected.is_set():
            atexit.register(
                _close_all
            )  # before `connect`: hooks run in reverse, this one after the last call
            connect(_serve)
            _is_connected.set()


def _close_all() -> None:
    for host in {bound.host for bound in list(BOUND.values())}:
        host.close()


def _serve(call: HostCall) -> None:
    """Nothing that is raised may leave it: what does not become a status ends the program as its error."""
    try:
        token, operation, scalar, arrays = call.read()
        bound = BOUND.get(token)
        if bound is None:
            call.fail(
                "this process knows no such solver: it was closed, or the program was compiled elsewhere. "
                "Make the solver, trace the function and compile it again."
            )
            return
        dtype = SCALARS[scalar]
        keys = view(arrays[0], (arrays[1], arrays[2]), _UINT32)
        values = view(arrays[4], (arrays[5], arrays[6]), dtype)
        if operation == SETUP:
            bound.host.setup(bound, values, keys)
        else:
            b = view(arrays[8], tuple(arrays[9:12]), dtype)
            x = view(arrays[12], tuple(arrays[13:16]), dtype)
            status = view(arrays[16], (arrays[17], arrays[18]), _INT32)
            bound.host.solve(bound, operation == SOLVE_TRANSPOSED, keys, values, b, x, status)
        call.succeed()
    except Failed as error:
        call.fail(str(error))
    except BaseException as error:
        # KeyboardInterrupt, a warning that is an error, a mistake of ours.
        call.fail(f"the call was interrupted by {type(error).__name__}: {error}")
