"""Every Python block of these pages runs, top to bottom, as one script in a fresh process and folder."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [
    "README.md",
    "docs/diffrax.md",
    "docs/examples/crossed_mixed_model.md",
    "docs/examples/disease_mapping.md",
    "docs/examples/spatial_map.md",
    "docs/external_solvers.md",
    "docs/gmrf.md",
    "docs/inference.md",
    "docs/laplace.md",
    "docs/lineax.md",
    "docs/mixed_models.md",
    "docs/numpyro_pymc.md",
    "docs/optimistix.md",
    "docs/sparse_differentiation.md",
    "docs/spde.md",
    "docs/vertex_elimination.md",
]
# One thread of BLAS: many that wait for each other would take longer than all the rest.
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1"}


@pytest.mark.parametrize("page", PAGES)
def test_code_of_a_page_runs(page, tmp_path):
    text = (ROOT / page).read_text()
    (tmp_path / "examples").symlink_to(ROOT / "examples")
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
