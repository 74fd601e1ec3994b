"""The benchmark of linear mixed models, on few observations."""

import numpy as np
from benchmarks import mixed_models


def test_the_simulated_model_is_found_again(capsys):
    fit = mixed_models.large(4000, 200, 20)
    printed = capsys.readouterr().out
    assert "4,000 observations, 200 x 20 levels" in printed and "converged: True" in printed
    np.testing.assert_allclose(fit.fixed_effects["x"], 2, atol=0.1)
    np.testing.assert_allclose(fit.variance_components["sdcor"], [0.5, 0.8, 1.0], rtol=0.35)


def test_every_level_of_the_simulated_data_occurs():
    data = mixed_models.simulated(500, 100, 7)
    assert data["person"].nunique() == 100 and data["item"].nunique() == 7


def test_insteval_is_timed(capsys, monkeypatch):
    formulas = dict(list(mixed_models.FORMULAS.items())[:1])
    monkeypatch.setattr(mixed_models, "FORMULAS", formulas)
    mixed_models.insteval(calls=1)
    assert "(1 | s) + (1 | d)" in capsys.readouterr().out
