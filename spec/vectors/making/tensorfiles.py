"""Vectors of kind ``tensors``: section 6."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from making.build import Vector, safetensors, tensor

SIZES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E4M3FNUZ": 1,
    "F8_E5M2FNUZ": 1,
    "F8_E8M0": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
    "C64": 8,
}


def vectors() -> Iterator[Vector]:
    yield from valid()
    for name, data, clause, code, what in [*file_cases(), *header_cases(), *tensor_cases()]:
        yield Vector("tensors", name, data, what, clause, code)


def one(body: str, data: bytes, *, pad: int = 64) -> bytes:
    return safetensors("{" + body + "}", data, pad=pad)


def entry(dtype: str, shape: list[int], data: bytes) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data": data.hex()}


def valid() -> Iterator[Vector]:
    yield Vector("tensors", "empty", safetensors("{}"), "no tensor", expected={"tensors": {}, "metadata": {}})
    for pad in (8, 64):
        data = struct.pack("<3f", 1.0, 2.0, 3.0)
        raw = one(f'"w":{tensor("F32", [3], 0, 12)}', data, pad=pad)
        yield Vector(
            "tensors",
            f"padded-to-{pad}",
            raw,
            f"one tensor, header padded to {pad}",
            expected={"tensors": {"w": entry("F32", [3], data)}, "metadata": {}},
        )
    parts, expected, data, position = [], {}, b"", 0
    for dtype, size in sorted(SIZES.items(), key=lambda item: (-item[1], item[0])):
        items = bytes([0, 1]) if dtype == "BOOL" else bytes(range(2 * size))
        parts.append(f'"t.{dtype}":{tensor(dtype, [2], position, position + 2 * size)}')
        expected[f"t.{dtype}"] = entry(dtype, [2], items)
        data, position = data + items, position + 2 * size
    yield Vector(
        "tensors",
        "every-dtype",
        one(",".join(parts), data),
        "one tensor of every dtype",
        expected={"tensors": expected, "metadata": {}},
    )
    body = (
        f'"z":{tensor("I64", [], 0, 8)},"a":{tensor("F32", [0, 4], 8, 8)},"e":{tensor("U8", [2, 0], 8, 8)},'
        f'"b":{tensor("U8", [2, 1, 2], 8, 12)}'
    )
    yield Vector(
        "tensors",
        "scalars-and-empties",
        one(body, bytes(8) + b"\1\2\3\4"),
        "rank 0, dimensions of 0, keys out of order",
        expected={
            "tensors": {
                "z": entry("I64", [], bytes(8)),
                "a": entry("F32", [0, 4], b""),
                "e": entry("U8", [2, 0], b""),
                "b": entry("U8", [2, 1, 2], b"\1\2\3\4"),
            },
            "metadata": {},
        },
    )
    body = f'"__metadata__":{{"format":"pt","é":"\\u00e9 x"}},"w":{tensor("U8", [1], 0, 1)}'
    yield Vector(
        "tensors",
        "metadata",
        one(body, b"\7"),
        "metadata, blanks inside of text",
        expected={"tensors": {"w": entry("U8", [1], b"\7")}, "metadata": {"format": "pt", "é": "é x"}},
    )
    yield Vector(
        "tensors",
        "rank-8",
        one(f'"w":{tensor("U8", [1, 2, 1, 1, 1, 1, 1, 1], 0, 2)}', b"\7\10"),
        "as many dimensions as there may be",
        expected={"tensors": {"w": entry("U8", [1, 2, 1, 1, 1, 1, 1, 1], b"\7\10")}, "metadata": {}},
    )
    name = "!" + "x" * 510 + "~"
    yield Vector(
        "tensors",
        "long-name",
        one(f'"{name}":{tensor("U8", [1], 0, 1)}', b"\7"),
        "a name as long as it may be",
        expected={"tensors": {name: entry("U8", [1], b"\7")}, "metadata": {}},
    )


Case = tuple[str, bytes, str, str, str]


def file_cases() -> Iterator[Case]:
    good = one(f'"w":{tensor("U8", [4], 0, 4)}', b"\1\2\3\4")
    yield "empty-file", b"", "6.1", "FORMAT", "no bytes at all"
    yield "seven-bytes", good[:7], "6.1", "FORMAT", "no whole length"
    yield "length-only", good[:8], "6.1", "INTEGRITY", "a length and nothing else"
    yield "length-zero", bytes(8), "6.2", "FORMAT", "a header of no bytes"
    yield "length-2-63", struct.pack("<Q", 2**63) + good[8:], "9.1", "LIMIT", "a header of 2**63 bytes"
    yield "length-2-64-1", b"\xff" * 8 + good[8:], "9.1", "LIMIT", "a header of 2**64 - 1 bytes"
    yield "length-10-8", struct.pack("<Q", 10**8) + b"{}", "9.1", "LIMIT", "a header of 10**8 bytes in a file of 10"
    yield (
        "length-beyond-file",
        struct.pack("<Q", 8 * len(good)) + good[8:],
        "6.1",
        "INTEGRITY",
        "a header longer than the file",
    )
    eight = one(f'"w":{tensor("U8", [8], 0, 8)}', b"\1\2\3\4\5\6\7\0")
    yield (
        "length-into-data",
        struct.pack("<Q", len(eight) - 8) + eight[8:],
        "6.2",
        "FORMAT",
        "a header that reaches into the data",
    )
    yield "cut-in-header", good[:40], "6.1", "INTEGRITY", "cut short inside of the header"
    yield "cut-in-data", good[:-1], "6.7", "INTEGRITY", "the last byte of data is missing"
    yield "byte-too-many", good + b"\0", "6.7", "INTEGRITY", "a byte after the data"
    yield "data-without-tensors", safetensors("{}", b"\0"), "6.7", "INTEGRITY", "data that belongs to no tensor"


def header_cases() -> Iterator[Case]:
    w = tensor("U8", [4], 0, 4)
    data = b"\1\2\3\4"

    def case(
        name: str,
        header: str | bytes,
        clause: str,
        what: str,
        *,
        code: str = "FORMAT",
        pad: int = 64,
        body: bytes = data,
    ) -> Case:
        return name, safetensors(header, body, pad=pad), clause, code, what

    yield case("unpadded", '{"w":' + w + "} ", "6.2", "a length that is not a multiple of 8", pad=1)
    yield case("leading-blank", ' {"w":' + w + "}", "6.2", "a blank in front")
    yield case("leading-newline", '\n{"w":' + w + "}", "6.2", "a line feed in front")
    yield case("byte-order-mark", '\ufeff{"w":' + w + "}", "6.2", "a byte order mark")
    yield case("blank-inside", '{"w": ' + w + "}", "6.2", "a blank after a colon")
    yield case("newline-inside", '{"w":\n' + w + "}", "6.2", "a line feed after a colon")
    yield case("nul-padding", b'{"w":' + w.encode() + b"}" + b"\0" * 40, "6.2", "padding of NUL")
    yield case("newline-padding", '{"w":' + w + "}\n", "6.2", "padding with a line feed")
    yield case("128-blanks", '{"w":' + w + "}" + " " * 128, "6.2", "128 blanks")
    yield case(
        "invalid-utf-8", b'{"w":' + w.encode() + b',"__metadata__":{"a":"\xff"}}', "6.2", "a byte that is no UTF-8"
    )
    yield case("array", "[]", "6.2", "a header that is a list", body=b"")
    yield case("text", '"x"', "6.2", "a header that is a text", body=b"")
    yield case("two-objects", '{"w":' + w + "}{}", "6.3", "two objects")
    yield case("unclosed", '{"w":' + w, "6.3", "an object without end")
    yield case("trailing-comma", '{"w":' + w + ",}", "6.3", "a comma too many")
    yield case("name-twice", '{"w":' + w + ',"w":' + w + "}", "6.3", "a tensor twice")
    yield case(
        "name-twice-escaped", '{"w":' + w + ',"\\u0077":' + w + "}", "6.3", "a tensor twice, once with an escape"
    )
    yield case(
        "field-twice", '{"w":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}}', "6.3", "a field twice"
    )
    yield case("metadata-twice", '{"__metadata__":{},"__metadata__":{},"w":' + w + "}", "6.3", "metadata twice")
    yield case("metadata-key-twice", '{"__metadata__":{"a":"1","a":"2"},"w":' + w + "}", "6.3", "a metadata key twice")
    yield case("metadata-null", '{"__metadata__":null,"w":' + w + "}", "6.3", "metadata that is null")
    yield case("metadata-list", '{"__metadata__":["a"],"w":' + w + "}", "6.3", "metadata that is a list")
    yield case("metadata-number", '{"__metadata__":{"a":1},"w":' + w + "}", "6.3", "metadata with a number")
    yield case("metadata-nested", '{"__metadata__":{"a":{"b":"c"}},"w":' + w + "}", "6.3", "metadata with an object")
    yield case(
        "metadata-surrogate", '{"__metadata__":{"a":"\\ud800"},"w":' + w + "}", "6.3", "half of a surrogate pair"
    )
    yield case(
        "metadata-large",
        '{"__metadata__":{"a":"' + "x" * 65536 + '"},"w":' + w + "}",
        "6.3",
        "more than 64 KiB",
        code="LIMIT",
    )
    yield case("nested-deep", '{"w":' + "[" * 1000 + "]" * 1000 + "}", "6.3", "1,000 brackets")
    yield case("nested-unclosed", '{"w":' + '{"a":' * 5000, "6.3", "5,000 open objects")
    yield case("nan", '{"w":{"dtype":"U8","shape":[NaN],"data_offsets":[0,4]}}', "6.4", "NaN as dimension")


def tensor_cases() -> Iterator[Case]:
    def case(
        name: str,
        fields: str,
        clause: str,
        what: str,
        *,
        code: str = "FORMAT",
        data: bytes = b"\1\2\3\4",
        key: str = "w",
    ) -> Case:
        return name, safetensors(f'{{"{key}":{fields}}}', data), clause, code, what

    yield case("no-dtype", '{"shape":[4],"data_offsets":[0,4]}', "6.4", "no dtype")
    yield case("no-shape", '{"dtype":"U8","data_offsets":[0,4]}', "6.4", "no shape")
    yield case("no-offsets", '{"dtype":"U8","shape":[4]}', "6.4", "no offsets")
    yield case(
        "unknown-field", '{"dtype":"U8","shape":[4],"data_offsets":[0,4],"device":"cuda:3"}', "6.4", "an unknown field"
    )
    yield case("tensor-null", "null", "6.4", "a tensor that is null")
    yield case("tensor-list", "[]", "6.4", "a tensor that is a list")
    for name, dtype in [
        ("lower-case", "u8"),
        ("unknown", "F6_E2M3"),
        ("sub-byte", "F4"),
        ("numpy", "|u1"),
        ("empty", ""),
        ("complex128", "C128"),
    ]:
        yield case(f"dtype-{name}", tensor(dtype, [4], 0, 4), "6.5", f"dtype {dtype!r}")
    yield case("dtype-number", '{"dtype":1,"shape":[4],"data_offsets":[0,4]}', "6.4", "a dtype that is a number")
    for name, shape in [
        ("float", "4.0"),
        ("exponent", "4e0"),
        ("true", "true"),
        ("text", '"4"'),
        ("null", "null"),
        ("negative", "-4"),
        ("minus-zero", "-0"),
        ("leading-zero", "04"),
        ("list", "[4]"),
        ("beyond-2-31", "2147483649"),
        ("2-64", "18446744073709551616"),
        ("5000-digits", "4" * 5000),
    ]:
        yield case(
            f"dimension-{name}",
            f'{{"dtype":"U8","shape":[{shape}],"data_offsets":[0,4]}}',
            "6.4",
            f"a dimension: {name}",
        )
    yield case("shape-object", '{"dtype":"U8","shape":{},"data_offsets":[0,4]}', "6.4", "a shape that is an object")
    yield case("shape-number", '{"dtype":"U8","shape":4,"data_offsets":[0,4]}', "6.4", "a shape that is a number")
    yield case("rank-9", tensor("U8", [4, 1, 1, 1, 1, 1, 1, 1, 1], 0, 4), "6.4", "rank 9")
    yield case("rank-1000", tensor("U8", [4] + [1] * 999, 0, 4), "6.4", "rank 1,000")
    for name, offsets in [
        ("one", "[0]"),
        ("three", "[0,4,4]"),
        ("none", "[]"),
        ("null", "null"),
        ("text", '"0,4"'),
        ("float", "[0.0,4.0]"),
        ("true", "[false,4]"),
        ("negative", "[-4,0]"),
    ]:
        yield case(
            f"offsets-{name}", f'{{"dtype":"U8","shape":[4],"data_offsets":{offsets}}}', "6.4", f"offsets: {name}"
        )
    yield case("offsets-reversed", tensor("U8", [4], 4, 0), "6.6", "end before begin", code="INTEGRITY")
    yield case("offsets-too-few", tensor("U8", [5], 0, 4), "6.6", "fewer bytes than the shape needs", code="INTEGRITY")
    yield case("offsets-too-many", tensor("U8", [3], 0, 4), "6.6", "more bytes than the shape needs", code="INTEGRITY")
    yield case(
        "offsets-other-dtype", tensor("F32", [4], 0, 4), "6.6", "bytes that do not fit the dtype", code="INTEGRITY"
    )
    yield case("offsets-beyond-file", tensor("U8", [8], 0, 8), "6.7", "an end beyond the file", code="INTEGRITY")
    yield case(
        "offsets-huge", tensor("U8", [4], 2**62, 2**62 + 4), "6.7", "a begin far beyond the file", code="INTEGRITY"
    )
    wraps = tensor("U8", [2**31, 2**31, 4], 0, 0)
    yield case("product-wraps", wraps, "6.6", "a product of 2**64", data=b"")
    yield case(
        "zero-times-huge", tensor("F64", [0, *[2**31] * 3], 0, 0), "6.6", "a zero that hides an overflow", data=b""
    )
    two = [
        ("hole", tensor("U8", [1], 0, 1), tensor("U8", [2], 2, 4)),
        ("overlap", tensor("U8", [3], 0, 3), tensor("U8", [2], 2, 4)),
        ("same-place", tensor("U8", [4], 0, 4), tensor("U8", [4], 0, 4)),
        ("late-start", tensor("U8", [1], 1, 2), tensor("U8", [2], 2, 4)),
    ]
    for name, first, second in two:
        header = f'{{"a":{first},"b":{second}}}'
        yield name, safetensors(header, b"\1\2\3\4"), "6.7", "INTEGRITY", f"two tensors: {name.replace('-', ' ')}"
    odd = f'{{"a":{tensor("U8", [2], 0, 2)},"b":{tensor("F32", [1], 2, 6)}}}'
    yield "misaligned", safetensors(odd, bytes(6)), "6.7", "FORMAT", "32-bit items at an odd place"
    for name, key in [
        ("empty", ""),
        ("blank", "a b"),
        ("escape", "a\\u001b[2J"),
        ("nul", "a\\u0000"),
        ("bidi", "a\\u202e"),
        ("accent", "é"),
        ("surrogate", "\\udc80"),
        ("newline", "w\\n"),
        ("long", "w" * 513),
    ]:
        yield case(
            f"name-{name}",
            tensor("U8", [4], 0, 4),
            "6.3" if name == "surrogate" else "6.8",
            f"a tensor name: {name}",
            key=key,
        )
