"""The batch loop and the kernels on many threads, from within and under ThreadSanitizer."""

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


@pytest.mark.slow
@pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler")
def test_threads_under_thread_sanitizer(tmp_path):
    if not has_thread_sanitizer(tmp_path):
        pytest.skip("needs ThreadSanitizer")
    checked = program(HERE / "thread_check.cc", tmp_path, *SANITIZE)
    run = subprocess.run([checked], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
