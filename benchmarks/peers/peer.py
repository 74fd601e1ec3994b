"""A solver as a process that answers one request at a time (the Python twin of peer.h).

The process reads a matrix, analyzes it, and greets with one JSON line. From then on each line
`OPERATION SECONDS` on standard input is answered by one JSON line: the operation is repeated until
SECONDS have passed, at least once, and the times of one call are reported. `memory` is the one operation of
which the memory is reported that a single call takes: a factorization, the first in its process.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Set

import numpy as np
import scipy.sparse as sp

from benchmarks.peak import peak

Operation = Callable[[float], Callable[[], object]]
"""From the scale of this call's numbers to the call that is timed: new numbers every time."""


def measure(operation: Operation, calls_before: int, seconds: float) -> dict[str, float]:
    """Median wall and CPU time of one call, over as many calls as fill `seconds`."""
    wall: list[float] = []
    cpu: list[float] = []
    while not wall or sum(wall) < seconds:
        call = operation(1 + 1e-3 * ((calls_before + len(wall) + 1) % 1000))
        cpu_start, wall_start = time.process_time(), time.perf_counter()
        result = call()
        wall.append(time.perf_counter() - wall_start)
        cpu.append(time.process_time() - cpu_start)
        del result
    return {"seconds": statistics.median(wall), "cpu": statistics.median(cpu), "calls": len(wall)}


def serve(
    version: str,
    operations: Mapping[str, Operation],
    check: Callable[[Set[str]], Mapping[str, float]],
    flops: float = -1,
    nonzeros: float = -1,
) -> None:
    """Greet, then answer requests until standard input ends. Negative: unknown.

    `check` solves with the matrix as it is and reports what lets the answers of the operations that were
    asked for be compared: the relative residual, and `logdet` where there is one. What a library prints goes
    to standard error.
    """
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    greeting = {
        "version": version,
        "flops": flops,
        "nonzeros": nonzeros,
        "operations": [*operations],
    }
    print(json.dumps(greeting), file=replies)
    calls = 0
    asked: set[str] = set()
    for request in sys.stdin:
        name, seconds = request.split()
        if name == "check":
            reply = dict(check(asked))
        elif name == "memory":
            reply = {"bytes": peak(operations[name](1.0))}
        else:
            reply = measure(operations[name], calls, float(seconds))
            calls += int(reply["calls"])
            asked.add(name)
        print(json.dumps(reply), file=replies)


def right_hand_sides(n: int, k: int) -> np.ndarray:
    """Shape (n, k): the same numbers as peer.h uses."""
    return np.sin(np.arange(1, n * k + 1)).reshape(k, n).T.copy()


def residual(A: sp.csc_matrix, x: np.ndarray, b: np.ndarray) -> float:
    """max |A x - b| / max |b|; what is not a number is as wrong as can be."""
    return float(np.nan_to_num(np.abs(A @ x - b).max() / np.abs(b).max(), nan=np.inf))
