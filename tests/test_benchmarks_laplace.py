"""The benchmark of Laplace approximations, at its smallest."""

import math

from benchmarks import laplace


def test_a_lattice_is_measured_in_a_process_of_its_own():
    found = laplace.apart("lattice50", cores=1, repeat=1)
    assert found["n"] == 2500 and 3 <= found["iterations"] <= 10
    assert all(math.isfinite(value) and value > 0 for value in found.values())
    assert found["warm"] < found["cold"] < found["compile"]
    line = laplace.row("lattice50", 1, found)
    assert len(line) == len(laplace.HEAD) and line[0] == "lattice50"
