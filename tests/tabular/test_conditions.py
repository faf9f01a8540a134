"""What a caller may give as known cells, and which cells match them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from modelcrate.errors import UsageError
from modelcrate.tabular.conditions import fits, groups, matching, read_conditions, read_frame, read_runs

FIELDS = ("colour", "age", "income")


def plain(runs):
    return [(run.known, run.rows) for run in runs]


def test_the_three_ways_to_say_it():
    assert plain(read_runs({"colour": "red"}, 5, FIELDS)) == [({"colour": "red"}, 5)]
    assert plain(read_runs([({"colour": "red"}, 2), ({"age": 3}, 1)], None, FIELDS)) == [
        ({"colour": "red"}, 2),
        ({"age": 3}, 1),
    ]
    assert plain(read_runs({"colour": {"green": 100, "red": np.int64(50)}, "age": 3}, None, FIELDS)) == [
        ({"colour": "green", "age": 3}, 100),
        ({"colour": "red", "age": 3}, 50),
    ]
    assert plain(read_runs({"colour": {"green": 1, "red": 2}}, 3, FIELDS))[1][1] == 2


def test_the_original_takes_them_by_the_columns_they_know():
    found = read_conditions([({"age": 1}, 2), ({"colour": "red"}, 1), ({"age": 2}, 1)], None, FIELDS)
    assert [frame.to_dict("list") for frame in found] == [{"age": [1, 1, 2]}, {"colour": ["red"]}]


@pytest.mark.parametrize(
    ("given", "rows", "message"),
    [
        ({"colour": {"red": 1}, "age": {3: 1}}, None, "how often their cells meet.*list of"),
        ({"colour": {"red": 1, "green": 2}}, 4, "for 3 rows, not 4"),
        ({"colour": {"red": -1}}, None, "-1 is no number of rows"),
        ({"colour": {"red": True}}, None, "True is no number of rows"),
        ({"colour": {"red": 1.0}}, None, "1.0 is no number of rows"),
        ({"colour": {"red": 10**12}}, None, "no number of rows"),
        ([({"colour": "red"}, 10**9)] * 2, None, "between 0 and"),
        ({"colour": ["red", "green"]}, 2, "expected one cell, found a list"),
        ({"income": float("inf")}, 2, "infinite"),
        ({"income": float("nan")}, 2, "missing"),
        ({"Colour": "red"}, 2, "no column is named 'Colour'; did you mean 'colour'?"),
        ("colour", 2, "expected a dict"),
        (3, 2, "expected a dict"),
    ],
)
def test_F17_what_is_wrong_is_named(given, rows, message):
    with pytest.raises(UsageError, match=message):
        read_runs(given, rows, FIELDS)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"age": [1.0, None]}), "missing"),
        (pd.DataFrame({"age": [1.0, np.inf]}), "infinite"),
        (pd.DataFrame([[1, 2]], columns=["age", "age"]), "named twice"),
        (pd.DataFrame({0: [1]}), "no column is named 0"),
        (pd.DataFrame(index=range(3)), "no column is known"),
    ],
)
def test_F17_what_is_wrong_with_a_frame_is_named(frame, message):
    with pytest.raises(UsageError, match=message):
        read_frame(frame, None, FIELDS)


def test_a_float_is_met_within_one_percent_of_it_or_of_the_deviation():
    cells = pd.Series([98.9, 99.1, 100.0, 100.9, 101.1, np.nan])
    assert fits(cells, 100, name="x").tolist() == [False, True, True, True, False, False]
    assert fits(-cells, -100, name="x").tolist() == [False, True, True, True, False, False]
    around = pd.Series([-1000.0, -9.0, 0.5, 11.0, 1000.0])
    assert fits(around, 0, name="x").tolist() == [False, False, True, False, False]


def test_anything_else_is_met_exactly_and_a_missing_cell_never():
    assert fits(pd.Series([99, 100]), 100, name="x").tolist() == [False, True]
    assert fits(pd.Series([99, None], dtype="Int64"), 99, name="x").tolist() == [True, False]
    assert fits(pd.Series(["a", None], dtype=object), "a", name="x").tolist() == [True, False]
    assert fits(pd.Series(["a", "b"], dtype="category"), "b", name="x").tolist() == [False, True]
    days = pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02"]))
    assert fits(days, "2020-01-02", name="x").tolist() == [False, True]


@pytest.mark.parametrize("value", ["much", 10**400, b"x"])
def test_F17_a_value_that_cannot_be_compared_is_named(value):
    with pytest.raises(UsageError, match="x"):
        fits(pd.Series([1.0, 2.0]), value, name="x")


@pytest.mark.parametrize("dtype", ["float32", "float64", "Float64"])
def test_a_known_float_leaves_its_column_the_dtype_that_holds_it(dtype):
    frame = pd.DataFrame({"x": pd.Series([1.5, 1.501, 9.0], dtype=dtype)})
    found = matching(frame, {"x": 1.5})
    assert str(found["x"].dtype) == dtype
    assert found["x"].tolist() == [1.5, 1.5]
    assert matching(frame.astype("float32"), {"x": 1.5001})["x"].tolist() == [1.5001, 1.5001]


def test_sdv_0_17_sets_a_column_of_floats_anew():
    frame = pd.DataFrame({"x": pd.Series([1.5, 1.501, 9.0], dtype="float32")})
    found = matching(frame, {"x": 1.5}, signed=True)
    assert (str(found["x"].dtype), found["x"].tolist()) == ("float64", [1.5, 1.5])


def test_cells_of_half_precision_are_grouped_like_others():
    found = groups(pd.DataFrame({"x": np.array([0.5, 0.25, 0.5], dtype=np.float16)}))
    assert [(dict(group.known), group.places.tolist()) for group in found] == [({"x": 0.25}, [1]), ({"x": 0.5}, [0, 2])]
