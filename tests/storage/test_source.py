"""Opening: by content, without waiting or fetching, into memory that is private (FORMAT.md 1.4)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crate_bytes import small_crate
from modelcrate.errors import FormatError, IntegrityError, LimitError, ModelcrateError, StorageError, UsageError
from modelcrate.storage import Payload, open_source, regions, write_archive


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such file"):
        open_source(tmp_path / "nothing.crate")


@pytest.mark.parametrize("url", ["http://example.com/x.crate", "hf://owner/x", "s3://bucket/x", "file:///etc/passwd"])
def test_g19_an_address_is_not_fetched(url: str) -> None:
    with pytest.raises(StorageError, match="local paths only"):
        open_source(url)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_g17_devices_are_not_read(path: str) -> None:
    with pytest.raises(StorageError):
        open_source(path)


def test_g17_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="neither a regular file nor a folder"):
        open_source(tmp_path / "pipe")


def test_g17_a_file_of_the_kernel(tmp_path: Path) -> None:
    with pytest.raises(ModelcrateError):
        open_source("/proc/self/mem")


def test_g16_a_path_longer_than_the_system_allows() -> None:
    with pytest.raises(StorageError, match="too long"):
        open_source("x" * 5000)


def test_g6_a_link_loop(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StorageError):
        open_source(tmp_path / "loop")


@pytest.mark.parametrize(
    "location",
    [None, 3, b"".join, ["x"], "a\0b", "a\ud800"],
    ids=["none", "int", "method", "list", "nul", "surrogate"],
)
def test_a_location_that_is_neither_path_nor_bytes(location: object) -> None:
    with pytest.raises(UsageError):
        open_source(location)  # type: ignore[arg-type]


def test_an_empty_folder_and_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for name in ("folder", "file"):
        with pytest.raises(FormatError):
            open_source(tmp_path / name)


def test_writing_to_what_was_read_does_not_reach_the_file(tmp_path: Path) -> None:
    path = small_crate(tmp_path / "x.crate")
    before = path.read_bytes()
    for io in ("map", "read"):
        with open_source(path, io=io) as source:
            source.read("weights/net.safetensors")[:] = bytes(source.size("weights/net.safetensors"))
    assert path.read_bytes() == before


def test_the_callers_bytes_are_copied_once(tmp_path: Path) -> None:
    data = bytearray(small_crate(tmp_path / "x.crate").read_bytes())
    with open_source(data) as source:
        before = bytes(source.read("state/table.msgpack"))
        data[:] = bytes(len(data))
        assert bytes(source.read("state/table.msgpack")) == before


def test_what_was_read_outlives_the_source(tmp_path: Path) -> None:
    with open_source(small_crate(tmp_path / "x.crate")) as source:
        manifest = source.read("manifest.json")
    assert bytes(manifest[:1]) == b"{"
    with pytest.raises(UsageError, match="closed"):
        source.read("manifest.json")


def test_e22_what_was_read_with_io_read_ignores_later_changes(tmp_path: Path) -> None:
    path = small_crate(tmp_path / "x.crate")
    with open_source(path, io="read") as source:
        before = bytes(source.read("state/table.msgpack"))
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
        assert bytes(source.read("state/table.msgpack")) == before


def test_e21_h22_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = small_crate(tmp_path / "x.crate")
    with open_source(path, io="read") as source:
        os.truncate(path, 10)
        with pytest.raises(IntegrityError, match="shorter"):
            source.read("weights/net.safetensors")


def test_a_large_member_is_read_by_several_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(1 << 20)
    path = tmp_path / "x.crate"
    write_archive(str(path), {"state/a.msgpack": Payload.of(data)}, lambda _: b"{}")
    monkeypatch.setattr(regions, "READ_STEP", 10_007)
    with open_source(path, io="read") as source:
        assert bytes(source.read("state/a.msgpack")) == data


def test_no_memory_is_an_error_of_the_library() -> None:
    with pytest.raises(LimitError):
        regions.private_region(1 << 62, where="x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_g18_no_permission(tmp_path: Path) -> None:
    path = small_crate(tmp_path / "x.crate")
    path.chmod(0)
    with pytest.raises(StorageError, match="no permission"):
        open_source(path)


def test_a_hostile_path_is_escaped_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        open_source(str(tmp_path / "a\x1b[2J\u202e\udcffb"))
    assert all(character.isprintable() for character in str(caught.value))


def test_what_was_read_is_private_to_the_process(tmp_path: Path) -> None:
    """A forked worker that changes a tensor changes its own copy, as with any other memory."""
    path = small_crate(tmp_path / "x.crate")
    for io in ("map", "read"):
        with open_source(path, io=io) as source:
            name = next(name for name in source.names() if name.startswith("weights/"))
            region = source.read(name)
            before = bytes(region)
            child = os.fork()
            if child == 0:
                region[0] ^= 0xFF
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            assert bytes(region) == before
