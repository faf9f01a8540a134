"""ZIP archives that other programs wrote, read so that every reader would agree on what they hold.

PyTorch, Python and Java pick different entries out of an archive with two members of one name, two directories or a
lying local header. Such archives are refused; a scan reads them in tolerant mode, where every irregularity is noted
and every version of a member is looked at. Members may be deflated and their sizes may stand in data descriptors; both
are checked against the directory and against ``limits``.
"""

from __future__ import annotations

import struct
import unicodedata
import zlib
from dataclasses import dataclass, field
from typing import TypeAlias

from modelcrate.errors import FormatError, IntegrityError, LimitError, ModelcrateError, UnsupportedError
from modelcrate.legacy.machine import Data
from modelcrate.limits import DEFAULT, Limits

Buffer: TypeAlias = "bytes | memoryview"

LOCAL, CENTRAL, END, END64, LOCATOR, DESCRIPTOR = (
    b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08",
)  # fmt: skip
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
STORED, DEFLATED = 0, 8
_CHECKED = 64 << 20
"""Bytes of a checksum between two looks at the clock."""
_ENCRYPTED = 0x1 | 0x20 | 0x40


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One member as the central directory declares it; ``data_start`` is where its bytes begin."""

    name: str
    method: int
    crc: int
    size: int
    packed: int
    header: int
    data_start: int
    flags: int
    mode: int


@dataclass(slots=True, kw_only=True)
class Archive:
    """An archive's members in directory order. ``complaints`` is empty unless it was read tolerantly."""

    data: Data
    entries: list[Entry]
    complaints: list[str]
    where: str
    limits: Limits
    inflated: int = 0
    _by_name: dict[str, Entry] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Member names in directory order."""
        return [entry.name for entry in self.entries]

    def entry(self, name: str) -> Entry:
        """The member of this name.

        :raises FormatError: there is none.
        """
        if not self._by_name:
            self._by_name.update({entry.name: entry for entry in self.entries})
        if name not in self._by_name:
            raise FormatError(f"the member {name[:80]!r} is missing", where=self.where)
        return self._by_name[name]

    def read(self, entry: Entry, *, check: bool = True) -> Buffer:
        """A member's bytes: a view of the archive where they are stored, inflated otherwise.

        :raises IntegrityError: size or checksum differ from the directory (a checksum of 0 was never computed).
        :raises LimitError: inflating takes more than the limits allow.
        """
        self.limits.check_time(self._place(entry))
        packed = memoryview(self.data)[entry.data_start : entry.data_start + entry.packed]
        data: Buffer = packed if entry.method == STORED else self._inflate(entry, packed)
        if len(data) != entry.size:
            raise IntegrityError(f"{len(data)} bytes where {entry.size} are declared", where=self._place(entry))
        if check and entry.crc and self._checksum(data, entry) != entry.crc:
            raise IntegrityError("the checksum differs", where=self._place(entry))
        return data

    def _checksum(self, data: Buffer, entry: Entry) -> int:
        view, crc = memoryview(data), 0
        for start in range(0, len(view), _CHECKED):
            crc = zlib.crc32(view[start : start + _CHECKED], crc)
            self.limits.check_time(self._place(entry))
        return crc

    def _place(self, entry: Entry) -> str:
        return f"{self.where}, member {entry.name[:80]!r}"

    def _inflate(self, entry: Entry, packed: memoryview) -> bytes:
        if entry.method != DEFLATED:
            raise UnsupportedError(f"compression method {entry.method}", where=self._place(entry))
        room = self.limits.inflated_bytes - self.inflated
        if entry.size > room or entry.size > 1100 * max(1, entry.packed):
            raise LimitError(f"it would inflate to {entry.size} bytes", where=self._place(entry))
        engine = zlib.decompressobj(-15)
        try:
            data = engine.decompress(packed, entry.size + 1)
        except zlib.error:
            raise FormatError("a deflate stream that is none", where=self._place(entry)) from None
        self.inflated += len(data)
        if not engine.eof or engine.unused_data:
            raise IntegrityError("it does not inflate to the size it declares", where=self._place(entry))
        return data


def read_archive(data: Data, *, limits: Limits = DEFAULT, where: str = "archive", tolerant: bool = False) -> Archive:
    """Read an archive's directory and check it against the local headers.

    :raises FormatError: anything that lets two readers disagree: doubled names, gaps, overlaps, bytes before or behind.
    :raises UnsupportedError: encryption, several disks, another compression than deflate.
    :raises LimitError: more members than the limit.
    """
    return _Reader(data, limits, where, tolerant).read()


def raw_inflate(content: bytes, room: int) -> bytes:
    """What a member's bytes inflate to, at most ``room`` bytes; nothing where they are no deflate stream."""
    try:
        return zlib.decompressobj(-15).decompress(content, max(1, room))
    except zlib.error:
        return b""


class _Reader:
    def __init__(self, data: Data, limits: Limits, where: str, tolerant: bool) -> None:
        self.data = data
        self.size = len(data)
        self.limits = limits
        self.where = where
        self.tolerant = tolerant
        self.complaints: list[str] = []

    def complain(self, what: str, kind: type[ModelcrateError] = FormatError) -> None:
        if not self.tolerant:
            raise kind(what, where=self.where)
        if len(self.complaints) < 100:
            self.complaints.append(what)

    def read(self) -> Archive:
        end = self._end()
        count, size, start, directory_end = self._directory(end)
        entries = self._entries(count, start, start + size)
        self._tiling(entries, start, start + size, directory_end)
        self._names(entries)
        return Archive(
            data=self.data, entries=entries, complaints=self.complaints, where=self.where, limits=self.limits
        )

    def _end(self) -> int:
        tail = self.data[max(0, self.size - 22 - 65535) :]
        found = tail.rfind(END)
        if found < 0 or len(tail) - found < 22:
            raise FormatError("an archive without its end record", where=self.where)
        end = self.size - len(tail) + found
        comment = int(_END.unpack(self.data[end : end + 22])[7])
        if comment or end + 22 != self.size:
            self.complain("an archive with a comment or bytes behind its end record")
        return end

    def _directory(self, end: int) -> tuple[int, int, int, int]:
        """Count, size and start of the directory, and where the end records begin."""
        _, disk, first_disk, here, count, size, start, _ = _END.unpack(self.data[end : end + 22])
        records = end
        if end >= 20 and self.data[end - 20 : end - 16] == LOCATOR:
            _, locator_disk, position, disks = _LOCATOR.unpack(self.data[end - 20 : end])
            if position + 56 > end or self.data[position : position + 4] != END64:
                raise FormatError("an archive whose ZIP64 locator points nowhere", where=self.where)
            wide = _END64.unpack(self.data[position : position + 56])
            if locator_disk or disks > 1 or wide[4] or wide[5] or position + 12 + wide[1] != end - 20:
                self.complain("an archive whose ZIP64 record does not add up")
            bounds = (0xFFFF, 2**32 - 1, 2**32 - 1)
            for narrow, value, bound in zip((count, size, start), wide[7:10], bounds, strict=True):
                if narrow not in (bound, value):
                    self.complain("an archive whose ZIP64 record contradicts its end record")
            here, count, size, start = wide[6], wide[7], wide[8], wide[9]
            records = position
        if disk or first_disk or here != count:
            self.complain("an archive on several disks", UnsupportedError)
        if count > self.limits.archive_members:
            raise LimitError(f"an archive of {count} members", where=self.where)
        if start + size > records:
            raise FormatError("an archive whose directory lies outside of it", where=self.where)
        if start + size != records:
            self.complain("bytes between an archive's directory and its end record")
        return count, size, start, records

    def _entries(self, count: int, position: int, stop: int) -> list[Entry]:
        entries: list[Entry] = []
        for _ in range(count):
            if position + 46 > stop or self.data[position : position + 4] != CENTRAL:
                raise FormatError("an archive with fewer members than it declares", where=self.where)
            entry, position = self._entry(position, stop)
            if entry is not None:
                entries.append(entry)
        if position != stop:
            self.complain("bytes behind the last entry of an archive's directory")
        return entries

    def _entry(self, position: int, stop: int) -> tuple[Entry | None, int]:
        parts = _CENTRAL.unpack(self.data[position : position + 46])
        flags, method, crc, packed, size = parts[3], parts[4], parts[7], parts[8], parts[9]
        name_size, extra_size, comment_size, disk, mode, header = (
            parts[10], parts[11], parts[12], parts[13], parts[15] >> 16, parts[16],
        )  # fmt: skip
        following = position + 46 + name_size + extra_size + comment_size
        if following > stop:
            raise FormatError("an archive whose directory is cut short", where=self.where)
        raw = self.data[position + 46 : position + 46 + name_size]
        name = self._name(raw, flags)
        extra = self.data[position + 46 + name_size : position + 46 + name_size + extra_size]
        size, packed, header = self._wide(extra, [size, packed, header], name)
        if disk not in (0, 0xFFFF) or flags & _ENCRYPTED:
            self.complain(f"member {name[:80]!r} is encrypted or on another disk", UnsupportedError)
        if method not in (STORED, DEFLATED):
            self.complain(f"member {name[:80]!r} has compression method {method}", UnsupportedError)
        if mode & 0o170000 not in (0, 0o100000, 0o040000):
            self.complain(f"member {name[:80]!r} is no regular file")
        if method == STORED and packed != size:
            self.complain(f"member {name[:80]!r} is stored but declares two sizes")
            size = packed
        start = self._local(header, raw, parts, name, (crc, packed, size))
        if start is None or start + packed > self.size:
            self.complain(f"member {name[:80]!r} lies outside of the archive")
            return None, following
        return Entry(
            name=name, method=method, crc=crc, size=size, packed=packed, header=header, data_start=start, flags=flags,
            mode=mode,
        ), following  # fmt: skip

    def _name(self, raw: bytes, flags: int) -> str:
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            self.complain("a member's name that is not UTF-8")
            return raw.decode("latin-1")
        if not name or "\0" in name or (not name.isascii() and not flags & 0x800) or len(raw) > 1024:
            self.complain(f"a member's name that is none: {name[:80]!r}")
        return name

    def _wide(self, extra: bytes, values: list[int], name: str) -> list[int]:
        """Sizes and offset, from the ZIP64 field where the directory holds 2**32 - 1."""
        position, seen = 0, False
        wanted = [index for index in range(3) if values[index] == 0xFFFFFFFF]
        while position + 4 <= len(extra):
            kind, size = struct.unpack("<HH", extra[position : position + 4])
            if kind == 1 and position + 4 + size <= len(extra):
                if seen or size < 8 * len(wanted):
                    self.complain(f"member {name[:80]!r} has a ZIP64 field that does not add up")
                    break
                seen = True
                for place, index in enumerate(wanted):
                    start = position + 4 + 8 * place
                    values[index] = int.from_bytes(extra[start : start + 8], "little")
            position += 4 + size
        return values

    def _local(
        self, header: int, raw: bytes, central: tuple[int, ...], name: str, sizes: tuple[int, int, int]
    ) -> int | None:
        """Where a member's data starts, after comparing its local header with the directory."""
        if header + 30 > self.size or self.data[header : header + 4] != LOCAL:
            return None
        parts = _LOCAL.unpack(self.data[header : header + 30])
        flags, method, name_size, extra_size = parts[2], parts[3], parts[9], parts[10]
        if self.data[header + 30 : header + 30 + name_size] != raw:
            self.complain(f"member {name[:80]!r} has another name in its local header")
        if method != central[4] or (flags ^ central[3]) & ~0x0806:
            self.complain(f"member {name[:80]!r} has another method or flags in its local header")
        local = (parts[6], parts[7], parts[8])
        deferred = flags & 0x8 and local == (0, 0, 0)
        wide = 0xFFFFFFFF in local[1:]
        if not deferred and not wide and local != sizes:
            self.complain(f"member {name[:80]!r} has another size or checksum in its local header")
        return int(header + 30 + name_size + extra_size)

    def _tiling(self, entries: list[Entry], start: int, stop: int, records: int) -> None:
        """Members must follow one another from byte 0 to the directory."""
        position = 0
        for entry in sorted(entries, key=lambda entry: entry.header):
            if entry.header != position:
                what = "overlap" if entry.header < position else "have bytes between or before them"
                self.complain(f"the archive's members {what}, at byte {min(position, entry.header)}")
            position = entry.data_start + entry.packed
            if entry.flags & 0x8:
                position += self._descriptor(position, entry)
        if position != start:
            self.complain("the archive's members do not end where its directory begins")

    def _descriptor(self, position: int, entry: Entry) -> int:
        """Size of the data descriptor behind a member, whose numbers must be those of the directory."""
        expected = entry.crc, entry.packed, entry.size
        for form in ("<L2L", "<L2Q"):
            for signed in (True, False):
                size = struct.calcsize(form)
                begin = position + 4 if signed else position
                if signed and self.data[position : position + 4] != DESCRIPTOR:
                    continue
                if begin + size <= self.size and struct.unpack(form, self.data[begin : begin + size]) == expected:
                    return begin + size - position
        if self.data[position : position + 4] in (LOCAL, CENTRAL):
            return 0
        self.complain(f"member {entry.name[:80]!r} has another size or checksum in its descriptor")
        return 0

    def _names(self, entries: list[Entry]) -> None:
        """Two names that some reader or file system takes for one."""
        seen: set[str] = set()
        for entry in entries:
            folded = unicodedata.normalize("NFKC", entry.name).casefold().replace("\\", "/").rstrip(". ")
            if folded in seen:
                self.complain(f"two members of one name: {entry.name[:80]!r}")
            seen.add(folded)
            parts = entry.name.replace("\\", "/").split("/")
            if entry.name.startswith(("/", "\\")) or ".." in parts or ":" in entry.name:
                self.complain(f"a member's name that leaves the archive: {entry.name[:80]!r}")
