"""Columns of numbers by formulas: of fixed effects and the left sides of bars, responses, offsets.

They are evaluated by formulaic: factors with treatment contrasts, interactions, transformations.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulaic import Formula, ModelSpec
from formulaic.errors import DataMismatchWarning, FormulaicError

from elimax.stats.mixed.formula import ParsedFormula
from elimax.stats.mixed.grouping import text_of

_CBIND = re.compile(r"cbind\((.*)\)", re.DOTALL)


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """Columns by a formula, with the levels and the state that they were first evaluated with."""

    text: str
    names: tuple[str, ...]
    spec: ModelSpec

    @classmethod
    def of(cls, text: str, frame: pd.DataFrame) -> tuple[Part, np.ndarray]:
        """Reads the formula and evaluates it."""
        matrix = _evaluated(text, Formula(text), frame)
        spec = matrix.model_spec
        names = tuple("(Intercept)" if n == "Intercept" else n for n in spec.column_names)
        return cls(text, names, spec), _finite(matrix, names)

    def matrix(self, frame: pd.DataFrame) -> np.ndarray:
        """The same columns, (rows, columns), of other data."""
        return _finite(_evaluated(self.text, self.spec, frame), self.names)


def response_of(text: str, frame: pd.DataFrame) -> np.ndarray:
    """The response, (n,), or (n, 2) for `cbind(a, b)`.

    **Raises:** `ValueError` if it is not one column of numbers.
    """
    pair = _CBIND.fullmatch(text)
    expressions = pair.group(1).split(",") if pair else [text]
    columns = [expression_of(text.strip(), frame, "the response") for text in expressions]
    return np.column_stack(columns) if pair else columns[0]


def ordered_response(text: str, frame: pd.DataFrame) -> tuple[np.ndarray, tuple[str, ...]]:
    """The numbers of the categories that occur, (n,), and their names, in order.

    **Raises:** `ValueError` for a response without an order, or of a single category.
    """
    if _CBIND.fullmatch(text):
        raise ValueError("an ordinal response is one column, got cbind(...)")
    column = frame[text] if text in frame.columns else None
    if column is not None and getattr(column.dtype, "ordered", False):
        names, codes = column.cat.categories, column.cat.codes.to_numpy(float)
    elif column is not None and not pd.api.types.is_numeric_dtype(column):
        raise ValueError(
            f"the categories of the response {text!r} have no order: pd.Categorical(..., ordered=True) or an "
            "Enum of polars gives them one"
        )
    else:
        names, codes = np.unique(expression_of(text, frame, "the response"), return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"the response {text!r} has a single category, {names[0]}")
    if 2 * len(names) > len(codes):
        raise ValueError(
            f"the response {text!r} has {len(names)} categories in {len(codes)} rows: an ordinal family is "
            "for a few that occur often"
        )
    return codes.astype(float), tuple(map(text_of, names))


def offset_of(parsed: ParsedFormula, frame: pd.DataFrame) -> np.ndarray:
    """The sum of the offsets in a formula, (n,)."""
    total = np.zeros(len(frame))
    for text in parsed.offsets:
        total = total + expression_of(text, frame, "an offset")
    return total


def expression_of(text: str, frame: pd.DataFrame, what: str) -> np.ndarray:
    """The values of an expression in which / and * are arithmetic, (n,)."""
    if text in frame.columns:
        column = frame[text]
        if column.dtype == bool:
            return column.to_numpy(float)
        if not pd.api.types.is_numeric_dtype(column):
            raise ValueError(f"{what} {text!r} must be numbers, got a column of {column.dtype}")
        return _finite(column.to_numpy(float)[:, None], (text,))[:, 0]
    part, values = Part.of(f"0 + {{{text}}}", frame)
    if values.shape[1] != 1:
        raise ValueError(
            f"{what} must be one column of numbers, but {text!r} has the columns {', '.join(part.names)}"
        )
    return values[:, 0]


def _evaluated(text: str, what: Formula | ModelSpec, frame: pd.DataFrame) -> Any:
    options = {"output": "numpy", "na_action": "ignore"} if isinstance(what, Formula) else {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error", DataMismatchWarning)
        try:
            return what.get_model_matrix(frame, context={}, **options)
        except (FormulaicError, DataMismatchWarning) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{text!r} cannot be evaluated: {reason}") from error


def _finite(matrix: Any, names: Sequence[str]) -> np.ndarray:
    values = np.asarray(matrix, float)
    wrong = ~np.all(np.isfinite(values), axis=0)
    if wrong.any():
        raise ValueError(
            f"{names[int(np.argmax(wrong))]!r} has values that are infinite or not numbers"
        )
    return values
