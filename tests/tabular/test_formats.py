"""How cells are written in the end: clipped, rounded, as dates of a pattern, in dtypes that pandas alone has."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from modelcrate.errors import FormatError
from modelcrate.format import schema, values
from modelcrate.format.document import Fields
from modelcrate.tabular.cells import Categories
from modelcrate.tabular.dates import precision, to_moments
from modelcrate.tabular.formats import CellFormat, Stage

NAT = np.datetime64("NaT", "ns")


def number(dtype: str, **given) -> CellFormat:
    return CellFormat(kind="number", dtype=dtype, **given)


def written(form: CellFormat, cells) -> pd.Series:
    given = cells if isinstance(cells, np.ndarray) else np.array(cells)
    return form.write(pd.Series(given, index=range(5, 5 + len(given)), dtype=given.dtype))


def test_numbers_are_clipped_then_rounded_and_keep_their_labels():
    found = written(number("float64", minimum=0.0, maximum=2.0, digits=1), [-1.0, 1.26, np.nan, 9.0])
    assert found.index.tolist() == [5, 6, 7, 8]
    assert found.dtype == "float64"
    np.testing.assert_array_equal(found, [0.0, 1.3, np.nan, 2.0])


def test_whole_numbers_with_missing_ones_among_them_become_floats_and_without_stay_whole():
    assert written(number("int64"), [1.4, 2.6]).tolist() == [1, 3]
    found = written(number("int64"), [1.4, np.nan])
    assert found.dtype == "float64"
    np.testing.assert_array_equal(found, [1.0, np.nan])


def test_negative_digits_round_before_the_point():
    assert written(number("int64", digits=-2), [149.0, 151.0]).tolist() == [100, 200]


@pytest.mark.parametrize("dtype", ["Int16", "UInt8", "Int64", "Float64", "Float32"])
def test_nullable_numbers_come_back_with_na(dtype):
    found = written(number(dtype, maximum=50), [1.0, np.nan, 60.0])
    assert str(found.dtype) == dtype
    assert found[6] is pd.NA
    assert [found[5], found[7]] == [1, 50]


def test_nullable_booleans_texts_and_categories():
    cells = np.array([True, np.nan, False], dtype=object)
    flags = written(CellFormat(kind="plain", dtype="boolean"), cells)
    assert str(flags.dtype) == "boolean"
    assert flags.tolist() == [True, pd.NA, False]
    texts = written(CellFormat(kind="plain", dtype="string"), np.array(["a", np.nan], dtype=object))
    assert str(texts.dtype) == "string"
    assert texts[6] is pd.NA
    form = CellFormat(kind="plain", dtype="category", categories=Categories(("S", "M")), ordered=True)
    sizes = written(form, np.array(["M", np.nan, "S"], dtype=object))
    assert sizes.cat.categories.tolist() == ["S", "M"]
    assert sizes.cat.ordered
    assert sizes.cat.codes.tolist() == [1, -1, 0]


def test_truth_values_stay_objects_only_where_some_are_missing():
    plain = CellFormat(kind="plain", dtype="bool")
    assert written(plain, np.array([True, False], dtype=object)).dtype == bool
    assert written(plain, np.array([True, np.nan], dtype=object)).dtype == object


def test_dates_are_written_by_their_pattern_after_they_were_clipped():
    moments = np.array(["2020-01-05T10:11:12", "NaT", "2020-03-01T00:00:00"], dtype="datetime64[ns]")
    form = CellFormat(kind="date", dtype="object", pattern="%d/%m/%Y", maximum=np.datetime64("2020-02-01", "ns"))
    found = written(form, moments)
    assert found.dtype == object
    assert found[5] == "05/01/2020"
    assert np.isnan(found[6])
    assert found[7] == "01/02/2020"


def test_a_pattern_cuts_moments_off_to_what_it_tells():
    moments = np.array(["2020-01-05T10:11:12"], dtype="datetime64[ns]")
    found = written(CellFormat(kind="date", dtype="datetime64[ns]", pattern="%Y-%m-%d"), moments)
    assert found[5] == pd.Timestamp("2020-01-05")
    whole = written(CellFormat(kind="date", dtype="datetime64[us]", pattern=None), moments)
    assert str(whole.dtype) == "datetime64[us]"
    assert whole[5] == pd.Timestamp("2020-01-05T10:11:12")


def test_moments_of_universal_time_get_their_zone_back():
    moments = np.array(["2020-01-05T10:11:12", "NaT"], dtype="datetime64[ns]")
    for kind in ("date", "plain"):
        found = written(CellFormat(kind=kind, dtype="datetime64[us, UTC]"), moments)
        assert str(found.dtype) == "datetime64[us, UTC]"
        assert found[5] == pd.Timestamp("2020-01-05T10:11:12Z")
        assert CellFormat(kind=kind, dtype="datetime64[us, UTC]").write(found).equals(found)


def test_texts_that_are_dates_already_stay_as_they_are():
    cells = np.array(["07/02/2021", np.nan], dtype=object)
    found = written(CellFormat(kind="date", dtype="object", pattern="%d/%m/%Y"), cells)
    assert found[5] == "07/02/2021"
    assert np.isnan(found[6])


def test_texts_that_are_dates_keep_the_dtype_of_texts_and_lose_their_zone_where_they_are_clipped():
    cells = np.array(["07/02/2021", np.nan], dtype=object)
    found = written(CellFormat(kind="date", dtype="string", pattern="%d/%m/%Y"), cells)
    assert str(found.dtype) == "string"
    assert found.tolist() == ["07/02/2021", pd.NA]
    bounds = {"minimum": np.datetime64("2020-01-01", "ns"), "maximum": np.datetime64("2020-02-01", "ns")}
    zoned = CellFormat(kind="date", dtype="object", pattern="%Y-%m-%d%z", **bounds)
    assert written(zoned, np.array(["2020-01-05+0200"], dtype=object)).tolist() == ["2020-01-05"]


@pytest.mark.parametrize("dtype", ["int64", "Int64", "float64"])
def test_dates_that_are_numbers_keep_their_digits_and_their_dtype(dtype):
    found = written(CellFormat(kind="date", dtype=dtype, pattern="%Y%m%d"), np.array([20200131, 20191103]))
    assert str(found.dtype) == dtype
    assert found.tolist() == [20200131, 20191103]


def test_moments_are_found_among_categories_and_are_timestamps_among_objects():
    days = [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-02")]
    moments = np.array(["2020-01-02", "NaT", "2020-01-01", "2021-01-01"], dtype="datetime64[ns]")
    form = CellFormat(kind="plain", dtype="category", categories=Categories(tuple(days)), ordered=False)
    assert written(form, moments).cat.codes.tolist() == [1, -1, 0, -1]
    assert written(CellFormat(kind="plain", dtype="object"), moments)[5] == days[1]


def test_cells_of_another_kind_are_an_error_of_this_library():
    with pytest.raises(FormatError):
        written(number("int64"), np.array(["x"], dtype=object))


def test_none_is_kept_apart_from_nan_only_where_asked():
    cells = np.array([None, "a"], dtype=object)
    assert written(CellFormat(kind="plain", dtype="object", nones=True), cells)[5] is None
    assert np.isnan(written(CellFormat(kind="plain", dtype="object"), cells)[5])


def test_a_stage_orders_columns_and_leaves_out_what_a_frame_has_not():
    stage = Stage(columns=(("b", number("int64")), ("gone", number("int64")), ("a", number("float64", digits=0))))
    frame = stage.write(pd.DataFrame({"a": [1.4], "b": [2.0], "c": ["x"]}))
    assert frame.columns.tolist() == ["b", "a"]
    assert frame.iloc[0].tolist() == [2, 1.0]


FORMATS = [
    CellFormat(kind="plain", dtype="object", nones=True),
    number("Int64", minimum=-3, maximum=2**63, digits=2),
    number("float64", minimum=-0.5, maximum=None),
    CellFormat(kind="date", dtype="datetime64[ns]", minimum=np.datetime64("2020-01-01", "ns")),
    CellFormat(kind="date", dtype="object", pattern="%d %b %Y"),
    CellFormat(kind="plain", dtype="category", categories=Categories((1, "x", 2.5)), ordered=False),
]


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.dtype)
def test_documents_come_back_and_their_schema_accepts_them(form):
    document = values.decode(values.encode(form.to_document()), where="format")
    schema.validate(schema.project(document), "tabular.format", "format")
    again = CellFormat.from_document(Fields(document, "format"))
    assert again.to_document() == form.to_document()


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ({"kind": "plain"}, "missing"),
        ({"kind": "plain", "dtype": "complex64"}, "complex64"),
        ({"kind": "plain", "dtype": "int64", "digits": 2}, "digits"),
        ({"kind": "number", "dtype": "int64", "minimum": None, "maximum": None, "digits": 99}, "between"),
        ({"kind": "number", "dtype": "int64", "minimum": float("inf"), "maximum": None, "digits": 0}, "finite"),
        ({"kind": "number", "dtype": "int64", "minimum": "0", "maximum": None, "digits": 0}, "float"),
        ({"kind": "date", "dtype": "object", "minimum": 3, "maximum": None, "pattern": None}, "datetime64"),
        ({"kind": "date", "dtype": "object", "minimum": NAT, "maximum": None, "pattern": None}, "datetime64"),
        ({"kind": "date", "dtype": "object", "minimum": None, "maximum": None, "pattern": "%90000Y"}, "date format"),
        ({"kind": "plain", "dtype": "category"}, "missing"),
        ({"kind": "plain", "dtype": "category", "categories": ["a", "a"], "ordered": False}, "twice"),
    ],
)
def test_documents_that_say_nothing_sensible_are_refused(document, what):
    with pytest.raises(FormatError, match=what):
        CellFormat.from_document(Fields(document, "format"))


def test_dates_of_a_pattern_are_read_by_it_and_what_is_none_is_missing():
    cells = np.array(["01/02/2020", "2020-05-06", None, float("nan")], dtype=object)
    found = to_moments(cells, "%d/%m/%Y")
    assert found[0] == np.datetime64("2020-02-01", "ns")
    assert np.isnat(found[1:]).all()
    zoned = to_moments(np.array(["2020-01-01 00:00:00+02:00"], dtype=object), None)
    assert zoned.dtype == "datetime64[ns]"


@pytest.mark.parametrize(("pattern", "level"), [("%Y", 1), ("%d.%m.%y", 3), ("%-d %H:%M", 5), ("%Y %f", 7), ("x", 0)])
def test_the_finest_part_of_a_pattern(pattern, level):
    assert precision(pattern) == level
