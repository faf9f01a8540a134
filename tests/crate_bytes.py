"""Crates byte by byte: a second, independent rendering of FORMAT.md 4.2 whose every field a test can spoil."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modelcrate.crate import ComponentData, write_crate
from modelcrate.format.tensors import TensorData

EXTERNAL = 0x81A40000
DATE = 0x0021


@dataclass(kw_only=True)
class Raw:
    """One member; ``local`` and ``central`` replace header fields by name, ``gap`` stands before the local header."""

    name: bytes
    data: bytes
    local: dict[str, int | bytes] = field(default_factory=dict)
    central: dict[str, int | bytes] = field(default_factory=dict)
    gap: bytes = b""


def both(name: bytes, data: bytes, **changes: int | bytes) -> Raw:
    """A member whose two headers are spoiled alike."""
    return Raw(name=name, data=data, local=dict(changes), central=dict(changes))


def padding(position: int) -> bytes:
    """The extra field after which data starts at a multiple of 64 (FORMAT.md 4.2.6)."""
    if position % 64 == 0:
        return b""
    length = -(position + 4) % 64
    return struct.pack("<HH", 0x434D, length) + bytes(length)


def archive(
    members: Sequence[Raw],
    *,
    prefix: bytes = b"",
    before_directory: bytes = b"",
    suffix: bytes = b"",
    comment: bytes = b"",
    end: Mapping[str, int] | None = None,
    central_order: Sequence[int] | None = None,
) -> bytes:
    """The archive of these members, canonical unless told otherwise."""
    out = bytearray(prefix)
    records: list[bytes] = []
    for member in members:
        out += member.gap
        offset = len(out)
        fields: dict[str, int | bytes] = {
            "version": 20, "flags": 0, "method": 0, "time": 0, "date": DATE, "crc": zlib.crc32(member.data),
            "stored": len(member.data), "size": len(member.data), "name": member.name,
        }  # fmt: skip
        it = {**fields, "extra": None, **member.local}
        extra = it["extra"] if it["extra"] is not None else padding(offset + 30 + len(it["name"]))
        out += struct.pack(
            "<4s5H3L2H", b"PK\x03\x04", it["version"], it["flags"], it["method"], it["time"], it["date"], it["crc"],
            it["stored"], it["size"], len(it["name"]), len(extra),
        )  # fmt: skip
        out += it["name"] + extra + member.data
        it = {
            **fields, "made": 0x0300 | 20, "extra": b"", "comment": b"", "disk": 0, "internal": 0,
            "external": EXTERNAL, "offset": offset, **member.central,
        }  # fmt: skip
        records.append(
            struct.pack(
                "<4s6H3L5H2L", b"PK\x01\x02", it["made"], it["version"], it["flags"], it["method"], it["time"],
                it["date"], it["crc"], it["stored"], it["size"], len(it["name"]), len(it["extra"]), len(it["comment"]),
                it["disk"], it["internal"], it["external"], it["offset"],
            )
            + it["name"] + it["extra"] + it["comment"]
        )  # fmt: skip
    out += before_directory
    start = len(out)
    for index in central_order if central_order is not None else range(len(records)):
        out += records[index]
    it = {
        "disk": 0, "directory_disk": 0, "disk_count": len(records), "count": len(records), "size": len(out) - start,
        "offset": start, **(end or {}),
    }  # fmt: skip
    out += struct.pack(
        "<4s4H2LH", b"PK\x05\x06", it["disk"], it["directory_disk"], it["disk_count"], it["count"], it["size"],
        it["offset"], len(comment),
    )  # fmt: skip
    return bytes(out + comment + suffix)


def small_components() -> list[ComponentData]:
    """Weights and a state, a few hundred bytes."""
    return [
        ComponentData(
            name="net",
            role="network",
            type="test.net/1",
            config={"width": 2},
            tensors={
                "weight": TensorData("F32", (2, 2), bytes(range(16))),
                "mask": TensorData("BOOL", (3,), b"\0\1\1"),
                "empty": TensorData("F32", (0,), b""),
            },
        ),
        ComponentData(
            name="table",
            role="table",
            type="test.table/1",
            state={"columns": ["a", "b"], "mean": 1.5, "nested": {"count": 3, "raw": b"\0\xff"}},
        ),
    ]


def small_crate(path: Path, **options: object) -> Path:
    """A small valid crate at ``path``."""
    write_crate(path, components=small_components(), **options)
    return path


def members_of(path: Path) -> list[Raw]:
    """The members of a folder crate in canonical order, to be spoiled."""
    files = {str(it.relative_to(path)): it.read_bytes() for it in sorted(path.rglob("*")) if it.is_file()}
    names = sorted(files, key=lambda name: (name == "manifest.json", name))
    return [Raw(name=name.encode(), data=files[name]) for name in names]
