"""Writing values as msgpack, each in its one byte form (FORMAT.md 7.2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from struct import Struct
from typing import Any

from modelcrate.errors import LimitError
from modelcrate.format import extensions
from modelcrate.format.budget import CONTAINER_ITEMS, MAP_ITEMS, Budget
from modelcrate.format.extensions import Missing, Refused

_FLOAT = Struct(">d")
_NAN = b"\x7f\xf8\x00\x00\x00\x00\x00\x00"

_TEXT = (0xD9, 0xDA, 0xDB)
_BYTES = (0xC4, 0xC5, 0xC6)
_LIST = (None, 0xDC, 0xDD)
_MAP = (None, 0xDE, 0xDF)
_EXTENSION = (0xC7, 0xC8, 0xC9)


class Unencodable(Exception):
    """A value that can't be encoded, collecting its path on the way out."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.steps: list[str] = []

    def path(self) -> str:
        return "".join(reversed(self.steps))


class Encoder:
    """Appends the bytes of values to ``out``; recursion is bounded by the budget's depth."""

    __slots__ = ("budget", "out")

    def __init__(self, budget: Budget) -> None:
        self.out = bytearray()
        self.budget = budget

    def value(self, value: object, depth: int) -> None:
        write = _WRITERS.get(type(value))
        if write is not None:
            write(self, value, depth)
        elif type(value).__module__ == "numpy" or type(value).__module__.startswith("numpy."):
            self._numpy(value)
        else:
            hint = "; a list is meant" if type(value) is tuple else ""
            raise Unencodable(f"a value of type {type(value).__module__}.{type(value).__name__}{hint}")

    def write_nil(self, value: object, depth: int) -> None:
        self.out.append(0xC0)

    def write_boolean(self, value: bool, depth: int) -> None:
        self.out.append(0xC3 if value else 0xC2)

    def write_float(self, value: float, depth: int) -> None:
        self.out.append(0xCB)
        self.out += _NAN if math.isnan(value) else _FLOAT.pack(value)

    def write_integer(self, value: int, depth: int) -> None:
        if -32 <= value < 128:
            self.out.append(value & 0xFF)
        elif 0 <= value < 2**64:
            size, head = _size_class(value.bit_length())
            self.out.append(0xCC + head)
            self.out += value.to_bytes(size, "big")
        elif -(2**63) <= value < 0:
            size, head = _size_class((~value).bit_length() + 1)
            self.out.append(0xD0 + head)
            self.out += value.to_bytes(size, "big", signed=True)
        else:
            self._extension(extensions.INTEGER, extensions.encode_integer, value)

    def write_text(self, value: str, depth: int) -> None:
        try:
            raw = value.encode("utf-8")
        except UnicodeEncodeError:
            raise Unencodable("text with half of a surrogate pair") from None
        self.budget.take_text(raw, value)
        if len(raw) < 32:
            self.out.append(0xA0 | len(raw))
        else:
            self._length(len(raw), _TEXT)
        self.out += raw

    def write_bytes(self, value: bytes, depth: int) -> None:
        self._length(len(value), _BYTES)
        self.out += value

    def write_list(self, value: list[object], depth: int) -> None:
        self.budget.enter(depth, CONTAINER_ITEMS + len(value))
        if len(value) < 16:
            self.out.append(0x90 | len(value))
        else:
            self._length(len(value), _LIST)
        done = 0
        try:
            for item in value:
                self.value(item, depth + 1)
                done += 1
        except Unencodable as error:
            error.steps.append(f"[{done}]")
            raise

    def write_map(self, value: dict[object, object], depth: int) -> None:
        self.budget.enter(depth, MAP_ITEMS + 2 * len(value))
        if len(value) < 16:
            self.out.append(0x80 | len(value))
        else:
            self._length(len(value), _MAP)
        keys = [key for key in value if type(key) is str]
        if len(keys) != len(value):
            other = next(key for key in value if type(key) is not str)
            raise Unencodable(f"a key of type {type(other).__name__}")
        for key in sorted(keys):
            try:
                self.write_text(key, depth)
                self.value(value[key], depth + 1)
            except Unencodable as error:
                error.steps.append(f".{key}")
                raise

    def write_missing(self, value: Missing, depth: int) -> None:
        self._extension(extensions.MISSING, extensions.encode_missing, value)

    def _length(self, length: int, heads: tuple[int | None, int, int]) -> None:
        """The shortest header for a length, out of those with 8 (lists and maps have none), 16 and 32 bits."""
        if length < 2**8 and heads[0] is not None:
            self.out += bytes((heads[0], length))
        elif length < 2**16:
            self.out.append(heads[1])
            self.out += length.to_bytes(2, "big")
        elif length < 2**32:
            self.out.append(heads[2])
            self.out += length.to_bytes(4, "big")
        else:
            raise LimitError("a value of more than 2**32 bytes or items")

    def _numpy(self, value: object) -> None:
        try:
            found = extensions.encode_numpy(value)
        except Refused as error:
            raise Unencodable(str(error)) from None
        if found is None:
            raise Unencodable(f"a value of type {type(value).__module__}.{type(value).__name__}")
        self._write_extension(*found)

    def _extension(self, code: int, encoder: Callable[[Any], bytes], value: object) -> None:
        try:
            payload = encoder(value)
        except Refused as error:
            raise Unencodable(str(error)) from None
        self._write_extension(code, payload)

    def _write_extension(self, code: int, payload: bytes) -> None:
        self.budget.take_items(CONTAINER_ITEMS)
        fixed = _FIXED_EXTENSIONS.get(len(payload))
        if fixed is not None:
            self.out.append(fixed)
        else:
            self._length(len(payload), _EXTENSION)
        self.out.append(code)
        self.out += payload


def _size_class(bits: int) -> tuple[int, int]:
    """Bytes (1, 2, 4 or 8) that hold so many bits, and the number of that class."""
    return (1, 0) if bits <= 8 else (2, 1) if bits <= 16 else (4, 2) if bits <= 32 else (8, 3)


def _writer(code: int, encoder: Callable[[Any], bytes]) -> Callable[[Encoder, Any, int], None]:
    return lambda self, value, depth: self._extension(code, encoder, value)


_FIXED_EXTENSIONS = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}

_WRITERS: dict[type, Callable[[Encoder, Any, int], None]] = {
    type(None): Encoder.write_nil,
    bool: Encoder.write_boolean,
    int: Encoder.write_integer,
    float: Encoder.write_float,
    str: Encoder.write_text,
    bytes: Encoder.write_bytes,
    list: Encoder.write_list,
    dict: Encoder.write_map,
    Missing: Encoder.write_missing,
    datetime: _writer(extensions.DATETIME, extensions.encode_datetime),
    date: _writer(extensions.DATE, extensions.encode_date),
    time: _writer(extensions.TIME, extensions.encode_time),
    timedelta: _writer(extensions.DURATION, extensions.encode_duration),
    Decimal: _writer(extensions.DECIMAL, extensions.encode_decimal),
}
