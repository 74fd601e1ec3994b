"""Grouping factors: the levels of a column, or of combinations of columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from elimax.stats.mixed.table import check_column


@dataclass(frozen=True, eq=False, repr=False)
class Grouping:
    """The levels of a grouping factor.

    **Attributes:**

    - `names`: the columns whose combinations are the levels.
    - `levels`: their labels, (levels,), in the order of the categories or sorted; of combinations, as "A:a".
    - `places`: where the level with these values is, by their texts.
    """

    names: tuple[str, ...]
    levels: np.ndarray
    places: dict[tuple[str, ...], int]

    @classmethod
    def of(cls, names: tuple[str, ...], frame: pd.DataFrame) -> tuple[Grouping, np.ndarray]:
        """The levels that occur, and the level of every row.

        **Raises:** `ValueError` for a column that is not there, and if there is one level only.
        """
        codes, values = _factor(names[0], frame)
        keys = [(text,) for text in map(text_of, values)]
        for name in names[1:]:
            more, other = _factor(name, frame)
            pairs, codes = np.unique(
                codes.astype(np.int64) * len(other) + more, return_inverse=True
            )
            texts = list(map(text_of, other))
            keys = [
                (*keys[pair // len(other)], texts[pair % len(other)]) for pair in pairs.tolist()
            ]
        if len(keys) < 2:
            raise ValueError(
                f"the grouping factor {':'.join(names)!r} has one level, {':'.join(keys[0])!r}: the variance "
                "between levels needs two at least"
            )
        levels = values if len(names) == 1 else np.array([":".join(key) for key in keys], object)
        return cls(names, levels, {key: place for place, key in enumerate(keys)}), codes

    def codes(self, frame: pd.DataFrame) -> np.ndarray:
        """The level of every row of other data, -1 where it is none of them."""
        combined = np.zeros(len(frame), np.int64)
        texts = []
        for name in self.names:
            codes, values = pd.factorize(frame[name])
            texts.append(list(map(text_of, np.asarray(values))))
            combined = combined * len(values) + codes
        pairs, member = np.unique(combined, return_inverse=True)
        keys = zip(*np.unravel_index(pairs, [len(part) for part in texts]), strict=True)
        places = [
            self.places.get(tuple(part[code] for part, code in zip(texts, key, strict=True)), -1)
            for key in keys
        ]
        return np.array(places, np.int64)[member]


def _factor(name: str, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Codes and the values that occur, in the order of the categories or sorted."""
    check_column(name, list(frame.columns))
    column = frame[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        return column.cat.codes.to_numpy(np.int64), np.asarray(column.cat.categories)
    codes, values = pd.factorize(column, sort=True)
    return np.asarray(codes, np.int64), _whole(np.asarray(values))


def _whole(values: np.ndarray) -> np.ndarray:
    """Integers, where floats are whole: as they are when other rows of their column are missing."""
    if values.dtype.kind == "f" and np.all(values == np.floor(values)):
        return values.astype(np.int64)
    return values


def text_of(value: Any) -> str:
    """A level as text: the same for 1 and 1.0, which a column holds according to its other values."""
    whole = isinstance(value, float | np.floating) and np.isfinite(value) and value == int(value)
    return str(int(value) if whole else value)
