"""The formula language of lme4: where the random terms are, and what the fixed part is without them.

    "y ~ x + offset(z) + (x | g) + (1 | a/b)"
      response "y", fixed "x", offsets ["z"], terms ["x" | g, "1" | a, "1" | a:b]

Only what lme4 adds to an ordinary formula is read here: terms in parentheses with a bar, and offsets. The
fixed part and the left sides of the bars stay text, for whoever knows factors and transformations.

Source: Bates, Maechler, Bolker and Walker, JSS 67(1), 2015, section 2.1 and table 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_OPEN, _CLOSE = "([{", ")]}"
_QUOTES = "'\"`"
_NAME = re.compile(r"[^\W\d][\w.]*|`[^`]+`")
_IDENTIFIER = re.compile(r"(?<![\w.])[^\W\d]\w*")


@dataclass(frozen=True)
class Bar:
    """A random term: coefficients of the columns of `effects`, one set per level of `group`.

    `group` holds the names of the columns whose combinations are the levels. `correlated` is False for a
    double bar: the terms of `effects` are then independent of each other.
    """

    effects: str
    group: tuple[str, ...]
    correlated: bool

    @property
    def label(self) -> str:
        return ":".join(self.group)


@dataclass(frozen=True)
class ParsedFormula:
    """The parts of a mixed-model formula, as text."""

    text: str
    response: str
    fixed: str
    offsets: tuple[str, ...]
    bars: tuple[Bar, ...]


def parse(formula: str) -> ParsedFormula:
    """Splits a formula of lme4 into response, fixed part, offsets and random terms.

    **Raises:** `TypeError` if it is no string; `ValueError`, quoting the place, for unbalanced parentheses, a
    missing response, a bar outside of parentheses, a random term that is subtracted or multiplied, a
    grouping that is not names joined by `:` or `/`, and for a formula without a random term.
    """
    if not isinstance(formula, str):
        raise TypeError(f"`formula` must be a string, got {type(formula).__name__}")
    sides = _split(formula, "~", formula)
    if len(sides) != 2 or not sides[0][1].strip() or not sides[1][1].strip():
        raise ValueError(
            f"`formula` must read 'response ~ terms', with one '~' between them, got {formula!r}"
        )
    response, right = (side.strip() for _, side in sides)
    fixed: list[str] = []
    offsets: list[str] = []
    bars: list[Bar] = []
    for place, (sign, piece) in enumerate(_split(right, "+-", formula)):
        inside = _parenthesized(piece, formula)
        if inside is not None and _bar(inside, formula) is not None:
            if sign == "-":
                raise ValueError(f"a random term cannot be taken away: '- {piece}' in {formula!r}")
            bars.extend(_random_terms(inside, formula))
        elif "|" in _without_quotes(piece):
            raise ValueError(
                f"a random term stands in parentheses and is added to the others, as in '+ (x | g)'; got "
                f"{piece!r} in {formula!r}"
            )
        elif piece.startswith("offset(") and piece.endswith(")"):
            if sign == "-":
                raise ValueError(f"write offset(-x) for '- {piece}' in {formula!r}")
            offsets.append(piece[len("offset(") : -1])
        elif not piece and place > 0:
            raise ValueError(f"a term is missing after {sign!r} in {formula!r}")
        elif piece:
            fixed.append(f"{sign} {piece}" if fixed or sign == "-" else piece)
    if not bars:
        raise ValueError(
            f"`formula` has no random term, such as (1 | g): {formula!r}. A model without one is an ordinary "
            "regression"
        )
    return ParsedFormula(formula, response, " ".join(fixed) or "1", tuple(offsets), tuple(bars))


def names_in(text: str) -> set[str]:
    """Every name in a part of a formula: of a column or of a function; strings are left out."""
    quoted = set(re.findall(r"`([^`]+)`", text))
    bare = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", " ", text)
    return quoted | set(_IDENTIFIER.findall(bare))


def _random_terms(inside: str, formula: str) -> Iterator[Bar]:
    """(x | a/b) is (x | a) and (x | a:b)."""
    at = _bar(inside, formula)
    assert at is not None
    double = inside[at : at + 2] == "||"
    effects, grouping = inside[:at].strip(), inside[at + 1 + double :].strip()
    if not effects or not grouping:
        raise ValueError(
            f"a random term has something on both sides of its bar: ({inside}) in {formula!r}"
        )
    nested = []
    for step in grouping.split("/"):
        names = [name.strip() for name in step.split(":")]
        if not all(_NAME.fullmatch(name) for name in names):
            raise ValueError(
                f"right of a bar stand names of columns, joined by ':' (combinations) or '/' (nesting); got "
                f"{grouping!r} in {formula!r}. Make a column of anything else, and a term of each of several "
                "crossed factors"
            )
        nested += [name.strip("`") for name in names]
        yield Bar(effects, tuple(dict.fromkeys(nested)), not double)


def _bar(inside: str, formula: str) -> int | None:
    """Where the bar of a random term is, outside of further parentheses."""
    at = [place for place, character in _outside(inside, formula) if character == "|"]
    if not at:
        return None
    if at not in ([at[0]], [at[0], at[0] + 1]):
        raise ValueError(f"a random term has one bar, '|' or '||': ({inside}) in {formula!r}")
    return at[0]


def _parenthesized(piece: str, formula: str) -> str | None:
    """What stands in the parentheses, if one pair encloses the whole piece."""
    if piece.startswith("(") and piece.endswith(")") and not list(_outside(piece, formula)):
        inside = piece[1:-1]
        if _balanced(inside):
            return inside
    return None


def _balanced(text: str) -> bool:
    """Whether parentheses close in their order: not so in `a) (b`, which is inside of `(a) (b)`."""
    try:
        list(_outside(text, text))
    except ValueError:
        return False
    return True


def _split(text: str, separators: str, formula: str) -> list[tuple[str, str]]:
    """The pieces between separators outside of parentheses, each with the separator before it."""
    pieces, sign, start = [], separators[0], 0
    for place, character in _outside(text, formula):
        if character in separators:
            pieces.append((sign, text[start:place].strip()))
            sign, start = character, place + 1
    pieces.append((sign, text[start:].strip()))
    return pieces


def _outside(text: str, formula: str) -> Iterator[tuple[int, str]]:
    """The characters outside of parentheses, brackets, braces and quotes, with their places."""
    open_: list[str] = []
    quote = ""
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in _QUOTES:
            quote = character
        elif character in _OPEN:
            open_.append(_CLOSE[_OPEN.index(character)])
        elif character in _CLOSE:
            if not open_ or open_.pop() != character:
                raise ValueError(f"unbalanced {character!r} in {formula!r}")
        elif not open_:
            yield place, character
    if quote or open_:
        missing = quote or open_[-1]
        raise ValueError(f"unbalanced parentheses or quotes: {missing!r} is missing in {formula!r}")


def _without_quotes(text: str) -> str:
    return re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", "", text)
