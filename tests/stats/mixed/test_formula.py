"""The formula language: what is read, and what is said of what cannot be."""

import pytest

from elimax.stats.mixed.formula import Bar, names_in, parse


@pytest.mark.parametrize(
    ("formula", "fixed", "bars"),
    [
        ("y ~ (1 | g)", "1", [Bar("1", ("g",), True)]),
        ("y ~ x*z - 1 + (x|g)", "x*z - 1", [Bar("x", ("g",), True)]),
        ("y ~ 0 + x + (0 + x || g)", "0 + x", [Bar("0 + x", ("g",), False)]),
        ("y ~ -1 + x + (1|g)", "- 1 + x", [Bar("1", ("g",), True)]),
        ("y ~ (1|a/b)", "1", [Bar("1", ("a",), True), Bar("1", ("a", "b"), True)]),
        (
            "y ~ (x|a/b/c)",
            "1",
            [Bar("x", g, True) for g in (("a",), ("a", "b"), ("a", "b", "c"))],
        ),
        ("y ~ (1|a:b) + (1|c)", "1", [Bar("1", ("a", "b"), True), Bar("1", ("c",), True)]),
        ("y ~ (1|a:b/c)", "1", [Bar("1", ("a", "b"), True), Bar("1", ("a", "b", "c"), True)]),
        ("y ~ (x + z)*w + (1|g)", "(x + z)*w", [Bar("1", ("g",), True)]),
        ("y ~ (x + z) + (I(x + 1)|g)", "(x + z)", [Bar("I(x + 1)", ("g",), True)]),
        ("y ~ (a)(b) + (1|g)", "(a)(b)", [Bar("1", ("g",), True)]),
        (
            "y ~ C(f, contr.treatment('a|b')) + (1|`the group`)",
            None,
            [Bar("1", ("the group",), True)],
        ),
        ("y ~ x +\n (1 | g)", "x", [Bar("1", ("g",), True)]),
    ],
)
def test_what_is_read(formula, fixed, bars):
    parsed = parse(formula)
    assert parsed.response == "y" and parsed.offsets == () and list(parsed.bars) == bars
    assert fixed is None or parsed.fixed == fixed


def test_offsets_are_taken_out():
    parsed = parse("log(y) ~ x + offset(log(t + 1)) + (1 | g) + offset(z)")
    assert parsed.offsets == ("log(t + 1)", "z") and parsed.fixed == "x"
    assert parsed.response == "log(y)"


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ x", "no random term"),
        ("(1 | g)", "response ~ terms"),
        ("y ~ x ~ (1 | g)", "response ~ terms"),
        (" ~ (1 | g)", "response ~ terms"),
        ("y ~ ", "response ~ terms"),
        ("y ~ (1 | g", r"'\)' is missing"),
        ("y ~ 1 | g)", r"unbalanced '\)'"),
        ("y ~ log(x] + (1 | g)", r"unbalanced '\]'"),
        ("y ~ `x + (1 | g)", "'`' is missing"),
        ("y ~ x + 1 | g", "stands in parentheses"),
        ("y ~ x * (1 | g)", "stands in parentheses"),
        ("y ~ x - (1 | g)", "cannot be taken away"),
        ("y ~ x - offset(z) + (1 | g)", r"write offset\(-x\)"),
        ("y ~ x + + (1 | g)", "a term is missing after"),
        ("y ~ (1 | g) +", "a term is missing after"),
        ("y ~ ( | g)", "on both sides of its bar"),
        ("y ~ (1 | )", "on both sides of its bar"),
        ("y ~ (1 | g | h)", "one bar"),
        ("y ~ (1 ||| h)", "one bar"),
        ("y ~ (1 | factor(g))", "stand names of columns"),
        ("y ~ (1 | g + h)", "stand names of columns"),
        ("y ~ (1 | g:)", "stand names of columns"),
    ],
)
def test_what_cannot_be_read(formula, message):
    with pytest.raises(ValueError, match=message):
        parse(formula)


def test_a_formula_is_a_string():
    with pytest.raises(TypeError, match="must be a string, got list"):
        parse(["y ~ (1 | g)"])


def test_names():
    assert names_in("log(`my x`) + np.exp(z) + C(f, 'levels') + 2e5*w") == {
        "log", "my x", "np", "z", "C", "f", "w",
    }  # fmt: skip
