"""The tables of docs/transformations.md: every line runs, and its numbers are those that the core counts."""

import pathlib
import re

import jax
import pytest

from elimax._structure._native import counted

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "transformations.md").read_text()
HEADER = "| | F | S | H | G | D |"
COUNTERS = [
    ("factorization",),
    ("solve",),
    ("half_solve",),
    ("inverse_gradient",),
    ("factor_derivative", "factor_adjoint"),
]
LINES = re.findall(r"^\| `(.+)` \|([\d |]+)\|$", PAGE, re.MULTILINE)


def _section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.fixture(scope="module")
def names():
    """What the code of the page defines."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(compile(code, "docs/transformations.md", "exec"), names)
    return names


def _counts(run) -> list[int]:
    def now():
        return [sum(map(counted, counters)) for counters in COUNTERS]

    before = now()
    jax.block_until_ready(run())
    return [b - a for a, b in zip(before, now(), strict=True)]


def test_every_table_is_read():
    assert len(LINES) == PAGE.count("\n| `") > 50
    assert PAGE.count(HEADER) == PAGE.count("\n## ")


@pytest.mark.parametrize(("expression", "numbers"), LINES, ids=[line for line, _ in LINES])
def test_a_line_of_the_page(expression, numbers, names):
    arrays = {name: x for name, x in names.items() if isinstance(x, jax.Array)}
    program = jax.jit(lambda arrays: jax.tree.leaves(eval(expression, names | arrays)))
    assert _counts(lambda: program(arrays)) == [int(n) for n in numbers.split("|")]


@pytest.mark.parametrize(
    "expression", re.findall(r"^\| `(.+)` \| 1", _section("Derivatives"), re.MULTILINE)
)
def test_one_factorization_outside_of_jit(expression, names):
    assert _counts(lambda: jax.tree.leaves(eval(expression, names)))[0] == 1
