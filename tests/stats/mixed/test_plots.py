"""Pictures of fits, and what is said without matplotlib or pandas."""

import subprocess
import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from elimax import stats

matplotlib.use("Agg")


@pytest.fixture
def fit(rng):
    g, h = np.resize(np.arange(70), 300), rng.permutation(np.resize(list("abcde"), 300))
    x = rng.normal(size=300)
    y = rng.normal(size=70)[g] + x * rng.choice([0.5, 1.5], 5)[np.unique(h, return_inverse=True)[1]]
    return stats.lmm(
        "y ~ x + (1 | g) + (x | h)", {"y": y + rng.normal(size=300), "x": x, "g": g, "h": h}
    )


def test_caterpillars(fit):
    few = fit.plot_random_effects("h", noun="letter", effect="effect on y (m)")
    left, right = few.axes
    assert left.get_ylabel() == "letter" and right.get_xlabel() == "effect on y (m) per unit of x"
    names = [label.get_text() for label in left.get_yticklabels()]
    modes = fit.random_effects["h"]["(Intercept)"]
    assert names == list(modes.sort_values().index)
    many = fit.plot_random_effects()
    assert len(many.axes) == 3 and "rank among 70 gs" in many.axes[0].get_xlabel()
    assert str(fit.random_effects["g"]["(Intercept)"].idxmin()) in (
        many.axes[1].get_yticklabels()[0].get_text()
    )
    with pytest.raises(ValueError, match="must be one of g, h, got 'f'"):
        fit.plot_random_effects("f")
    plt.close("all")


def test_residuals(fit):
    figure = fit.plot_residuals()
    scatter, quantiles = figure.axes
    points = np.asarray(scatter.collections[0].get_offsets())
    np.testing.assert_allclose(points, np.column_stack([fit.fitted, fit.scaled_residuals]))
    np.testing.assert_allclose(quantiles.lines[0].get_ydata(), np.sort(fit.scaled_residuals))
    plt.close("all")


@pytest.mark.parametrize("package", ["formulaic", "pandas"])
def test_a_missing_extra_is_named(package):
    program = f"""
import sys
sys.modules[{package!r}] = None
import elimax.stats
assert not {{"pandas", "formulaic", "matplotlib", "polars"}} & {{n for n, m in sys.modules.items() if m}}
try:
    elimax.stats.lmm
except ModuleNotFoundError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert f"needs {package}: pip install 'elimax[stats]'" in run.stdout, run.stderr


def test_matplotlib_is_named_where_it_is_missing(fit, monkeypatch):
    monkeypatch.setitem(sys.modules, "elimax.stats.mixed.plots", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'elimax\[plotting\]'"):
        fit.plot_residuals()


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match="no attribute 'glm'"):
        stats.glm  # noqa: B018
