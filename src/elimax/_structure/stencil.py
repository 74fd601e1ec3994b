"""Colorings of patterns with structure: bands, and the stencils of `lattice.py`, checked on the pattern."""

import itertools
from collections.abc import Iterator

import numpy as np

from elimax._structure import _native_coloring as native
from elimax._structure.colorable import Colorable, off_diagonal
from elimax._structure.coloring import Coloring, read_off
from elimax._structure.lattice import Chart, Proposal, charts, induced, proposals

# How many proposals are looked at on a part of a symmetric pattern: of each number of colors on each chart,
# and altogether.
_PER_CHART = 48
_ON_A_PART = 1500
# How many entries are looked at in proposals that turn out wrong on the whole.
_WASTED = 10_000_000


def structured(graph: Colorable, bound: int, longest: int) -> Coloring | None:
    """A coloring by the numbers of the columns, or by their coordinates on a lattice, or None.

    **Arguments:**

    - `graph`: of any kind but "bidirectional".
    - `bound`: as few colors cannot be had.
    - `longest`: the length of the longest row; more than twice as many colors are not tried.

    **Cost:** a few passes over the entries; the search on a lattice does not depend on the size.
    """
    band = _band(graph, bound)
    if band is not None:
        return band
    symmetric = graph.is_symmetric
    rows = graph.vertices if symmetric else native.transpose(graph.vertices)[0]
    guesses = charts(rows)[: 4 if symmetric else 8]
    if not guesses:
        return None
    everyone = np.arange(graph.vertices.size)
    screens = [_Screen(graph, chart) for chart in guesses] if symmetric else []
    left, wasted = _ON_A_PART, 0
    for k in range(max(1, bound), 2 * longest + 1):
        for number, chart in enumerate(guesses):
            # Columns of one color that share no row do so in every kind of coloring.
            candidates: Iterator[Proposal] = itertools.islice(proposals(chart, k, True), 1)
            if symmetric:
                more = itertools.islice(proposals(chart, k, False), min(_PER_CHART, left))
                candidates = itertools.chain(candidates, more)
            for proposal in candidates:
                left -= 1
                if symmetric and not screens[number].passes(proposal):
                    continue
                coloring = read_off(graph, proposal.colors(everyone))
                if coloring is not None:
                    return coloring
                wasted += graph.vertices.rows.size
                if wasted > _WASTED:
                    return None
    return None


class _Screen:
    """The part of a symmetric pattern between the points where a chart takes its sample."""

    def __init__(self, graph: Colorable, chart: Chart) -> None:
        self.kind = graph.kind
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
        full = off_diagonal(pattern) == sum(
            max(0, pattern.shape[0] - d) for d in range(1, lower + 1)
        )
        k = lower + 1 if graph.kind == "acyclic" else 2 * lower + 1
        wanted = full
    else:
        k = lower + upper + 1
        wanted = k == bound
    if not wanted:
        return None
    colors = np.arange(graph.vertices.size, dtype=np.int32) % max(1, k)
    return read_off(graph, colors)
