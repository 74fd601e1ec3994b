"""The package as it is delivered: its wheel, its library, its requirements, and what importing does."""

import importlib
import importlib.metadata
import inspect
import pathlib
import re
import struct
import subprocess
import sys
import tomllib
import zipfile

import pytest

import elimax as ex
from elimax._primitive import jax_version
from elimax._structure import _native

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SYSTEM_LIBRARIES = {"libc", "libm", "libstdc++", "libgcc_s", "libpthread", "ld-linux-x86-64"}


def has_distribution(name: str) -> bool:
    """Without `find_spec`, which for pip takes setuptools' distutils away that PyTensor compiles with."""
    return any(importlib.metadata.Distribution.discover(name=name))


# ---------------------------------------------------------------------------------------------
# The wheel and its library


@pytest.mark.slow
@pytest.mark.skipif(not has_distribution("pip"), reason="needs pip to build")
def test_wheel_has_the_package_and_nothing_else(tmp_path):
    command = ["pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={tmp_path}", str(ROOT)]
    subprocess.run([sys.executable, "-m", *command], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert re.fullmatch(rf"elimax-{PROJECT['version']}-py3-none-\w+\.whl", wheel.name)
    files = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = {str(p.relative_to(ROOT / "src")) for p in (ROOT / "src").rglob("*.py")}
    library = f"elimax/_structure/{pathlib.Path(_native.library._name).name}"
    assert files == sources | {library, "elimax/py.typed"}


def needed_libraries(path: str) -> set[str]:
    """The DT_NEEDED entries of a 64-bit little-endian ELF file, without versions."""
    data = pathlib.Path(path).read_bytes()
    section_table, _, _, _, _, entry_size, n_sections = struct.unpack_from("<QIHHHHH", data, 40)
    sections = [
        struct.unpack_from("<IIQQQQII", data, section_table + i * entry_size)
        for i in range(n_sections)
    ]
    _, _, _, _, offset, size, link, _ = next(s for s in sections if s[1] == 6)  # SHT_DYNAMIC
    strings = sections[link][4]
    needed = [
        value
        for tag, value in struct.iter_unpack("<qQ", data[offset : offset + size])
        if tag == 1  # DT_NEEDED
    ]
    names = [data[strings + at : data.index(b"\0", strings + at)].decode() for at in needed]
    return {name.partition(".so")[0] for name in names}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads ELF")
def test_library_needs_only_the_system():
    needed = needed_libraries(_native.library._name)
    if needed & {"libasan", "libtsan"}:
        pytest.skip("a sanitized build")
    assert "libc" in needed
    assert needed <= SYSTEM_LIBRARIES


# ---------------------------------------------------------------------------------------------
# The JAX it needs


def test_oldest_jax_is_the_one_that_pip_is_told():
    assert f"jax>={jax_version.OLDEST}" in PROJECT["dependencies"]


@pytest.mark.parametrize("package", ["jax", "jaxlib"])
@pytest.mark.parametrize("version", ["0.4.38", "0.5.0", "0.7.2", "0.7.99.dev20250101+abc"])
def test_old_jax_is_a_clear_error(package, version):
    message = rf"elimax needs {package} {jax_version.OLDEST} or newer, but {package} {version}"
    with pytest.raises(ImportError, match=re.escape(message)):
        jax_version.check(package, version)


@pytest.mark.parametrize("version", [jax_version.OLDEST, "0.10.2", "0.12.0.1", "1.0.0", "0.100.0"])
def test_newer_jax_is_accepted(version):
    jax_version.check("jax", version)


def test_old_jax_is_found_before_any_kernel_is_registered():
    program = """
import jax
jax.__version__ = "0.7.2"
registered = []
jax.ffi.register_ffi_target = lambda *args, **kwargs: registered.append(args)
try:
    import elimax
except ImportError as error:
    assert "elimax needs jax" in str(error), error
    assert not registered
else:
    raise AssertionError("imported")
"""
    subprocess.run([sys.executable, "-c", program], check=True)


# ---------------------------------------------------------------------------------------------
# What importing does


def test_importing_changes_nothing():
    """No configuration, environment, filter or signal handler; no backend, no thread."""
    program = """
import os, pathlib, signal, threading, warnings
import jax, pymetis, scipy.linalg, scipy.sparse  # what these do to a process is theirs
def state():
    tasks = pathlib.Path("/proc/self/task")
    native_threads = len(os.listdir(tasks)) if tasks.exists() else 0
    handlers = [signal.getsignal(s) for s in signal.valid_signals()]
    settings = dict(jax.config.values), dict(os.environ), warnings.filters[:]
    return *settings, handlers, threading.active_count(), native_threads
before = state()
import elimax
for old, new in zip(before, state(), strict=True):
    assert old == new
"""
    subprocess.run([sys.executable, "-c", program], check=True)


PUBLIC = {name: value for name, value in vars(ex).items() if not name.startswith("_")}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_documented(name):
    assert inspect.getdoc(PUBLIC[name]), f"elimax.{name} has no docstring"


@pytest.mark.parametrize("name", [n for n, value in PUBLIC.items() if inspect.isfunction(value)])
def test_public_function_is_annotated(name):
    signature = inspect.signature(PUBLIC[name])
    bare = [p.name for p in signature.parameters.values() if p.annotation is p.empty]
    assert not bare and signature.return_annotation is not signature.empty
