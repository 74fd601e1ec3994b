"""The batch loop, the crew and the kernels on many threads, from within and under ThreadSanitizer."""

import subprocess

import pytest

from .compiler import COMPILER, HERE, compile, program

SANITIZE = ("-g1", "-fsanitize=thread", "-fcx-limited-range")


def has_thread_sanitizer(folder) -> bool:
    """Whether a sanitized program can be compiled and run here."""
    source, empty = folder / "empty.cc", folder / "empty"
    source.write_text("int main() { return 0; }")
    try:
        compile(*SANITIZE, str(source), "-o", str(empty))
        subprocess.run([empty], check=True, capture_output=True)
    except subprocess.CalledProcessError:
        return False
    return True


def succeeds(checked: str) -> None:
    run = subprocess.run([checked], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.slow
@pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler")
def test_crew(tmp_path):
    succeeds(program(HERE / "crew_check.cc", tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler")
@pytest.mark.parametrize("source", ["thread_check.cc", "crew_check.cc"])
def test_threads_under_thread_sanitizer(source, tmp_path):
    if not has_thread_sanitizer(tmp_path):
        pytest.skip("needs ThreadSanitizer")
    succeeds(program(HERE / source, tmp_path, *SANITIZE))
