"""Tables: every library's times at one operation, our own in ratios, and the ratios beside their targets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.report import OURS, Times, geometric_mean
from benchmarks.targets import IN_FACTORIZATIONS, Target


@dataclass(frozen=True)
class Ratios:
    """Numbers by matrix that should be small; those that are NaN are unknown."""

    title: str
    by_matrix: Mapping[str, float]
    target: Target | None = None

    @property
    def known(self) -> dict[str, float]:
        """Those that count."""
        meant = self.target.matrices if self.target else ""
        return {
            m: ratio
            for m, ratio in self.by_matrix.items()
            if m.startswith(meant) and not math.isnan(ratio)
        }

    @property
    def mean(self) -> float:
        """The geometric one."""
        return geometric_mean(self.known.values())

    @property
    def worst(self) -> tuple[float, str]:
        """The largest, and whose it is."""
        return max(((ratio, m) for m, ratio in self.known.items()), default=(math.nan, ""))


def cell(number: float) -> str:
    """At least three digits, or a dash for NaN."""
    if math.isnan(number):
        return "-"
    return f"{number:.3g}" if number < 1000 else f"{number:,.0f}"


def percent(fraction: float) -> str:
    """Two digits, or a dash for NaN."""
    return "-" if math.isnan(fraction) else f"{100 * fraction:.2g} %"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Markdown table: first row is the header, first column flush left, others flush right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        first, *rest = (
            text.ljust(width) if k == 0 else text.rjust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        return "| " + " | ".join([first, *rest]) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])])


def by_library(row: Mapping[str, float]) -> dict[str, float]:
    """The fastest configuration of each library; a peer is called LIBRARY-CONFIGURATION."""
    fastest: dict[str, float] = {}
    for peer, seconds in row.items():
        library = peer.partition("-")[0]
        fastest[library] = min(seconds, fastest.get(library, math.inf))
    return fastest


def ratio_to_peers(row: Mapping[str, float], peers: tuple[str, ...]) -> float:
    """Our time over that of the fastest of `peers`; NaN where one side is missing."""
    theirs = [seconds for peer, seconds in row.items() if peer.startswith(peers)]
    return row[OURS] / min(theirs) if OURS in row and theirs else math.nan


def ratios(
    times: Times, operation: str, matrices: Sequence[str], targets: Mapping[str, Target]
) -> list[Ratios]:
    """Our times over those of the peers in the target, where there is one, and of our own factorization."""
    found = []
    if target := targets.get(operation):
        to_peers = {m: ratio_to_peers(times[m, operation], target.peers) for m in matrices}
        found.append(Ratios(f"ours / {in_words(target.peers)}", to_peers, target))
    if operation != "factor":
        in_factorizations = {m: ratio_to_factor(times, m, operation) for m in matrices}
        target = IN_FACTORIZATIONS.get(operation)
        found.append(Ratios("ours / our factor", in_factorizations, target))
    return [column for column in found if column.known]


def ratio_to_factor(times: Times, matrix: str, operation: str) -> float:
    """Our time over our own factorization's; NaN where one is missing."""
    ours = times[matrix, operation].get(OURS, math.nan)
    return ours / times.get((matrix, "factor"), {}).get(OURS, math.nan)


def in_words(peers: tuple[str, ...]) -> str:
    """The one library, or that there are several."""
    libraries = dict.fromkeys(peer.partition("-")[0] for peer in peers)
    return libraries.popitem()[0] if len(libraries) == 1 else "fastest"


def table(
    times: Times,
    operation: str,
    matrices: Sequence[str],
    targets: Mapping[str, Target],
    least: Mapping[tuple[str, str], float],
    unit: tuple[str, float] = ("milliseconds", 1e3),
) -> str:
    """The figures of every library in `unit`, our ratios, and the fraction of the limit that we reach.

    `least` has the figures that an operation on a matrix takes at least, where a limit is known.
    """
    present = [m for m in matrices if (m, operation) in times]
    libraries = {m: by_library(times[m, operation]) for m in present}
    names = list(dict.fromkeys(name for row in libraries.values() for name in row))
    columns = ratios(times, operation, present, targets)
    nan = math.nan
    limits = {m: least.get((m, operation), nan) / libraries[m].get(OURS, nan) for m in present}
    limit = Ratios("of the limit", limits)

    rows = [["matrix", *names, *(column.title for column in columns)]]
    rows += [
        [
            m,
            *(cell(unit[1] * libraries[m].get(name, nan)) for name in names),
            *(cell(column.by_matrix[m]) for column in columns),
        ]
        for m in present
    ]
    blank = [""] * len(names)
    rows.append(["geometric mean", *blank, *(cell(column.mean) for column in columns)])
    rows.append(["worst", *blank, *(cell(column.worst[0]) for column in columns)])
    if limit.known:
        shown = [limit.title, *map(percent, limits.values()), percent(limit.mean), ""]
        rows = [[*row, text] for row, text in zip(rows, shown, strict=True)]
    return f"### {operation}, {unit[0]}\n\n{aligned(rows)}"


def summary(
    times: Times, operations: Sequence[str], matrices: Sequence[str], targets: Mapping[str, Target]
) -> str:
    """Every ratio that has a target, beside it."""
    rows = [["operation", "ratio", "geometric mean", "target", "worst", "target", "where"]]
    for operation in operations:
        present = [m for m in matrices if (m, operation) in times]
        for column in ratios(times, operation, present, targets):
            if column.target:
                largest, where = column.worst
                means = [cell(column.mean), cell(column.target.mean)]
                numbers = [*means, cell(largest), cell(column.target.worst)]
                rows.append([operation, column.title, *numbers, where])
    return f"### Targets\n\n{aligned(rows)}" if len(rows) > 1 else ""


def tables(
    times: Times,
    operations: Sequence[str],
    matrices: Sequence[str],
    targets: Mapping[str, Target],
    least: Mapping[tuple[str, str], float],
) -> str:
    """A table for every operation that was measured, and the summary."""
    measured = [o for o in operations if any((m, o) in times for m in matrices)]
    parts = [table(times, operation, matrices, targets, least) for operation in measured]
    return "\n\n".join([*parts, summary(times, measured, matrices, targets)])
