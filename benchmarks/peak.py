"""How much memory a call takes at its worst, by what Linux counts."""

import ctypes
import gc
import math
import time
from collections.abc import Callable
from pathlib import Path


def high_water() -> int:
    """The most memory in bytes that this process has had at once since the count was reset (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def peak(call: Callable[[], object]) -> float:
    """Bytes by which memory rises during a call; NaN where /proc does not tell.

    What Python and malloc hold in reserve is given back before, so that all that the call takes is seen, and
    half a second lets other threads finish what they do for earlier calls.
    """
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        return math.nan
    gc.collect()
    time.sleep(0.5)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
    reset.write_text("5")
    before = high_water()
    result = call()
    rise = high_water() - before
    del result
    return float(rise)
