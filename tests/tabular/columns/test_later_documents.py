"""Documents of intervals, clusters, curves, dates with a zone, missing cells filled at random: strict, and lasting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcrate.errors import FormatError, ModelcrateError, UsageError
from modelcrate.format import schema, values
from modelcrate.format.document import Fields
from modelcrate.tabular.columns import read_table_encoding
from modelcrate.tabular.draws import CounterDraws, LegacyDraws, Reversal

NUMBER = {
    "type": "number", "dtype": "float64", "minimum": None, "maximum": None, "digits": None, "learns_digits": False,
    "missing": None,
}  # fmt: skip
MODES = {
    "type": "mode_specific", "means": np.array([0.0, 10.0]), "deviations": np.array([1.0, 2.0]),
    "used": np.array([True, True]), "scales": np.array([1.0, 0.5]), "offsets": np.array([0.0, 0.0]), "number": NUMBER,
}  # fmt: skip
MISSING = {"fill": None, "flagged": False, "seen": True, "share": 0.25, "between": [0.0, 1.0]}
DATES = {"type": "timestamp", "format": "%Y%m%d", "text": True, "unit": 1, "missing": None, "exact": True}
VALID: dict[str, dict[str, Any]] = {
    "interval": {
        "type": "interval", "categories": ["a", "b", "c"], "ends": np.array([0.5, 0.75, 1.0]), "keeps_missing": False,
    },
    "interval-kept": {"type": "interval", "categories": [], "ends": np.array([]), "keeps_missing": True},
    "label-kept": {"type": "label", "categories": ["a"], "noise": True, "keeps_missing": True},
    "one_hot": {"type": "one_hot", "categories": ["1", 1, None], "dtype": "object"},
    "clusters": {"type": "clusters", "modes": MODES, "missing": MISSING},
    "logit": {"type": "logit", "low": 0.0, "high": 2.0, "number": NUMBER},
    "logarithm": {"type": "logarithm", "constant": -1.0, "below": True, "number": {**NUMBER, "missing": MISSING}},
    "digits": {**DATES, "dtype": "int64", "bounds": [-1.0, 1.7e18]},
    "zone": {**DATES, "format": "%Y-%m-%d %H:%M %z %Z", "zone": {"offset": -3600, "name": "AB"}},
}  # fmt: skip


def encoding(document: dict[str, Any]) -> Any:
    return read_table_encoding(Fields(document, "encoding"))


def state(document: dict[str, Any], outputs: int) -> dict[str, Any]:
    field = {
        "name": "x", "kind": "category", "whole": False, "dtype": "object", "identifiers": None, "anonymiser": None,
    }  # fmt: skip
    column = {"name": "x", "outputs": [f"x{place}" for place in range(outputs)], "encoding": document}
    constraints = {"constraints": [], "applied": []}
    return {"fields": [field], "columns": [column], "constraints": constraints, "primary_key": []}


@pytest.mark.parametrize("name", VALID)
def test_a_document_is_what_its_schema_says_and_survives_its_bytes(name):
    document = VALID[name]
    found = encoding(document)
    schema.validate_state(state(document, found.outputs), "tabular.table/1", "table")
    again = encoding(values.decode(values.encode(document), where="encoding")).to_document()
    assert values.encode(again) == values.encode(document)


INVALID = [
    ("D21-falling", "interval", {"ends": np.array([0.75, 0.5, 1.0])}, "ends"),
    ("D21-above-one", "interval", {"ends": np.array([0.5, 0.75, 1.5])}, "ends"),
    ("D21-short-of-one", "interval", {"ends": np.array([0.25, 0.5, 0.75])}, "ends"),
    ("D21-nan", "interval", {"ends": np.array([0.5, np.nan, 1.0])}, "ends"),
    ("D16-float32", "interval", {"ends": np.array([0.5, 0.75, 1.0], dtype="float32")}, "ends"),
    ("D23-counts", "interval", {"ends": np.array([0.5, 1.0])}, "interval per category"),
    ("D20-none", "interval", {"categories": [], "ends": np.array([])}, "categories"),
    ("D20-twice", "interval", {"categories": ["a", "a", "b"]}, "twice"),
    ("D20-missing-twice", "interval", {"categories": ["a", None, "b"], "keeps_missing": True}, "categories"),
    ("D15-kept", "interval", {"keeps_missing": 1}, "keeps_missing"),
    ("C6-unknown", "interval", {"hook": 1}, "hook"),
    ("D15-kept-label", "label-kept", {"keeps_missing": "no"}, "keeps_missing"),
    ("D16-dtype-one-hot", "one_hot", {"dtype": "int64"}, "dtype"),
    ("D15-dtype-one-hot", "one_hot", {"dtype": None}, "dtype"),
    ("D22-spread", "clusters", {"modes": {**MODES, "deviations": np.array([0.0, 1.0])}}, "deviations"),
    ("D22-other-modes", "clusters", {"modes": {**MODES, "type": "one_hot"}}, "type"),
    ("D15-no-modes", "clusters", {"modes": None}, "modes"),
    ("D21-share", "clusters", {"missing": {**MISSING, "share": 2.0}}, "share"),
    ("D15-between", "clusters", {"missing": {**MISSING, "between": [1.0]}}, "between"),
    ("D15-between-backwards", "clusters", {"missing": {**MISSING, "between": [1.0, 0.0]}}, "between"),
    ("D15-between-nan", "clusters", {"missing": {**MISSING, "between": [float("nan"), 0.0]}}, "between"),
    ("D15-between-and-fill", "clusters", {"missing": {**MISSING, "fill": 1.0}}, "between"),
    ("D22-one-bound", "logit", {"low": 2.0}, "bounds"),
    ("D22-bound-inf", "logit", {"high": float("inf")}, "high"),
    ("D15-number", "logit", {"number": {**NUMBER, "type": "flag"}}, "type"),
    ("D22-constant", "logarithm", {"constant": float("nan")}, "constant"),
    ("D15-below", "logarithm", {"below": None}, "below"),
    ("D16-digits", "digits", {"dtype": "object"}, "dtype"),
    ("D16-digits-of-dates", "digits", {"text": False}, "dtype"),
    ("D15-bounds", "digits", {"bounds": [1.0, 0.0]}, "bounds"),
    ("D15-exact", "digits", {"exact": "yes"}, "exact"),
    ("D15-offset", "zone", {"zone": {"offset": 86400, "name": None}}, "offset"),
    ("D15-zone-name", "zone", {"zone": {"offset": 0, "name": "\x1b[2J"}}, "name"),
]


@pytest.mark.parametrize(
    ("name", "changes", "where"), [each[1:] for each in INVALID], ids=[each[0] for each in INVALID]
)
def test_a_document_that_is_none_is_refused_by_its_field(name, changes, where):
    with pytest.raises(FormatError) as caught:
        encoding({**VALID[name], **changes})
    assert where in str(caught.value)


CELLS = st.text(max_size=4) | st.integers(-5, 5) | st.floats(allow_nan=False)
JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3)


@given(name=st.sampled_from(sorted(VALID)), data=st.data(), junk=JUNK)
@settings(max_examples=150, deadline=None)
def test_junk_in_any_field_is_an_error_of_the_tree_or_a_document(name, data, junk):
    document = dict(VALID[name])
    document[data.draw(st.sampled_from(sorted(document)))] = junk
    try:
        found = encoding(document)
    except ModelcrateError:
        return
    assert encoding(found.to_document()).to_document()["type"] == document["type"]


@given(
    categories=st.lists(CELLS, min_size=1, max_size=6, unique_by=repr),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_a_category_that_is_encoded_comes_back(categories, data):
    widths = np.array(data.draw(st.lists(st.floats(0.1, 1.0), min_size=len(categories), max_size=len(categories))))
    ends = (widths / widths.sum()).cumsum()
    ends[-1] = 1.0
    found = encoding({"type": "interval", "categories": categories, "ends": ends, "keeps_missing": False})
    for value in categories:
        (cell,) = found.forward(value, CounterDraws(1, 2))
        (back,) = found.reverse([np.array([cell])], Reversal(draws=CounterDraws(1, 2)))
        assert back == value


@pytest.mark.parametrize(
    ("given", "document", "wanted"),
    [
        ([1, 1], {"dtype": "object"}, [1, 1]),
        ([1, 1], {}, [1, 1]),
        ([1, 2], {"dtype": "object"}, [1.0, np.nan]),
        ([0, 1], {}, ["1", 1]),
    ],
    ids=["objects", "inferred", "missing-makes-floats", "mixed"],
)
def test_categories_become_objects_only_where_the_document_says_so(given, document, wanted):
    """pandas infers numbers of the values that occur first; 1 beside a missing cell is 1.0 by then."""
    found = encoding({"type": "one_hot", "categories": ["1", 1, None], **document})
    matrix = np.eye(3)[given]
    decoded = found.reverse(list(matrix.T), Reversal(draws=CounterDraws(1, 2)))
    assert decoded.dtype == (object if document or 0 in given else np.int64)
    assert [repr(value) for value in decoded.tolist()] == [repr(value) for value in wanted]


def test_dates_of_a_list_stay_dates_whatever_else_is_in_it():
    moment = np.datetime64("2020-01-02", "ns")
    found = encoding({"type": "one_hot", "categories": [moment, "then"], "dtype": "object"})
    decoded = found.reverse([np.array([1.0]), np.array([0.0])], Reversal(draws=CounterDraws(1, 2)))
    assert [pd.Timestamp(value) for value in decoded] == [pd.Timestamp("2020-01-02")]


def test_an_interval_owns_its_end_and_the_first_its_start():
    found = encoding(VALID["interval"])
    cells = found.reverse(
        [np.array([-1.0, 0.0, 0.5, np.nextafter(0.5, 1), 0.75, 1.0, 7.0, np.nan])], Reversal(draws=CounterDraws(1, 2))
    )
    assert cells[:7].tolist() == ["a", "a", "a", "b", "b", "c", "c"]
    assert np.isnan(cells[7])


def test_missing_cells_are_filled_by_a_number_between_two():
    found = encoding({**VALID["logit"], "number": {**NUMBER, "missing": {**MISSING, "between": [0.5, 1.5]}}})
    (cell,) = found.forward(None, LegacyDraws(np.random.RandomState(3)))
    share = np.random.RandomState(3).random_sample()
    place = 1 / (1 + np.exp(-cell))
    assert (place - 0.025) / 0.95 * 2.0 == pytest.approx(0.5 + share)


def test_a_number_on_the_wrong_side_of_a_curve_is_none():
    with pytest.raises(UsageError, match="below"):
        encoding(VALID["logarithm"]).forward(5.0, CounterDraws(1, 2))
    with pytest.raises(UsageError, match="between"):
        encoding(VALID["logit"]).forward(5.0, CounterDraws(1, 2))


def test_dates_are_written_in_their_zone():
    found = encoding(VALID["zone"])
    moment = pd.Timestamp("2020-03-01 00:30").value
    cells = found.reverse([np.array([float(moment), np.nan])], Reversal(draws=CounterDraws(1, 2)))
    assert cells[0] == "2020-02-29 23:30 -0100 AB"
    assert np.isnan(cells[1])


def test_dates_that_are_numbers_stay_numbers():
    found = encoding(VALID["digits"])
    moment = float(pd.Timestamp("2020-03-01").value)
    cells = found.reverse([np.array([moment, 1e19])], Reversal(draws=CounterDraws(1, 2)))
    assert cells.dtype == np.int64
    assert cells.tolist() == [20200301, 20231114]  # the other one is clipped to 1.7e18 nanoseconds
    assert found.forward(20200301, CounterDraws(1, 2)) == [moment]
    for wrong in (20201341, 1e300, float("inf"), "x", []):
        with pytest.raises(UsageError):
            found.forward(wrong, CounterDraws(1, 2))
