"""Variables and frames of time series: what a document may say, and what becomes of the network's outputs."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelcrate.errors import FormatError
from modelcrate.format import schema, values
from modelcrate.tabular.series.table import SeriesTable

NAN = float("nan")


def scaled(**changes: Any) -> dict[str, Any]:
    return {"type": "scaled", "range": "zero_one", "minimum": 10.0, "maximum": 20.0, "per_example": False, **changes}


def one_hot(categories: list[Any], dtype: str = "object") -> dict[str, Any]:
    return {"type": "one_hot", "dtype": dtype, "categories": categories}


def binary(**changes: Any) -> dict[str, Any]:
    return {
        "type": "binary",
        "dtype": "object",
        "digits": 2,
        "categories": ["a", "b"],
        "fallback": "b",
        "whole": False,
        "replaces": True,
        **changes,
    }


def document(attributes: dict[Any, Any], features: dict[Any, Any], layout: Any = None, steps: int = 3) -> Any:
    def listed(variables: dict[Any, Any]) -> list[Any]:
        return [{"name": name, "encoding": encoding} for name, encoding in variables.items()]

    return {"attributes": listed(attributes), "features": listed(features), "steps": steps, "layout": layout}


def long(order: list[Any], **changes: Any) -> dict[str, Any]:
    usual = {"type": "long", "order": order, "discrete": [], "example": None, "time": None, "flag": None}
    return {**usual, "numeric": True, **changes}


def read(state: Any) -> SeriesTable:
    return SeriesTable.from_document(values.decode(values.encode(state, where="series"), where="series"), "series")


def outputs(*columns: Any) -> np.ndarray:
    """Columns of steps as the network's output for one example: (1, steps, width)."""
    return np.stack([np.asarray(column, dtype=np.float32) for column in columns], axis=-1)[None]


WIDE = document(
    {"kind": one_hot(["x", "y"])},
    {"a0": scaled()},
    {"type": "wide", "columns": ["t0", "t1", "t2"], "order": ["t0", "kind", "t1", "t2"], "discrete": ["kind"]},
)
LONG = document(
    {"kind": one_hot(["x", NAN])},
    {"level": scaled(per_example=True, range="minus_one_one"), "user": binary(), "on": one_hot([True, False])},
    long(
        ["id", "when", "kind", "level", "user"],
        example="id",
        time={"name": "when", "values": [np.datetime64("2020-01-01", "ns"), np.datetime64("2020-01-02", "ns")]},
        flag=2,
        discrete=["kind", "user"],
    ),
)


# -- numbers


def test_a_number_lies_between_its_bounds() -> None:
    table = read(document({}, {"x": scaled(), "y": scaled(range="minus_one_one")}))
    _, found = table.decode(None, None, outputs([0, 0.5, 1], [-1, 0, 1]), faithful=False)
    assert found[0].tolist() == [[10, 10], [15, 15], [20, 20]]
    assert found.dtype == np.float32


def test_scaled_by_example_a_number_lies_in_its_example_s_range_first() -> None:
    table = read(document({}, {"x": scaled(per_example=True)}))
    scales = np.array([[0.5, 0.25]], dtype=np.float32)  # from 0.25 to 0.75 of the way from 10 to 20
    _, found = table.decode(None, scales, outputs([0, 0.5, 1]), faithful=False)
    assert found[0, :, 0].tolist() == [12.5, 15.0, 17.5]


def test_without_bounds_a_number_stays_as_it_is() -> None:
    table = read(document({}, {"x": scaled(minimum=None, maximum=None)}))
    _, found = table.decode(None, None, outputs([0.25, 0.5, 1]), faithful=False)
    assert found[0, :, 0].tolist() == [0.25, 0.5, 1.0]


def test_bounds_beyond_single_precision_give_finite_numbers() -> None:
    table = read(document({}, {"x": scaled(minimum=-1e39, maximum=1e39)}))
    _, found = table.decode(None, None, outputs([0, 0.5, 1]), faithful=False)
    assert np.isfinite(found).all()
    assert found[0, 2, 0] == pytest.approx(1e39)


# -- categories


def test_digits_without_a_category_are_the_fallback() -> None:
    table = read(document({}, {"x": binary()}))
    _, found = table.decode(None, None, outputs([0.9, 0.1, 0.9], [0.1, 0.2, 0.9]), faithful=False)
    assert found[0, :, 0].tolist() == ["b", "b", "b"]  # 2 is the second; 0 and 3 are none


def test_whole_numbers_come_back_whole_and_a_replay_shows_what_the_original_could_not_replace() -> None:
    numbers = binary(dtype="float64", categories=[5.0, 7.0], fallback=7.0, whole=True, replaces=False)
    table = read(document({}, {"x": numbers}))
    given = outputs([0.1, 0.9, 0.9], [0.9, 0.1, 0.9])
    assert table.decode(None, None, given, faithful=False)[1][0, :, 0].tolist() == [5, 7, 7]
    assert table.decode(None, None, given, faithful=True)[1][0, :, 0].tolist() == [5, 7, -(2**63)]


def test_texts_beside_numbers_make_one_array_of_objects() -> None:
    table = read(document({"a": scaled(), "b": one_hot(["x", "y"])}, {"x": scaled()}))
    found, _ = table.decode(np.array([[0.5, 0.1, 0.9]], dtype=np.float32), None, outputs([0, 0, 0]), faithful=False)
    assert found is not None
    assert found.tolist() == [[15.0, "y"]]
    assert found.dtype == object


# -- frames


def test_a_wide_frame_has_one_row_an_example_in_the_order_of_the_training_table() -> None:
    table = read(WIDE)
    attributes, features = table.decode(
        np.array([[0.1, 0.9]], dtype=np.float32), None, outputs([0, 0.5, 1]), faithful=False
    )
    frame = table.frame(attributes, features, start=0, faithful=False)
    assert frame.to_dict("list") == {"t0": [10.0], "kind": ["y"], "t1": [15.0], "t2": [20.0]}
    assert [str(dtype) for dtype in frame.dtypes] == ["float64", "object", "float64", "float64"]


def test_a_replayed_wide_frame_has_the_original_s_objects() -> None:
    table = read(WIDE)
    attributes, features = table.decode(
        np.array([[0.1, 0.9]], dtype=np.float32), None, outputs([0, 0.5, 1]), faithful=True
    )
    assert set(map(str, table.frame(attributes, features, start=0, faithful=True).dtypes)) == {"object"}


def test_a_long_frame_ends_each_example_at_its_first_false_flag() -> None:
    table = read(LONG)
    features = np.array(
        [[[1.0, "a", True], [2.0, "b", False], [3.0, "a", True]], [[4.0, "a", True], [5.0, "a", True], [6.0, "b", 1]]],
        dtype=object,
    )
    frame = table.frame(np.array([["x"], [NAN]], dtype=object), features, start=7, faithful=False)
    assert frame["id"].tolist() == [7, 7, 8, 8, 8]
    assert frame["level"].tolist() == [1.0, 2.0, 4.0, 5.0, 6.0]
    assert frame["when"].dt.day.tolist() == [1, 2, 1, 2, 1]  # two times are known; then from the first again
    assert frame["kind"].isna().tolist() == [False, False, True, True, True]
    assert list(frame.columns) == ["id", "when", "kind", "level", "user"]
    assert str(frame["when"].dtype) == "datetime64[ns]"


@pytest.mark.parametrize(
    ("cells", "faithful", "dtype"),
    [
        (["1", "2"], False, "int64"),
        (["1", "x"], False, "object"),
        (["1", NAN], False, "float64"),
        ([1.5, 2.0], False, "float64"),
        ([1.5, 2.0], True, "int64"),  # the original cuts decimals off
        ([True, False], False, "int64"),
    ],
)
def test_discrete_columns_are_numbers_where_every_category_is_one(cells: list[Any], faithful: bool, dtype: str) -> None:
    table = read(document({}, {"c": one_hot(cells), "x": scaled()}, long(["c", "x"], discrete=["c"])))
    features = np.array([[[cell, 1.0] for cell in [*cells, cells[0]]]], dtype=object)
    assert str(table.frame(None, features, start=0, faithful=faithful)["c"].dtype) == dtype


def test_dtypes_do_not_depend_on_what_was_sampled_unless_replayed() -> None:
    table = read(document({}, {"c": one_hot(["1", "x"])}, long(["c"], discrete=["c"])))
    only_numbers = np.array([[["1"], ["1"], ["1"]]], dtype=object)
    assert str(table.frame(None, only_numbers, start=0, faithful=False)["c"].dtype) == "object"
    assert str(table.frame(None, only_numbers, start=0, faithful=True)["c"].dtype) == "int64"


def test_labels_may_be_numbers() -> None:
    layout = {"type": "wide", "columns": [0, 1, 2], "order": [2, 1, 0], "discrete": []}
    table = read(document({}, {"a0": scaled()}, layout))
    frame = table.frame(None, np.array([[[1.0], [2.0], [3.0]]], dtype=np.float32), start=0, faithful=False)
    assert frame.columns.tolist() == [2, 1, 0]
    pd.testing.assert_frame_equal(frame, pd.DataFrame([[3.0, 2.0, 1.0]], columns=pd.Index([2, 1, 0], dtype=object)))


# -- documents


UTC = datetime.timezone.utc
ZONED = copy.deepcopy(LONG)
ZONED["layout"]["time"]["values"] = [datetime.datetime(2021, 5, day, 6, tzinfo=UTC) for day in (1, 2)]


@pytest.mark.parametrize("numeric", [True, False])
@pytest.mark.parametrize("faithful", [True, False])
def test_times_in_utc_are_a_column_of_dates_in_utc(numeric: bool, faithful: bool) -> None:
    state = copy.deepcopy(ZONED)
    state["layout"]["numeric"] = numeric
    features = np.array([[[1.0, "a", True], [2.0, "b", True], [3.0, "a", True]]], dtype=object)
    frame = read(state).frame(np.array([["x"]], dtype=object), features, start=0, faithful=faithful)
    assert str(frame["when"].dtype) == "datetime64[ns, UTC]"
    assert frame["when"].tolist() == [pd.Timestamp(2021, 5, day, 6, tz="UTC") for day in (1, 2, 1)]


@pytest.mark.parametrize(
    "state", [WIDE, LONG, ZONED, document({}, {"x": scaled()})], ids=["wide", "long", "zoned", "arrays"]
)
def test_a_document_goes_through_a_table_unchanged(state: Any) -> None:
    schema.validate_state(state, "series.table/1", "series")
    assert values.encode(read(state).to_document(), where="a") == values.encode(state, where="b")


def place(state: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        state = state[step]
    return state


def at(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(state: Any) -> None:
        place(state, path[:-1])[path[-1]] = value

    return change


LEVEL = ("features", 0, "encoding")
USER = ("features", 1, "encoding")


@pytest.mark.parametrize(
    "change",
    [
        at("surprise", value=1),
        at("steps", value=0),
        at("features", value=[]),
        at("attributes", 0, "encoding", value=scaled(per_example=True)),
        at("attributes", 0, "name", value=1.5),
        at("features", 1, "name", value="level"),
        at(*LEVEL, "minimum", value=30.0),
        at(*LEVEL, "minimum", value=None),
        at(*LEVEL, "maximum", value=NAN),
        at(*LEVEL, "maximum", value=20),
        at(*LEVEL, "range", value="zero_two"),
        at(*LEVEL, "type", value="pickle"),
        at(*USER, "digits", value=1),
        at(*USER, "digits", value=70),
        at(*USER, "categories", value=[]),
        at(*USER, "categories", value=["a", "a"]),
        at(*USER, "dtype", value="float64"),
        at(*USER, "whole", value=True),
        at(*USER, "fallback", value=[]),
        at("features", 2, "encoding", "dtype", value="int8x"),
        at("layout", "type", value="diagonal"),
        at("layout", "order", value=["id"]),
        at("layout", "order", value=["id", "when", "kind", "level", "user", "user"]),
        at("layout", "discrete", value=["nobody"]),
        at("layout", "flag", value=3),
        at("layout", "flag", value=-1),
        at("layout", "example", value="level"),
        at("layout", "example", value=None),
        at("layout", "time", "values", value=[]),
        at("layout", "time", "values", value=[{}]),
        at("layout", "time", "values", value=["a"] * 4),
        at("layout", "time", "values", value=[datetime.datetime(1677, 1, 1, tzinfo=UTC)]),
        at("layout", "time", "values", value=[datetime.datetime(2021, 5, 1, tzinfo=values.Zone("Europe/Berlin"))]),
        at("layout", "numeric", value=1),
    ],
)
def test_B21_a_document_that_contradicts_itself_is_refused_with_its_path(change: Callable[[Any], None]) -> None:
    state = copy.deepcopy(LONG)
    change(state)
    with pytest.raises(FormatError) as caught:
        read(state)
    assert (caught.value.where or "").startswith("series")
