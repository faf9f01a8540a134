"""Ascending columns, one-hot parts, increments under another name, and constraints that are undone step by step."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.format.schema import project, validate
from modelcrate.format.values import decode, encode
from modelcrate.tabular.constraints import ConstraintSet, MissingColumns, read

LOG = np.log
THREE = {
    "type": "ascending",
    "columns": ["low", "middle", "high"],
    "start": "low.fillna",
    "distances": ["low#middle", "middle#high"],
    "labels": "gaps",
    "strict": True,
    "dtype": "int64",
    "texts": False,
    "patterns": [{"pattern": None}] * 3,
    "matched": False,
}
TWO = {
    **THREE,
    "columns": ["low", "high"],
    "distances": ["low#high"],
    "strict": False,
    "patterns": [{"pattern": None}] * 2,
}
DATES = {**TWO, "dtype": "datetime64[ns]"}
TEXTS = {
    **TWO,
    "dtype": "datetime64[ns]",
    "texts": True,
    "matched": True,
    "patterns": [{"pattern": "%Y-%m-%d"}, {"pattern": "%Y-%m-%d %H:%M:%S"}],
}
ONE_HOT = {"type": "one_hot", "columns": ["a", "b"]}
DOCUMENTS = {
    "three": THREE,
    "two": TWO,
    "dates": DATES,
    "texts": TEXTS,
    "parts": {**ONE_HOT, "parts": ["OHE#a", "OHE#b"]},
    "label": {**ONE_HOT, "label": "a#b"},
    "recent": {**DATES, "recent": True},
    "guessed": {**TEXTS, "guessed": "all"},
    "nullable factor": {"type": "fixed_increments", "column": "x", "increment": 5, "dtype": "UInt16", "factor": "y"},
    "factor": {"type": "fixed_increments", "column": "x", "increment": 5, "dtype": "int64", "factor": "x#increment"},
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_come_back_and_the_schema_accepts_them(name):
    given = decode(encode(DOCUMENTS[name]), where="state")
    validate(project(given), "tabular.constraint", "constraint")
    assert read(given, "constraint").to_document() == DOCUMENTS[name]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"columns": ["low"]}, "at least 2"),
        ({"columns": ["low", "low", "high"]}, "twice"),
        ({"distances": ["d"]}, "one distance less"),
        ({"patterns": [{"pattern": None}]}, "one format"),
        ({"patterns": [{"pattern": "%900Y"}] * 3}, "date format"),
        ({"texts": True}, "only dates"),
        ({"dtype": "complex64"}, "complex64"),
        ({"labels": 3}, "text"),
        ({"strict": 1}, "true or false"),
        ({"more": 1}, "more"),
    ],
)
def test_documents_that_contradict_themselves_are_refused(change, what):
    with pytest.raises(FormatError, match=what):
        read({**THREE, **change}, "constraint")


@pytest.mark.parametrize("change", [{"parts": ["x"]}, {"parts": ["x", "y"], "label": "z"}])
def test_one_hot_columns_are_modelled_in_one_way_only(change):
    with pytest.raises(FormatError, match="part per column"):
        read({**ONE_HOT, **change}, "constraint")


def test_three_columns_come_back_from_two_distances():
    modelled = pd.DataFrame(
        {
            "other": ["x", "y"],
            "low.fillna": [10, 3],
            "low#middle": [LOG(6.0), LOG(1.0)],
            "middle#high": [LOG(3.4), LOG(2.0)],
            "gaps": ["None", None],
        }
    )
    found = read(THREE, "c").reverse_transform(modelled)
    assert sorted(found.columns) == ["high", "low", "middle", "other"]
    assert found[["low", "middle", "high"]].to_numpy().tolist() == [[10, 15, 17], [3, 3, 4]]


def test_labels_say_which_cells_are_missing():
    modelled = pd.DataFrame(
        {
            "low.fillna": [10, 10, 10],
            "low#middle": [LOG(2.0)] * 3,
            "middle#high": [LOG(2.0)] * 3,
            "gaps": ["low, high", "None", "middle"],
        }
    )
    found = read(THREE, "c").reverse_transform(modelled)[["low", "middle", "high"]].to_numpy(dtype=float)
    np.testing.assert_array_equal(found, [[np.nan, 11, np.nan], [10, 11, 12], [10, np.nan, 12]])


def test_each_pair_of_columns_has_to_ascend_and_missing_cells_do_not_count():
    frame = pd.DataFrame(
        {
            "low": [1.0, 1.0, 5.0, np.nan, 4.0],
            "middle": [2.0, 1.0, np.nan, 2.0, 5.0],
            "high": [3.0, 3.0, 4.0, 1.0, np.nan],
        }
    )
    assert read(THREE, "c").is_valid(frame).tolist() == [True, False, False, False, True]


def test_known_cells_are_modelled_as_they_were_trained_and_need_all_columns():
    frame = pd.DataFrame({"low": [1.0, np.nan], "middle": [4.0, 4.0], "high": [4.0, 9.0]})
    found = read(THREE, "c").transform(frame)
    assert sorted(found.columns) == ["gaps", "low#middle", "low.fillna", "middle#high"]
    assert found["low#middle"].iloc[0] == LOG(4.0)
    assert found["middle#high"].iloc[0] == 0.0
    assert found["gaps"].tolist() == ["None", "low"]
    assert "gaps" not in read(THREE, "c").transform(frame.iloc[:1]).columns  # the original tells what is missing alone
    with pytest.raises(MissingColumns):
        read(THREE, "c").transform(frame[["low"]])


def test_dates_come_back_from_nanoseconds():
    day = 86_400 * 10**9
    modelled = pd.DataFrame(
        {
            "low.fillna": pd.to_datetime(["2020-01-01", "2020-01-01"]).astype("datetime64[ns]"),
            "low#high": [LOG(3.0 * day + 1), 0.0],
            "gaps": [None, "high"],
        }
    )
    found = read(DATES, "c").reverse_transform(modelled)
    assert abs(found["high"].iloc[0] - pd.Timestamp("2020-01-04")) < pd.Timedelta("1us")
    assert found["high"].isna().tolist() == [False, True]


def test_dates_as_texts_are_compared_at_the_coarser_format():
    frame = pd.DataFrame(
        {
            "low": ["2020-01-02", "2020-01-02", "2020-01-03", None],
            "high": ["2020-01-02 00:00:01", "2020-01-01 23:59:59", "2020-01-03 09:00:00", "2020-01-01 00:00:00"],
        },
        dtype=object,
    )
    assert read(TEXTS, "c").is_valid(frame).tolist() == [True, False, True, True]
    back = read(TEXTS, "c").reverse_transform(
        pd.DataFrame({"low.fillna": ["2020-01-02"], "low#high": [0.0], "gaps": [None]}, dtype=object).astype(
            {"low#high": float}
        )
    )
    assert back["high"].iloc[0] == pd.Timestamp("2020-01-02")


def test_one_hot_parts_and_labels_come_back_as_the_columns():
    modelled = pd.DataFrame({"OHE#a": [0.2, 0.9], "OHE#b": [0.3, 0.1]})
    found = read(DOCUMENTS["parts"], "c").reverse_transform(modelled)
    assert found[["a", "b"]].to_numpy().tolist() == [[0, 1], [1, 0]]
    found = read(DOCUMENTS["label"], "c").reverse_transform(pd.DataFrame({"a#b": ["b", "a"]}, dtype=object))
    assert found[["a", "b"]].to_numpy().tolist() == [[0, 1], [1, 0]]
    with pytest.raises(FormatError, match="names none"):
        read(DOCUMENTS["label"], "c").reverse_transform(pd.DataFrame({"a#b": ["z"]}, dtype=object))
    parts = read(DOCUMENTS["parts"], "c").transform(pd.DataFrame({"a": [1, 0], "b": [0, 1]}))
    assert sorted(parts.columns) == ["OHE#a", "OHE#b"]
    assert parts["OHE#a"].round(3).tolist() == [1.0, 0.0]
    label = read(DOCUMENTS["label"], "c").transform(pd.DataFrame({"a": [1, 0], "b": [0, 1]}))
    assert label["a#b"].tolist() == ["a", "b"]


def test_increments_under_another_name():
    factor = read(DOCUMENTS["factor"], "c")
    found = factor.reverse_transform(pd.DataFrame({"x#increment": [2.2, 3.0]}))
    assert found.columns.tolist() == ["x"]
    assert found["x"].tolist() == [10, 15]
    assert factor.transform(found).columns.tolist() == ["x#increment"]


def column(name, **form):
    return {"name": name, "format": {"kind": "plain", "dtype": "int64", **form}}


HIGH = {"kind": "number", "dtype": "int64", "minimum": 0, "maximum": 30, "digits": 0}
STAGES = {
    "constraints": [TWO, {**ONE_HOT, "parts": ["p", "q"]}],
    "applied": [True, True],
    "stages": [
        {"columns": [{"name": "high", "format": HIGH}, column("low")]},
        {"columns": [column(name, dtype="object") for name in ("low.fillna", "low#high", "gaps", "a", "b")]},
    ],
}


def constraint_set(document):
    return ConstraintSet.from_document(Fields(decode(encode(document), where="state"), "set"))


def test_steps_are_undone_from_the_last_to_the_first_and_refuse_rows_as_they_go():
    steps = constraint_set(STAGES)
    assert steps.to_document() == STAGES
    modelled = pd.DataFrame({"low.fillna": [10, 20], "low#high": [LOG(31.0), LOG(6.0)], "gaps": ["None"] * 2})
    modelled = modelled.assign(p=[1.0, 0.0], q=[0.0, 1.0])
    found = steps.reverse_transform(modelled)
    assert found.columns.tolist() == ["high", "low"]
    assert found.to_numpy().tolist() == [[30, 10], [25, 20]]
    assert steps.filter_valid(found) is found
    low = modelled.assign(**{"low.fillna": [40, 20]})  # the stage clips the first row's high below its low
    assert steps.reverse_transform(low).index.tolist() == [1]


def test_known_cells_pass_through_the_steps_that_changed_the_table_alone():
    steps = constraint_set({**STAGES, "applied": [True, False]})
    found = steps.transform_conditions(pd.DataFrame({"low": [1.0], "high": [4.0], "a": [1], "b": [0]}))
    assert sorted(found.columns) == ["a", "b", "low#high", "low.fillna"]


def test_a_stage_for_each_constraint_or_none():
    with pytest.raises(FormatError, match="one stage per constraint"):
        constraint_set({**STAGES, "stages": STAGES["stages"][:1]})


def rule(document):
    return read(decode(encode(document), where="state"), "constraint")


def test_distances_come_back_through_the_exponential_of_the_numpy_that_modelled_them():
    spans = np.linspace(30.0, 40.0, 400)
    frame = pd.DataFrame({"low.fillna": np.zeros(400, dtype="datetime64[ns]"), "low#high": spans, "gaps": "None"})
    early = rule(DATES).reverse_transform(frame)["high"].to_numpy().view(np.int64)
    recent = rule({**DATES, "recent": True}).reverse_transform(frame)["high"].to_numpy().view(np.int64)
    assert np.array_equal(recent, np.round(np.exp(spans) - 1).astype(np.int64))
    differ = np.count_nonzero(early != recent)
    assert (0 < differ < 200) == (int(np.__version__.partition(".")[0]) > 1)
    assert np.abs(early - recent).max() <= 32  # a unit in the last place of e**40


def test_texts_of_the_lowest_column_are_guessed_one_by_one_where_the_original_forgot_their_format():
    day = np.log(86_400e9 + 1)
    frame = pd.DataFrame({"low.fillna": ["05/01/2020", "22/01/2020"], "low#high": [day, day], "gaps": ["None"] * 2})
    plain = {**TEXTS, "patterns": [{"pattern": "%d/%m/%Y"}] * 2}
    found = {
        kind: rule({**plain, **({"guessed": kind} if kind else {})}).reverse_transform(frame.copy())
        for kind in (None, "others", "all")
    }
    days = {kind: [list(each[name].dt.strftime("%d.%m.")) for name in ("low", "high")] for kind, each in found.items()}
    assert days[None] == [["05.01.", "22.01."], ["06.01.", "23.01."]]
    assert days["others"] == [["05.01.", "22.01."], ["02.05.", "23.01."]]
    assert days["all"] == [["01.05.", "22.01."], ["02.05.", "23.01."]]


def test_between_others_the_lowest_date_stays_the_text_that_it_is():
    frame = pd.DataFrame({"low.fillna": ["2020-01-05 +0200"], "low#middle": [0.0], "middle#high": [0.0]})
    document = {**THREE, "dtype": "datetime64[ns]", "texts": True, "patterns": [{"pattern": "%Y-%m-%d %z"}] * 3}
    found = rule(document).reverse_transform(frame.assign(gaps="None"))
    assert found["low"].tolist() == ["2020-01-05 +0200"]
    assert found["high"].dtype.kind == "M"


@pytest.mark.parametrize("dtype", ["Int64", "UInt8", "Float32"])
def test_increments_of_a_nullable_column_keep_their_missing_cells(dtype):
    document = {**DOCUMENTS["factor"], "dtype": dtype}
    frame = pd.DataFrame({"x#increment": pd.Series([3, None, 4], dtype=dtype)})
    found = rule(document).reverse_transform(frame)["x"]
    assert found.isna().tolist() == [False, True, False]
    assert found.dropna().tolist() == [15, 20]


def test_dates_in_universal_time_are_compared_as_dates():
    low = pd.Series(pd.to_datetime(["2020-01-05", None])).astype("datetime64[ns]").dt.tz_localize("UTC")
    frame = pd.DataFrame({"low.fillna": low, "low#high": [LOG(86_400e9 + 1)] * 2, "gaps": ["None"] * 2})
    found = rule(DATES).reverse_transform(frame)
    assert found["high"].tolist()[:1] == [pd.Timestamp("2020-01-06")]
    assert rule(DATES).is_valid(found).tolist() == [True, True]
