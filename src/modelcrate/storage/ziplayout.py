"""The ZIP profile of a single-file crate, as arithmetic: an archive is a function of its members.

Given the names, sizes and checksums of the members, every byte that is not member data follows (FORMAT.md 4.2): there
is one way to write each header. So the writer renders the headers from here, and the reader, having
read the central directory, renders them again and compares; what a lenient parser could read in two ways differs
somewhere from the one rendering.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 64
"""Member data starts at a multiple of this, so that tensors can be used in place, cache line by cache line."""
PADDING_ID = 0x434D
"""The extra record whose zero bytes push member data to its alignment (``MC`` in the file)."""
ZIP64_ID = 0x0001
ZIP64_FROM = 0xFFFFFFFF
"""From this size or offset on, the 32-bit field says so with this very value, and a 64-bit record carries it."""

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR64 = struct.Struct("<4sLQL")

LOCAL_SIGNATURE = b"PK\x03\x04"
CENTRAL_SIGNATURE = b"PK\x01\x02"
END_SIGNATURE = b"PK\x05\x06"
END64_SIGNATURE = b"PK\x06\x06"
LOCATOR64_SIGNATURE = b"PK\x06\x07"

UNIX = 3 << 8
VERSION_PLAIN = 20
VERSION_ZIP64 = 45
STORED = 0
DOS_DATE = (1980 - 1980) << 9 | 1 << 5 | 1
"""1 January 1980, the first day that ZIP can write: the same model gives the same bytes on any day."""
ATTRIBUTES = 0o100644 << 16
"""A regular file, readable by all: what ``unzip`` gives the extracted member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One member: its name, its data's size and CRC-32, and where its local header starts."""

    name: str
    size: int
    crc: int
    offset: int

    @property
    def _wide(self) -> bool:
        return self.size >= ZIP64_FROM

    @property
    def _version(self) -> int:
        return VERSION_ZIP64 if self._wide or self.offset >= ZIP64_FROM else VERSION_PLAIN

    @property
    def start(self) -> int:
        """Where the member's data starts: the first multiple of 64 that a padding record, if needed, fits before."""
        bare = self.offset + LOCAL.size + len(self.name) + (20 if self._wide else 0)
        if bare % ALIGNMENT == 0:
            return bare
        return -(-(bare + 4) // ALIGNMENT) * ALIGNMENT

    @property
    def end(self) -> int:
        """Where the member's data ends, and the next local header or the central directory starts."""
        return self.start + self.size


def local_header(entry: Entry) -> bytes:
    """The bytes from ``entry.offset`` to ``entry.start`` (FORMAT.md 4.2.3 to 4.2.9)."""
    name = entry.name.encode("ascii")
    size = _narrow(entry.size)
    extra = struct.pack("<2H2Q", ZIP64_ID, 16, entry.size, entry.size) if entry.size >= ZIP64_FROM else b""
    padding = entry.start - entry.offset - LOCAL.size - len(name) - len(extra)
    if padding:
        extra += struct.pack("<2H", PADDING_ID, padding - 4) + bytes(padding - 4)
    fixed = LOCAL.pack(
        LOCAL_SIGNATURE, entry._version, 0, STORED, 0, DOS_DATE, entry.crc, size, size, len(name), len(extra)
    )
    return fixed + name + extra


def central_header(entry: Entry) -> bytes:
    """The member's record in the central directory."""
    name = entry.name.encode("ascii")
    size, offset = _narrow(entry.size), _narrow(entry.offset)
    wide = [entry.size, entry.size] if entry.size >= ZIP64_FROM else []
    if entry.offset >= ZIP64_FROM:
        wide.append(entry.offset)
    extra = struct.pack(f"<2H{len(wide)}Q", ZIP64_ID, 8 * len(wide), *wide) if wide else b""
    fixed = CENTRAL.pack(
        CENTRAL_SIGNATURE, UNIX | entry._version, entry._version, 0, STORED, 0, DOS_DATE, entry.crc, size, size,
        len(name), len(extra), 0, 0, 0, ATTRIBUTES, offset,
    )  # fmt: skip
    return fixed + name + extra


def tail(entries: Sequence[Entry]) -> bytes:
    """Everything after the last member's data: the central directory and its end records (FORMAT.md 4.2.9)."""
    directory = b"".join(central_header(entry) for entry in entries)
    offset, count = entries[-1].end, len(entries)
    end = END.pack(END_SIGNATURE, 0, 0, count, count, len(directory), _narrow(offset), 0)
    if offset < ZIP64_FROM:
        return directory + end
    size = END64.size - 12
    made, needed = UNIX | VERSION_ZIP64, VERSION_ZIP64
    end64 = END64.pack(END64_SIGNATURE, size, made, needed, 0, 0, count, count, len(directory), offset)
    locator = LOCATOR64.pack(LOCATOR64_SIGNATURE, 0, offset + len(directory), 1)
    return directory + end64 + locator + end


def _narrow(value: int) -> int:
    return min(value, ZIP64_FROM)
