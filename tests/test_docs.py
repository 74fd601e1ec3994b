"""Every Python block of these pages runs, from top to bottom, as a script in a fresh process."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = ["README.md", "docs/lineax.md"]


@pytest.mark.parametrize("page", PAGES)
def test_code_of_a_page_runs(page, tmp_path):
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL
    )
    assert blocks
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks))
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout
