"""The values that msgpack has no type for: one payload layout per extension code (FORMAT.md 7.4).

Every decoder here takes a payload whose length is already known to be inside the document, accepts exactly the bytes
that its encoder would write, and raises :class:`Refused` for any others. numpy is imported when an array is met.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from struct import Struct
from struct import error as struct_error
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decimal import Decimal

INTEGER, ARRAY, SCALAR, DATETIME, DATE, TIME, DURATION, DECIMAL, MISSING = range(1, 10)

RANK = 8
DIMENSION = 2**31
INTEGER_BYTES = 1024
DECIMAL_BYTES = 1024

DTYPE_SIZES: dict[str, int] = {
    "bool": 1,
    **{f"{kind}{8 * size}": size for kind in ("int", "uint") for size in (1, 2, 4, 8)},
    "float16": 2,
    "float32": 4,
    "float64": 8,
    "complex64": 8,
    "complex128": 16,
    **{
        f"{kind}[{unit}]": 8
        for kind in ("datetime64", "timedelta64")
        for unit in ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")
    },
}
"""The dtype names of FORMAT.md 7.5 with bytes per item; no other name reaches numpy."""

_ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}(/[A-Za-z0-9_+-]{1,32}){0,3}")
_DATETIME = Struct("<HBBBBBIB")
_DATE = Struct("<HBB")
_TIME = Struct("<BBBIB")
_DURATION = Struct("<iII")
_OFFSET = Struct("<i")


class Refused(Exception):
    """A value or a payload that the format has no place for; the caller adds where it stood."""


class Missing(enum.Enum):
    """A missing cell that is not a float NaN: a date that is not one, or pandas' NA."""

    NAT = 1
    NA = 2


class Zone(tzinfo):
    """A time zone by its IANA name, looked up only when somebody computes with it, never while a file is read."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def resolve(self) -> tzinfo:
        """The zone's rules from this machine's tz database; UnsupportedError if the database doesn't know it."""
        import zoneinfo

        from modelcrate.errors import UnsupportedError

        if self.name not in zoneinfo.available_timezones():
            raise UnsupportedError(f"this machine knows no time zone {self.name!r}")
        return zoneinfo.ZoneInfo(self.name)

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        return self.resolve().utcoffset(dt)

    def dst(self, dt: datetime | None) -> timedelta | None:
        return self.resolve().dst(dt)

    def tzname(self, dt: datetime | None) -> str | None:
        return self.resolve().tzname(dt)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Zone) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Zone({self.name!r})"


def encode_integer(value: int) -> bytes:
    """An integer beyond 64 bits in two's complement, fewest bytes."""
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    if size > INTEGER_BYTES:
        raise Refused(f"an integer of more than {INTEGER_BYTES} bytes")
    return value.to_bytes(size, "little", signed=True)


def decode_integer(payload: bytes) -> int:
    if not 8 < len(payload) <= INTEGER_BYTES:
        raise Refused(f"a large integer has 9 to {INTEGER_BYTES} bytes")
    value = int.from_bytes(payload, "little", signed=True)
    if -(2**63) <= value < 2**64 or encode_integer(value) != payload:
        raise Refused("an integer that is not in its shortest form")
    return value


def encode_numpy(value: object) -> tuple[int, bytes] | None:
    """Extension code and payload of a numpy array or scalar, ``None`` for anything that is neither."""
    import numpy as np

    if type(value) is np.ndarray:
        name = _dtype_name(value.dtype)
        if not 1 <= value.ndim <= RANK:
            raise Refused(f"an array of rank {value.ndim}; 1 to {RANK} can be kept")
        if any(size > DIMENSION for size in value.shape):
            raise Refused("an array with a dimension beyond 2**31")
        shape = bytes([value.ndim]) + b"".join(size.to_bytes(8, "little") for size in value.shape)
        items = value.view(np.uint8) != 0 if value.dtype == np.bool_ else value
        return ARRAY, name + shape + items.astype(items.dtype.newbyteorder("<"), copy=False).tobytes("C")
    if isinstance(value, np.generic):
        name = _dtype_name(value.dtype)
        return SCALAR, name + np.asarray(value).astype(value.dtype.newbyteorder("<")).tobytes()
    return None


def decode_array(payload: bytes) -> Any:
    """An n-d array that owns its memory; its size was checked against the payload before numpy saw it."""
    name, start = _read_dtype(payload)
    rank = payload[start] if start < len(payload) else 0
    data_start = start + 1 + 8 * rank
    if not 1 <= rank <= RANK or data_start > len(payload):
        raise Refused(f"an array of rank {rank}, or cut short")
    shape = [int.from_bytes(payload[at : at + 8], "little") for at in range(start + 1, data_start, 8)]
    if any(size > DIMENSION for size in shape):
        raise Refused("an array with a dimension beyond 2**31")
    if byte_count(shape, DTYPE_SIZES[name]) != len(payload) - data_start:
        raise Refused("an array whose bytes do not fit its shape")
    return _items(payload, data_start, name).reshape(shape)


def decode_scalar(payload: bytes) -> Any:
    name, start = _read_dtype(payload)
    if len(payload) - start != DTYPE_SIZES[name]:
        raise Refused("a typed scalar whose bytes do not fit its dtype")
    return _items(payload, start, name)[0]


def byte_count(shape: list[int], item_size: int) -> int:
    """Bytes of an array, in exact integers; refuses shapes that overflow where a zero dimension hides them."""
    whole = item_size
    empty = False
    for size in shape:
        whole *= size or 1
        empty = empty or size == 0
    if whole >= 2**63:
        raise Refused("an array whose dimensions overflow")
    return 0 if empty else whole


def _items(payload: bytes, start: int, name: str) -> Any:
    import numpy as np

    dtype = np.dtype(name)
    items = np.frombuffer(payload, dtype=dtype.newbyteorder("<"), offset=start) if start < len(payload) else None
    if items is None:
        return np.empty(0, dtype)
    if name == "bool" and bool((items.view(np.uint8) > 1).any()):
        raise Refused("a boolean that is neither 0 nor 1")
    return items.astype(dtype)


def _dtype_name(dtype: Any) -> bytes:
    name = dtype.name if dtype.names is None and dtype.subdtype is None else "structured"
    if name not in DTYPE_SIZES:
        raise Refused(f"an array or scalar of dtype {str(dtype)[:60]}")
    return bytes([len(name)]) + name.encode("ascii")


def _read_dtype(payload: bytes) -> tuple[str, int]:
    end = 1 + payload[0] if payload else 0
    name = payload[1:end].decode("latin-1")
    if name not in DTYPE_SIZES or end > len(payload):
        raise Refused("an unknown dtype")
    return name, end


def encode_datetime(value: datetime) -> bytes:
    moment = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, value.fold)
    return _DATETIME.pack(*moment) + _encode_zone(value.tzinfo, names=True)


def decode_datetime(payload: bytes) -> datetime:
    year, month, day, hour, minute, second, microsecond, fold = _DATETIME.unpack(payload[: _DATETIME.size])
    zone = _decode_zone(payload[_DATETIME.size :], names=True)
    return datetime(year, month, day, hour, minute, second, microsecond, tzinfo=zone, fold=fold)


def encode_date(value: date) -> bytes:
    return _DATE.pack(value.year, value.month, value.day)


def decode_date(payload: bytes) -> date:
    return date(*_DATE.unpack(payload))


def encode_time(value: time) -> bytes:
    moment = (value.hour, value.minute, value.second, value.microsecond, value.fold)
    return _TIME.pack(*moment) + _encode_zone(value.tzinfo, names=False)


def decode_time(payload: bytes) -> time:
    hour, minute, second, microsecond, fold = _TIME.unpack(payload[: _TIME.size])
    zone = _decode_zone(payload[_TIME.size :], names=False)
    return time(hour, minute, second, microsecond, tzinfo=zone, fold=fold)


def _encode_zone(zone: tzinfo | None, *, names: bool) -> bytes:
    if zone is None:
        return b"\x00"
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        seconds = offset.days * 86400 + offset.seconds
        if offset.microseconds:
            raise Refused("a time zone with an offset of fractional seconds")
        return b"\x01" + _OFFSET.pack(seconds)
    name = zone.name if type(zone) is Zone else getattr(zone, "key", None) if _is_zone_info(zone) else None
    if not names or type(name) is not str or _ZONE_NAME.fullmatch(name) is None:
        raise Refused(f"a time zone of type {type(zone).__name__}")
    return b"\x02" + name.encode("ascii")


def _is_zone_info(zone: tzinfo) -> bool:
    return type(zone).__module__ in ("zoneinfo", "zoneinfo._zoneinfo") and type(zone).__name__ == "ZoneInfo"


def _decode_zone(payload: bytes, *, names: bool) -> tzinfo | None:
    kind, rest = payload[:1], payload[1:]
    if kind == b"\x00" and not rest:
        return None
    if kind == b"\x01" and len(rest) == _OFFSET.size:
        seconds = int.from_bytes(rest, "little", signed=True)
        if -86400 < seconds < 86400:
            return timezone(timedelta(seconds=seconds))
    if kind == b"\x02" and names:
        name = rest.decode("latin-1")
        if _ZONE_NAME.fullmatch(name) is not None:
            return Zone(name)
    raise Refused("an unknown kind of time zone")


def encode_duration(value: timedelta) -> bytes:
    return _DURATION.pack(value.days, value.seconds, value.microseconds)


def decode_duration(payload: bytes) -> timedelta:
    days, seconds, microseconds = _DURATION.unpack(payload)
    if abs(days) > 999_999_999 or seconds >= 86_400 or microseconds >= 1_000_000:
        raise Refused("a duration out of range")
    return timedelta(days, seconds, microseconds)


def encode_decimal(value: Decimal) -> bytes:
    payload = str(value).encode("ascii")
    if len(payload) > DECIMAL_BYTES:
        raise Refused(f"a decimal of more than {DECIMAL_BYTES} digits")
    return payload


def decode_decimal(payload: bytes) -> Decimal:
    from decimal import Decimal, InvalidOperation

    if not 0 < len(payload) <= DECIMAL_BYTES:
        raise Refused(f"a decimal has 1 to {DECIMAL_BYTES} bytes")
    text = payload.decode("latin-1")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Refused("not a decimal") from None
    if str(value) != text:
        raise Refused("a decimal that is not in its one form")
    return value


def encode_missing(value: Missing) -> bytes:
    return bytes([value.value])


def decode_missing(payload: bytes) -> Missing:
    if payload == b"\x01":
        return Missing.NAT
    if payload == b"\x02":
        return Missing.NA
    raise Refused("an unknown kind of missing value")


DECODERS: dict[int, Callable[[bytes], object]] = {
    INTEGER: decode_integer,
    ARRAY: decode_array,
    SCALAR: decode_scalar,
    DATETIME: decode_datetime,
    DATE: decode_date,
    TIME: decode_time,
    DURATION: decode_duration,
    DECIMAL: decode_decimal,
    MISSING: decode_missing,
}


def decode(code: int, payload: bytes) -> object:
    """The value of one extension; :class:`Refused` for an unknown code or a payload that its layout doesn't allow."""
    decoder = DECODERS.get(code)
    if decoder is None:
        raise Refused(f"extension code {code} is unknown")
    try:
        return decoder(payload)
    except (struct_error, ValueError, OverflowError) as error:
        raise Refused(f"a payload of extension {code} is wrong: {error}") from None
