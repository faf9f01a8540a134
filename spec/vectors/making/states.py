"""Vectors of kind ``state``: section 7."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from making.build import Vector, array, extension, scalar, small_list, small_map, text

NAN = b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"
FLOAT64 = b"float64"


def vectors() -> Iterator[Vector]:
    for name, items, what in valid():
        data = small_map(("v", listed([raw for raw, _ in items])))
        yield Vector("state", name, data, what, expected={"v": [value for _, value in items]})
    yield Vector("state", "empty-map", b"\x80", "an empty map", expected={})
    yield Vector(
        "state",
        "map-order",
        small_map(
            ("", b"\x01"),
            ("A", b"\x02"),
            ("a", b"\x03"),
            ("aa", b"\x04"),
            ("é", b"\x05"),
            ("\uffee", b"\x06"),
            ("😀", b"\x07"),
        ),
        "keys in the order of their UTF-8 bytes",
        expected={"": 1, "A": 2, "a": 3, "aa": 4, "é": 5, "\uffee": 6, "😀": 7},
    )
    deep: Any = []
    for _ in range(30):
        deep = [deep]
    yield Vector(
        "state",
        "depth-32",
        small_map(("v", b"\x91" * 30 + b"\x90")),
        "nested as deep as it may be",
        expected={"v": deep},
    )
    yield Vector(
        "state",
        "sixteen-keys",
        b"\xde\x00\x10" + b"".join(text(f"k{i:02d}") + b"\xc0" for i in range(16)),
        "a map of sixteen keys",
        expected={f"k{i:02d}": None for i in range(16)},
    )
    for name, raw, clause, code, what in [*encoding_cases(), *payload_cases()]:
        yield Vector("state", name, raw if name in WHOLE else small_map(("v", raw)), what, clause, code)


def listed(items: list[bytes]) -> bytes:
    head = bytes([0x90 | len(items)]) if len(items) < 16 else b"\xdc" + struct.pack(">H", len(items))
    return head + b"".join(items)


Items = list[tuple[bytes, Any]]


def valid() -> Iterator[tuple[str, Items, str]]:
    yield "constants", [(b"\xc0", None), (b"\xc2", False), (b"\xc3", True)], "nil, false, true"
    integers = [
        ("00", 0),
        ("7f", 127),
        ("cc80", 128),
        ("ccff", 255),
        ("cd0100", 256),
        ("cdffff", 65535),
        ("ce00010000", 65536),
        ("ceffffffff", 2**32 - 1),
        ("cf0000000100000000", 2**32),
        ("cfffffffffffffffff", 2**64 - 1),
        ("ff", -1),
        ("e0", -32),
        ("d0df", -33),
        ("d080", -128),
        ("d1ff7f", -129),
        ("d18000", -32768),
        ("d2ffff7fff", -32769),
        ("d280000000", -(2**31)),
        ("d3ffffffff7fffffff", -(2**31) - 1),
        ("d38000000000000000", -(2**63)),
    ]
    yield "integers", [(bytes.fromhex(raw), whole(value)) for raw, value in integers], "integers at every border"
    large = [(2**64, 9), (-(2**63) - 1, 9), (2**100, 13), (-(2**71), 9), (2**71, 10), (2**8190, 1024)]
    yield (
        "large-integers",
        [(extension(1, value.to_bytes(size, "little", signed=True)), whole(value)) for value, size in large],
        "integers beyond 64 bits",
    )
    floats = [0.0, -0.0, 1.5, -1e300, 5e-324, 1.7976931348623157e308]
    yield (
        "floats",
        [(b"\xcb" + struct.pack(">d", it), it) for it in floats]
        + [
            (NAN, {"$float": "nan"}),
            (b"\xcb" + struct.pack(">d", float("inf")), {"$float": "inf"}),
            (b"\xcb" + struct.pack(">d", float("-inf")), {"$float": "-inf"}),
        ],
        "floats, negative zero and the one NaN among them",
    )
    texts = ["", "a", "\0", "é€😀", "\ufeff", "$x"]
    yield (
        "texts",
        [(text(it), it) for it in texts]
        + [
            (b"\xa0" + b"" if n == 0 else head + b"x" * n, "x" * n)
            for n, head in [(31, b"\xbf"), (32, b"\xd9\x20"), (255, b"\xd9\xff"), (256, b"\xda\x01\x00")]
        ],
        "text of every header",
    )
    yield "long-text", [(b"\xdb\x00\x01\x00\x00" + b"x" * 65536, "x" * 65536)], "text with a 32-bit length"
    yield (
        "bytes",
        [
            (head + b"\xff" * n, {"$bytes": "ff" * n})
            for n, head in [(0, b"\xc4\x00"), (1, b"\xc4\x01"), (255, b"\xc4\xff"), (256, b"\xc5\x01\x00")]
        ],
        "bytes of every header",
    )
    yield (
        "lists",
        [(b"\x90", []), (small_list(*[b"\xc0"] * 15), [None] * 15), (b"\xdc\x00\x10" + b"\x01" * 16, [1] * 16)],
        "lists",
    )
    yield (
        "dollar-keys",
        [(small_map(("$array", b"\x01")), {"$$array": 1}), (small_map(("$$", b"\xc0")), {"$$$": None})],
        ("map keys that begin with a dollar sign"),
    )
    yield "arrays", list(arrays()), "an array of every dtype"
    yield (
        "scalars",
        [
            (scalar("int64", struct.pack("<q", 3)), {"$scalar": {"dtype": "int64", "item": "0300000000000000"}}),
            (scalar("bool", b"\x01"), {"$scalar": {"dtype": "bool", "item": "01"}}),
            (scalar("float32", struct.pack("<f", 0.5)), {"$scalar": {"dtype": "float32", "item": "0000003f"}}),
            (
                scalar("float64", bytes.fromhex("010000000000f87f")),
                {"$scalar": {"dtype": "float64", "item": "010000000000f87f"}},
            ),
            (
                scalar("datetime64[ns]", struct.pack("<q", -(2**63))),
                {"$scalar": {"dtype": "datetime64[ns]", "item": "0000000000000080"}},
            ),
            (scalar("complex128", bytes(16)), {"$scalar": {"dtype": "complex128", "item": "00" * 16}}),
        ],
        "typed scalars, a NaN with its bits among them",
    )
    yield "moments", list(moments()), "dates, times, durations"
    decimals = ["0", "1.50", "-0", "1E+3", "0E-10", "NaN", "sNaN", "-Infinity", "123456789012345678901234567890.1"]
    yield "decimals", [(extension(8, it.encode()), {"$decimal": it}) for it in decimals], "decimals"
    yield (
        "missing",
        [(extension(9, b"\x01"), {"$missing": "nat"}), (extension(9, b"\x02"), {"$missing": "na"})],
        "missing values",
    )


def whole(value: int) -> Any:
    return value if -(2**53) <= value <= 2**53 else {"$integer": str(value)}


def arrays() -> Iterator[tuple[bytes, Any]]:
    sizes = {
        "bool": 1,
        "int8": 1,
        "uint8": 1,
        "int16": 2,
        "uint16": 2,
        "float16": 2,
        "int32": 4,
        "uint32": 4,
        "float32": 4,
        "int64": 8,
        "uint64": 8,
        "float64": 8,
        "complex64": 8,
        "complex128": 16,
    }
    for unit in ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"):
        sizes[f"datetime64[{unit}]"] = sizes[f"timedelta64[{unit}]"] = 8
    shapes = [[0], [2, 3], [1, 1, 1, 1, 1, 1, 1, 1], [3, 0, 2]]
    for index, (dtype, size) in enumerate(sizes.items()):
        shape = shapes[index % len(shapes)] if index else [4]
        count = 1
        for dimension in shape:
            count *= dimension
        items = bytes([0, 1, 1, 0]) if dtype == "bool" else bytes(range(7, 7 + count * size))
        yield array(dtype, shape, items), {"$array": {"dtype": dtype, "shape": shape, "data": items.hex()}}


def moment(
    year: int, month: int, day: int, hour: int, minute: int, second: int, micro: int, fold: int, zone: bytes
) -> bytes:
    return extension(4, struct.pack("<HBBBBBIB", year, month, day, hour, minute, second, micro, fold) + zone)


def moments() -> Iterator[tuple[bytes, Any]]:
    yield moment(2020, 2, 29, 23, 59, 59, 999999, 0, b"\0"), {"$datetime": "2020-02-29T23:59:59.999999"}
    yield moment(1, 1, 1, 0, 0, 0, 0, 0, b"\0"), {"$datetime": "0001-01-01T00:00:00"}
    yield moment(9999, 12, 31, 0, 0, 0, 0, 1, b"\0"), {"$datetime": "9999-12-31T00:00:00"}
    yield (
        moment(2020, 1, 2, 3, 4, 5, 6, 0, b"\1" + struct.pack("<i", 0)),
        {"$datetime": "2020-01-02T03:04:05.000006+00:00"},
    )
    yield (
        moment(2020, 1, 2, 3, 4, 5, 0, 0, b"\1" + struct.pack("<i", -12600)),
        {"$datetime": "2020-01-02T03:04:05-03:30"},
    )
    yield moment(2020, 1, 2, 3, 4, 5, 0, 1, b"\2Europe/Madrid"), {"$datetime": "2020-01-02T03:04:05[Europe/Madrid]"}
    yield moment(2020, 1, 2, 3, 4, 5, 0, 0, b"\2No/Such_Zone"), {"$datetime": "2020-01-02T03:04:05[No/Such_Zone]"}
    yield extension(5, struct.pack("<HBB", 2020, 2, 29)), {"$date": "2020-02-29"}
    yield extension(6, struct.pack("<BBBIB", 23, 59, 59, 1, 1) + b"\0"), {"$time": "23:59:59.000001"}
    yield (
        extension(6, struct.pack("<BBBIB", 0, 0, 0, 0, 0) + b"\1" + struct.pack("<i", 3600)),
        {"$time": "00:00:00+01:00"},
    )
    yield extension(7, struct.pack("<iII", 0, 0, 0)), {"$duration": [0, 0, 0]}
    yield extension(7, struct.pack("<iII", -999999999, 86399, 999999)), {"$duration": [-999999999, 86399, 999999]}


Case = tuple[str, bytes, str, str, str]

WHOLE = {
    "empty-file",
    "no-map",
    "text-alone",
    "trailing-byte",
    "second-document",
    "cut-short",
    "list-of-4-billion-alone",
    "depth-10000",
    "key-twice",
    "keys-unsorted",
    "key-bytes",
    "key-integer",
    "key-nil",
    "key-float",
    "key-true",
    "key-list",
    "key-long-form",
    "map16-for-one",
    "map-of-4-billion",
    "map-without-values",
    "key-invalid-utf-8",
    "keys-by-code-unit",
}
"""Cases that are a whole document; all others are the value of the key ``v``."""


def encoding_cases() -> Iterator[Case]:
    def hexed(name: str, raw: str, what: str, clause: str = "7.2", code: str = "FORMAT") -> Case:
        return name, bytes.fromhex(raw), clause, code, what

    yield hexed("empty-file", "", "no bytes at all", "7.1")
    yield hexed("no-map", "90", "a document that is a list", "7.1")
    yield hexed("text-alone", "a161", "a document that is a text", "7.1")
    yield hexed("trailing-byte", "80c0", "a byte after the end", "7.1")
    yield hexed("second-document", "8080", "two documents", "7.1")
    yield hexed("cut-short", "81a17692", "a list without its items", "7.1")
    for name, raw, what in [
        ("uint8-for-1", "cc01", "1 as uint 8"),
        ("uint8-for-127", "cc7f", "127 as uint 8"),
        ("uint16-for-255", "cd00ff", "255 as uint 16"),
        ("uint32-for-65535", "ce0000ffff", "65,535 as uint 32"),
        ("uint64-for-1", "cf0000000000000001", "1 as uint 64"),
        ("uint64-for-2-32-1", "cf00000000ffffffff", "2**32 - 1 as uint 64"),
        ("int8-positive", "d005", "5 as int 8"),
        ("int8-for-minus-1", "d0ff", "-1 as int 8"),
        ("int16-for-minus-128", "d1ff80", "-128 as int 16"),
        ("int32-for-minus-32768", "d2ffff8000", "-32,768 as int 32"),
        ("int64-for-minus-1", "d3ffffffffffffffff", "-1 as int 64"),
        ("int64-positive", "d30000000100000000", "2**32 as int 64"),
        ("str8-for-short", "d90161", "a short text in str 8"),
        ("str16-for-short", "da000161", "a short text in str 16"),
        ("str32-for-short", "db0000000161", "a short text in str 32"),
        ("str16-for-255", "da00ff" + "61" * 255, "255 bytes in str 16"),
        ("bin16-for-short", "c5000161", "short bytes in bin 16"),
        ("bin32-for-short", "c60000000161", "short bytes in bin 32"),
        ("array16-for-one", "dc0001c0", "one item in array 16"),
        ("array32-for-one", "dd00000001c0", "one item in array 32"),
        ("ext8-for-fixext", "c7010901", "one byte in ext 8"),
        ("ext16-for-fixext", "c800010901", "one byte in ext 16"),
        ("ext32-for-fixext", "c9000000010901", "one byte in ext 32"),
    ]:
        yield hexed(name, raw, what)
    yield hexed("float32", "ca3fc00000", "a 32-bit float", "7.3")
    yield hexed("nan-negative", "cbfff8000000000000", "NaN with a sign", "7.3")
    yield hexed("nan-payload", "cb7ff8000000000001", "NaN with a payload", "7.3")
    yield hexed("nan-signalling", "cb7ff0000000000001", "a signalling NaN", "7.3")
    yield hexed("reserved-c1", "c1", "the byte that begins nothing", "7.3")
    yield hexed("text-invalid-utf-8", "a1ff", "a byte that is no UTF-8", "7.3")
    yield hexed("text-overlong", "a2c080", "an overlong NUL", "7.3")
    yield hexed("text-surrogate", "a3eda080", "a surrogate in UTF-8", "7.3")
    yield hexed("text-beyond-unicode", "a4f4908080", "beyond U+10FFFF", "7.3")
    yield hexed("text-cut-inside", "a1c3", "half of a character", "7.3")
    yield hexed("key-twice", "82a16101a16102", "a key twice", "7.3")
    yield hexed("keys-unsorted", "82a16201a16102", "keys out of order", "7.3")
    yield hexed("keys-by-code-unit", "82a4f09f988001a3efbfae02", "keys in the order of UTF-16", "7.3")
    for name, raw in [
        ("bytes", "c40161"),
        ("integer", "01"),
        ("nil", "c0"),
        ("float", "cb0000000000000000"),
        ("true", "c3"),
        ("list", "90"),
    ]:
        yield hexed(f"key-{name}", f"81{raw}c0", f"a key that is {name}", "7.3")
    yield hexed("key-invalid-utf-8", "81a1ffc0", "a key that is no UTF-8", "7.3")
    yield hexed("key-long-form", "81d90161c0", "a short key in str 8", "7.2")
    yield hexed("map16-for-one", "de0001a161c0", "one key in map 16")
    yield hexed("map-without-values", "82a161", "a map without its values", "7.1")
    yield hexed("list-of-4-billion-alone", "ddffffffff", "a list of 4 billion items and none", "9.2")
    yield hexed("list-of-4-billion", "ddffffffff", "a list of 4 billion items and none", "9.2")
    yield hexed("map-of-4-billion", "dfffffffff", "a map of 4 billion keys and none", "9.2")
    yield hexed("text-of-4-gib", "dbffffffff", "a text of 4 GiB and none of it", "9.2")
    yield hexed("bytes-of-4-gib", "c6ffffffff", "4 GiB of bytes and none of them", "9.2")
    yield hexed("ext-of-4-gib", "c9ffffffff02", "an array of 4 GiB and none of it", "9.2")
    yield (
        "nested-length-bombs",
        b"\x91\xdd\x00\x01\x00\x00" * 20 + b"\x00" * 64,
        "9.2",
        "FORMAT",
        "lists that each claim 65,536 items",
    )
    yield "depth-33", b"\x91" * 31 + b"\x90", "7.6", "LIMIT", "nested 33 deep"
    yield "depth-10000", b"\x91" * 10000 + b"\xc0", "7.6", "LIMIT", "nested 10,000 deep"
    yield "maps-10000-deep", (b"\x81\xa1a") * 10000 + b"\xc0", "7.6", "LIMIT", "maps nested 10,000 deep"
    for code in (-1, -128, 0, 10, 127):
        yield (
            f"ext-{code}".replace("--", "-minus-"),
            extension(code, b"\0" * 4),
            "7.3",
            "FORMAT",
            f"extension code {code}",
        )
    yield "timestamp-64", extension(-1, b"\xff" * 8), "7.3", "FORMAT", "a msgpack timestamp of 64 bits"
    yield "timestamp-96", extension(-1, b"\xff" * 12), "7.3", "FORMAT", "a msgpack timestamp of 96 bits"


def payload_cases() -> Iterator[Case]:
    def case(name: str, raw: bytes, clause: str, what: str, code: str = "FORMAT") -> Case:
        return name, raw, clause, code, what

    yield case("integer-of-8-bytes", extension(1, b"\1" + bytes(6) + b"\1"), "7.4.1", "an integer that 64 bits hold")
    yield case("integer-fits-uint64", extension(1, b"\xff" * 8 + b"\0"), "7.4.1", "2**64 - 1 as extension")
    yield case("integer-not-shortest", extension(1, b"\1" * 9 + b"\0"), "7.4.1", "a byte too many")
    yield case("integer-negative-not-shortest", extension(1, b"\1" * 8 + b"\x80\xff"), "7.4.1", "a byte too many")
    yield case("integer-1025-bytes", extension(1, b"\1" * 1025), "7.4.1", "1,025 bytes")
    yield case("integer-empty", extension(1, b""), "7.4.1", "no bytes")
    for name, dtype in [
        ("object", "object"),
        ("object-code", "|O"),
        ("void", "V8"),
        ("big-endian", ">f8"),
        ("code", "<f8"),
        ("text", "<U8"),
        ("bytes", "S1"),
        ("float128", "float128"),
        ("structured", "[('a', '<i8')]"),
        ("capital", "Float64"),
        ("unit-missing", "datetime64"),
        ("unit-multiple", "datetime64[25s]"),
        ("unit-generic", "datetime64[generic]"),
        ("unit-unknown", "timedelta64[x]"),
        ("empty", ""),
        ("newline", "int8\n"),
    ]:
        yield case(f"dtype-{name}", array(dtype, [1], bytes(8)), "7.5", f"dtype {dtype!r}")
    yield case(
        "dtype-non-ascii",
        extension(2, b"\x08float\xc3\xb64" + b"\x01" + struct.pack("<Q", 1) + bytes(8)),
        "7.5",
        "dtype beyond ASCII",
    )
    yield case("array-empty-payload", extension(2, b""), "7.4.2", "an array without anything")
    yield case("array-name-beyond-end", extension(2, b"\xff" + FLOAT64), "7.4.2", "a dtype name beyond the end")
    yield case("array-no-rank", extension(2, b"\x07" + FLOAT64), "7.4.2", "no rank")
    yield case("array-rank-0", extension(2, b"\x07" + FLOAT64 + b"\0" + bytes(8)), "7.4.2", "rank 0")
    yield case("array-rank-9", array("float64", [1] * 9, bytes(8)), "7.4.2", "rank 9")
    yield case("array-rank-255", extension(2, b"\x07" + FLOAT64 + b"\xff" + bytes(200)), "7.4.2", "rank 255")
    yield case("array-shape-cut", extension(2, b"\x07" + FLOAT64 + b"\x02" + bytes(12)), "7.4.2", "a shape cut short")
    yield case("array-too-short", array("float64", [2], bytes(15)), "7.4.2", "a byte too few")
    yield case("array-too-long", array("float64", [2], bytes(17)), "7.4.2", "a byte too many")
    yield case("array-dimension-beyond", array("int8", [2**31 + 1], b""), "7.4.2", "a dimension of 2**31 + 1")
    yield case("array-dimension-huge", array("float64", [2**64 - 1], bytes(8)), "7.4.2", "a dimension of 2**64 - 1")
    yield case("array-product-wraps", array("uint8", [2**31, 2**31, 4], bytes(0)), "7.4.2", "a product of 2**64")
    yield case(
        "array-zero-times-huge", array("float64", [0, *[2**31] * 3], b""), "7.4.2", "a zero that hides an overflow"
    )
    yield case("array-bool-2", array("bool", [3], b"\0\1\2"), "7.5", "a boolean that is 2")
    yield case("scalar-short", scalar("int64", bytes(7)), "7.4.3", "a byte too few")
    yield case("scalar-long", scalar("int64", bytes(9)), "7.4.3", "a byte too many")
    yield case("scalar-bool-255", scalar("bool", b"\xff"), "7.5", "a boolean that is 255")
    yield case("scalar-object", scalar("object", bytes(8)), "7.5", "a pointer")
    for name, parts, zone, what in [
        ("month-13", (2020, 13, 1, 0, 0, 0, 0, 0), b"\0", "month 13"),
        ("month-0", (2020, 0, 1, 0, 0, 0, 0, 0), b"\0", "month 0"),
        ("no-such-day", (2019, 2, 29, 0, 0, 0, 0, 0), b"\0", "29 February 2019"),
        ("year-0", (0, 1, 1, 0, 0, 0, 0, 0), b"\0", "year 0"),
        ("year-10000", (10000, 1, 1, 0, 0, 0, 0, 0), b"\0", "year 10,000"),
        ("hour-24", (2020, 1, 1, 24, 0, 0, 0, 0), b"\0", "hour 24"),
        ("second-60", (2020, 1, 1, 0, 0, 60, 0, 0), b"\0", "second 60"),
        ("microsecond", (2020, 1, 1, 0, 0, 0, 10**6, 0), b"\0", "10**6 microseconds"),
        ("fold-2", (2020, 1, 1, 0, 0, 0, 0, 2), b"\0", "fold 2"),
        ("offset-day", (2020, 1, 1, 0, 0, 0, 0, 0), b"\1" + struct.pack("<i", 86400), "an offset of a day"),
        ("zone-kind-3", (2020, 1, 1, 0, 0, 0, 0, 0), b"\3", "zone kind 3"),
        ("zone-parent", (2020, 1, 1, 0, 0, 0, 0, 0), b"\2../../etc/passwd", "a zone that climbs"),
        ("zone-absolute", (2020, 1, 1, 0, 0, 0, 0, 0), b"\2/etc/passwd", "a zone that is a path"),
        ("zone-empty", (2020, 1, 1, 0, 0, 0, 0, 0), b"\2", "a zone without name"),
        ("zone-newline", (2020, 1, 1, 0, 0, 0, 0, 0), b"\2Europe/Madrid\n", "a zone with a line feed"),
        ("zone-missing", (2020, 1, 1, 0, 0, 0, 0, 0), b"", "no zone"),
        ("zone-trailing", (2020, 1, 1, 0, 0, 0, 0, 0), b"\0\0", "a byte behind the zone"),
    ]:
        yield case(f"datetime-{name}", moment(*parts, zone=zone), "7.4.4", f"a date and time with {what}")
    yield case("datetime-cut-short", extension(4, bytes(5)), "7.4.4", "a date and time cut short")
    yield case("date-cut-short", extension(5, b"\xe4\x07\x01"), "7.4.5", "a date cut short")
    yield case("date-day-32", extension(5, struct.pack("<HBB", 2020, 1, 32)), "7.4.5", "day 32")
    yield case("date-long", extension(5, struct.pack("<HBB", 2020, 1, 1) + b"\0"), "7.4.5", "a byte too many")
    yield case("time-minute-60", extension(6, struct.pack("<BBBIB", 0, 60, 0, 0, 0) + b"\0"), "7.4.6", "minute 60")
    yield case(
        "time-zone-name",
        extension(6, struct.pack("<BBBIB", 0, 0, 0, 0, 0) + b"\2UTC"),
        "7.4.6",
        "a time of day with a zone name",
    )
    yield case("duration-seconds", extension(7, struct.pack("<iII", 0, 86400, 0)), "7.4.7", "86,400 seconds")
    yield case("duration-microseconds", extension(7, struct.pack("<iII", 0, 0, 10**6)), "7.4.7", "10**6 microseconds")
    yield case("duration-days", extension(7, struct.pack("<iII", 10**9, 0, 0)), "7.4.7", "10**9 days")
    yield case("duration-short", extension(7, bytes(11)), "7.4.7", "a byte too few")
    for name, raw in [
        ("empty", b""),
        ("blank", b" 1"),
        ("underscore", b"1_0"),
        ("plus", b"+1"),
        ("lower-e", b"1e3"),
        ("word", b"one"),
        ("leading-zero", b"01"),
        ("nan-lower", b"nan"),
        ("inf", b"Inf"),
        ("newline", b"1\n"),
        ("wide-digits", "１２".encode()),
        ("nul", b"1\0"),
        ("huge-exponent", b"1E+9999999999999999999999"),
        ("long", b"1" * 1025),
        ("exponent-form", b"10E+2"),
    ]:
        yield case(f"decimal-{name}", extension(8, raw), "7.4.8", f"decimal {raw[:24]!r}")
    yield case("missing-0", extension(9, b"\0"), "7.4.9", "kind 0")
    yield case("missing-3", extension(9, b"\3"), "7.4.9", "kind 3")
    yield case("missing-two-bytes", extension(9, b"\1\1"), "7.4.9", "two bytes")
    yield case(
        "pickle-in-map",
        small_map(("kind", text("O")), ("nd", b"\xc3"), ("data", b"\xc4\x00")),
        "7.3",
        "an array in another convention, its keys out of order",
    )
