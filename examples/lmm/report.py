"""Prints a fit beside lme4's, quantity by quantity, with the differences and what they may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmm.datasets import Problem
from lmm.fitting import Fit


@dataclass(frozen=True)
class Line:
    """One quantity: ours, lme4's, and how far apart they may be, in which unit."""

    name: str
    ours: float
    theirs: float
    tolerance: float | None = None  # None: shown, not judged
    unit: str = "relative"
    scale: float | None = None  # what the difference is divided by; lme4's value by default

    @property
    def difference(self) -> float:
        return abs(self.ours - self.theirs) / abs(self.theirs if self.scale is None else self.scale)

    @property
    def agrees(self) -> bool:
        return self.tolerance is None or self.difference <= self.tolerance


def comparison(problem: Problem, fit: Fit, reference: dict) -> list[Line]:
    """Every quantity that lme4 reports, beside ours."""
    title = "REML criterion" if fit.reml else "deviance (ML)"
    lines = [Line(title, fit.criterion, reference["criterion"], 1e-6)]
    ours = _variances(problem, fit)
    for entry in reference["variances"]:
        key = (entry["group"], *entry["columns"])
        kind = "variance" if len(key) < 3 else "covariance"
        lines.append(Line(f"{kind} {_label(key)}", ours[key], entry["value"], 1e-3))
    for name, estimate, se in zip(problem.fixed, fit.beta, fit.beta_se, strict=True):
        theirs, theirs_se = reference["fixed_effects"][name], reference["fixed_effects_se"][name]
        lines.append(Line(f"beta {name}", estimate, theirs, 1e-4, "std. errors", theirs_se))
        lines.append(Line("  its standard error", se, theirs_se, 1e-3))
    hessian = np.array(reference["hessian"])
    their_se = np.sqrt(np.diag(2 * np.linalg.inv(hessian)))
    for k, name in enumerate(reference["theta_names"]):
        theirs = reference["theta"][k]
        lines.append(Line(f"theta {name}", fit.theta[k], theirs, 1e-3, "std. errors", their_se[k]))
        lines.append(Line("  its standard error", fit.theta_se[k], their_se[k]))
    return lines


def _label(key: tuple[str, ...]) -> str:
    return key[0] if len(key) < 2 else f"{key[0]} {' x '.join(key[1:])}"


def _variances(problem: Problem, fit: Fit) -> dict[tuple[str, ...], float]:
    """Variances (term, column) and covariances (term, column, column), and the residual variance."""
    found: dict[tuple[str, ...], float] = {("Residual",): fit.sigma**2}
    for term, covariance in zip(problem.terms, fit.covariances, strict=True):
        for a, first in enumerate(term.columns):
            found[term.name, first] = covariance[a, a]
            for b in range(a + 1, len(term.columns)):
                found[term.name, first, term.columns[b]] = covariance[a, b]
    return found


def table(lines: list[Line]) -> str:
    """The comparison as text."""
    width = max(len(line.name) for line in lines)
    rows = [f"  {'':{width}}  {'elimax':>17}  {'lme4':>17}   difference"]
    for line in lines:
        row = f"  {line.name:{width}}  {line.ours:17.8f}  {line.theirs:17.8f}      {line.difference:7.1e}"
        row += f" {line.unit}"
        if line.tolerance is not None:
            row += f", {'within' if line.agrees else 'BEYOND'} {line.tolerance:.0e}"
        rows.append(row)
    return "\n".join(rows)


def alone(problem: Problem, fit: Fit) -> str:
    """The estimates where lme4's results are not at hand."""
    rows = [f"  {'REML criterion' if fit.reml else 'deviance (ML)'} {fit.criterion:.8f}"]
    for key, value in _variances(problem, fit).items():
        rows.append(f"  {'variance' if len(key) < 3 else 'covariance'} {_label(key)} {value:.8f}")
    for name, estimate, se in zip(problem.fixed, fit.beta, fit.beta_se, strict=True):
        rows.append(f"  beta {name} {estimate:.8f} (standard error {se:.8f})")
    rows.append("  no lme4 result for this model and criterion to compare with")
    return "\n".join(rows)
