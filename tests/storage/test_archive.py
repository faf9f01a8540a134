"""The single-file form: what the one rendering of an archive lets through, and what it refuses (FORMAT.md 4.2)."""

from __future__ import annotations

import struct
import subprocess
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

import pytest

from crate_bytes import EXTERNAL, Raw, archive, both, members_of, padding, small_crate
from modelcrate.errors import FormatError, IntegrityError, LimitError, ModelcrateError
from modelcrate.storage import Payload, open_source, write_archive, ziplayout
from modelcrate.verification import verify


@pytest.fixture
def members(tmp_path: Path) -> list[Raw]:
    return members_of(small_crate(tmp_path / "folder", form="folder"))


def refused(data: bytes) -> ModelcrateError:
    """The error for these bytes, which must be the same as a path and as bytes, and must not read as verified."""
    with pytest.raises(ModelcrateError) as caught:
        open_source(data)
    report = verify(data)
    assert not report.ok
    assert [problem.code for problem in report.problems] == [caught.value.code]
    return caught.value


def test_the_writer_makes_the_archive_that_the_specification_describes(tmp_path: Path, members: list[Raw]) -> None:
    assert small_crate(tmp_path / "one.crate").read_bytes() == archive(members)


def test_the_same_crate_has_the_same_bytes_twice(tmp_path: Path) -> None:
    assert small_crate(tmp_path / "a.crate").read_bytes() == small_crate(tmp_path / "b.crate").read_bytes()


def test_every_member_starts_at_a_multiple_of_64(tmp_path: Path) -> None:
    path = tmp_path / "x.crate"
    names = [f"state/{'n' * length}.msgpack" for length in range(1, 60)]
    write_archive(str(path), {name: Payload.of(b"x" * len(name)) for name in names}, lambda _: b"{}")
    with zipfile.ZipFile(path) as reference:
        raw = path.read_bytes()
        for info in reference.infolist():
            name_size, extra_size = struct.unpack_from("<2H", raw, info.header_offset + 26)
            assert (info.header_offset + 30 + name_size + extra_size) % 64 == 0
        assert reference.testzip() is None
    with open_source(path) as source:
        assert [bytes(source.read(name)) for name in sorted(names)] == [b"x" * len(name) for name in sorted(names)]


def test_zipfile_and_unzip_read_it(tmp_path: Path, members: list[Raw]) -> None:
    path = small_crate(tmp_path / "x.crate")
    with zipfile.ZipFile(path) as reference:
        assert {it.filename.encode(): reference.read(it) for it in reference.infolist()} == {
            it.name: it.data for it in members
        }
        assert {it.date_time for it in reference.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    try:
        result = subprocess.run(["unzip", "-tq", str(path)], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("unzip is not installed")
    assert result.returncode == 0


def changed(members: list[Raw], index: int, **changes: int | bytes) -> list[Raw]:
    raw = members[index]
    return [*members[:index], both(raw.name, raw.data, **changes), *members[index + 1 :]]


def renamed(members: list[Raw], index: int, name: bytes) -> list[Raw]:
    return [*members[:index], Raw(name=name, data=members[index].data), *members[index + 1 :]]


def test_b01_a_member_that_is_there_twice(members: list[Raw]) -> None:
    other = Raw(name=members[0].name, data=b"other")
    assert "twice" in str(refused(archive([members[0], other, *members[1:]])))
    assert "twice" in str(refused(archive([other, *members])))


@pytest.mark.parametrize(
    "name",
    [b"State/table.msgpack", b"state/table.msgpack.", b"state\\table.msgpack", "state/t\u00e4ble.msgpack".encode(),
     "ｓtate/table.msgpack".encode(), b"state/table.msgpack "],
)  # fmt: skip
def test_b02_names_that_another_system_could_take_for_one_another(members: list[Raw], name: bytes) -> None:
    assert refused(archive([Raw(name=name, data=b""), *members])).code == "FORMAT"


@pytest.mark.parametrize(
    "name",
    [b"/etc/passwd", b"C:\\x", b"\\\\server\\x", b"../x", b"a/../b", b"./a", b"a//b", b"a/", b"", b"a\0b", b"a\x1b[2Jb",
     b"a" * 256, b"con", b"aux.json", b"state/lpt1.msgpack", b"x:stream", b"~/x", b"$home", b"%2e%2e/x"],
)  # fmt: skip
def test_b19_g1_names_outside_of_the_grammar(members: list[Raw], name: bytes) -> None:
    assert refused(archive([Raw(name=name, data=b""), *members])).code == "FORMAT"


@pytest.mark.parametrize(
    ("case", "local"),
    [
        ("B3-name", {"name": b"state/tablf.msgpack"}),
        ("B4-size", {"size": 1}),
        ("B4-stored", {"stored": 1}),
        ("B4-crc", {"crc": 1}),
        ("B4-method", {"method": 8}),
        ("B4-flags", {"flags": 8}),
        ("B4-version", {"version": 10}),
        ("B25-time", {"time": 1}),
        ("B25-date", {"date": 0x5555}),
    ],
)
def test_b03_b04_local_headers_that_say_something_else(members: list[Raw], case: str, local: dict[str, int]) -> None:
    spoiled = [Raw(name=members[0].name, data=members[0].data, local=local), *members[1:]]  # type: ignore[arg-type]
    assert "local header" in str(refused(archive(spoiled))), case


@pytest.mark.parametrize(
    ("flag", "word"),
    [
        (0x1, "encrypted"),
        (0x40, "encrypted"),
        (0x2000, "encrypted"),
        (0x20, "flags"),
        (0x8, "descriptor"),
        (0x800, "flags"),
    ],
)
def test_b05_flags(members: list[Raw], flag: int, word: str) -> None:
    assert word in str(refused(archive(changed(members, 0, flags=flag))))


def test_b06_bytes_before_the_archive(members: list[Raw]) -> None:
    assert "before" in str(refused(b"#!/bin/sh\n" + archive(members)))
    assert refused(archive(members, prefix=b"\x7fELF")).code == "FORMAT"


def test_b07_bytes_after_the_archive(members: list[Raw]) -> None:
    assert "follow" in str(refused(archive(members, suffix=b"\0")))


def test_b08_a_comment(members: list[Raw]) -> None:
    assert refused(archive(members, comment=b"hello")).code == "FORMAT"
    assert "comment" in str(refused(archive([*members[:-1], Raw(name=b"manifest.json", data=members[-1].data,
                                                                central={"comment": b"hi"})])))  # fmt: skip


def test_b09_a_second_end_record_in_a_comment(members: list[Raw]) -> None:
    end = archive(members)[-22:]
    assert refused(archive(members, comment=end)).code == "FORMAT"


def test_b09_an_end_record_inside_a_member_is_data(tmp_path: Path, members: list[Raw]) -> None:
    data = archive(members)[-22:]
    path = tmp_path / "x.crate"
    write_archive(str(path), {"state/a.msgpack": Payload.of(data)}, lambda _: b"{}")
    with open_source(path) as source:
        assert bytes(source.read("state/a.msgpack")) == data


def test_b10_two_archives_in_a_row(members: list[Raw]) -> None:
    one = archive(members)
    assert refused(one + one).code == "FORMAT"
    assert refused(one + archive(members, prefix=one)[len(one) :]).code == "FORMAT"


def test_b11_bytes_between_members(members: list[Raw]) -> None:
    members[1].gap = bytes(64)
    assert "gap" in str(refused(archive(members)))
    members[1].gap = b""
    assert "no member" in str(refused(archive(members, before_directory=bytes(64))))


def test_b11_a_local_entry_that_the_directory_hides(members: list[Raw]) -> None:
    count = len(members) - 1
    hidden = archive(members, central_order=[0, *range(2, len(members))], end={"count": count, "disk_count": count})
    assert "gap" in str(refused(hidden))


def test_b12_members_that_overlap(members: list[Raw]) -> None:
    members[1].central = {"offset": 0}
    assert "overlaps" in str(refused(archive(members)))


@pytest.mark.parametrize(
    "extra",
    [
        struct.pack("<2H2Q", 1, 16, 5, 5),
        struct.pack("<2H", 1, 0),
        struct.pack("<2H", 0x5455, 5) + bytes(5),
        struct.pack("<2H", 0x434D, 0),
        b"\1",
    ],
    ids=["zip64-not-needed", "zip64-empty", "timestamp", "padding", "cut"],
)
def test_b13_b25_extra_fields_in_the_central_directory(members: list[Raw], extra: bytes) -> None:
    members[0].central = {"extra": extra}
    assert refused(archive(members)).code == "FORMAT"


@pytest.mark.parametrize(
    "extra",
    [
        b"",
        struct.pack("<2H2Q", 1, 16, 5, 5),
        struct.pack("<2H", 0x5455, 5) + bytes(5),
        struct.pack("<2H", 0x434D, 64) + bytes(64),
        padding(30 + 19)[:4] + b"\1" + padding(30 + 19)[5:],
        struct.pack("<2H", 0x434D, 0) + padding(30 + 19 + 4),
    ],
    ids=["unaligned", "zip64", "timestamp", "too-long", "not-zero", "two-records"],
)
def test_b13_b25_extra_fields_in_a_local_header(members: list[Raw], extra: bytes) -> None:
    assert members[0].name == b"state/table.msgpack"
    members[0].local = {"extra": extra}
    assert refused(archive(members)).code == "FORMAT"


@pytest.mark.parametrize(
    "end",
    [
        {"count": 2, "disk_count": 2},
        {"count": 4, "disk_count": 4},
        {"count": 0, "disk_count": 0},
        {"count": 0xFFFF, "disk_count": 0xFFFF},
        {"disk_count": 2},
        {"disk": 1},
        {"directory_disk": 1},
        {"size": 0},
        {"size": 0xFFFFFFFF},
        {"offset": 0},
        {"offset": 0xFFFFFFFF},
        {"offset": 0xFFFFFFFE},
        {"size": 0xFFFFFFFE, "offset": 0xFFFFFFFE},
    ],
    ids=str,
)
def test_b14_end_records_that_lie(members: list[Raw], end: dict[str, int]) -> None:
    assert refused(archive(members, end=end)).code in ("FORMAT", "LIMIT")


@pytest.mark.parametrize("method", [8, 9, 12, 14, 93, 99])
def test_b15_compressed_members(members: list[Raw], method: int) -> None:
    assert "compressed" in str(refused(archive(changed(members, 0, method=method))))


def test_b15_a_deflated_archive_of_zipfile(tmp_path: Path, members: list[Raw]) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for member in members:
            out.writestr(zipfile.ZipInfo(member.name.decode(), (1980, 1, 1, 0, 0, 0)), member.data)
    assert refused(path.read_bytes()).code == "FORMAT"


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF])
def test_b16_sizes_beyond_the_file(members: list[Raw], size: int) -> None:
    assert refused(archive(changed(members, 0, size=size, stored=size))).code == "FORMAT"


def test_b16_a_zip64_size_beyond_the_file(members: list[Raw]) -> None:
    extra = struct.pack("<2H2Q", 1, 16, 2**63, 2**63)
    members[0].local = {"size": 0xFFFFFFFF, "stored": 0xFFFFFFFF, "extra": extra, "version": 45}
    members[0].central = {**members[0].local, "made": 0x0300 | 45}
    assert refused(archive(members)).code == "FORMAT"


def test_b17_a_wrong_checksum_of_the_manifest(members: list[Raw]) -> None:
    data = archive(changed(members, len(members) - 1, crc=zlib.crc32(members[-1].data) ^ 1))
    report = verify(data)
    assert [problem.code for problem in report.problems] == ["INTEGRITY"]


def test_b17_a_wrong_checksum_of_another_member_is_found_by_verify(members: list[Raw]) -> None:
    report = verify(archive(changed(members, 0, crc=zlib.crc32(members[0].data) ^ 1)))
    assert [(problem.code, problem.where) for problem in report.problems] == [
        ("INTEGRITY", "crate: state/table.msgpack")
    ]


@pytest.mark.parametrize(
    "external", [0o120777 << 16, 0o040755 << 16 | 0x10, 0o020644 << 16, 0o100755 << 16, 0o100644 << 16 | 1, 0], ids=hex
)
def test_b18_members_that_are_no_plain_files(members: list[Raw], external: int) -> None:
    members[0].central = {"external": external}
    assert refused(archive(members)).code == "FORMAT"


@pytest.mark.parametrize(
    "changes", [{"made": 20}, {"made": 0x0300 | 63}, {"internal": 1}, {"disk": 1}, {"version": 45}], ids=str
)
def test_b25_fields_that_nobody_needs(members: list[Raw], changes: dict[str, int]) -> None:
    members[0].central = changes  # type: ignore[assignment]
    assert refused(archive(members)).code == "FORMAT"


@pytest.mark.parametrize(
    "name", [b"evil.py", b"state/__init__.py", b"x.pth", b"pickle.bin", b"inner.crate", b"inner.zip"]
)
def test_b20_b26_a_member_that_the_manifest_does_not_list(members: list[Raw], name: bytes) -> None:
    spoiled = sorted([*members[:-1], Raw(name=name, data=b"import os")], key=lambda it: it.name)
    report = verify(archive([*spoiled, members[-1]]))
    assert [problem.code for problem in report.problems] == ["FORMAT"]


def test_b21_a_member_that_is_missing(members: list[Raw]) -> None:
    report = verify(archive(members[1:]))
    assert "missing" in report.problems[0].what


def test_b21_no_manifest(members: list[Raw]) -> None:
    assert "manifest.json" in str(refused(archive(members[:-1])))


def test_b24_another_order_of_members(members: list[Raw]) -> None:
    assert "order" in str(refused(archive([members[1], members[0], members[2]])))
    assert "last" in str(refused(archive([members[2], members[0], members[1]])))
    assert refused(archive(members, central_order=[1, 0, 2])).code == "FORMAT"


@pytest.mark.parametrize(
    "other", [b"%PDF-1.7\n", b"\x7fELF\2\1\1\0", b"\x80\x04K\1.", b"GIF89a"], ids=["pdf", "elf", "pickle", "gif"]
)
def test_b27_polyglots(members: list[Raw], other: bytes) -> None:
    assert refused(archive(members, prefix=other)).code == "FORMAT"
    assert refused(archive(members, suffix=other)).code == "FORMAT"
    assert refused(other + archive(members)).code == "FORMAT"


def test_b27_a_safetensors_file_with_an_archive_behind_it(members: list[Raw]) -> None:
    header = b'{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}   '
    assert refused(struct.pack("<Q", len(header)) + header + archive(members)).code == "FORMAT"


def test_b28_more_members_than_a_crate_has() -> None:
    members = [Raw(name=f"state/m{index:04}.msgpack".encode(), data=b"") for index in range(1000)]
    error = refused(archive([*members, Raw(name=b"manifest.json", data=b"{}")]))
    assert isinstance(error, LimitError)


def test_b28_a_directory_larger_than_its_members_allow(members: list[Raw]) -> None:
    members[0].central = {"comment": bytes(60_000)}
    assert "larger than its members allow" in str(refused(archive(members)))


def test_b30_the_content_decides_not_the_name(tmp_path: Path) -> None:
    path = small_crate(tmp_path / "model.safetensors")
    assert verify(path).ok


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"P", "not a crate"),
        (b"PK\3\4", "cut short"),
        (b"PK\5\6" + bytes(18), "before"),
        (b"hello, this is text\n" * 10, "not a crate"),
        (b"\x80\x04}q\x00.", "convert"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a crate"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "not a crate"),
        (struct.pack("<Q", 8) + b"{}      ", "safetensors"),
    ],
    ids=["empty", "one-byte", "signature", "empty-zip", "text", "pickle", "png", "lfs", "safetensors"],
)
def test_a60_what_is_no_crate_is_called_what_it_is(data: bytes, word: str) -> None:
    assert word in str(refused(data))


def test_a_file_of_torch_save_is_recognised(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as out:
        out.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        out.writestr("archive/version", b"3\n")
    assert "torch.save" in str(refused((tmp_path / "x.pt").read_bytes()))


def test_e21_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = small_crate(tmp_path / "x.crate").read_bytes()
    for length in range(len(data)):
        with pytest.raises(ModelcrateError):
            open_source(data[:length])


def test_a_member_that_claims_one_byte_more_or_less_is_refused(members: list[Raw]) -> None:
    for change in (-1, 1):
        size = len(members[0].data) + change
        assert refused(archive(changed(members, 0, size=size, stored=size))).code == "FORMAT"


def test_zip64_a_sparse_file_of_5_gib_is_read(tmp_path: Path) -> None:
    size = 5 << 30
    first = ziplayout.Entry(name="weights/a.safetensors", size=size, crc=0, offset=0)
    manifest = ziplayout.Entry(name="manifest.json", size=2, crc=zlib.crc32(b"{}"), offset=first.end)
    path = tmp_path / "big.crate"
    with path.open("wb") as out:
        out.write(ziplayout.local_header(first))
        out.seek(first.end)
        out.write(ziplayout.local_header(manifest) + b"{}" + ziplayout.tail([first, manifest]))
    with zipfile.ZipFile(path) as reference:
        assert [(it.filename, it.file_size, it.header_offset) for it in reference.infolist()] == [
            ("weights/a.safetensors", size, 0),
            ("manifest.json", 2, first.end),
        ]
        assert reference.read("manifest.json") == b"{}"
    with open_source(path) as source:
        assert source.size("weights/a.safetensors") == size
        assert bytes(source.read("weights/a.safetensors")[-3:]) == b"\0\0\0"
        assert bytes(source.read("manifest.json")) == b"{}"
    with path.open("r+b") as out:
        for back in range(1, 22 + 20 + 56 + 1):  # every byte of the three end records
            _flip(out, back)
            with pytest.raises(ModelcrateError):
                open_source(path)
            _flip(out, back)
    open_source(path).close()


def _flip(file: BinaryIO, back: int) -> None:
    file.seek(-back, 2)
    byte = file.read(1)[0]
    file.seek(-back, 2)
    file.write(bytes([byte ^ 1]))
    file.flush()


def test_zip64_where_it_is_not_needed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.crate"
    with monkeypatch.context() as patch:
        patch.setattr(ziplayout, "ZIP64_FROM", 500)
        write_archive(str(path), {"state/a.msgpack": Payload.of(bytes(1000))}, lambda _: b"{}")
    with pytest.raises(FormatError):
        open_source(path)


def test_reading_a_member_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with open_source(small_crate(tmp_path / "x.crate")) as source, pytest.raises(FormatError):
        source.read("state/other.msgpack")


def test_check_crc_finds_damage(tmp_path: Path) -> None:
    path = small_crate(tmp_path / "x.crate")
    with open_source(path) as source:
        offset = path.read_bytes().index(bytes(source.read("state/table.msgpack")))
    data = bytearray(path.read_bytes())
    data[offset + 3] ^= 1
    with open_source(bytes(data)) as source, pytest.raises(IntegrityError):
        source.check_crc("state/table.msgpack")


def test_the_test_builder_agrees_with_the_constants() -> None:
    assert ziplayout.ATTRIBUTES == EXTERNAL
