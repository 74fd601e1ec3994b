"""The kernels execute as many instructions as they did, to 3%: a regression test that no noise disturbs."""

import os

import pytest

from .compiler import COMPILER
from .instructions import TOLERANCE, VALGRIND, changes, measure, of_object, recorded


@pytest.mark.slow
@pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler")
@pytest.mark.skipif(not VALGRIND, reason="needs valgrind: apt-get install valgrind")
@pytest.mark.skipif("ELIMAX_CHECK_FLAGS" in os.environ, reason="other flags, other counts")
def test_instruction_counts_are_those_on_record(tmp_path):
    configuration, counts = measure(tmp_path)
    record = recorded()
    if configuration not in record:
        pytest.skip(f"no counts on record for {configuration}, only for {', '.join(record)}")
    changed = changes(record[configuration], counts, TOLERANCE)
    assert not changed, "if this is meant, `make instructions` records it:\n" + "\n".join(changed)


def test_a_change_beyond_the_tolerance_is_reported_in_either_direction():
    old = {"solve": 1000, "factorization": 1000, "selected inverse": 1000, "gone": 1}
    new = {"solve": 1029, "factorization": 1040, "selected inverse": 950}
    assert changes(old, new, TOLERANCE) == [
        "factorization: 1,000 -> 1,040 (+4.0%)",
        "gone: not counted any more",
        "selected inverse: 1,000 -> 950 (-5.0%)",
    ]


def test_only_the_code_of_one_object_counts_and_calls_count_once(tmp_path):
    profile = tmp_path / "profile"
    lines = ["ob=/lib/libc.so", "fn=start", "0 7", "calls=1 0", "0 42", "ob=/driver", "fn=kernel"]
    profile.write_text("\n".join([*lines, "12 30", "calls=2 0", "13 900", "14 5", ""]))
    assert of_object(profile, "/driver") == 35
