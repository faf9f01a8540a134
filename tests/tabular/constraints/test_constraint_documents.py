"""Constraints as documents: what is read, what is refused, and how several of them work together."""

from __future__ import annotations

import base64
import copy

import numpy as np
import pandas as pd
import pytest
from constraint_frames import all_cases, cases, document, frame

from modelcrate.errors import FormatError, ModelcrateError
from modelcrate.format.document import Fields
from modelcrate.format.schema import project, validate
from modelcrate.format.values import decode, encode
from modelcrate.legacy.families.sdv_constraints import translate
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.tabular.constraints import ConstraintSet, MissingColumns, read

CASES = [pytest.param(name, case, id=f"{name}-{case['name']}") for name, case in all_cases()]
FIRST = [
    (name, next(case for other, case in all_cases() if other == name)) for name in sorted({n for n, _ in all_cases()})
]
DAY = np.datetime64("2020-01-01", "ns")


def constraint_set(*documents, applied=None):
    applied = [True] * len(documents) if applied is None else applied
    return ConstraintSet.from_document(
        Fields({"constraints": list(documents), "applied": applied}, "table.constraints")
    )


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_pickled_constraint_is_translated(name, case):
    found = translate(read_for_conversion(base64.b64decode(case["pickle"]), name="constraint").root)
    assert repr(found) == repr(document(name, case))


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_document_is_encodable_and_obeys_the_schema(name, case):
    given = document(name, case)
    assert repr(decode(encode(given), where="state")) == repr({key: given[key] for key in sorted(given)})
    validate(project(given), "tabular.constraint", "constraint")


def spoiled(given):
    """Documents that differ from a good one in one place, each of them wrong."""
    for key in given:
        yield f"no {key}", {other: value for other, value in given.items() if other != key}
        for what, value in [
            ("null", None),
            ("a list in a list", [[1]]),
            ("bytes", b"x"),
            ("NaN", float("nan")),
            ("a map", {}),
        ]:
            if not (key == "resolution" and value is None):
                yield f"{key} is {what}", {**given, key: value}
    yield "an unknown field", {**given, "module": "os"}
    yield "an unknown type", {**given, "type": "os.system"}
    yield "an upstream type", {**given, "type": "sdv.constraints.tabular.Inequality"}
    if "dtype" in given:
        yield "dtype object", {**given, "dtype": "object"}
    if "columns" in given:
        yield "no columns", {**given, "columns": []}


@pytest.mark.parametrize(
    ("what", "wrong"),
    [pytest.param(what, wrong, id=f"{n}: {what}") for n, case in FIRST for what, wrong in spoiled(document(n, case))],
)
def test_a_document_that_is_wrong_in_one_place_is_refused_with_the_place(what, wrong):
    with pytest.raises(FormatError, match="constraint"):
        read(wrong, "constraint")
    with pytest.raises(FormatError):
        validate(project(wrong), "tabular.constraint", "constraint")


SCALAR = {
    "type": "scalar_inequality",
    "column": "a",
    "relation": ">",
    "value": 1,
    "difference": "d",
    "dtype": "int64",
    "resolution": None,
}
PAIRS = {"type": "fixed_combinations", "columns": ["a", "b"], "joint": "j", "labels": ["x"], "combinations": [["p", 1]]}
STEP = {"type": "fixed_increments", "column": "a", "increment": 5, "dtype": "int64"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "unique", "columns": ["a", "a"]},
        {**PAIRS, "columns": ["a"]},
        {**PAIRS, "labels": []},
        {**PAIRS, "labels": ["y", "x"], "combinations": [["p", 1], ["q", 2]]},
        {**PAIRS, "labels": ["x", "x"], "combinations": [["p", 1], ["q", 2]]},
        {**PAIRS, "combinations": []},
        {**PAIRS, "combinations": [["p"]]},
        {**PAIRS, "combinations": [["p", 2**64]]},
        {**PAIRS, "combinations": [["p", [1]]]},
        {**STEP, "increment": 0},
        {**STEP, "increment": -5},
        {**STEP, "increment": True},
        {**STEP, "increment": 5.0},
        {**STEP, "dtype": "datetime64[ns]"},
        {"type": "positive", "column": "a", "strict": True, "difference": "d", "dtype": "datetime64[ns]"},
        {**SCALAR, "relation": "=="},
        {**SCALAR, "resolution": "day"},
        {**SCALAR, "value": DAY},
        {**SCALAR, "value": 2**63},
        {**SCALAR, "value": float("inf")},
        {**SCALAR, "dtype": "datetime64[ns]"},
        {**SCALAR, "dtype": "datetime64[ns]", "value": np.datetime64("NaT", "ns")},
        {**SCALAR, "dtype": "datetime64[ns]", "value": np.datetime64("2020-01-01", "D")},
        "unique",
        None,
    ],
)
def test_what_no_schema_can_say_is_refused_too(wrong):
    with pytest.raises(FormatError):
        read(wrong, "constraint")


INEQUALITY = {"type": "inequality", "low": "a", "high": "b", "difference": "a#b", "strict": False, "dtype": "float64"}
COMBINATIONS = {
    "type": "fixed_combinations",
    "columns": ["b", "c"],
    "joint": "b#c",
    "labels": ["one", "two"],
    "combinations": [[1.0, "x"], [2.0, "y"]],
}
ABOVE = {
    "type": "scalar_inequality",
    "column": "a",
    "relation": ">=",
    "value": 1,
    "difference": "a#diff",
    "dtype": "float64",
    "resolution": None,
}


def test_constraints_are_undone_in_the_opposite_order():
    given = pd.DataFrame({"a": [1.0, 1.5], "b": [2.0, 2.5]})
    both = constraint_set(INEQUALITY, ABOVE)
    modelled = both.constraints[1].transform(both.constraints[0].transform(given))
    assert list(modelled.columns) == ["a#b", "a#diff"]
    back = both.reverse_transform(modelled)
    np.testing.assert_allclose(back[["a", "b"]].to_numpy(), given.to_numpy(), rtol=1e-12)


def test_a_constraint_that_was_not_applied_only_decides_which_rows_are_kept():
    both = constraint_set(INEQUALITY, COMBINATIONS, applied=[True, False])
    generated = pd.DataFrame({"a": [0.0, 0.5, 0.0], "a#b": np.log([2.0, 2.5, 3.0]), "c": ["x", "y", "y"]})
    back = both.reverse_transform(generated)
    assert sorted(back.columns) == ["a", "b", "c"]
    np.testing.assert_allclose(back["b"], [1.0, 2.0, 2.0])
    assert list(both.filter_valid(back.round(6)).index) == [0, 1, 2]
    assert list(both.filter_valid(back.round(6).assign(c=["y", "y", "x"])).index) == [1]


def test_known_columns_are_transformed_or_left_to_rejection():
    both = constraint_set(ABOVE, INEQUALITY)
    known = both.transform_conditions(pd.DataFrame({"a": [2.0], "c": ["x"]}))
    assert list(known.columns) == ["c", "a#diff"]  # a went into a#diff, so nothing of the inequality is left to drop
    assert list(constraint_set(INEQUALITY).transform_conditions(pd.DataFrame({"a": [2.0], "c": ["x"]})).columns) == [
        "c"
    ]
    with pytest.raises(MissingColumns) as caught:
        read(INEQUALITY, "constraint").transform(pd.DataFrame({"a": [2.0]}))
    assert caught.value.columns == ("b",)


def test_known_values_may_come_in_object_columns():
    known = pd.DataFrame({"a": [2.0, None], "b": [3, 4]}, dtype=object)
    found = constraint_set(INEQUALITY).transform_conditions(known)
    np.testing.assert_allclose(found["a#b"], [np.log(2.0), np.nan])


def test_no_constraint_at_all_changes_nothing():
    empty = constraint_set()
    given = pd.DataFrame({"a": [1]})
    assert empty.to_document() == {"constraints": [], "applied": []}
    for done in (empty.reverse_transform(given), empty.filter_valid(given), empty.transform_conditions(given)):
        pd.testing.assert_frame_equal(done, given)


@pytest.mark.parametrize("applied", [[], [True, True], [1], None, "yes"])
def test_a_set_says_for_each_constraint_whether_it_was_applied(applied):
    with pytest.raises(FormatError):
        ConstraintSet.from_document(Fields({"constraints": [ABOVE], "applied": applied}, "table.constraints"))


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_table_that_does_not_fit_is_an_error_of_the_library(name, case):
    """A crate may pair constraints with columns that they were not made for."""
    constraint = read(document(name, case), "constraint")
    given = frame(case["fit"])
    modelled = constraint.transform(given)
    for table in (given, modelled):
        for cell in ("text", None, 1, 1.5, pd.Timestamp("2020-01-01"), float("inf"), True, ["list"]):
            for column in table.columns:
                values = np.empty(len(table), dtype=object)
                values[:] = [copy.copy(cell) for _ in range(len(table))]
                other = table.assign(**{column: pd.Series(values, index=table.index, dtype=object)})
                for method in (constraint.transform, constraint.reverse_transform, constraint.is_valid):
                    with _only_ours():
                        method(other)
        for column in table.columns:
            for method in (constraint.transform, constraint.reverse_transform, constraint.is_valid):
                with _only_ours():
                    method(table.drop(columns=column))


class _only_ours:
    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        return kind is not None and issubclass(kind, ModelcrateError)


@pytest.mark.parametrize(("name", "case"), FIRST)
def test_an_empty_table_stays_one(name, case):
    constraint = read(document(name, case), "constraint")
    given = frame(case["fit"]).iloc[:0]
    modelled = constraint.transform(given)
    assert len(constraint.reverse_transform(modelled)) == 0
    assert constraint.filter_valid(given).equals(given)


def test_dates_that_leave_the_range_are_missing():
    dates = read({**INEQUALITY, "dtype": "datetime64[ns]"}, "constraint")
    given = pd.DataFrame({"a": [np.datetime64("2262-01-01", "ns"), DAY], "a#b": [43.0, 900.0]})
    assert dates.reverse_transform(given)["b"].isna().tolist() == [True, True]


def test_a_range_whose_bounds_are_swapped_is_clipped_as_pandas_clips():
    swapped = {"type": "range", "low": "a", "middle": "b", "high": "c", "scaled": "b#a#c", "strict": False}
    given = pd.DataFrame({"a": [0.0, 0.0, 0.0], "c": [-2.0, -2.0, 2.0], "b#a#c": [3.728, 0.0, 0.0]})
    found = read({**swapped, "dtype": "float64"}, "constraint").reverse_transform(given)["b"]
    unclipped = pd.Series([-2.0034, -1.0, 1.0])
    assert found.tolist() == unclipped.clip(given["a"], given["c"]).tolist() == [0.0, -2.0, 1.0]


def test_the_order_of_combinations_tells_nothing_about_the_training_rows():
    for case in cases("fixed_combinations"):
        found = translate(read_for_conversion(base64.b64decode(case["pickle"]), name="constraint").root)
        assert found["labels"] == sorted(found["labels"])
        assert set(found) == {"type", "columns", "joint", "labels", "combinations"}
