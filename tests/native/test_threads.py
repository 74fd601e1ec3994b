"""The batch loop and the kernels on many threads, from within and under ThreadSanitizer."""

import subprocess

import pytest

from .compiler import COMPILER, CPP, HERE, compile, compile_all, dense_kernels

SANITIZE = ("-g1", "-fsanitize=thread", "-fcx-limited-range")


def has_thread_sanitizer(folder) -> bool:
    """Whether a sanitized program can be compiled and run here."""
    source, program = folder / "empty.cc", folder / "empty"
    source.write_text("int main() { return 0; }")
    try:
        compile(*SANITIZE, str(source), "-o", str(program))
        subprocess.run([program], check=True, capture_output=True)
    except subprocess.CalledProcessError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler")
def test_threads_under_thread_sanitizer(tmp_path):
    if not has_thread_sanitizer(tmp_path):
        pytest.skip("needs ThreadSanitizer")
    kernels = dense_kernels(tmp_path, *SANITIZE)
    left_out = {"api.cc", "dense_kernels.cc", *(p.name for p in CPP.glob("ffi*"))}
    sources = [p for p in CPP.glob("*.cc") if p.name not in left_out]
    sources.append(HERE / "thread_check.cc")
    objects = [str(tmp_path / f"{source.stem}.o") for source in sources]
    compile_all(
        [
            (*SANITIZE, "-c", str(source), "-o", target)
            for source, target in zip(sources, objects, strict=True)
        ]
    )
    program = str(tmp_path / "thread_check")
    compile(*SANITIZE, *objects, *kernels, "-o", program)
    run = subprocess.run([program], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
