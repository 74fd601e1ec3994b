"""The benchmark harness: the gallery, taking turns, the arithmetic of the report, one run of it all."""

import csv
import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from benchmarks import gallery, growth, limits, report, tables
from benchmarks.__main__ import names
from benchmarks.combine import combine
from benchmarks.measure import HOPELESS, OPERATIONS, Effort, Facts, Measurement, take_turns
from benchmarks.peak import peak
from benchmarks.peers import PEERS
from benchmarks.targets import targets
from benchmarks.worker import Stopped, Worker

from elimax import Pattern, analyze

ROOT = pathlib.Path(__file__).parents[1]


# ---------------------------------------------------------------------------------------------
# Matrices


@pytest.mark.parametrize("name", gallery.QUICK)
def test_gallery_matrix_is_symmetric_and_survives_its_file(name, tmp_path):
    A = gallery.QUICK[name]()
    assert abs(A - A.T).max() == 0
    assert abs(gallery.read(gallery.matrix_file(name, tmp_path)) - A).max() == 0


@pytest.mark.parametrize("side", [7, 12])
def test_matern_precision_is_positive_definite(side):
    assert np.linalg.eigvalsh(gallery.matern(side).toarray())[0] > 0


# ---------------------------------------------------------------------------------------------
# Taking turns


class Stopwatch:
    """A peer that works without taking time, and gives up after so many calls."""

    def __init__(self, name, seconds, asked, calls=math.inf):
        self.name, self.seconds, self.asked, self.calls = name, seconds, asked, calls

    def ask(self, operation, seconds, patience):
        self.asked.append(self.name)
        self.calls -= 1
        if self.calls < 0:
            raise Stopped("gave up")
        return {"seconds": self.seconds, "cpu": self.seconds, "calls": 3}


def test_workers_take_turns_and_the_first_call_of_a_turn_does_not_count():
    asked: list[str] = []
    workers = [Stopwatch("a", 1.0, asked), Stopwatch("b", 2.0, asked)]
    a, b = take_turns("matrix", "factor", workers, Effort(rounds=5, budget=99))
    assert asked == ["a", "a", "b", "b"] * 5
    assert (a.median(), b.median(), a.calls) == (1.0, 2.0, 15)


def test_a_hopeless_worker_has_one_round_and_a_failed_one_none():
    asked: list[str] = []
    slow = Stopwatch("slow", 1.01 * HOPELESS, asked)
    failed = Stopwatch("failed", 1.0, asked, calls=0)
    workers = [Stopwatch("fast", 1.0, asked), slow, failed]
    results = take_turns("matrix", "factor", workers, Effort(rounds=5, budget=99))
    assert [len(result.seconds) for result in results] == [5, 1, 0]
    assert results[2].note == "gave up" and math.isnan(results[2].median())


def test_a_worker_beyond_the_budget_is_left_out():
    (result,) = take_turns("matrix", "factor", [Stopwatch("slow", 2.0, [])], Effort(2, budget=1))
    assert result.note == "more than 1 s" and not result.seconds


def test_a_worker_that_is_silent_or_dies_is_stopped():
    with Worker("silent", [sys.executable, "-c", "input()"], {}) as silent:
        with pytest.raises(Stopped, match="more than 0 s"):
            silent.listen(0.1)
    with Worker("dies", [sys.executable, "-c", "raise SystemExit('no such matrix')"], {}) as dies:
        with pytest.raises(Stopped, match="no such matrix"):
            dies.listen(60)


# ---------------------------------------------------------------------------------------------
# The report


def test_ratios_are_to_the_fastest_peer_of_the_target():
    row = {"elimax": 3.0, "cholmod-supernodal-amd": 4.0, "pardiso-metis": 2.0, "scipy": 0.1}
    assert tables.ratio_to_peers(row, targets(1)["factor"].peers) == 1.5
    assert tables.ratio_to_peers(row, targets(1)["analyze"].peers) == 0.75
    assert tables.by_library(row)["cholmod"] == 4.0
    assert math.isnan(tables.ratio_to_peers({"elimax": 3.0, "scipy": 1.0}, ("cholmod",)))
    assert report.geometric_mean([0.5, 8.0]) == pytest.approx(2.0)


def test_every_target_names_peers_and_an_operation():
    for threads in (1, 2):
        for operation, target in targets(threads).items():
            assert operation in OPERATIONS
            for peer in target.peers:
                assert any(p.name.startswith(peer) for p in PEERS)


TIMES = {
    ("a", "factor"): {"elimax": 2.0, "pardiso-metis": 1.0},
    ("b", "factor"): {"elimax": 8.0, "pardiso-metis": 1.0, "cholmod-supernodal-amd": 3.0},
    ("a", "gradient"): {"elimax": 5.0},
    ("b", "gradient"): {"elimax": 32.0},
}


def cells(line):
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_table_ends_with_geometric_mean_and_worst_case():
    least = {("a", "factor"): 0.5, ("b", "factor"): 0.08}
    text = tables.table(TIMES, "factor", ["a", "b"], targets(1), least)
    _, _, head, _, a, b, mean, worst = text.splitlines()
    libraries = ["elimax", "pardiso", "cholmod"]
    assert cells(head) == ["matrix", *libraries, "ours / fastest", "of the limit"]
    assert cells(a) == ["a", "2,000", "1,000", "-", "2", "25 %"]
    assert cells(b) == ["b", "8,000", "1,000", "3,000", "8", "1 %"]
    assert cells(mean)[-2:] == ["4", "5 %"]
    assert cells(worst)[-2:] == ["8", ""]


def test_summary_has_the_ratios_that_have_targets():
    text = tables.summary(TIMES, ["factor", "gradient"], ["a", "b"], targets(2))
    *_, factor, gradient = text.splitlines()
    assert cells(factor) == ["factor", "ours / fastest", "4", "0.6", "8", "1", "b"]
    assert cells(gradient) == ["gradient", "ours / our factor", "3.16", "3", "4", "4", "b"]


def test_a_target_may_be_for_some_matrices_only():
    times = {
        (m, o): {"elimax": 1.0} for m in ("a", "lap3d_9") for o in ("factor", "factor_float32")
    }
    columns = tables.ratios(times, "factor_float32", ["a", "lap3d_9"], targets(1))
    assert [column.known for column in columns] == [{"lap3d_9": 1.0}]


def test_runs_are_combined_operation_by_operation(tmp_path):
    """Files of two runs on one matrix: what the later one measured is its own, peers included."""
    facts = [Facts("lap3d_20", peer, "1", 1e9, 1e6, ["factor"]) for peer in ("elimax", "eigen")]
    machine = limits.Limits(flops=1e10, bytes=1e10)
    for name, seconds in [("first", {"elimax": 1.0, "eigen": 3.0}), ("second", {"elimax": 2.0})]:
        measured = [Measurement("lap3d_20", "factor", p, [s], [s], 1) for p, s in seconds.items()]
        measured += [Measurement("lap3d_20", "solve_1", "eigen", note="left out")]
        report.write_csv(tmp_path / name, "a machine", measured, facts, machine)
    first, both = (
        combine([tmp_path / n for n in names])[0] for names in (["first"], ["first", "second"])
    )
    assert first == {("lap3d_20", "factor"): {"elimax": 1.0, "eigen": 3.0}}
    assert both == {("lap3d_20", "factor"): {"elimax": 2.0}}
    assert combine([tmp_path / "first"])[1] == {("lap3d_20", "factor"): 0.1}


def test_limits_of_a_solve_are_those_of_memory_until_right_hand_sides_are_many():
    machine = limits.Limits(flops=100e9, bytes=10e9)
    assert machine.least_seconds("factor", 10, 1e6, 1e9) == 0.01
    assert machine.least_seconds("solve_1", 1000, 1e6, 1e9) == 8 * (2e6 + 2e3) / 10e9
    assert machine.least_seconds("solve_64", 1000, 1e6, 1e9) == 64 * 4e6 / 100e9
    assert math.isnan(machine.least_seconds("analyze", 10, 1e6, 1e9))


def test_names_expand_only_when_they_are_not_exact():
    parse = names(["lap2d_100", "lap2d_1000", "crossed"])
    assert parse("lap2d_100") == ["lap2d_100"]
    assert parse("lap") == ["lap2d_100", "lap2d_1000"]


@pytest.mark.skipif(math.isnan(peak(lambda: None)), reason="needs Linux's count of memory")
def test_peak_is_what_a_call_takes_at_its_worst():
    def call():
        np.ones(30 << 17)  # 30 MiB, gone at once
        return np.ones(20 << 17)

    assert peak(call) == pytest.approx(30 << 20, rel=0.1)


@pytest.mark.skipif(math.isnan(peak(lambda: None)), reason="needs Linux's count of memory")
def test_memory_of_a_factorization_is_at_least_the_factor(tmp_path):
    options = ["--matrices", "lap2d_100", "--peers", "elimax", "--output", str(tmp_path / "m.csv")]
    command = [sys.executable, "-m", "benchmarks.memory", *options, "--folder", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (row,) = csv.DictReader((tmp_path / "m.csv").read_text().splitlines()[1:])
    factor = 8 * analyze(Pattern.from_scipy(gallery.GALLERY["lap2d_100"](), symmetric=True)).nnz
    assert factor < float(row["bytes"]) < 5 * factor


def test_growth_is_drawn_beside_the_exponents_of_theory(tmp_path):
    sizes = growth.GRIDS["cubic grids"]
    seconds = {(m, "factor"): 1e-10 * n**2 for m, n in sizes.items()}
    seconds |= {(m, "solve_1"): 1e-8 * n**1.25 for m, n in sizes.items()}
    *_, factor, solve = growth.exponents(seconds).splitlines()
    assert cells(factor)[-2:] == ["2.00", "2.00"]
    assert cells(solve)[-2:] == ["1.25", "1.33"]
    growth.draw(seconds, "a machine", tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_one_command_measures_and_writes_a_table(tmp_path):
    output = tmp_path / "times.csv"
    options = ["--matrices", "lap3d_12", "--peers", "elimax,scipy", "--rounds", "1"]
    places = ["--output", str(output), "--folder", str(tmp_path)]
    command = [sys.executable, "-m", "benchmarks", *options, *places]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "Every answer agrees." in run.stdout
    machine, *rows = output.read_text().splitlines()
    assert machine.startswith("# ") and "jax" in machine
    measured = {(row["peer"], row["operation"]) for row in csv.DictReader(rows) if row["seconds"]}
    operations = {"factor", "solve_1", "solve_64", "logdet"}
    assert {("scipy", operation) for operation in operations} <= measured
    assert {("elimax", operation) for operation in {*operations, "gradient"}} <= measured
