"""docs/external_solvers.md is a script that runs from top to bottom."""

import pathlib
import re

import pytest

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "external_solvers.md"


def test_page_runs(capsys):
    pytest.importorskip("pyamg")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 6
    exec(compile("\n".join(blocks), str(PAGE), "exec"), {})
    assert "released" in capsys.readouterr().out
