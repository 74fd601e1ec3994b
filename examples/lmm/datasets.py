"""The data sets of the demonstration, and what lme4 makes of them.

See data/README.md for the sources.
"""

from __future__ import annotations

import csv
import functools
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmm.model import MixedModel, RandomTerm

DATA = Path(__file__).parents[1] / "data"
REFERENCE = json.loads((DATA / "reference.json").read_text())


@dataclass(frozen=True)
class Problem:
    """A data set with a model, in matrices and in lme4's notation."""

    name: str  # key into the reference results
    formula: str
    y: np.ndarray
    X: np.ndarray
    fixed: tuple[str, ...]  # names of the columns of X
    terms: tuple[RandomTerm, ...]
    nouns: tuple[str, ...]  # what the levels of each term are
    effect: str  # what the random effects are effects on

    def model(self) -> MixedModel:
        return MixedModel.from_data(self.y, self.X, self.terms)

    def reference(self, reml: bool) -> dict | None:
        """lme4's results for the model, where there are some."""
        return REFERENCE["fits"][self.name].get("REML" if reml else "ML")


@functools.cache
def _read(name: str) -> dict[str, np.ndarray]:
    path = DATA / name
    open_text = gzip.open if path.suffix == ".gz" else open
    with open_text(path, "rt") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, np.array(rows).T, strict=True))


def sleepstudy() -> Problem:
    """Reaction times of 18 subjects over 10 days: correlated random intercepts and slopes."""
    data = _read("sleepstudy.csv")
    days = data["Days"].astype(float)
    design = np.column_stack([np.ones(len(days)), days])
    columns = ("(Intercept)", "Days")
    return Problem(
        name="sleepstudy",
        formula="Reaction ~ Days + (Days | Subject)",
        y=data["Reaction"].astype(float),
        X=design,
        fixed=columns,
        terms=(RandomTerm("Subject", data["Subject"], design, columns),),
        nouns=("subject",),
        effect="reaction time (ms)",
    )


def penicillin() -> Problem:
    """Diameters of growth inhibition on 24 plates by 6 samples, fully crossed."""
    data = _read("penicillin.csv")
    y = data["diameter"].astype(float)
    one = np.ones((len(y), 1))
    return Problem(
        name="penicillin",
        formula="diameter ~ 1 + (1 | plate) + (1 | sample)",
        y=y,
        X=one,
        fixed=("(Intercept)",),
        terms=tuple(RandomTerm(group, data[group], one) for group in ("plate", "sample")),
        nouns=("plate", "sample"),
        effect="diameter (mm)",
    )


def insteval() -> Problem:
    """73,421 ratings by 2,972 students (s) of 1,128 instructors (d), partially crossed."""
    data = _read("insteval.csv.gz")
    y = data["y"].astype(float)
    one = np.ones((len(y), 1))
    return Problem(
        name="insteval",
        formula="y ~ 1 + (1 | s) + (1 | d)",
        y=y,
        X=one,
        fixed=("(Intercept)",),
        terms=tuple(RandomTerm(group, data[group].astype(int), one) for group in ("s", "d")),
        nouns=("student", "instructor"),
        effect="rating (1 to 5)",
    )


def insteval_departments() -> Problem:
    """The same ratings, with lectures given as a service to another department, and departments."""
    return _insteval_with("insteval-dept", "dept", "department", lambda data: data["dept"])


def insteval_departments_by_service() -> Problem:
    """The same ratings, with a random effect for each department and kind of lecture."""
    return _insteval_with(
        "insteval-dept-service",
        "dept:service",
        "department and service",
        lambda data: np.char.add(np.char.add(data["dept"], ":"), data["service"]),
    )


def _insteval_with(
    name: str, group: str, noun: str, labels: Callable[[dict[str, np.ndarray]], np.ndarray]
) -> Problem:
    crossed, data = insteval(), _read("insteval.csv.gz")
    one, service = crossed.X, data["service"].astype(float)
    return Problem(
        name=name,
        formula=f"y ~ 1 + service + (1 | s) + (1 | d) + (1 | {group})",
        y=crossed.y,
        X=np.column_stack([one, service]),
        fixed=("(Intercept)", "service1"),
        terms=(*crossed.terms, RandomTerm(group, labels(data), one)),
        nouns=(*crossed.nouns, noun),
        effect=crossed.effect,
    )


# By name, which starts with that of the data set.
PROBLEMS: dict[str, Callable[[], Problem]] = {
    "sleepstudy": sleepstudy,
    "penicillin": penicillin,
    "insteval": insteval,
    "insteval-dept": insteval_departments,
    "insteval-dept-service": insteval_departments_by_service,
}
