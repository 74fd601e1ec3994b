"""Peers take turns on one matrix, so that the drift of a noisy machine hits all of them alike.

All processes of a matrix live at once; one of them works at a time. In every round each peer repeats
the operation for a short while and reports its median; the figure is the median over the rounds. The
first call of a turn is thrown away: it pays for caches that the others filled in the meantime, and for
freed memory that a virtual machine gave back to its host (measured: as much as a factorization).
"""

import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from benchmarks.gallery import order
from benchmarks.peers import Missing, Peer
from benchmarks.worker import Stopped, Worker

OPERATIONS = [
    "analyze",
    "analyze_again",
    "factor",
    "factor_float32",
    "solve_1",
    "solve_64",
    "logdet",
    "gradient",
    "solve_gradient",
    "selected_inverse",
]

SYMBOLIC = ["analyze", "analyze_again"]
"""Those that do not compute with the values of the matrix."""

TURN = 0.05
"""Seconds that a peer fills with calls, at least one, when it is its turn."""

HOPELESS = 4
"""A peer so many times slower than the fastest is measured in one round only."""

PREPARATION = 60
"""Seconds that a peer may take to start, or to make what an operation begins with, besides the budget."""


@dataclass
class Measurement:
    """What one peer needed for one operation on one matrix: a median per round, or why there is none."""

    matrix: str
    operation: str
    peer: str
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    calls: int = 0
    note: str = ""

    def median(self, clock: Literal["wall", "cpu"] = "wall") -> float:
        """Median time of a call in seconds; NaN without measurements."""
        times = self.seconds if clock == "wall" else self.cpu
        return statistics.median(times) if times else float("nan")


@dataclass
class Facts:
    """What a peer says of a matrix: predicted work and fill (negative: unknown), and its answers."""

    matrix: str
    peer: str
    version: str
    flops: float
    nonzeros: float
    operations: list[str]
    n: int = 0
    residual: float = float("nan")
    logdet: float = float("nan")


class Asked(Protocol):
    """What takes turns: a `Worker`."""

    name: str

    def ask(self, operation: str, seconds: float, patience: float) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds per operation, seconds that one call may take, and seconds between turns.

    The threads of OpenMP keep a core busy for a fifth of a second after their work, which the next in turn
    would miss if it has threads of its own.
    """

    rounds: int
    budget: float
    pause: float = 0.0


def say(text: str) -> None:
    """Progress goes to standard error: standard output has the tables."""
    print(text, file=sys.stderr, flush=True)


def available(peers: Sequence[Peer], folder: Path) -> list[tuple[Peer, list[str]]]:
    """The peers that this machine has, with their command lines; a line on each that it lacks."""
    found = []
    for peer in peers:
        try:
            found.append((peer, peer.command(folder)))
        except Missing as reason:
            say(f"{peer.name}: skipped, {reason}")
    return found


def left_out(peer: Peer, facts: Mapping[str, Facts], budget: float) -> str:
    """Why not to wait for this peer's factorization, by the work that it predicts; or nothing.

    One that predicts nothing has at least the least work that any other predicts.
    """
    predicted = [fact.flops for fact in facts.values() if fact.flops >= 0]
    flops = facts[peer.name].flops if facts[peer.name].flops >= 0 else min(predicted, default=0)
    seconds = flops / peer.rate
    return f"left out: {flops:.1e} flop, {seconds:.0f} s at least" if seconds > budget else ""


def take_turns(
    matrix: str, operation: str, workers: Sequence[Asked], effort: Effort
) -> list[Measurement]:
    """Rounds in which each worker has its turn: a call that is thrown away, then those that count."""
    results = {worker.name: Measurement(matrix, operation, worker.name) for worker in workers}
    patience = PREPARATION + effort.budget
    for done in range(effort.rounds):
        fastest = min((r.median() for r in results.values() if r.seconds), default=math.inf)
        for worker in workers:
            result = results[worker.name]
            if result.note or (done > 0 and result.median() > HOPELESS * fastest):
                continue
            time.sleep(effort.pause)
            try:
                reply = worker.ask(operation, 0, patience)
                if reply["seconds"] > effort.budget:
                    raise Stopped(f"more than {effort.budget:g} s")
                reply = worker.ask(operation, TURN, patience)
            except Stopped as reason:
                result.note = str(reason)
                continue
            result.seconds.append(reply["seconds"])
            result.cpu.append(reply["cpu"])
            result.calls += int(reply["calls"])
    return list(results.values())


def measure_matrix(
    matrix: str,
    path: Path,
    peers: Sequence[tuple[Peer, list[str]]],
    operations: Sequence[str],
    effort: Effort,
) -> tuple[list[Measurement], list[Facts]]:
    """Measure every operation of every peer on the matrix in the file."""
    workers: dict[str, Worker] = {}
    facts: dict[str, Facts] = {}
    measurements: list[Measurement] = []

    def dismiss(name: str, operation: str, reason: str) -> None:
        say(f"{matrix} {name} {operation}: {reason}")
        workers.pop(name).stop()

    def dismiss_hopeless() -> None:
        for peer, _ in peers:
            work = left_out(peer, facts, effort.budget) if peer.name in workers else ""
            if work:
                measurements.append(Measurement(matrix, "factor", peer.name, note=work))
                dismiss(peer.name, "factor", work)

    with ExitStack() as stack:
        for peer, command in peers:
            worker = Worker(peer.name, [*command, str(path)], peer.environment)
            workers[peer.name] = stack.enter_context(worker)
            try:
                facts[peer.name] = Facts(
                    matrix, peer.name, **worker.listen(PREPARATION), n=order(path)
                )
            except Stopped as reason:
                dismiss(peer.name, "start", str(reason))
        for operation in sorted(operations, key=OPERATIONS.index):  # symbolic ones come first
            if operation not in SYMBOLIC:
                dismiss_hopeless()
            able = [w for name, w in workers.items() if operation in facts[name].operations]
            for result in take_turns(matrix, operation, able, effort):
                measurements.append(result)
                if result.note:
                    dismiss(result.peer, operation, result.note)
            say(f"{matrix} {operation}: done")
        for name, worker in list(workers.items()):
            if set(operations) <= set(SYMBOLIC):
                break  # there are no answers
            try:
                answers = worker.ask("check", 0, PREPARATION + effort.budget)
                facts[name] = replace(facts[name], **answers)
            except Stopped as reason:
                dismiss(name, "check", str(reason))
    return measurements, list(facts.values())
