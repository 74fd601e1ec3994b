"""Colorings of patterns with structure: bands, and the stencils of `lattice.py`, checked on the pattern."""

import itertools

import numpy as np

from elimax._structure import _native_coloring as native
from elimax._structure.colorable import Colorable, off_diagonal
from elimax._structure.coloring import Coloring, read_off
from elimax._structure.lattice import Chart, Effort, Proposal, charts, induced, proposals

# How many charts are tried; for proposals that only star and acyclic colorings admit, how many.
_CHARTS, _CHARTS_OF_MORE = 8, 2
# How many such proposals are looked at on a part of the pattern: of each number of colors on each chart, and
# altogether; one that turns out wrong on the whole counts as many.
_PER_CHART = 48
_LOOKS, _WHOLE = 1500, 100
# How many others may turn out wrong.
_WRONG = 8
# The effort of searching, and that for each vertex of small patterns, which greedy colorings are cheap for.
_EFFORT, _EFFORT_PER_VERTEX = 8_000_000, 8000


def structured(graph: Colorable, bound: int, longest: int, most: int) -> Coloring | None:
    """A coloring by the numbers of the columns, or by their coordinates on a lattice, or None.

    **Arguments:**

    - `graph`: of any kind but "bidirectional".
    - `bound`: as few colors cannot be had.
    - `longest`: the length of the longest row.
    - `most`: more colors are not wanted.

    **Cost:** a few passes over the entries; the search on a lattice does not depend on the size.
    """
    band = _band(graph, bound)
    if band is not None:
        return band
    guesses = charts(graph.shared)[:_CHARTS]
    everyone = np.arange(graph.size)
    screens = [_Screen(graph, chart) for chart in guesses[:_CHARTS_OF_MORE] if graph.is_symmetric]
    looks, wrong = _LOOKS, 0
    effort, more_effort = (Effort(min(_EFFORT, _EFFORT_PER_VERTEX * graph.size)) for _ in range(2))
    for k in range(max(1, bound), most + 1):
        # Colors that differ where columns share a row do for every kind of coloring.
        for chart in guesses if k >= longest else ():
            for proposal in itertools.islice(proposals(chart, k, True, effort), 1):
                coloring = read_off(graph, proposal.colors(everyone))
                if coloring is not None:
                    return coloring
                wrong += 1
        for screen in screens:
            more = proposals(screen.chart, k, False, more_effort)
            for proposal in itertools.islice(more, max(0, min(_PER_CHART, looks))):
                looks -= 1
                if screen.passes(proposal):
                    coloring = read_off(graph, proposal.colors(everyone))
                    if coloring is not None:
                        return coloring
                    looks -= _WHOLE
        if not guesses or wrong >= _WRONG or effort.left < 0:
            break
    return None


class _Screen:
    """The part of a symmetric pattern between the points where a chart takes its sample."""

    def __init__(self, graph: Colorable, chart: Chart) -> None:
        self.kind, self.chart = graph.kind, chart
        self.points = np.unique(chart.sample)
        self.part, self.entry = induced(graph.vertices, self.points)
        self.size = int(self.entry.max(initial=-1)) + 1

    def passes(self, proposal: Proposal) -> bool:
        colors = proposal.colors(self.points)
        if self.kind == "star":
            return native.read_directly(self.part, colors, colors, 0, True) is not None
        return native.read_by_substitution(self.part, self.entry, self.size, colors) is not None


def _band(graph: Colorable, bound: int) -> Coloring | None:
    """The columns of a band in turn, if no coloring has fewer colors.

    **Source:** Coleman, Moré, "Estimation of sparse Hessian matrices and graph coloring problems",
    Mathematical Programming 28 (1984); Gebremedhin et al., SIAM Journal on Scientific Computing 29 (2007).
    """
    pattern = graph.pattern
    lower, upper = pattern.bandwidths
    if graph.is_symmetric:
        wanted = off_diagonal(pattern) == lower * pattern.shape[0] - lower * (lower + 1) // 2
        k = lower + 1 if graph.kind == "acyclic" else 2 * lower + 1
    else:
        k = lower + upper + 1
        wanted = k == bound
    if not wanted:
        return None
    colors = np.arange(graph.size, dtype=np.int32) % max(1, k)
    return read_off(graph, colors)
