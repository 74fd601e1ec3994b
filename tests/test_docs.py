"""Every Python block of these pages runs, from top to bottom, as a script in a fresh process and an empty folder."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [
    "README.md",
    "docs/lineax.md",
    "docs/optimistix.md",
    "docs/diffrax.md",
    "docs/external_solvers.md",
    "docs/sparse_differentiation.md",
    "docs/vertex_elimination.md",
    "docs/laplace.md",
    "docs/gmrf.md",
]
# One thread of BLAS: many that wait for each other would take longer than all the rest.
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1"}


@pytest.mark.parametrize("page", PAGES)
def test_code_of_a_page_runs(page, tmp_path):
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == text.count("```python") > 0
    run = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=ENVIRONMENT,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout
