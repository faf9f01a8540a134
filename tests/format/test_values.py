"""State values: every one has one byte form, and every byte string is either that form or refused."""

from __future__ import annotations

import dataclasses
import math
import os
import struct
import sys
import tracemalloc
from collections import OrderedDict
from datetime import date, datetime, timedelta, timezone
from datetime import time as time_of_day
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from effort import within
from modelcrate.errors import FormatError, LimitError, ModelcrateError, UnsupportedError, UsageError
from modelcrate.format import values
from modelcrate.format.extensions import DTYPE_SIZES
from modelcrate.format.values import Missing, Zone, decode, decode_state, encode
from modelcrate.limits import DEFAULT

VECTORS = Path(__file__).resolve().parents[2] / "spec" / "vectors"

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
OFFSETS = st.integers(-86399, 86399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
ZONES = st.none() | OFFSETS | st.sampled_from([Zone("Europe/Madrid"), Zone("UTC"), Zone("Etc/GMT+5")])
ARRAYS = st.sampled_from(sorted(DTYPE_SIZES)).flatmap(
    lambda name: st_numpy.arrays(np.dtype(name), st_numpy.array_shapes(max_dims=3, min_side=0, max_side=4))
)
SCALARS = ARRAYS.filter(lambda array: array.size > 0).map(lambda array: array.reshape(-1)[0])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | TEXT
    | st.binary(max_size=40)
    | st.datetimes(timezones=ZONES.filter(lambda zone: not isinstance(zone, Zone)) | st.none())
    | st.builds(lambda moment, zone: moment.replace(tzinfo=zone), st.datetimes(), ZONES)
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals()
    | st.sampled_from(Missing)
    | ARRAYS
    | SCALARS
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5))


def same(one: object, other: object) -> bool:
    """Equal in type, value and bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray | np.generic):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, Decimal):
        return str(one) == str(other)
    if isinstance(one, datetime | time_of_day):
        return one.replace(tzinfo=None) == other.replace(tzinfo=None) and (one.tzinfo, one.fold) == (
            other.tzinfo,
            other.fold,
        )
    return one == other


@given(VALUES)
def test_a_value_reads_back_with_type_and_bits(value):
    data = encode(value)
    assert same(decode(data, where="state"), value)
    assert encode(decode(data, where="state")) == data


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | TEXT
    | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(TEXT, inner, max_size=20),
)


@given(PLAIN)
def test_plain_values_are_what_msgpack_itself_writes_and_reads(value):
    msgpack = pytest.importorskip("msgpack", reason="msgpack is the reference that only tests need")
    data = encode(value)
    assert same(msgpack.unpackb(data, strict_map_key=True, max_str_len=10**6), value)
    assert data == msgpack.packb(sort_keys(value))


def sort_keys(value: object) -> object:
    if isinstance(value, dict):
        return {key: sort_keys(value[key]) for key in sorted(value)}
    return [sort_keys(item) for item in value] if isinstance(value, list) else value


@given(VALUES, st.integers(0, 10_000), st.binary(min_size=0, max_size=2))
def test_D14_any_bytes_are_refused_or_the_one_form_of_a_value(value, place, junk):
    data = bytearray(encode(value))
    data[place % len(data) : place % len(data) + 1] = junk
    try:
        found = decode(bytes(data), where="state")
    except ModelcrateError:
        return
    assert encode(found) == data


@given(st.binary(max_size=64))
def test_random_bytes_raise_nothing_foreign(data):
    try:
        found = decode(data, where="state")
    except ModelcrateError:
        return
    assert encode(found) == data


@pytest.mark.parametrize("name", ["arrays", "moments", "large-integers", "texts", "map-order", "sixteen-keys"])
def test_D11_a_document_cut_short_anywhere_is_refused(name):
    data = (VECTORS / f"valid/state/{name}.msgpack").read_bytes()
    for length in range(len(data)):
        with pytest.raises(FormatError):
            decode_state(data[:length], where="state")


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": (1, 2)}, "state.a"),
        ({"a": [{"b": {3}}]}, "state.a[0].b"),
        ({"a": [0, Text("x")]}, "state.a[1]"),
        ({"a": np.str_("x")}, "state.a"),
        ({"a": OrderedDict()}, "state.a"),
        ({1: 2}, "state"),
        ({"a": np.array(["x"])}, "state.a"),
        ({"a": np.array([None])}, "state.a"),
        ({"a": np.array(1.0)}, "state.a"),
        ({"a": np.zeros((1,) * 9)}, "state.a"),
        ({"a": np.zeros(2, [("x", "f8")])}, "state.a"),
        ({"a": np.array([1], "M8[25s]")}, "state.a"),
        ({"a": np.array([1], "m8")}, "state.a"),
        ({"a": np.zeros(1, np.longdouble)}, "state.a"),
        ({"a": np.ma.array([1])}, "state.a"),
        ({"a": object()}, "state.a"),
        ({"a": "\ud800"}, "state.a"),
        ({"\ud800": 1}, "state.\ud800"),
        ({"a": bytearray(b"x")}, "state.a"),
        ({"a": 2**9000}, "state.a"),
        ({"a": timezone.utc}, "state.a"),
        ({"a": datetime(2020, 1, 1, tzinfo=timezone(timedelta(microseconds=1)))}, "state.a"),
        ({"a": time_of_day(1, tzinfo=ZoneInfo("UTC"))}, "state.a"),
    ],
    ids=lambda value: str(value).split(" at 0x")[0][:30].encode("ascii", "backslashreplace").decode(),
)
def test_what_is_not_in_the_set_is_refused_with_its_path(value, path):
    with pytest.raises(UsageError) as caught:
        encode(value)
    assert caught.value.where == path.replace("\ud800", "\\ud800")


def test_D24_no_object_array_is_ever_written():
    with pytest.raises(UsageError, match="object"):
        encode(np.array([object()]))


def test_arrays_of_any_layout_have_the_same_bytes():
    array = np.arange(12, dtype="<i4").reshape(3, 4)
    for other in (np.asfortranarray(array), array.astype(">i4"), np.repeat(array, 2, axis=0)[::2], array[::-1][::-1]):
        assert encode(other) == encode(array)


def test_an_array_owns_its_memory():
    data = bytearray(encode({"a": np.arange(4.0)}))
    array = decode(data, where="state")["a"]
    array[0] = 7
    data[-1] = 0xFF
    assert array.tolist() == [7, 1, 2, 3]
    assert array.flags.aligned


def test_a_boolean_with_another_byte_is_written_as_true():
    odd = np.frombuffer(b"\x00\x01\x02", bool)
    assert decode(encode(odd), where="state").tobytes() == b"\0\1\1"


def test_G1_a_zone_is_not_looked_up_while_it_is_read():
    opened: list[str] = []
    data = encode(
        {
            "a": datetime(2020, 7, 1, tzinfo=ZoneInfo("Europe/Madrid")),
            "b": datetime(2020, 1, 1, tzinfo=Zone("No/Where")),
        }
    )
    zoned = decode(data, where="state")
    sys.addaudithook(lambda name, args: opened.append(str(args[0])) if name == "open" and recording else None)
    recording = True
    again = decode(data, where="state")
    recording = False
    assert opened == []
    assert same(again, zoned)
    assert zoned["a"].utcoffset() == timedelta(hours=2)
    with pytest.raises(UnsupportedError):
        zoned["b"].utcoffset()


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd" + struct.pack(">I", 20_000_000) + b"\xc0" * 20_000_000,
        b"\xdd" + struct.pack(">I", 5_000_000) + b"\x80" * 5_000_000,
        b"\xdd" + struct.pack(">I", 5_000_000) + b"\x90" * 5_000_000,
        b"\x91" * 1_000_000,
        (b"\xdd" + struct.pack(">I", 900_000)) * 3 + b"\x00" * 1_000_000,
        b"\xdb" + struct.pack(">I", 65 << 20) + b"x" * (65 << 20),
        b"\xdb" + struct.pack(">I", 17 << 20) + "😀".encode() + b"x" * ((17 << 20) - 4),
        bytes(DEFAULT.state_bytes + 1),
    ],
    ids=["D8-nil", "D8-maps", "D8-lists", "D6-depth", "D9-lengths", "text", "wide-text", "size"],
)
def test_D8_a_flood_is_refused_by_a_limit_before_it_is_built(data):
    def refused():
        with pytest.raises(LimitError):
            decode(data, where="state")

    tracemalloc.start()
    within(5.0, refused)  # with the memory looked at, which takes longer
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - len(data) < 256 << 20


def worst(limits: object, unit: bytes, cost: int) -> bytes:
    count = (DEFAULT.state_items - 2) // cost
    return b"\xdd" + struct.pack(">I", count) + unit * count


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize(
    ("unit", "cost"),
    [
        (b"\x80", 5),
        (b"\x90", 2),
        (b"\x81\xa1a\xc0", 7),
        (b"\x91\xa2ab", 3),
        (b"\xcb\x3f\xf8\0\0\0\0\0\0", 1),
        (b"\xd4\x09\x01", 2),
    ],
    ids=["maps", "lists", "small-maps", "small-lists", "floats", "missing"],
)
def test_H14_the_costliest_documents_within_the_limits_stay_below_256_MiB(unit, cost):
    data = worst(DEFAULT, unit, cost)
    before = resident()
    found = decode(data, where="state")
    grown = resident() - before
    assert len(found) == (DEFAULT.state_items - 2) // cost
    assert grown < 256 << 20


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_writer_and_reader_share_the_limits():
    small = dataclasses.replace(DEFAULT, state_items=10, state_text_bytes=8, state_depth=2, state_bytes=60)
    for fits, too_much in [
        ([None] * 8, [None] * 9),
        ([{}], [{}, {}]),
        ("x" * 8, "x" * 9),
        ("éx"[:1], "éxx"),
        ([[]], [[[]]]),
        (b"x" * 58, b"x" * 59),
    ]:
        assert same(decode(encode(fits, limits=small), where="state", limits=small), fits)
        with pytest.raises(LimitError):
            encode(too_much, limits=small)
        with pytest.raises(LimitError):
            decode(encode(too_much), where="state", limits=small)


def test_D25_no_map_is_ever_keyed_by_anything_but_text():
    for key in (b"\x01", b"\xc4\x01a", b"\xcb" + bytes(8), b"\xc0", b"\x90", b"\xd4\x09\x01"):
        with pytest.raises(FormatError):
            decode(b"\x81" + key + b"\xc0", where="state")


def test_dates_before_and_after_the_epoch_keep_their_numbers():
    array = np.array(["1677-09-21T00:12:43.145224193", "NaT", "2262-04-11"], "M8[ns]")
    assert same(decode(encode(array), where="state"), array)
    assert same(decode(encode(date(1, 1, 1)), where="state"), date(1, 1, 1))


def test_a_state_is_a_map():
    assert decode_state(encode({}), where="state") == {}
    with pytest.raises(FormatError):
        decode_state(encode([]), where="state")


def test_the_public_names_are_few():
    assert sorted(values.__all__) == ["Missing", "Value", "Zone", "decode", "decode_state", "encode"]
