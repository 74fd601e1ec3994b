"""How many instructions the kernels execute on small matrices: a cost that no noise disturbs.

    python -m tests.native.instructions        # or: make instructions

records the counts of the present sources in instructions.json, where test_instructions.py expects them,
and prints what has changed. Counts are those of callgrind (`apt-get install valgrind`) in our own code:
libc's memset and memcpy choose their instructions by the sizes of the caches. They depend on the compiler,
and on the instruction set of the dense kernels (valgrind knows no AVX-512): each such configuration has
counts of its own.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from elimax._structure.symbolic import RELAXATION, SINGLE_COLUMN

from .compiler import HERE, ISAS, program

RECORD = HERE / "instructions.json"
VALGRIND = shutil.which("valgrind") or ""
TOLERANCE = 0.03

_RELEASE = ["-O3", "-fcx-limited-range", *(["-march=x86-64-v2"] if "v2" in ISAS else [])]
_CALLGRIND = [
    "--tool=callgrind",
    "--collect-atstart=no",
    "--toggle-collect=counted",
    "--dump-after=counted",
    "--compress-strings=no",
    "--compress-pos=no",
]

Counts = dict[str, int]


def of_object(profile: Path, name: str) -> int:
    """Instructions in the code of the object file `name`.

    A profile of callgrind lists the costs of functions, line by line; the line below `calls=` is the cost of
    a call, which the called function has on lines of its own.
    """
    total, counting, is_call = 0, False, False
    for line in profile.read_text().splitlines():
        if line.startswith("ob="):
            counting = line == f"ob={name}"
        elif line[:1].isdigit():
            total += int(line.split()[1]) if counting and not is_call else 0
        is_call = line.startswith("calls=")
    return total


def measure(folder: Path) -> tuple[str, Counts]:
    """What decides on the counts, and the count of each call in instructions.cc."""
    driver = program(HERE / "instructions.cc", folder, *_RELEASE)
    profile = folder / "profile"
    command = [VALGRIND, *_CALLGRIND, f"--callgrind-out-file={profile}", driver]
    command += map(str, RELAXATION + SINGLE_COLUMN)
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    configuration, *calls = run.stdout.splitlines()
    profiles = [folder / f"profile.{k}" for k in range(1, len(calls) + 1)]
    counts = [of_object(p, driver) for p in profiles]
    return configuration, dict(zip(calls, counts, strict=True))


def recorded() -> dict[str, Counts]:
    """The counts of every configuration on record."""
    return json.loads(RECORD.read_text()) if RECORD.exists() else {}


def changes(old: Mapping[str, int], new: Mapping[str, int], tolerance: float = 0) -> list[str]:
    """A line for every call whose count differs by more than `tolerance`, or that only one has."""
    lines = [f"{call}: {new[call]:,}" for call in new.keys() - old.keys()]
    lines += [f"{call}: not counted any more" for call in old.keys() - new.keys()]
    for call in old.keys() & new.keys():
        change = new[call] / old[call] - 1
        if abs(change) > tolerance:
            lines.append(f"{call}: {old[call]:,} -> {new[call]:,} ({change:+.1%})")
    return sorted(lines)


def main() -> None:
    """Record."""
    if not VALGRIND:
        sys.exit("needs valgrind: apt-get install valgrind")
    with tempfile.TemporaryDirectory() as folder:
        configuration, counts = measure(Path(folder))
    record = recorded()
    print("\n".join([configuration, *changes(record.get(configuration, {}), counts)]))
    record[configuration] = counts
    RECORD.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
