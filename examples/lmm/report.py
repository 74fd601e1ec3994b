"""Prints a fit beside lme4's, quantity by quantity, with the differences and what they may be."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from elimax.stats import LinearMixedFit


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


def comparison(fit: LinearMixedFit, reference: dict) -> list[Line]:
    """Every quantity that lme4 reports, beside ours."""
    title = "REML criterion" if fit.reml else "deviance (ML)"
    lines = [Line(title, fit.criterion, reference["criterion"], 1e-6)]
    ours = _variances(fit)
    for entry in reference["variances"]:
        key = (entry["group"], *entry["columns"])
        kind = "variance" if len(key) < 3 else "covariance"
        lines.append(Line(f"{kind} {_label(key)}", ours[key], entry["value"], 1e-3))
    for name, estimate, se in _fixed_effects(fit):
        theirs, theirs_se = reference["fixed_effects"][name], reference["fixed_effects_se"][name]
        lines.append(Line(f"beta {name}", estimate, theirs, 1e-4, "std. errors", theirs_se))
        lines.append(Line("  its standard error", se, theirs_se, 1e-3))
    hessian = np.array(reference["hessian"])
    their_se = np.sqrt(np.diag(2 * np.linalg.inv(hessian)))
    for k, name in enumerate(reference["theta_names"]):
        theirs = reference["theta"][k]
        theta, theta_se = fit.theta.iloc[k], fit.theta_standard_errors[k]
        lines.append(Line(f"theta {name}", theta, theirs, 1e-3, "std. errors", their_se[k]))
        lines.append(Line("  its standard error", theta_se, their_se[k]))
    return lines


def _label(key: tuple[str, ...]) -> str:
    return key[0] if len(key) < 2 else f"{key[0]} {' x '.join(key[1:])}"


def _variances(fit: LinearMixedFit) -> dict[tuple[str, ...], float]:
    """Variances (term, column) and covariances (term, column, column), and the residual variance."""
    table = fit.variance_components
    keys = table[["grp", "var1", "var2"]].to_numpy(object)
    return {
        tuple(name for name in key if isinstance(name, str)): value
        for key, value in zip(keys, table["vcov"], strict=True)
    }


def _fixed_effects(fit: LinearMixedFit) -> list[tuple[str, float, float]]:
    """Their names in lme4's manner, "service1" for "service[T.1]", with estimates and standard errors."""
    table = fit.coefficients
    names = [re.sub(r"\[T\.(.*)\]$", r"\1", name) for name in table.index]
    return list(zip(names, table["estimate"], table["std_error"], strict=True))


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


def alone(fit: LinearMixedFit) -> str:
    """The estimates where lme4's results are not at hand."""
    rows = [f"  {'REML criterion' if fit.reml else 'deviance (ML)'} {fit.criterion:.8f}"]
    for key, value in _variances(fit).items():
        rows.append(f"  {'variance' if len(key) < 3 else 'covariance'} {_label(key)} {value:.8f}")
    for name, estimate, se in _fixed_effects(fit):
        rows.append(f"  beta {name} {estimate:.8f} (standard error {se:.8f})")
    rows.append("  no lme4 result for this model and criterion to compare with")
    return "\n".join(rows)
