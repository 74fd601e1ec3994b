"""Columns of data from pandas, polars or a mapping, as a pandas frame of the complete rows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd


def column_names(data: Any) -> list[str]:
    """The names of the columns of a data frame, or the keys of a mapping.

    **Raises:** `TypeError` for anything else.
    """
    if isinstance(data, Mapping):
        return list(data)
    if not (hasattr(data, "columns") and hasattr(data, "__getitem__")):
        raise TypeError(
            "`data` must be a data frame of pandas or polars, or a dict of arrays, got "
            f"{type(data).__name__}"
        )
    return list(data.columns)


def frame_of(data: Any, names: Iterable[str]) -> pd.DataFrame:
    """The named columns of `data`, row by row, with missing values as pandas has them.

    The index is that of a pandas frame, otherwise 0, 1, ...

    **Raises:** `ValueError` naming a column that is not there, that is not one-dimensional, or whose length
    differs from the others'.
    """
    known = column_names(data)
    names = sorted(set(names), key=lambda name: known.index(name) if name in known else -1)
    for name in names:
        check_column(name, known)
    index = data.index if isinstance(data, pd.DataFrame) else None
    columns = {name: _column(name, data[name]) for name in names}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns of `data` differ in length: {lengths}")
    frame = pd.DataFrame(columns)
    return frame if index is None else frame.set_index(index)


def check_column(name: str, known: list[str]) -> None:
    """Raises the `ValueError` of a column that `data` lacks."""
    if name not in known:
        near = difflib.get_close_matches(name, map(str, known), 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        shown = ", ".join(map(str, known[:20])) + (", ..." if len(known) > 20 else "")
        raise ValueError(f"`data` has no column {name!r}.{hint} It has {shown}")


def vector(name: str, values: Any, frame: pd.DataFrame) -> np.ndarray:
    """One number per row of `frame`, NaN where one is missing; a pandas Series goes by its labels.

    **Raises:** `ValueError` for another shape or other labels, `TypeError` for what is not numbers.
    """
    if isinstance(values, pd.Series) and not values.index.equals(frame.index):
        if not (values.index.is_unique and frame.index.isin(values.index).all()):
            raise ValueError(
                f"`{name}` is a Series with other labels than the rows of `data`; give an array, "
                f"{name}.to_numpy(), if its order is that of the rows"
            )
        values = values.reindex(frame.index)
    try:
        array = np.asarray(values, float)
    except (TypeError, ValueError):
        raise TypeError(f"`{name}` must be numbers, got {type(values).__name__}") from None
    if array.shape != (len(frame),):
        raise ValueError(
            f"`{name}` must have one number per row of `data`, shape ({len(frame)},), got {array.shape}"
        )
    return array


def _column(name: str, column: Any) -> pd.Series:
    if isinstance(column, pd.Series):
        return column.reset_index(drop=True)
    if type(column).__module__.partition(".")[0] == "polars":
        return _from_polars(column)
    array = column if isinstance(column, pd.Categorical) else np.asarray(column)
    if array.ndim != 1:
        raise ValueError(f"column {name!r} must be one-dimensional, got shape {array.shape}")
    return pd.Series(array)


def _from_polars(column: Any) -> pd.Series:
    """An Enum keeps its categories and their order; numbers with nulls become floats with NaN."""
    if hasattr(column.dtype, "categories") and type(column.dtype).__name__ == "Enum":
        categories = column.dtype.categories.to_list()
        return pd.Series(pd.Categorical(column.to_list(), categories, ordered=True))
    return pd.Series(column.to_numpy() if column.dtype.is_numeric() else column.to_list())
