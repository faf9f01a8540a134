"""Known cells as their columns hold them, and what is told before any row is made."""

from __future__ import annotations

import datetime
import decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import modelcrate
from modelcrate.errors import UsageError
from modelcrate.tabular.core import Core

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
MODELS = {
    "mixed": CORPUS / "actgan" / "mixed" / "model.pkl",
    "dates": CORPUS / "actgan" / "dates_auto" / "model.pkl",
    "faker": CORPUS / "actgan" / "faker" / "model.pkl",
    "key": CORPUS / "actgan" / "key_int" / "model.pkl",
    "combos": CORPUS / "actgan" / "constraint_combos" / "model.pkl",
    "made_key": CORPUS / "sdv" / "sdv1_38_5_ctgan_regex_pii" / "model.pkl.xz",
}


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crates")
    loaded = {}

    def made(name):
        if name not in loaded:
            modelcrate.convert(MODELS[name], folder / f"{name}.crate")
            loaded[name] = modelcrate.load(folder / f"{name}.crate")
        return loaded[name]

    return made


@pytest.fixture
def rowless(load, monkeypatch):
    """A model that fails when a row is made."""

    def made(name):
        def refuse(*_):
            raise AssertionError("a row was made")

        monkeypatch.setattr(Core, "block", refuse)
        return load(name)

    return made


@pytest.mark.parametrize("value", [2000, np.int8(100), np.float32(2000.5), decimal.Decimal("2000.25"), True])
def test_a_number_of_any_type_leaves_a_column_of_floats_one(load, value):
    found = load("mixed").sample(3, conditions={"income": value}, seed=1)["income"]
    assert found.dtype == np.float64
    assert found.tolist() == [float(value)] * 3


DAY = pd.Timestamp("2020-08-26")


@pytest.mark.parametrize(
    "value",
    ["2020-08-26", "2020-08-26 00:00:00", datetime.date(2020, 8, 26), DAY.to_pydatetime(), DAY.to_datetime64(), DAY],
)
def test_a_date_may_be_a_text_a_date_or_a_timestamp(load, value):
    found = load("mixed").sample(2, conditions={"signup": value}, seed=1)["signup"]
    assert found.tolist() == [DAY, DAY]
    assert found.dtype == "datetime64[ns]"


def test_a_date_is_written_as_the_texts_of_its_column_are(load):
    for value in ("10/20/2015", datetime.date(2015, 10, 20), pd.Timestamp("2015-10-20")):
        assert load("dates").sample(1, conditions={"d_us": value}, seed=1)["d_us"].tolist() == ["10/20/2015"]


@pytest.mark.parametrize(
    ("name", "cells", "message"),
    [
        ("mixed", {"age": "40"}, "'40' is no number, as int64 has to be.*give 40 itself"),
        ("mixed", {"age": 40.5}, "40.5 is no whole number"),
        ("mixed", {"age": 2**63}, "more than int64 holds"),
        ("mixed", {"age": b"4"}, "no number"),
        ("mixed", {"income": "much"}, "no number"),
        ("mixed", {"income": 10**400}, "more than float64 holds"),
        ("mixed", {"income": DAY}, "no number"),
        ("mixed", {"vip": 2}, "2 is neither true nor false"),
        ("mixed", {"vip": "True"}, "'True' is neither.*give true itself"),
        ("mixed", {"signup": "some day"}, "'some day' is no date"),
        ("mixed", {"signup": 5}, "5 is no date"),
        ("mixed", {"signup": "0001-01-01"}, "is no date"),
        ("mixed", {"signup": DAY.tz_localize("UTC")}, "time zone"),
        ("dates", {"d_iso": 5}, "5 is no date of the format %Y-%m-%d"),
        ("combos", {"country": "USA"}, "'USA' does not occur.*did you mean 'US'"),
        ("combos", {"country": "US", "city": "Nice"}, "country='US' and city='Nice' never occur together"),
    ],
)
@pytest.mark.parametrize("form", ["dict", "frame"])
def test_F17_what_no_row_can_have_is_told_before_any_is_made(rowless, name, cells, message, form):
    synthesizer = rowless(name)
    known = pd.DataFrame({name: pd.Series([cell] * 3, dtype=object) for name, cell in cells.items()})
    with pytest.raises(UsageError, match=message):
        next(synthesizer.sample_batches(3, conditions=known if form == "frame" else cells, seed=1))


@pytest.mark.parametrize(
    ("name", "cells", "message"),
    [
        ("mixed", {"colour": bytearray(b"x")}, "expected one cell, found a bytearray"),
        ("key", {"id": 3}, "a key is different in every row.*give a frame"),
        ("made_key", {"key": "AB0001"}, "a key is different in every row"),
    ],
)
def test_F17_what_several_rows_can_not_have_is_told(rowless, name, cells, message):
    with pytest.raises(UsageError, match=message):
        next(rowless(name).sample_batches(3, conditions=cells, seed=1))


def test_F17_a_frame_of_lists_is_refused(load):
    with pytest.raises(UsageError, match="expected one cell in each row"):
        load("mixed").sample(conditions=pd.DataFrame({"colour": [["red"], ["blue"]]}), seed=1)


@pytest.mark.parametrize(("name", "column", "keys"), [("key", "id", [9, 5, 7]), ("made_key", "key", ["X", "Y", "Z"])])
def test_a_frame_may_give_each_row_its_key(load, name, column, keys):
    found = load(name).sample(conditions=pd.DataFrame({column: keys}, index=list("abc")), seed=1)
    assert found[column].tolist() == keys
    assert found.index.tolist() == list("abc")
    assert found.dtypes.equals(load(name).sample(3, seed=1).dtypes)
    with pytest.raises(UsageError, match=f"the key {keys[0]!r} is in several rows"):
        load(name).sample(conditions=pd.DataFrame({column: [keys[0], *keys]}), seed=1)


def test_known_cells_of_a_column_that_is_made_anew_are_set(load):
    synthesizer = load("faker")
    found = synthesizer.sample(2, conditions={"who": "Me"}, seed=1)
    assert found["who"].tolist() == ["Me", "Me"]
    assert found["who"].dtype == object
    known = pd.DataFrame({"who": ["A", "B"], "c": ["red", "blue"]}, index=[7, 7])
    found = synthesizer.sample(conditions=known, seed=1)
    assert found[["who", "c"]].astype(object).equals(known.astype(object))
    assert found["who"].dtype == object


def test_a_frame_of_pandas_categories_is_taken_by_the_rows_that_it_has(load):
    """Grouping by all that could be there would be nine million groups."""
    known = pd.DataFrame({"state": ["CA", "TX"], "colour": ["red", "blue"]})
    typed = known.astype({name: pd.CategoricalDtype([*known[name], *map(str, range(3000))]) for name in known})
    synthesizer = load("mixed")
    found = synthesizer.sample(conditions=typed, seed=1)
    pd.testing.assert_frame_equal(found, synthesizer.sample(conditions=known, seed=1))
