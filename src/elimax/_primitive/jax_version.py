"""The JAX this package needs, checked before any native kernel is registered with it.

A jaxlib that refuses the ABI of a registered kernel loses its whole CPU backend: every JAX operation
of the process fails, and its message does not name the cause. So the version is checked first.
"""

import re

import jax
import jaxlib

OLDEST = "0.10.0"


def _release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: "0.10.2.dev3+abc" is (0, 10, 2)."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def check(package: str, version: str) -> None:
    """Raises an ImportError if `version` of `package` (jax or jaxlib) is older than `OLDEST`."""
    if _release(version) < _release(OLDEST):
        raise ImportError(
            f"elimax needs {package} {OLDEST} or newer, but {package} {version} is installed. "
            f"Upgrade it: pip install --upgrade 'jax>={OLDEST}'"
        )


check("jax", jax.__version__)
check("jaxlib", jaxlib.__version__)
