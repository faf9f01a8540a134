"""Reading the single-file form: a ZIP archive that can be read in exactly one way (FORMAT.md 4.2).

The central directory is read under limits, its fields are checked one by one for the sake of clear messages, and then
every header of the archive is rendered again from what was read and compared byte by byte. Nothing of an archive is
left unread: its members, rendered headers included, tile the file from the first byte to the last.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from modelcrate.errors import FormatError, IntegrityError, LimitError
from modelcrate.format.names import MANIFEST_NAME, MEMBER_NAME_BYTES, check_member_name
from modelcrate.limits import Limits
from modelcrate.storage import ziplayout as zl
from modelcrate.storage.ziplayout import Entry

_DATA_DESCRIPTOR = 0x0008
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000


def read_entries(data: memoryview, *, where: str, limits: Limits) -> tuple[Entry, ...]:
    """The members of the archive that ``data`` is, in file order, all of them checked against the profile.

    Raises FormatError for whatever is not the one rendering of its members, LimitError for too many members.
    Member data is not read.
    """
    count, offset, size = _read_end(data, where=where)
    if count == 0:
        raise FormatError("the archive has no members", where=where)
    if count > limits.members:
        raise LimitError(f"more than {limits.members} members", where=where)
    if size > count * (zl.CENTRAL.size + MEMBER_NAME_BYTES + 28):
        raise FormatError("the central directory is larger than its members allow", where=where)
    if b"/data.pkl" in bytes(data[offset : offset + size]):
        raise FormatError(
            "a file of torch.save, not a crate", where=where, hint="`modelcrate convert` makes a crate of it"
        )
    entries = _read_central(data[offset : offset + size], count, where=where)
    _check_names(entries, where=where)
    _check_tiling(data, entries, offset, where=where)
    if zl.tail(entries) != data[offset:]:
        raise FormatError("the central directory is not in its one canonical form", where=where)
    return entries


def check_crc(data: memoryview, entry: Entry, *, where: str) -> None:
    """Refuse a member whose bytes have another CRC-32 than its headers say."""
    if zlib.crc32(data) != entry.crc:
        raise IntegrityError("the checksum (CRC-32) is wrong: the bytes are damaged", where=where)


def _read_end(data: memoryview, *, where: str) -> tuple[int, int, int]:
    """Member count, offset and size of the central directory, from the last bytes of the archive."""
    if data[:4] != zl.LOCAL_SIGNATURE:
        raise _not_an_archive(data, where)
    end = len(data) - zl.END.size
    if end < 0 or data[end : end + 4] != zl.END_SIGNATURE:
        if _has_end(data):
            raise FormatError("bytes follow the end of the archive", where=where)
        raise FormatError("the end of the archive is missing: the file is cut short", where=where)
    _, disk, directory_disk, disk_count, count, size, offset, comment = zl.END.unpack_from(data, end)
    if comment:
        raise FormatError("the archive has a comment", where=where)
    if disk or directory_disk or disk_count != count:
        raise FormatError("the archive is split over several disks", where=where)
    if offset == zl.ZIP64_FROM:
        count, offset, size, end = _read_end64(data, end, where=where)
    if offset + size != end:
        raise FormatError("the central directory does not end where the end record starts", where=where)
    return count, offset, size


def _read_end64(data: memoryview, end: int, *, where: str) -> tuple[int, int, int, int]:
    start = end - zl.LOCATOR64.size - zl.END64.size
    if start < 0 or data[start : start + 4] != zl.END64_SIGNATURE:
        raise FormatError("the ZIP64 end record is missing", where=where)
    record = zl.END64.unpack_from(data, start)
    count, size, offset = record[-3:]
    return count, offset, size, start


def _read_central(directory: memoryview, count: int, *, where: str) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    position = 0
    for index in range(count):
        place = f"{where}: member {index}"
        if len(directory) - position < zl.CENTRAL.size or directory[position : position + 4] != zl.CENTRAL_SIGNATURE:
            raise FormatError("the central directory is cut short or malformed", where=place)
        fields = zl.CENTRAL.unpack_from(directory, position)
        flags, method = fields[3:5]
        crc, size, stored, name_size, extra_size, comment_size = fields[7:13]
        attributes, offset = fields[15:17]
        position += zl.CENTRAL.size
        name = _name(directory[position : position + name_size], name_size, where=place)
        extra = directory[position + name_size : position + name_size + extra_size]
        position += name_size + extra_size + comment_size
        place = f"{where}: {name}"
        _refuse_features(flags, method, attributes, comment_size, where=place)
        if size != stored:
            raise FormatError("stored and original size differ", where=place)
        size, offset = _widen(size, offset, extra, where=place)
        entries.append(Entry(name=name, size=size, crc=crc, offset=offset))
    if position != len(directory):
        raise FormatError("the central directory holds more than its members", where=where)
    return tuple(entries)


def _name(raw: memoryview, size: int, *, where: str) -> str:
    if len(raw) != size:
        raise FormatError("the central directory is cut short", where=where)
    return check_member_name(bytes(raw).decode("latin-1"), where=where)


def _refuse_features(flags: int, method: int, attributes: int, comment_size: int, *, where: str) -> None:
    if flags & _ENCRYPTED:
        raise FormatError("the member is encrypted", where=where)
    if flags & _DATA_DESCRIPTOR:
        raise FormatError("the member's size follows its data (data descriptor)", where=where)
    if flags:
        raise FormatError(f"the member has flags {flags:#06x}; none are allowed", where=where)
    if method != zl.STORED:
        raise FormatError("the member is compressed; members of a crate are stored", where=where)
    if attributes != zl.ATTRIBUTES:
        raise FormatError("the member is not marked as a plain regular file", where=where)
    if comment_size:
        raise FormatError("the member has a comment", where=where)


def _widen(size: int, offset: int, extra: memoryview, *, where: str) -> tuple[int, int]:
    """Size and offset with the ZIP64 record applied; whether the record is the right one, the rendering decides."""
    wide = (2 if size == zl.ZIP64_FROM else 0) + (1 if offset == zl.ZIP64_FROM else 0)
    if len(extra) != (4 + 8 * wide if wide else 0):
        raise FormatError("the central record carries unexpected extra fields", where=where)
    values = struct.unpack(f"<{wide}Q", extra[4:]) if wide else ()
    return (values[0] if size == zl.ZIP64_FROM else size), (values[-1] if offset == zl.ZIP64_FROM else offset)


def _check_names(entries: Sequence[Entry], *, where: str) -> None:
    names = [entry.name for entry in entries]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FormatError(f"member {twice!r} is there twice", where=where)
    if names[-1] != MANIFEST_NAME:
        what = "is not the last member" if MANIFEST_NAME in names else "is missing"
        raise FormatError(f"manifest.json {what}", where=where)
    if names[:-1] != sorted(names[:-1]):
        raise FormatError("the members are not in the order of their names", where=where)


def _check_tiling(data: memoryview, entries: Sequence[Entry], directory: int, *, where: str) -> None:
    position = 0
    for entry in entries:
        place = f"{where}: {entry.name}"
        if entry.offset != position:
            what = "overlaps" if entry.offset < position else "leaves a gap after"
            raise FormatError(f"the member {what} the one before it", where=place)
        if entry.end > directory:
            raise FormatError("the member reaches past the end of the archive: it is cut short", where=place)
        if data[entry.offset : entry.start] != zl.local_header(entry):
            raise FormatError("the local header does not agree with the central directory", where=place)
        position = entry.end
    if position != directory:
        raise FormatError("bytes that belong to no member stand before the central directory", where=where)


def _has_end(data: memoryview) -> bool:
    """Whether an end record stands anywhere where a comment could follow it."""
    return bytes(data[-(zl.END.size + 0xFFFF) :]).rfind(zl.END_SIGNATURE) >= 0


def _not_an_archive(data: memoryview, where: str) -> FormatError:
    """The error for a file that does not start as an archive: in one word, what it seems to be instead."""
    if len(data) == 0:
        return FormatError("the file is empty", where=where)
    if len(data) > 2 and data[0] == 0x80 and data[1] <= 5 and data[-1] == 0x2E:
        return FormatError("a pickle, not a crate", where=where, hint="`modelcrate convert` makes a crate of it")
    if _has_end(data):
        return FormatError("bytes stand before the archive", where=where)
    if bytes(data[8:9]) == b"{" and int.from_bytes(data[:8], "little") < len(data):
        return FormatError("a safetensors file, not a crate", where=where)
    return FormatError("not a crate: neither its first bytes nor its last are those of one", where=where)
