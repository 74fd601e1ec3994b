"""The data sets of the demonstration, and what lme4 makes of them.

See data/README.md for the sources.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

DATA = Path(__file__).parents[1] / "data"
REFERENCE = json.loads((DATA / "reference.json").read_text())


@dataclass(frozen=True)
class Problem:
    """A data set with a model in lme4's notation."""

    name: str  # key into the reference results
    file: str
    formula: str
    nouns: tuple[str, ...]  # what the levels of each term are
    effect: str  # what the random effects are effects on

    @property
    def data(self) -> pd.DataFrame:
        return _read(self.file)

    def reference(self, reml: bool) -> dict | None:
        """lme4's results for the model, where there are some."""
        return REFERENCE["fits"][self.name].get("REML" if reml else "ML")


@functools.cache
def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(DATA / name, dtype={"service": str})


_INSTEVAL = ("insteval.csv.gz", "rating (1 to 5)")

# By name, which starts with that of the data set.
PROBLEMS: dict[str, Problem] = {
    problem.name: problem
    for problem in (
        # Reaction times of 18 subjects over 10 days: correlated random intercepts and slopes.
        Problem(
            "sleepstudy",
            "sleepstudy.csv",
            "Reaction ~ Days + (Days | Subject)",
            ("subject",),
            "reaction time (ms)",
        ),
        # Diameters of growth inhibition on 24 plates by 6 samples, fully crossed.
        Problem(
            "penicillin",
            "penicillin.csv",
            "diameter ~ 1 + (1 | plate) + (1 | sample)",
            ("plate", "sample"),
            "diameter (mm)",
        ),
        # 73,421 ratings by 2,972 students (s) of 1,128 instructors (d), partially crossed.
        Problem(
            "insteval",
            _INSTEVAL[0],
            "y ~ 1 + (1 | s) + (1 | d)",
            ("student", "instructor"),
            _INSTEVAL[1],
        ),
        # ... with lectures given as a service to another department, and departments.
        Problem(
            "insteval-dept",
            _INSTEVAL[0],
            "y ~ 1 + service + (1 | s) + (1 | d) + (1 | dept)",
            ("student", "instructor", "department"),
            _INSTEVAL[1],
        ),
        # ... with a random effect for each department and kind of lecture.
        Problem(
            "insteval-dept-service",
            _INSTEVAL[0],
            "y ~ 1 + service + (1 | s) + (1 | d) + (1 | dept:service)",
            ("student", "instructor", "department and service"),
            _INSTEVAL[1],
        ),
    )
}
