"""safetensors headers: stricter than the reference, and never of another opinion than the reference."""

from __future__ import annotations

import dataclasses
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effort import within
from modelcrate.errors import FormatError, IntegrityError, LimitError, ModelcrateError, UsageError
from modelcrate.format.tensors import (
    DTYPE_SIZES,
    TensorData,
    TensorEntry,
    check_booleans,
    parse_header,
    serialize,
)
from modelcrate.limits import DEFAULT

safetensors = pytest.importorskip("safetensors", reason="safetensors is the reference that these tests compare with")

NAMES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12)
SHAPES = st.lists(st.integers(0, 3), max_size=4).map(tuple)
METADATA = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), st.just("v é"), max_size=3)


@st.composite
def tensor(draw: st.DrawFn) -> TensorData:
    dtype = draw(st.sampled_from(sorted(DTYPE_SIZES)))
    shape = draw(SHAPES)
    size = int(np.prod(shape, dtype=int)) * DTYPE_SIZES[dtype]
    data = draw(st.binary(min_size=size, max_size=size))
    return TensorData(dtype, shape, bytes(it & 1 for it in data) if dtype == "BOOL" else data)


TENSORS = st.dictionaries(NAMES, tensor(), max_size=5)


def whole(tensors: dict[str, TensorData], metadata: dict[str, str] | None = None) -> bytes:
    return b"".join(bytes(chunk) for chunk in serialize(tensors, metadata=metadata))


def reference(data: bytes) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {
        name: (entry["dtype"], tuple(entry["shape"]), bytes(entry["data"]))
        for name, entry in safetensors.deserialize(data)
    }


def ours(data: bytes) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    header = parse_header(data, where="tensors")
    start = header.data_start
    return {
        name: (entry.dtype, entry.shape, data[start + entry.start : start + entry.end])
        for name, entry in header.entries.items()
    }


@given(TENSORS, METADATA)
def test_the_reference_reads_what_is_written(tensors, metadata):
    data = whole(tensors, metadata)
    assert len(data) == serialize(tensors, metadata=metadata).size
    assert reference(data) == ours(data) == {name: (it.dtype, it.shape, bytes(it.data)) for name, it in tensors.items()}
    assert parse_header(data, where="tensors").metadata == metadata


@given(
    TENSORS,
    st.integers(0, 500),
    st.integers(0, 2),
    st.binary(max_size=2) | st.sampled_from(list(b'0189",:{}[] -.eE')).map(lambda byte: bytes([byte])),
)
def test_the_reference_agrees_with_whatever_is_accepted(tensors, place, cut, junk):
    data = bytearray(whole(tensors, {"a": "b"}))
    header_end = 8 + int.from_bytes(data[:8], "little")
    place = 8 + place % (header_end - 8)
    data[place : place + cut] = junk
    data[:8] = struct.pack("<Q", header_end - 8 + len(junk) - cut)
    try:
        found = ours(bytes(data))
    except ModelcrateError:
        return
    assert found == reference(bytes(data))


@given(st.binary(max_size=80), st.booleans())
def test_random_bytes_raise_nothing_foreign(data, framed):
    raw = struct.pack("<Q", len(data) // 8 * 8) + b"{" + data if framed else data
    try:
        found = ours(raw)
    except ModelcrateError:
        return
    assert found == reference(raw)


def test_the_bytes_do_not_depend_on_the_order_of_insertion():
    tensors = {
        name: TensorData(dtype, (2,), bytes(2 * DTYPE_SIZES[dtype]))
        for name, dtype in zip("badc", ["U8", "F32", "U8", "F64"], strict=True)
    }
    data = whole(tensors)
    assert data == whole(dict(reversed(list(tensors.items()))))
    assert list(ours(data)) == ["c", "a", "b", "d"]
    assert list(json.loads(data[8:].split(b"  ")[0])) == ["c", "a", "b", "d"]


def test_the_data_begins_at_a_multiple_of_64():
    for count in range(1, 70):
        data = whole({"n" * count: TensorData("U8", (1,), b"x")})
        assert parse_header(data, where="tensors").data_start % 64 == 0


def test_tensor_bytes_are_passed_on_without_a_copy():
    owner = bytearray(b"abcd")
    chunks = list(serialize({"w": TensorData("U8", (4,), memoryview(owner))}))
    assert isinstance(chunks[1], memoryview)
    assert chunks[1].obj is owner


@pytest.mark.parametrize(
    ("name", "tensor", "what"),
    [
        ("", TensorData("U8", (1,), b"x"), "name"),
        ("a b", TensorData("U8", (1,), b"x"), "name"),
        ("é", TensorData("U8", (1,), b"x"), "name"),
        ("__metadata__", TensorData("U8", (1,), b"x"), "name"),
        ("w" * 513, TensorData("U8", (1,), b"x"), "name"),
        ("w", TensorData("C128", (1,), bytes(16)), "C128"),
        ("w", TensorData("U8", (2,), b"x"), "1 bytes"),
        ("w", TensorData("U8", (-1,), b""), "dimensions"),
        ("w", TensorData("U8", (1,) * 9, b"x"), "dimensions"),
        ("w", TensorData("U8", (True,), b"x"), "dimensions"),
    ],
)
def test_what_can_not_be_kept_is_refused_before_the_first_chunk(name, tensor, what):
    with pytest.raises(UsageError, match=what):
        serialize({name: tensor})


@pytest.mark.parametrize("size", [2**63, 10**8, (16 << 20) + 8])
def test_E2_a_header_beyond_the_limit_is_refused_unread(size):
    with pytest.raises(LimitError):
        parse_header(struct.pack("<Q", size) + b"{}", where="tensors")


def refused(header, error):
    with pytest.raises(error):
        parse_header(struct.pack("<Q", len(header)) + header, where="tensors")


def test_E12_a_flood_of_empty_tensors_is_refused_at_once():
    entry = '"%06d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    header = ("{" + ",".join(entry % index for index in range(250_000)) + "}").encode()
    header += b" " * (-len(header) % 8)
    within(1.0, lambda: refused(header, LimitError))


def test_E12_the_limit_on_tensors_counts_exactly():
    tensors = {f"t{index}": TensorData("U8", (0,), b"") for index in range(4)}
    data = whole(tensors)
    assert len(parse_header(data, where="x", limits=dataclasses.replace(DEFAULT, tensors=4)).entries) == 4
    with pytest.raises(LimitError):
        parse_header(data, where="x", limits=dataclasses.replace(DEFAULT, tensors=3))


def test_E20_much_metadata_is_refused():
    with pytest.raises(LimitError):
        parse_header(whole({}, {str(index): "x" * 16 for index in range(8000)}), where="tensors")


def test_E21_a_file_cut_short_anywhere_is_refused():
    data = whole({"a": TensorData("F32", (3,), bytes(12)), "b": TensorData("U8", (2,), b"xy")})
    for length in range(len(data)):
        with pytest.raises(ModelcrateError):
            parse_header(data[:length], where="tensors")
    with pytest.raises(IntegrityError):
        parse_header(data + b"\0", where="tensors")


def test_E17_booleans_are_checked_before_they_are_handed_out():
    entry = TensorEntry("mask", "BOOL", (3,), 0, 3)
    check_booleans(entry, b"\0\1\1", where="tensors")
    for bad in (b"\0\1\2", b"\xff\0\0"):
        with pytest.raises(FormatError):
            check_booleans(entry, bad, where="tensors")
    check_booleans(dataclasses.replace(entry, dtype="U8"), b"\2\3\4", where="tensors")


def test_E17_a_wrong_boolean_is_found_anywhere_in_a_large_tensor():
    size = (1 << 20) + 5
    entry = TensorEntry("mask", "BOOL", (size,), 0, size)
    for place in (0, 1 << 20, size - 1, 70_000):
        data = bytearray(b"\1" * size)
        data[place] = 2
        with pytest.raises(FormatError):
            check_booleans(entry, data, where="tensors")


@pytest.mark.parametrize("piece", [b'\\"', b'"', b"{", b'":"', b"\\\\", b","])
def test_H13_a_long_header_costs_no_more_than_its_size(piece):
    header = (b'{"' + piece * (4_000_000 // len(piece)))[:4_000_000]
    within(2.0, lambda: refused(header, ModelcrateError))


def test_header_names_keep_the_order_of_their_data():
    data = whole({"z": TensorData("F64", (1,), bytes(8)), "a": TensorData("U8", (1,), b"x")})
    assert list(parse_header(data, where="tensors").entries) == ["z", "a"]
