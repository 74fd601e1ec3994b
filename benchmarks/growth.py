"""How time grows with the size of grids, on log-log axes beside theory: output/growth.png.

    python -m benchmarks.growth [--rounds 5]

Square grids of 10,000, 100,000 and 1,000,000 nodes, cubic ones of 8,000, 64,000 and 216,000. Ordered by
nested dissection, a factorization and a selected inverse take O(n^(3/2)) operations on a square and O(n^2)
on a cube; the factor, and so a solve, has O(n log n) and O(n^(4/3)) numbers (George, SIAM J. Numer. Anal.
10, 1973). For an analysis that orders by minimum degree there is no such law. Needs matplotlib. The times
are also written to output/growth.csv.
"""

import argparse
import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from benchmarks import machine
from benchmarks.gallery import matrix_file
from benchmarks.measure import Effort, available, measure_matrix, say
from benchmarks.peers import PEERS
from benchmarks.report import OURS
from benchmarks.tables import aligned

GRIDS = {
    "square grids": {"lap2d_100": 100**2, "lap2d_316": 316**2, "lap2d_1000": 1000**2},
    "cubic grids": {"lap3d_20": 20**3, "lap3d_40": 40**3, "lap3d_60": 60**3},
}
"""Matrix -> number of nodes."""

INK, FAINT = "#333333", "#a0a0a0"


@dataclass(frozen=True)
class Growth:
    """n^power log(n)^logarithms."""

    power: float
    logarithms: int = 0
    words: str = ""

    def __call__(self, n: float) -> float:
        return n**self.power * math.log(n) ** self.logarithms

    def exponent(self, n: Sequence[float]) -> float:
        """Of the power of n that grows as much from the first to the last n."""
        return slope(n, [self(size) for size in n])


THEORY = {
    ("square grids", "work"): Growth(1.5, 0, "$n^{3/2}$"),
    ("square grids", "numbers"): Growth(1, 1, r"$n\,\log n$"),
    ("cubic grids", "work"): Growth(2, 0, "$n^2$"),
    ("cubic grids", "numbers"): Growth(4 / 3, 0, "$n^{4/3}$"),
}


@dataclass(frozen=True)
class Series:
    """One operation: its name in words, its color, and what of the theory it follows."""

    words: str
    color: str
    follows: str = ""


SERIES = {
    "selected_inverse": Series("selected inverse", "#d55e00", "work"),
    "factor": Series("factorization", "#0072b2", "work"),
    "analyze": Series("analysis", "#8c8c8c"),
    "solve_1": Series("solve", "#009e73", "numbers"),
}
"""Operation -> how it is drawn, in colors that the color-blind tell apart (Okabe, Ito 2008)."""

Seconds = Mapping[tuple[str, str], float]
"""(matrix, operation) -> median."""


def slope(n: Sequence[float], seconds: Sequence[float]) -> float:
    """The exponent between the first and the last size."""
    return math.log(seconds[-1] / seconds[0]) / math.log(n[-1] / n[0])


def points(grids: str, operation: str, seconds: Seconds) -> tuple[list[int], list[float]]:
    """The sizes at which an operation was measured, and its times."""
    found = {n: seconds.get((m, operation), math.nan) for m, n in GRIDS[grids].items()}
    known = {n: time for n, time in found.items() if not math.isnan(time)}
    return [*known], [*known.values()]


def in_words(seconds: float, _position: int = 0) -> str:
    """As in 10 ms."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{1e6 * seconds:g} \u00b5s"


def draw_panel(axes: Axes, grids: str, seconds: Seconds) -> None:
    """Lines of all operations on one kind of grid, named at their ends, theory dashed beside them."""
    ends: dict[str, float] = {}
    right = max(GRIDS[grids].values())
    for operation, series in SERIES.items():
        n, times = points(grids, operation, seconds)
        if not n:
            continue
        growth = THEORY.get((grids, series.follows))
        if growth:
            constant = times[-1] / growth(n[-1])
            expected = [constant * growth(size) for size in n]
            axes.plot(n, expected, "--", color=series.color, lw=1, alpha=0.6)
        axes.plot(n, times, "o-", color=series.color, lw=2, ms=6.5, mec="white", mew=1, zorder=3)
        ends[operation] = times[-1]
    height = math.inf
    for operation in sorted(ends, key=ends.__getitem__, reverse=True):
        height = min(ends[operation], height / 1.6)  # a line below the name above
        series = SERIES[operation]
        growth = THEORY.get((grids, series.follows))
        name = f"{series.words}  {growth.words}" if growth else series.words
        axes.text(1.15 * right, height, name, color=series.color, va="center")
    axes.set(xscale="log", yscale="log", xlabel="nodes $n$")
    axes.set_title(grids.capitalize(), loc="left", color=INK)
    axes.yaxis.set_major_formatter(FuncFormatter(in_words))
    axes.grid(which="major", color="#ececec", lw=0.8)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(length=0, labelcolor=INK, labelleft=True)


def draw(seconds: Seconds, caption: str, path: Path) -> None:
    """The two panels, as a PNG."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, grids in zip(panels, GRIDS, strict=True):
        draw_panel(axes, grids, seconds)
    note = f"Dashed: theory, through the largest grid.  {caption}"
    figure.supxlabel(note, fontsize=7, color=FAINT, x=0.01, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=200)


def exponents(seconds: Seconds) -> str:
    """A table of the measured exponents beside those of theory."""
    rows = [["operation", "grids", "seconds", "exponent", "theory"]]
    for operation, series in SERIES.items():
        for grids in GRIDS:
            n, times = points(grids, operation, seconds)
            if len(n) > 1:
                growth = THEORY.get((grids, series.follows))
                listed = ", ".join(f"{time:.3g}" for time in times)
                expected = f"{growth.exponent(n):.2f}" if growth else "-"
                rows.append([series.words, grids, listed, f"{slope(n, times):.2f}", expected])
    return aligned(rows)


def main() -> None:
    """Measure, draw, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--threads", type=int, default=1, help="cores, and threads of XLA")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each operation")
    parser.add_argument("--output", type=Path, default=Path("output/growth.png"))
    parser.add_argument("--folder", type=Path, default=Path("build/benchmarks"), help="matrices")
    options = parser.parse_args()
    machine.confine(options.threads)
    described = machine.description(options.threads)
    ours = available([peer for peer in PEERS if peer.name == OURS], options.folder)
    effort = Effort(options.rounds, budget=300)
    seconds: dict[tuple[str, str], float] = {}
    for name in [name for sizes in GRIDS.values() for name in sizes]:
        path = matrix_file(name, options.folder)
        measured, _ = measure_matrix(name, path, ours, list(SERIES), effort)
        seconds |= {(name, m.operation): m.median() for m in measured}
    print(f"{described}\n\n{exponents(seconds)}")
    draw(seconds, described, options.output)
    with options.output.with_suffix(".csv").open("w", newline="") as file:
        file.write(f"# {described}\n")
        writer = csv.writer(file)
        writer.writerow(["matrix", "operation", "seconds"])
        writer.writerows([*key, f"{time:.6g}"] for key, time in seconds.items())
    say(f"Written to {options.output}")


if __name__ == "__main__":
    main()
