"""From a formula and data to the arrays of a mixed model, and again for new data.

Fixed effects and the left sides of bars are evaluated by formulaic: factors with treatment contrasts,
interactions, transformations. Rows with a missing value among what the formula uses are dropped, as by lme4's
na.omit.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from formulaic import Formula, ModelSpec
from formulaic.errors import DataMismatchWarning, FormulaicError

from elimax.stats.mixed.formula import Bar, ParsedFormula, names_in, parse
from elimax.stats.mixed.grouping import Grouping, text_of
from elimax.stats.mixed.random_term import RandomTerm
from elimax.stats.mixed.table import check_column, column_names, frame_of, vector

_DEPENDENT = 1e-7  # what is left of a column, relative to it, that others span: R's tolerance
_SPANNED = 1e-11  # of the columns of a random term, which may be badly scaled
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


@dataclass(frozen=True, eq=False, repr=False)
class Design:
    """The arrays of a mixed model: response = X beta + Z b + offset, or its link of the response's mean.

    **Attributes:**

    - `formula`: what it was made from.
    - `y`: the response, (n,), or (n, 2) for `cbind(a, b)`.
    - `X`: the columns of the fixed effects, (n, p), linearly independent.
    - `fixed`: their names.
    - `terms`: the random terms, in the order of the formula.
    - `offset`: (n,).
    - `weights`: (n,), or None.
    - `offset_argument`: what was given beside the formula: an array, the name of a column, or None.
    - `index`: the rows of the data that are used.
    - `missing`: how many were not, for a missing value.
    - `aliased`: the columns left out of X because others span them.
    - `others`: further columns by formulas of their own, such as those of a dispersion, by name.
    - `categories`: the names of those that an ordered response numbers.
    """

    formula: ParsedFormula
    y: np.ndarray
    X: np.ndarray
    fixed: tuple[str, ...]
    terms: tuple[RandomTerm, ...]
    offset: np.ndarray
    weights: np.ndarray | None
    offset_argument: Any
    index: pd.Index
    missing: int
    aliased: tuple[str, ...]
    fixed_part: Part
    kept: np.ndarray  # which columns of fixed_part are in X
    term_parts: tuple[tuple[Part, Grouping], ...]
    others: Mapping[str, tuple[Part, np.ndarray]]
    categories: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        return len(self.index)

    def another_response(self, response: Any) -> np.ndarray:
        """One number per row that is used, (n,).

        **Raises:** `ValueError` for another shape, and for values that are not finite.
        """
        y = np.asarray(response, float)
        if y.shape != (self.n,):
            raise ValueError(f"`response` must have shape ({self.n},), got {y.shape}")
        if not np.isfinite(y).all():
            row = int(np.argmin(np.isfinite(y)))
            raise ValueError(
                f"`response` must be finite, got {y[row]} for row {row} of those that are used; a model of "
                "fewer rows is a new fit"
            )
        return y

    def without_intercept(self) -> Design:
        """For a response that has cutpoints in its place.

        **Raises:** `ValueError` if the other columns span an intercept all the same.
        """
        left = np.array([name != "(Intercept)" for name in self.fixed], bool)
        X = self.X[:, left]
        if not _independent(np.column_stack([X, np.ones(self.n)]))[-1]:
            raise ValueError(
                "the fixed effects span an intercept, of which an ordinal response has none beside its "
                "cutpoints: leave out `0 +`"
            )
        kept = self.kept.copy()
        kept[kept] = left
        fixed = tuple(np.array(self.fixed, object)[left])
        return replace(self, X=X, fixed=fixed, kept=kept)


def design_of(
    formula: str,
    data: Any,
    weights: Any = None,
    offset: Any = None,
    others: Mapping[str, str] = MappingProxyType({}),
    ordered: bool = False,
) -> Design:
    """Evaluates a formula of lme4 on data.

    **Arguments:**

    - `formula`: see `elimax.stats.lmm`.
    - `data`: a data frame of pandas or polars, or a dict of arrays.
    - `weights`: positive, one per row, or the name of a column.
    - `offset`: one per row, or the name of a column; added to offsets in the formula.
    - `others`: right sides of further formulas of fixed effects, by name.
    - `ordered`: whether the response is a category, to be numbered from 0.

    **Raises:** `ValueError` for a formula that cannot be read, an unknown column, values that are not finite,
    weights that are not positive, no complete rows, a response that is not numbers, a grouping factor of
    one level, a random effect in two terms of one group or spanned by others of its term.

    **Warns:** `UserWarning` naming columns of the fixed effects that are left out because others span them.
    """
    parsed = parse(formula)
    expressions = [parsed.response, *parsed.offsets]
    formulas = [parsed.fixed, *(bar.effects for bar in parsed.bars), *others.values()]
    known = column_names(data)
    bare = {text for text in expressions if text.isidentifier()}
    for name in sorted(bare.union(*map(_required, formulas))):
        check_column(name, known)
    used = set().union(*map(names_in, expressions + formulas)) & set(known)
    used |= {name for bar in parsed.bars for name in bar.group}
    used |= {argument for argument in (weights, offset) if isinstance(argument, str)}
    frame = frame_of(data, used)
    frame_weights = _argument("weights", weights, frame)
    frame_offset = _argument("offset", offset, frame)
    complete = frame.notna().all(axis=1).to_numpy()
    for extra in (frame_weights, frame_offset):
        complete = complete if extra is None else complete & ~np.isnan(extra)
    if not complete.any():
        raise ValueError(f"`data` has no complete row of {', '.join(map(repr, sorted(used)))}")
    frame = _without_unused_categories(frame[complete])
    categories: tuple[str, ...] = ()
    if ordered:
        y, categories = ordered_response(parsed.response, frame)
    else:
        y = response_of(parsed.response, frame)
    fixed_part, X = Part.of(parsed.fixed, frame)
    kept = _independent(X)
    aliased = tuple(np.array(fixed_part.names, object)[~kept])
    if aliased:
        warnings.warn(
            f"the fixed effects are rank deficient: other columns span {', '.join(aliased)}, left out",
            stacklevel=3,
        )
    terms, term_parts = _random_terms(parsed.bars, frame)
    total = np.zeros(len(frame)) if frame_offset is None else frame_offset[complete]
    return Design(
        formula=parsed,
        y=y,
        X=X[:, kept],
        fixed=tuple(np.array(fixed_part.names, object)[kept]),
        terms=terms,
        offset=total + offset_of(parsed, frame),
        weights=None if frame_weights is None else _positive(frame_weights[complete]),
        offset_argument=offset,
        index=frame.index,
        missing=int(np.sum(~complete)),
        aliased=aliased,
        fixed_part=fixed_part,
        kept=kept,
        term_parts=term_parts,
        others={name: Part.of(text, frame) for name, text in others.items()},
        categories=categories,
    )


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


def _without_unused_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Of factors, as R's model frames: a level that no row has would be a column of zeros."""
    factors = frame.select_dtypes("category")
    return frame.assign(**{name: factors[name].cat.remove_unused_categories() for name in factors})


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


def _random_terms(
    bars: Sequence[Bar], frame: pd.DataFrame
) -> tuple[tuple[RandomTerm, ...], tuple[tuple[Part, Grouping], ...]]:
    terms, parts = [], []
    groupings: dict[tuple[str, ...], tuple[Grouping, np.ndarray]] = {}
    seen: set[tuple[str, str]] = set()
    for bar in bars:
        if bar.group not in groupings:
            groupings[bar.group] = Grouping.of(bar.group, frame)
        grouping, codes = groupings[bar.group]
        for text in _independent_effects(bar):
            part, design = Part.of(text, frame)
            if not part.names:
                raise ValueError(f"the random term ({bar.effects} | {bar.label}) has no columns")
            twice = [name for name in part.names if (bar.label, name) in seen]
            if twice:
                raise ValueError(
                    f"{twice[0]} by {bar.label} is in two random terms: the data know the sum of their "
                    "variances only. An intercept is left out by (0 + x | g)"
                )
            seen |= {(bar.label, name) for name in part.names}
            used = design.any(axis=0)  # a combination of factors that no row has does no harm
            left = _independent(design[:, used], _SPANNED)
            spanned = np.array(part.names, object)[used][~left]
            if spanned.size:
                raise ValueError(
                    f"{spanned[0]} by {bar.label} is constant or a sum of the columns before it in "
                    f"({bar.effects} | {bar.label}): their variances cannot be told apart"
                )
            terms.append(RandomTerm(bar.label, grouping.levels, codes, design, part.names))
            parts.append((part, grouping))
    return tuple(terms), tuple(parts)


def _independent_effects(bar: Bar) -> list[str]:
    """The formulas whose coefficients are independent: one for a bar, one per term for a double bar."""
    if bar.correlated:
        return [bar.effects]
    terms = [str(term) for term in Formula(bar.effects)]
    return ["1" if term == "1" else f"0 + {term}" for term in terms]


def _required(text: str) -> Iterable[str]:
    try:
        return Formula(text).required_variables
    except FormulaicError as error:
        raise ValueError(f"{text!r} cannot be read: {str(error).splitlines()[0]}") from error


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


def _independent(X: np.ndarray, tolerance: float = _DEPENDENT) -> np.ndarray:
    """Which columns are not spanned by those before them: Gram and Schmidt, twice."""
    kept, basis = np.zeros(X.shape[1], bool), np.zeros((len(X), 0))
    for k, column in enumerate(X.T):
        size = np.linalg.norm(column)
        rest = column - basis @ (basis.T @ column)
        rest = rest - basis @ (basis.T @ rest)
        left = np.linalg.norm(rest)
        if left > tolerance * size and kept.sum() < len(X):
            kept[k] = True
            basis = np.column_stack([basis, rest / left])
    return kept


def _argument(name: str, values: Any, frame: pd.DataFrame) -> np.ndarray | None:
    if values is None:
        return None
    return vector(name, frame[values] if isinstance(values, str) else values, frame)


def _positive(weights: np.ndarray) -> np.ndarray:
    if not np.all((weights > 0) & np.isfinite(weights)):
        raise ValueError(
            "`weights` must be positive and finite; leave out the rows that weigh nothing"
        )
    return weights
