"""From a formula and data to the arrays of a mixed model, and again for new data.

Rows with a missing value among what the formula uses are dropped, as by lme4's na.omit.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from formulaic import Formula
from formulaic.errors import FormulaicError

from elimax.stats.mixed.columns import Part, offset_of, ordered_response, response_of
from elimax.stats.mixed.formula import Bar, ParsedFormula, names_in, parse
from elimax.stats.mixed.grouping import Grouping
from elimax.stats.mixed.random_term import RandomTerm
from elimax.stats.mixed.table import check_column, column_names, frame_of, vector

_DEPENDENT = 1e-7  # what is left of a column, relative to it, that others span: R's tolerance
_SPANNED = 1e-11  # of the columns of a random term, which may be badly scaled


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


def _without_unused_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Of factors, as R's model frames: a level that no row has would be a column of zeros."""
    factors = frame.select_dtypes("category")
    return frame.assign(**{name: factors[name].cat.remove_unused_categories() for name in factors})


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
