"""What is read out of a pickle against what Python, NumPy and pandas unpickle, for objects that hypothesis makes."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import fractions
import ipaddress
import math
import pathlib
import pickle
import pickletools
import uuid
import zoneinfo
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import modelcrate
from modelcrate.legacy.record import Name
from modelcrate.legacy.scan import scan
from modelcrate.legacy.values.frames import FrameData, SeriesData
from modelcrate.legacy.values.plain import NamedZone

PROTOCOLS = st.integers(0, 5)
ZONES = (
    st.none()
    | st.just(datetime.timezone.utc)
    | st.timedeltas(datetime.timedelta(hours=-23), datetime.timedelta(hours=23)).map(datetime.timezone)
)
MOMENTS = (
    st.datetimes(timezones=ZONES)
    | st.dates()
    | st.times(timezones=ZONES)
    | st.timedeltas()
    | ZONES
    | st.datetimes(timezones=st.sampled_from(["Europe/Berlin", "UTC", "America/New_York"]).map(zoneinfo.ZoneInfo))
)
NUMBERS = (
    st.integers(-(2**200), 2**200) | st.floats() | st.complex_numbers() | st.decimals() | st.fractions() | st.booleans()
)
TEXTS = st.text(max_size=12) | st.binary(max_size=12) | st.binary(max_size=12).map(bytearray)
ADDRESSES = (
    st.ip_addresses() | st.uuids() | st.sampled_from([pathlib.PurePosixPath("a/b"), pathlib.PureWindowsPath("c:/x")])
)
SINGLE = st.sampled_from([None, ..., NotImplemented, range(3), range(9, 0, -2), slice(1, None, 2), int, dict])
PACKED = st.lists(st.integers(-100, 100), max_size=5).map(lambda items: array.array("h", items)) | st.lists(
    st.floats(), max_size=5
).map(lambda items: array.array("d", items))
ARRAYS = arrays.arrays(
    arrays.scalar_dtypes() | arrays.array_dtypes(max_size=3, allow_subarrays=False),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
KEYS = st.text(max_size=5) | st.integers() | st.tuples(st.text(max_size=3), st.integers(0, 5)) | st.dates() | st.none()
VALUES = st.recursive(
    MOMENTS | NUMBERS | TEXTS | ADDRESSES | SINGLE | PACKED | ARRAYS | ARRAYS.map(lambda made: made.ravel()[:1]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4).map(collections.OrderedDict)
        | st.lists(inner, max_size=4).map(lambda items: collections.deque(items, maxlen=9))
        | st.sets(KEYS, max_size=4)
        | st.frozensets(KEYS, max_size=4)
        | st.lists(KEYS, max_size=5).map(collections.Counter)
        | inner.map(lambda value: [value, value])
        | inner.map(lambda value: np.array([value, None], dtype=object) if not isinstance(value, np.ndarray) else value)
    ),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    """Equal in type and content; NaN equals NaN, a zone by name its original, a class its name."""
    if isinstance(left, Name):
        return isinstance(right, type) and left.name == f"{right.__module__}.{right.__qualname__}"
    if isinstance(left, datetime.datetime) and isinstance(left.tzinfo, NamedZone):
        return str(right.tzinfo) == left.tzinfo.key and left.replace(tzinfo=None) == right.replace(tzinfo=None)
    if isinstance(left, np.ndarray):
        if not isinstance(right, np.ndarray) or left.shape != right.shape:
            return False
        if left.dtype.newbyteorder("=") != right.dtype.newbyteorder("="):
            return False  # NumPy swaps the bytes of numbers from other machines, which changes no value
        if left.dtype == object:
            return all(map(same, left.ravel().tolist(), right.ravel().tolist()))
        return left.astype(right.dtype).tobytes() == right.tobytes()
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or (
            left == right and math.copysign(1, left) == math.copysign(1, right)
        )
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, decimal.Decimal):
        return str(left) == str(right)
    if isinstance(left, array.array):
        return left.typecode == right.typecode and left.tobytes() == right.tobytes()
    if isinstance(left, (list, tuple, collections.deque)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(map(repr, left)) == list(map(repr, right)) and all(map(same, left.values(), right.values()))
    return bool(left == right)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(VALUES, PROTOCOLS, st.booleans())
def test_what_is_read_is_what_is_unpickled(value: object, protocol: int, optimised: bool) -> None:
    data = pickle.dumps(value, protocol)
    if optimised:
        data = pickletools.optimize(data)
    found, wanted = modelcrate.read_legacy(data), pickle.loads(data)
    assert same(found, wanted), (found, wanted)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(VALUES, PROTOCOLS)
def test_plain_values_are_data(value: object, protocol: int) -> None:
    report = scan(pickle.dumps(value, protocol))
    assert report.verdict == "data", [finding.to_dict() for finding in report.findings][:3]


# -- pandas


def cells(column: object) -> list[object]:
    """A column as comparable values: None where missing, moments as 64-bit numbers."""
    numbers = getattr(column, "values", column)
    if isinstance(numbers, np.ndarray) and numbers.dtype.kind in "mM":
        return [None if np.isnat(cell) else int(cell.astype("int64")) for cell in numbers]
    found = column.tolist()  # type: ignore[attr-defined]
    return [None if _missing(cell) else cell for cell in found]


def _missing(cell: object) -> bool:
    return cell is None or str(cell) in ("Missing.NA", "Missing.NAT") or (isinstance(cell, float) and math.isnan(cell))


def original_cells(column: pd.Series[Any]) -> list[object]:
    if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind in "mM":
        return [None if pd.isna(cell) else int(cell) for cell in column.astype("int64").where(column.notna(), None)]
    if isinstance(column.dtype, pd.PeriodDtype):
        return [cell.ordinal for cell in column]
    return [None if pd.isna(cell) else cell for cell in column.tolist()]


FRAME_COLUMNS = st.fixed_dictionaries(
    {},
    optional={
        "int": st.just("int64"), "small": st.just("int8"), "float": st.just("float32"), "bool": st.just("bool"),
        "Int": st.just("Int64"), "UInt": st.just("UInt8"), "Float": st.just("Float64"), "boolean": st.just("boolean"),
        "string": st.just("string"), "text": st.just("object"), "category": st.just("category"),
        "zoned": st.just("datetime64[ns, Europe/Berlin]"), "moment": st.just("datetime64[ns]"),
        "span": st.just("timedelta64[ns]"), "period": st.just("period[M]"),
    },
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FRAME_COLUMNS, st.lists(st.integers(0, 100) | st.none(), min_size=1, max_size=6), PROTOCOLS)
def test_columns_of_frames_hold_what_pandas_holds(
    dtypes: dict[str, str], numbers: list[int | None], protocol: int
) -> None:
    def column(dtype: str) -> pd.Series[Any]:
        if dtype in ("Int64", "UInt8", "Float64"):
            return pd.Series(pd.array(numbers, dtype=dtype))  # type: ignore[call-overload]
        if dtype == "boolean":
            return pd.Series([None if n is None else n > 50 for n in numbers], dtype="boolean")
        if dtype in ("string", "object", "category"):
            return pd.Series([None if n is None else f"w{n}" for n in numbers], dtype=dtype)  # type: ignore[call-overload]
        whole = [n or 0 for n in numbers]
        if dtype.startswith(("datetime", "period")):
            days = pd.to_datetime(whole, unit="D")
            if dtype.startswith("period"):
                return pd.Series(days.to_period("M"))
            return pd.Series(days.tz_localize("Europe/Berlin") if "Berlin" in dtype else days)
        return (
            pd.Series(pd.to_timedelta(whole, unit="s")) if dtype.startswith("time") else pd.Series(whole).astype(dtype)
        )  # type: ignore[call-overload]

    frame = pd.DataFrame({name: column(dtype) for name, dtype in dtypes.items()}, index=range(len(numbers)))
    found = modelcrate.read_legacy(pickle.dumps(frame, protocol))
    assert isinstance(found, FrameData)
    assert [label for label, _ in found.columns] == list(frame.columns)
    assert list(found.index.labels()) == list(frame.index)
    for name, held in found.columns:
        assert cells(held) == original_cells(frame[name]), name


ROWS = 3
DAYS = pd.date_range("2020-01-30", periods=ROWS, freq="D")
INDEXES: dict[str, pd.Index[Any]] = {
    "range": pd.RangeIndex(1, 7, 2, name="r"),
    "int": pd.Index([3, 1, 2], dtype="int64"),
    "uint": pd.Index([3, 1, 2], dtype="uint8"),
    "float": pd.Index([0.5, 1.5, 2.5]),
    "text": pd.Index(["a", "b", "c"], name=("x", 1)),
    "object": pd.Index(["a", 1, 2.5], dtype=object),
    "bool": pd.Index([True, False, True]),
    "moments": DAYS,
    "zoned": DAYS.tz_localize("Europe/Berlin"),
    "spans": pd.to_timedelta([1, 2, 3], unit="s"),
    "periods": pd.period_range("2020-01", periods=ROWS, freq="M"),
    "category": pd.CategoricalIndex(["u", "v", "u"], ordered=True),
    "intervals": pd.interval_range(0, ROWS, closed="both"),
    "pairs": pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("a", 2)], names=["k", None]),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", INDEXES)
def test_every_kind_of_index(name: str, protocol: int) -> None:
    index = INDEXES[name]
    held = modelcrate.read_legacy(pickle.dumps(pd.Series(range(ROWS), index=index), protocol))
    assert isinstance(held, SeriesData)
    found = held.index
    assert len(found) == ROWS
    if name == "intervals":
        assert [interval.parts for interval in found.labels()] == [  # type: ignore[attr-defined]
            (cell.left, cell.right, cell.closed) for cell in index
        ]
        return
    if name in ("moments", "zoned", "spans"):
        assert cells(found.values) == index.asi8.tolist()  # type: ignore[attr-defined]
        return
    if name == "periods":
        assert cells(found.values) == [period.ordinal for period in index]
        return
    assert list(found.labels()) == index.tolist()
    assert found.name == (tuple(index.names) if name == "pairs" else index.name)


def test_shared_values_stay_shared_across_kinds() -> None:
    numbers = np.arange(4)
    moment = datetime.datetime(2020, 1, 2, tzinfo=zoneinfo.ZoneInfo("UTC"))
    for protocol in range(6):
        found = modelcrate.read_legacy(pickle.dumps([numbers, numbers, moment, moment, {"n": numbers}], protocol))
        assert found[0] is found[1]
        assert found[0] is found[4]["n"]
        assert found[2] == found[3]


def test_values_that_hold_themselves_are_read() -> None:
    loop: dict[str, Any] = {"items": []}
    loop["items"].append((loop, loop["items"]))
    for protocol in range(6):
        found = modelcrate.read_legacy(pickle.dumps(loop, protocol))
        assert found["items"][0][0] is found
        assert found["items"][0][1] is found["items"]


def test_addresses_and_fractions_by_hand() -> None:
    wanted = [ipaddress.ip_address("::1"), ipaddress.ip_address("1.2.3.4"), fractions.Fraction(1, 3), uuid.UUID(int=5)]
    for protocol in range(6):
        assert modelcrate.read_legacy(pickle.dumps(wanted, protocol)) == wanted
