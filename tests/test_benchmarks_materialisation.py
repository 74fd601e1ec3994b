"""The benchmark of operators that are known by their products, at its smallest."""

import math

import numpy as np
import pytest
from benchmarks import materialisation
from benchmarks.pivoting import Call


def test_every_variant_is_timed_and_drawn(tmp_path, capsys):
    times = materialisation.measure((20,), rounds=1, turn=0.0)
    assert len(times) == 2 * len(materialisation.CASES)
    for (name, _), rows in times.items():
        untagged = {v for v, seconds in rows.items() if math.isnan(seconds[0])}
        expected = {"lineax, tagged", "elimax, tagged"} if name == "five diagonals" else set()
        assert untagged == expected
    materialisation.draw((20,), times, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    assert "five diagonals, root" in capsys.readouterr().out


def test_answers_that_differ_are_an_error():
    calls = {
        "elimax": Call(lambda s: s, lambda s: np.ones(3)),
        "lineax": Call(lambda s: s, lambda s: np.array([1.0, 1.0, 2.0])),
    }
    with pytest.raises(ArithmeticError, match=r"name: lineax differs from elimax by 1\.0e"):
        materialisation.check_agreement("name", calls)
