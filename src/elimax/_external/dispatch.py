"""From native code to the solver that is meant: one function serves the calls of all of them."""

import atexit
import threading

import numpy as np

from elimax._external.bound import BOUND
from elimax._external.host import Failed
from elimax._structure.host import SCALARS, SETUP, SOLVE_TRANSPOSED, HostCall, connect

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
        bound = BOUND.get(call.token)
        if bound is None:
            call.fail(
                "this process knows no such solver: it was closed, or the program was compiled elsewhere. "
                "Make the solver, trace the function and compile it again."
            )
            return
        scalar = SCALARS[call.scalar]
        keys = call.view(0, np.dtype(np.uint32))[:, :, 0]
        values = call.view(1, scalar)[:, :, 0]
        if call.operation == SETUP:
            bound.host.setup(bound, values, keys)
        else:
            b, x = call.view(2, scalar), call.view(3, scalar)
            status = call.view(4, np.dtype(np.int32))[:, :, 0]
            transposed = call.operation == SOLVE_TRANSPOSED
            bound.host.solve(bound, transposed, keys, values, b, x, status)
        call.succeed()
    except Failed as error:
        call.fail(str(error))
    except (
        BaseException
    ) as error:  # KeyboardInterrupt, a warning that is an error, a mistake of ours
        call.fail(f"the call was interrupted by {type(error).__name__}: {error}")
