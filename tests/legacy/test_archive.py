"""ZIP archives of other programs: honest ones are read, ambiguous ones refused. Ids like B3 are hostile cases."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
import zlib

import pytest

from modelcrate.errors import FormatError, IntegrityError, LimitError, ModelcrateError, UnsupportedError
from modelcrate.legacy.archive import read_archive
from modelcrate.limits import Limits


def packed(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.comment = comment
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            archive.writestr(info, data)
    return out.getvalue()


MEMBERS = [("a/x", b"hello" * 20), ("a/y", b""), ("a/z", bytes(range(256)))]


class Unseekable(io.RawIOBase):
    """A stream that zipfile writes with data descriptors, because it can't go back."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.parts.append(bytes(data))  # type: ignore[call-overload]
        return len(self.parts[-1])


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("streamed", [False, True])
def test_honest_archives_are_read(method: int, streamed: bool) -> None:
    data = packed(MEMBERS, method)
    if streamed:
        out = Unseekable()
        with zipfile.ZipFile(out, "w", method) as archive:  # type: ignore[call-overload]
            for name, content in MEMBERS:
                archive.writestr(name, content)
        data = b"".join(out.parts)
    archive = read_archive(data)
    assert archive.names() == [name for name, _ in MEMBERS]
    assert [bytes(archive.read(entry)) for entry in archive.entries] == [content for _, content in MEMBERS]


def test_zip64_archives_are_read() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open(zipfile.ZipInfo("big"), "w", force_zip64=True) as member:
        member.write(b"content")
    found = read_archive(out.getvalue())
    assert bytes(found.read(found.entry("big"))) == b"content"


def test_a_checksum_of_zero_was_never_computed__B17() -> None:
    data = bytearray(packed([("a", b"hello")]))
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<L", data, 14, 0)
    struct.pack_into("<L", data, central + 16, 0)
    archive = read_archive(bytes(data))
    assert bytes(archive.read(archive.entry("a"))) == b"hello"


def test_a_wrong_checksum_is_an_integrity_error__B17() -> None:
    data = bytearray(packed([("a", b"hello")]))
    data[data.index(b"hello")] ^= 1
    archive = read_archive(bytes(data))
    with pytest.raises(IntegrityError):
        archive.read(archive.entry("a"))


def patched(offset: int, value: bytes, *, central: bool = False, end: bool = False) -> bytes:
    data = bytearray(packed(MEMBERS))
    base = data.index(b"PK\x05\x06") if end else data.index(b"PK\x01\x02") if central else 0
    data[base + offset : base + offset + len(value)] = value
    return bytes(data)


REFUSED = {
    "B1": packed([("a", b"1"), ("a", b"2")]),
    "B2-case": packed([("a/b", b"1"), ("a/B", b"2")]),
    "B2-slash": packed([("a/b", b"1"), ("a\\b", b"2")]),
    "B2-dot": packed([("a/b", b"1"), ("a/b.", b"2")]),
    "B3": patched(30, b"X"),
    "B4-method": patched(8, b"\x08\x00"),
    "B4-crc": patched(14, b"\x01\x01\x01\x01"),
    "B4-size": patched(22, b"\x01\x00\x00\x00"),
    "B5-encrypted": patched(8, b"\x01\x00", central=True),
    "B5-strong": patched(8, b"\x40\x00", central=True),
    "B6": b"junk" + packed(MEMBERS),
    "B7": packed(MEMBERS) + b"junk",
    "B8": packed(MEMBERS, comment=b"hello"),
    "B9": packed(MEMBERS, comment=packed(MEMBERS)[-22:]),
    "B10": packed(MEMBERS) + packed(MEMBERS),
    "B14-more": patched(8, b"\x09\x00\x09\x00", end=True),
    "B14-less": patched(8, b"\x01\x00\x01\x00", end=True),
    "B14-size": patched(12, b"\x09\x00\x00\x00", end=True),
    "B14-start": patched(16, b"\x09\x00\x00\x00", end=True),
    "B14-disk": patched(4, b"\x01\x00", end=True),
    "B15": patched(10, b"\x63\x00", central=True),
    "B16": patched(20, b"\xff\xff\xff\x7f\xff\xff\xff\x7f", central=True),
    "B18": patched(38, b"\x00\x00\xff\xa1", central=True),
    "B19-parent": packed([("../a", b"1")]),
    "B19-absolute": packed([("/a", b"1")]),
    "B19-drive": packed([("C:\\a", b"1")]),
    "cut": packed(MEMBERS)[:-5],
    "directory-gone": packed(MEMBERS)[:100],
    "empty-end": b"PK\x05\x06",
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_archives_that_readers_disagree_on_are_refused(data: bytes) -> None:
    with pytest.raises((FormatError, UnsupportedError)):
        read_archive(data)


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_a_tolerant_reading_complains_or_fails(data: bytes) -> None:
    with contextlib.suppress(ModelcrateError):
        assert read_archive(data, tolerant=True).complaints


def test_members_are_counted_before_they_are_read__B28() -> None:
    data = packed([(f"m{index}", b"") for index in range(50)])
    with pytest.raises(LimitError):
        read_archive(data, limits=Limits(archive_members=40))


def test_a_member_inflates_to_what_it_declares_and_no_more__H1_H21() -> None:
    honest = bytearray(packed([("a", bytes(100_000))], zipfile.ZIP_DEFLATED))
    archive = read_archive(bytes(honest), limits=Limits(inflated_bytes=50_000))
    with pytest.raises(LimitError):
        archive.read(archive.entry("a"))
    central = honest.index(b"PK\x01\x02")
    for base, place in ((0, 22), (central, 24)):
        struct.pack_into("<L", honest, base + place, 10)
    archive = read_archive(bytes(honest))
    with pytest.raises(IntegrityError):
        archive.read(archive.entry("a"))


def test_inflated_bytes_add_up_over_members__H2() -> None:
    data = packed([(f"m{index}", bytes(1000)) for index in range(100)], zipfile.ZIP_DEFLATED)
    archive = read_archive(data, limits=Limits(inflated_bytes=50_000))
    for entry in archive.entries[:40]:
        archive.read(entry)
    with pytest.raises(LimitError):
        _ = [archive.read(entry) for entry in archive.entries[40:]]


def test_a_damaged_deflate_stream_is_a_library_error() -> None:
    data = bytearray(packed([("a", bytes(range(256)) * 4)], zipfile.ZIP_DEFLATED))
    data[40:50] = bytes(10)
    archive = read_archive(bytes(data))
    with pytest.raises(ModelcrateError):
        archive.read(archive.entry("a"))


def test_every_single_byte_flip_ends_in_a_library_error_or_the_same_content() -> None:
    data = packed([("a/x", b"hello")])
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 0xFF
        try:
            archive = read_archive(bytes(flipped))
            contents = [bytes(archive.read(entry)) for entry in archive.entries]
        except ModelcrateError:
            continue
        assert contents == [b"hello"], place
    assert zlib.crc32(b"hello") == read_archive(data).entries[0].crc
