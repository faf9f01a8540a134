"""Columns whose cells lie in Arrow's buffers, and arrays that lie between the opcodes of a joblib file."""

from __future__ import annotations

import datetime
import decimal
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tagged import CORPUS

import modelcrate
from modelcrate.errors import FormatError
from modelcrate.legacy.context import Context
from modelcrate.legacy.machine import read_pickle
from modelcrate.legacy.scan import scan
from modelcrate.legacy.values.arrow import typed_column
from modelcrate.legacy.values.extension import ExtensionData
from modelcrate.legacy.values.frames import FrameData, SeriesData

DAY = datetime.datetime(2020, 1, 2, 3, 4, 5, 6)
COLUMNS: dict[str, tuple[pa.DataType, list[Any]]] = {
    **{f"{sign}int{bits}": (getattr(pa, f"{sign}int{bits}")(), [1, None, 3])
       for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "half": (pa.float16(), [np.float16(0.5), None]),
    "float": (pa.float32(), [0.5, None, -1.0]),
    "double": (pa.float64(), [0.1, None]),
    "bool": (pa.bool_(), [True, None, False] * 7),
    "string": (pa.string(), ["a", None, "ü", ""]),
    "large_string": (pa.large_string(), ["a", None]),
    "binary": (pa.binary(), [b"a", None, b""]),
    "timestamp": (pa.timestamp("us"), [DAY, None]),
    "zoned": (pa.timestamp("us", "Europe/Berlin"), [DAY.replace(tzinfo=datetime.timezone.utc), None]),
    "date32": (pa.date32(), [DAY.date(), None]),
    "date64": (pa.date64(), [DAY.date(), None]),
    "time": (pa.time64("us"), [DAY.time(), None]),
    "duration": (pa.duration("s"), [datetime.timedelta(1), None]),
    "decimal": (pa.decimal128(5, 2), [decimal.Decimal("-1.25"), None]),
    "null": (pa.null(), [None, None]),
}  # fmt: skip


def plain(value: Any) -> Any:
    """A moment as the number that Arrow keeps."""
    if isinstance(value, datetime.datetime):
        value = value.astimezone(datetime.timezone.utc) if value.tzinfo else value
        return int((value.replace(tzinfo=None) - datetime.datetime(1970, 1, 1)) / datetime.timedelta(microseconds=1))
    if isinstance(value, datetime.date):
        return value
    if isinstance(value, datetime.time):
        return datetime.datetime.combine(datetime.date.min, value) - datetime.datetime.min
    return value


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", COLUMNS)
def test_arrow_columns_of_every_flat_type(name: str, protocol: int) -> None:
    kind, cells = COLUMNS[name]
    column = pd.Series(pd.array(cells, dtype=pd.ArrowDtype(kind)))
    for part in (column, column[1:], column[:0], pd.concat([column, column])):
        data = pickle.dumps(part, protocol)
        assert scan(data).verdict == "data"
        held = modelcrate.read_legacy(data)
        assert isinstance(held, SeriesData)
        values = held.values
        assert isinstance(values, ExtensionData)
        assert values.mask is not None
        wanted = part.array._pa_array.to_pylist()  # type: ignore[attr-defined]
        assert values.mask.tolist() == [cell is None for cell in wanted]
        found = values.values
        if found.dtype.kind == "M" and not name.startswith("date"):
            found = found.astype("int64")
        listed = [cell for cell, gone in zip(found.tolist(), values.mask, strict=True) if not gone]
        if name == "date64":
            listed = [cell.date() for cell in listed]
        assert listed == [plain(cell) for cell in wanted if cell is not None]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.dictionary(pa.int8(), pa.string())], ids=str
)
def test_nested_arrow_columns_are_described_and_still_data(kind: pa.DataType) -> None:
    cells: list[Any] = [[1], None] if pa.types.is_list(kind) else [{"a": 1}] if pa.types.is_struct(kind) else ["x"]
    data = pickle.dumps(pd.Series(pd.array(cells, dtype=pd.ArrowDtype(kind))))
    assert scan(data).verdict == "data"
    assert modelcrate.read_legacy(data).class_name.endswith("Series")


def test_buffers_that_are_too_short_are_broken() -> None:
    data = pickle.dumps(pa.chunked_array([pa.array([1, 2, 3])]), 5)
    assert b"\x03\x00\x00" in data
    node = read_pickle(data).root
    assert typed_column(node, Context(size=len(data)), "column").values.tolist() == [1, 2, 3]
    chunk = node.args[0][0]  # type: ignore[attr-defined]
    for place, value in ((1, 4), (3, 2**39), (1, -1), (3, -1)):
        parts = list(chunk.args[0])
        parts[place] = value
        chunk.args, kept = (tuple(parts),), chunk.args
        with pytest.raises(FormatError):
            typed_column(node, Context(size=len(data)), "column")
        chunk.args = kept


FILES = sorted((CORPUS / "values").glob("joblib_objects_*.joblib"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_joblib_arrays_of_every_kind(path: Any) -> None:
    assert len(FILES) == 4
    assert scan(path).verdict == "data"
    found = modelcrate.read_legacy(path)
    assert np.array_equal(found["numbers"], np.arange(6.0).reshape(2, 3))
    assert found["columns"].flags.f_contiguous
    assert found["columns"].dtype == "f4"
    assert found["objects"].tolist() == [1, "x", None]
    assert found["texts"].tolist() == ["a", "bb"]
    assert found["empty"].shape == (0, 2)
    assert found["rows"].dtype.names == ("a", "b")
    frame = found["frame"]
    assert isinstance(frame, FrameData)
    assert {label: column.tolist() for label, column in frame.columns} == {
        "a": [1, 2], "b": ["x", "y"], "c": [0.5, 1.5],
    }  # fmt: skip
    assert np.array_equal(found["same"][0], found["numbers"])
