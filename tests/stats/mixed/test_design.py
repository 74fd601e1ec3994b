"""From data to arrays: frames of pandas and polars, factors, missing values, weights and offsets."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from elimax.stats import design_of, lmm


@pytest.fixture
def data(rng) -> pd.DataFrame:
    n = 40
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "t": rng.uniform(1, 2, n),
            "f": rng.permutation(np.resize(["low", "mid", "high"], n)),
            "g": rng.permutation(np.resize(np.arange(8), n)),
            "h": rng.permutation(np.resize(list("abcd"), n)),
            "w": rng.uniform(0.5, 2, n),
        }
    )


def test_frames_of_both_libraries_and_a_mapping(data):
    formula = "y ~ x*f + offset(t) + (x | g) + (1 | h)"
    designs = [
        design_of(formula, kind, weights="w")
        for kind in (
            data,
            pl.DataFrame({name: data[name].to_list() for name in data}),
            {name: data[name].to_numpy() for name in data},
            {name: data[name].to_list() for name in data},
        )
    ]
    first = designs[0]
    assert first.fixed == (
        "(Intercept)", "x", "f[T.low]", "f[T.mid]", "x:f[T.low]", "x:f[T.mid]",
    )  # fmt: skip
    np.testing.assert_array_equal(first.offset, data["t"])
    for other in designs[1:]:
        assert other.fixed == first.fixed
        np.testing.assert_array_equal(other.X, first.X)
        np.testing.assert_array_equal(other.y, first.y)
        np.testing.assert_array_equal(other.weights, first.weights)
        for a, b in zip(first.terms, other.terms, strict=True):
            assert a.group == b.group and list(a.levels) == list(b.levels)
            np.testing.assert_array_equal(a.codes, b.codes)
            np.testing.assert_array_equal(a.design, b.design)


def test_categories_keep_their_order_and_lose_what_is_unused(data):
    for frame in (
        data.assign(h=pd.Categorical(data["h"], categories=["z", "d", "c", "b", "a"])),
        pl.DataFrame({n: data[n].to_list() for n in data}).with_columns(
            pl.col("h").cast(pl.Enum(["z", "d", "c", "b", "a"]))
        ),
    ):
        (term,) = design_of("y ~ (1 | h)", frame).terms
        assert list(term.levels) == ["d", "c", "b", "a"]
        np.testing.assert_array_equal(term.levels[term.codes], data["h"])


def test_combinations_of_columns_are_levels_that_occur(data):
    both, nested = design_of("y ~ (1 | h:g)", data), design_of("y ~ (1 | h/g)", data)
    (term,) = both.terms
    labels = data["h"] + ":" + data["g"].astype(str)
    assert list(term.levels) == sorted(set(labels)) and term.group == "h:g"
    np.testing.assert_array_equal(term.levels[term.codes], labels)
    assert [t.group for t in nested.terms] == ["h", "h:g"]


def test_double_bars_split_terms(data):
    split = design_of("y ~ (x + t || g)", data)
    assert [t.columns for t in split.terms] == [("(Intercept)",), ("x",), ("t",)]
    factor = design_of("y ~ (0 + f || g)", data)
    assert [t.columns for t in factor.terms] == [("f[high]", "f[low]", "f[mid]")]


def test_rows_with_missing_values_are_left_out(data):
    holes = data.copy()
    holes.loc[3, "x"], holes.loc[7, "h"] = np.nan, None
    holes.loc[9, "t"] = np.nan  # which is not used
    holes["g"] = holes["g"].astype(float)
    holes.loc[11, "g"] = np.nan
    weights = np.ones(len(data))
    weights[20] = np.nan
    design = design_of("y ~ x + (1 | g:h)", holes, weights=weights)
    assert design.missing == 4 and design.n == 36
    expected = design_of("y ~ x + (1 | g:h)", data.drop([3, 7, 11, 20]))
    np.testing.assert_array_equal(design.X, expected.X)
    assert list(design.terms[0].levels) == list(expected.terms[0].levels)
    assert "(4 rows with missing values left out)" in lmm("y ~ x + (1 | g)", holes.drop(30).assign(
        y=holes["y"].where(~holes.index.isin([0, 1]))
    )).summary()  # fmt: skip
    nulls = pl.DataFrame({"y": [1.0, None, *data["y"][2:]], "g": data["g"].to_list()})
    assert design_of("y ~ (1 | g)", nulls).missing == 1


def test_transformed_responses_are_expressions(data):
    design = design_of("log(t) / 2 ~ (1 | g)", data)
    np.testing.assert_allclose(design.y, np.log(data["t"]) / 2)
    np.testing.assert_allclose(design_of("y + t ~ (1|g)", data).y, data["y"] + data["t"])
    counts = design_of("cbind(y, t) ~ (1 | g)", data)
    np.testing.assert_array_equal(counts.y, data[["y", "t"]])
    truth = design_of("b ~ (1 | g)", data.assign(b=data["y"] > 0))
    np.testing.assert_array_equal(truth.y, data["y"] > 0)


def test_columns_that_others_span_are_left_out(data):
    doubled = data.assign(x2=2 * data["x"] + 1e3)
    with pytest.warns(UserWarning, match=r"rank deficient: other columns span x2, left out"):
        design = design_of("y ~ x + x2 + t + (1 | g)", doubled)
    assert design.fixed == ("(Intercept)", "x", "t") and design.aliased == ("x2",)
    with pytest.warns(UserWarning, match="x2"):
        fit = lmm("y ~ x + x2 + t + (1 | g)", doubled)
    plain = lmm("y ~ x + t + (1 | g)", doubled)
    np.testing.assert_allclose(fit.criterion, plain.criterion, rtol=1e-12)
    np.testing.assert_allclose(fit.predict(doubled), fit.fitted, rtol=1e-10)
    assert "Left out of the fixed effects, being spanned by others: x2" in fit.summary()


BAD = [
    ("y ~ x + (1 | gg)", {}, "no column 'gg'. Did you mean 'g'"),
    ("y ~ xx + (1 | g)", {}, "no column 'xx'"),
    ("yy ~ x + (1 | g)", {}, "no column 'yy'"),
    ("y ~ x + (1 | g)", {"weights": "v"}, "no column 'v'"),
    ("y ~ log(x) + (1 | g)", {}, r"'log\(x\)' has values that are infinite or not numbers"),
    ("y ~ x +* t + (1 | g)", {}, "cannot be read"),
    ("y ~ x + (0 | g)", {}, "has no columns"),
    ("f ~ x + (1 | g)", {}, "the response 'f' must be numbers"),
    ("y ~ (1 | g) + (x | g)", {}, r"\(Intercept\) by g is in two random terms"),
    ("y ~ (1 | one)", {}, "has one level, '1'"),
    ("y ~ (one | g)", {}, "one by g is constant or a sum"),
    ("y ~ (1 | g)", {"weights": np.zeros(40)}, "`weights` must be positive"),
    ("y ~ (1 | g)", {"weights": np.ones(39)}, r"shape \(40,\), got \(39,\)"),
    ("y ~ (1 | each)", {}, "has 40 levels, which is no less than the 40 observations"),
    ("y ~ (f + x | each20)", {}, "has 20 levels of 4 coefficients"),
    ("constant ~ (1 | g)", {}, "fitted without error"),
    ("empty ~ (1 | g)", {}, "no complete row"),
    ("cbind(y, t) ~ (1 | g)", {}, "is one column"),
    ("y ~ C(each) + (1 | g)", {}, "too few for 40 fixed effects"),
]


@pytest.mark.parametrize("bar", ["(f | g)", "(0 + f | g)", "(f || g)", "(0 + f:k | h)"])
def test_categories_that_no_row_has_do_no_harm(data, bar):
    """As after a filter; R's model frames drop them, too. And no row is in the cell (a, v)."""
    first = sorted(set(data.f))[0]
    whole = data.assign(k=np.where((data.f == first) | (data.index % 2 == 0), "u", "v"))
    filtered = whole.assign(f=pd.Categorical(data.f, [*sorted(set(data.f)), "never"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fits = [lmm(f"y ~ f + {bar}", frame, reml=False) for frame in (whole, filtered)]
    assert fits[1].log_likelihood == pytest.approx(fits[0].log_likelihood, rel=1e-10)
    assert fits[1].design.fixed == fits[0].design.fixed


@pytest.mark.parametrize(("formula", "options", "message"), BAD, ids=[bad[0] for bad in BAD])
def test_what_no_model_can_be_made_of(data, formula, options, message):
    n = len(data)
    frame = data.assign(
        one=1, each=np.arange(n), each20=np.arange(n) // 2, constant=3.0, empty=np.nan
    )
    with pytest.raises(ValueError, match=message):
        lmm(formula, frame, **options)


def test_what_is_no_data(data):
    with pytest.raises(TypeError, match="data frame of pandas or polars, or a dict of arrays"):
        lmm("y ~ (1 | g)", [1, 2, 3])
    with pytest.raises(ValueError, match="differ in length"):
        lmm("y ~ (1 | g)", {"y": np.ones(3), "g": np.ones(4)})
    with pytest.raises(ValueError, match="must be one-dimensional"):
        lmm("y ~ (1 | g)", {"y": np.ones((3, 2)), "g": np.ones(3)})
    with pytest.raises(TypeError, match="`weights` must be numbers"):
        lmm("y ~ (1 | g)", data, weights=["a"] * 40)
    with pytest.raises(TypeError, match="`reml` must be True or False"):
        lmm("y ~ (1 | g)", data, reml="ML")
