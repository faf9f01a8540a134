"""Builders of bytes: canonical JSON, msgpack, safetensors and ZIP, each written out plainly and easy to make wrong."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from blake3 import blake3


@dataclass(frozen=True)
class Vector:
    """One input with what a reader has to make of it: ``expected`` for a valid one, clause and code for the others."""

    kind: str
    name: str
    data: bytes | dict[str, bytes]
    what: str
    clause: str = ""
    code: str = ""
    expected: Any = None
    schema: bool = False
    """Whether the JSON Schema of the manifest refuses it too (asked of manifests only)."""


def digest(data: bytes, algorithm: str = "blake3") -> str:
    made = blake3(data) if algorithm == "blake3" else hashlib.sha256(data)
    return f"{algorithm}:{made.hexdigest()}"


# JSON ---------------------------------------------------------------------------------------------------------------


def quoted(text: str) -> str:
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
    out = []
    for character in text:
        point = ord(character)
        if character in short:
            out.append(short[character])
        elif 0x20 <= point <= 0x7E:
            out.append(character)
        elif point <= 0xFFFF:
            out.append(f"\\u{point:04x}")
        else:
            point -= 0x10000
            out.append(f"\\u{0xD800 + (point >> 10):04x}\\u{0xDC00 + (point & 0x3FF):04x}")
    return '"' + "".join(out) + '"'


def rendered(value: Any, level: int = 0) -> str:
    """Canonical JSON (3.1.3, 3.1.4) without the last line feed; a ``Raw`` goes in as it is."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, (dict, list)) and not value:
        return "{}" if isinstance(value, dict) else "[]"
    inner, outer = "\n" + "  " * (level + 1), "\n" + "  " * level
    if isinstance(value, dict):
        rows = [f"{quoted(key)}: {rendered(value[key], level + 1)}" for key in sorted(value)]
        return "{" + inner + ("," + inner).join(rows) + outer + "}"
    if isinstance(value, list):
        return "[" + inner + ("," + inner).join(rendered(item, level + 1) for item in value) + outer + "]"
    if isinstance(value, str):
        return quoted(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


@dataclass(frozen=True)
class Raw:
    """JSON text that goes into a document unchanged."""

    text: str


def sealed(document: dict[str, Any], algorithm: str = "blake3") -> bytes:
    """The bytes of a manifest with the right seal, whatever else is wrong with it."""
    zeros = f"{algorithm}:{'0' * 64}"
    data = (rendered({**document, "seal": zeros}) + "\n").encode("ascii")
    label = f'\n  "seal": "{zeros}"'.encode()
    at = data.index(label) + len(label) - 65
    return data[:at] + digest(data, algorithm).split(":")[1].encode() + data[at + 64 :]


# msgpack ------------------------------------------------------------------------------------------------------------


def text(value: str) -> bytes:
    raw = value.encode()
    assert len(raw) < 32
    return bytes([0xA0 | len(raw)]) + raw


def small_list(*items: bytes) -> bytes:
    assert len(items) < 16
    return bytes([0x90 | len(items)]) + b"".join(items)


def small_map(*pairs: tuple[str, bytes]) -> bytes:
    assert len(pairs) < 16
    return bytes([0x80 | len(pairs)]) + b"".join(text(key) + value for key, value in pairs)


def extension(code: int, payload: bytes) -> bytes:
    fixed = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}.get(len(payload))
    if fixed is not None:
        return bytes([fixed, code & 0xFF]) + payload
    if len(payload) < 256:
        return bytes([0xC7, len(payload), code & 0xFF]) + payload
    return b"\xc8" + struct.pack(">H", len(payload)) + bytes([code & 0xFF]) + payload


def array(dtype: str, shape: list[int], items: bytes) -> bytes:
    return extension(2, array_payload(dtype, shape, items))


def array_payload(dtype: str, shape: list[int], items: bytes) -> bytes:
    name = dtype.encode()
    return bytes([len(name)]) + name + bytes([len(shape)]) + b"".join(struct.pack("<Q", n) for n in shape) + items


def scalar(dtype: str, item: bytes) -> bytes:
    return extension(3, bytes([len(dtype)]) + dtype.encode() + item)


# safetensors --------------------------------------------------------------------------------------------------------


def safetensors(header: str | bytes, data: bytes = b"", *, pad: int = 64, length: int | None = None) -> bytes:
    raw = header.encode() if isinstance(header, str) else header
    raw += b" " * (-(8 + len(raw)) % pad)
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def tensor(dtype: str, shape: list[int], begin: int, end: int) -> str:
    sizes = ",".join(str(size) for size in shape)
    return f'{{"dtype":"{dtype}","shape":[{sizes}],"data_offsets":[{begin},{end}]}}'


# ZIP ----------------------------------------------------------------------------------------------------------------


@dataclass
class Entry:
    """One ZIP entry; every field can be made to lie, in the local header, the central one, or both."""

    name: bytes
    data: bytes
    method: int = 0
    flags: int = 0
    version: int = 20
    made_by: int = 0x0314
    time: int = 0
    date: int = 0x21
    attributes: int = 0x81A40000
    internal: int = 0
    crc: int | None = None
    size: int | None = None
    offset: int | None = None
    local: dict[str, Any] | None = None
    local_extra: bytes | None = None
    central_extra: bytes = b""
    comment: bytes = b""
    after: bytes = b""


def archive(
    entries: list[Entry],
    *,
    before: bytes = b"",
    behind: bytes = b"",
    gap: bytes = b"",
    count: int | None = None,
    comment: bytes = b"",
    disk: int = 0,
    directory_shift: int = 0,
    central_order: list[int] | None = None,
) -> bytes:
    """The bytes of an archive of these entries, right but for what the arguments make wrong."""
    out = bytearray(before)
    places = []
    for entry in entries:
        places.append(len(out) if entry.offset is None else entry.offset)
        said = {
            "name": entry.name,
            "method": entry.method,
            "flags": entry.flags,
            "version": entry.version,
            "time": entry.time,
            "date": entry.date,
            "crc": _crc(entry),
            "size": _size(entry),
            "packed": _size(entry),
            **(entry.local or {}),
        }
        extra = padding(len(out) + 30 + len(said["name"])) if entry.local_extra is None else entry.local_extra
        out += struct.pack(
            "<4s5H3L2H",
            b"PK\x03\x04",
            said["version"],
            said["flags"],
            said["method"],
            said["time"],
            said["date"],
            said["crc"],
            said["packed"],
            said["size"],
            len(said["name"]),
            len(extra),
        )
        out += said["name"] + extra + entry.data + entry.after
    out += gap
    start = len(out)
    for index in central_order or range(len(entries)):
        entry = entries[index]
        out += struct.pack(
            "<4s6H3L5H2L",
            b"PK\x01\x02",
            entry.made_by,
            entry.version,
            entry.flags,
            entry.method,
            entry.time,
            entry.date,
            _crc(entry),
            _size(entry),
            _size(entry),
            len(entry.name),
            len(entry.central_extra),
            len(entry.comment),
            0,
            entry.internal,
            entry.attributes,
            places[index],
        )
        out += entry.name + entry.central_extra + entry.comment
    number = len(entries) if count is None else count
    size = len(out) - start
    out += (
        struct.pack("<4s4H2LH", b"PK\x05\x06", disk, disk, number, number, size, start + directory_shift, len(comment))
        + comment
    )
    return bytes(out + behind)


def padding(position: int) -> bytes:
    """The padding record (4.2.6) of a header that would end at ``position`` without it."""
    need = -position % 64
    if need == 0:
        return b""
    while need < 4:
        need += 64
    return struct.pack("<2H", 0x434D, need - 4) + bytes(need - 4)


def _crc(entry: Entry) -> int:
    return zlib.crc32(entry.data) if entry.crc is None else entry.crc


def _size(entry: Entry) -> int:
    return len(entry.data) if entry.size is None else entry.size
