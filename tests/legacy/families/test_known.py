"""Cells and names as NumPy's own scalars: tables are made of arrays, and pandas keeps what it is given."""

from __future__ import annotations

import datetime
import pickle

import numpy as np
import pandas as pd
import pytest

from modelcrate.errors import UnsupportedError
from modelcrate.legacy.context import Context
from modelcrate.legacy.families.known import cell, cells
from modelcrate.legacy.families.sdv1_formats import bounded, plain_format
from modelcrate.legacy.machine import read_pickle
from modelcrate.legacy.values.dtypes import DtypeData
from modelcrate.legacy.view import View


def of(value: object) -> View:
    data = pickle.dumps(value, 4)
    return View(read_pickle(data).root, "Model", Context(size=len(data)))


def test_texts_of_numpy_are_texts_as_cells_as_names_and_as_keys() -> None:
    text = np.array(["café"])[0]
    assert type(cell(of(text))) is str
    assert cell(of(text)) == "café"
    assert [type(each) for each in cells([text, 1.5], "here")] == [str, float]
    assert type(of(text).text()) is str
    assert {key: type(key) for key in of({text: 1}).mapping()} == {"café": str}


def test_numbers_of_numpy_stay_what_they_are() -> None:
    assert type(cell(of(np.int8(3)))) is np.int8


def test_moments_that_are_categories_stay_moments() -> None:
    days = pd.Series(pd.to_datetime(["2020-01-02", "2020-01-01"])).astype("datetime64[ns]").astype("category")
    found = of(days.dtype).value()
    assert found.categories == [np.datetime64("2020-01-01", "ns"), np.datetime64("2020-01-02", "ns")]
    assert all(isinstance(each, np.datetime64) for each in found.categories)


def test_moments_of_utc_are_cells_and_other_values_of_pandas_are_told_by_their_kind() -> None:
    moment = pd.Timestamp("2020-01-02 03:04:05.678901", tz="UTC")
    assert cell(of(moment)) == moment.to_pydatetime()
    assert cell(of(moment)).tzinfo == datetime.timezone.utc
    for value, told in ((moment.tz_convert("Asia/Tokyo"), "Timestamp 2020.*Asia/Tokyo"), (pd.Period("2020"), "Period")):
        with pytest.raises(UnsupportedError, match=f"the pandas {told}"):
            cell(of(value))
        with pytest.raises(UnsupportedError, match=f"the pandas {told}"):
            cells([of(value).value()], "here")


def test_bounds_in_universal_time_are_bounds_and_a_column_of_another_zone_says_what_to_do() -> None:
    form = {"kind": "date", "dtype": "datetime64[ns, UTC]", "minimum": None, "maximum": None, "pattern": None}
    days = tuple(pd.Timestamp(day, tz="UTC").as_unit("ns") for day in ("2020-01-01", "2020-02-01"))
    found = bounded(form, of(days))
    assert found["minimum"] == np.datetime64("2020-01-01", "ns")
    assert found["maximum"] == np.datetime64("2020-02-01", "ns")
    with pytest.raises(UnsupportedError, match=r"Europe/Paris.*train on dates in UTC"):
        plain_format(DtypeData(name="datetime64[ns, Europe/Paris]"), "model")
