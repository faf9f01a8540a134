"""The folder form: exactly the member files, each opened without following or waiting for anything (FORMAT.md 4.1)."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from crate_bytes import small_crate
from modelcrate.crate import open as open_crate
from modelcrate.errors import FormatError, IntegrityError, LimitError, ModelcrateError, PolicyError, StorageError
from modelcrate.storage import open_source
from modelcrate.verification import verify


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_crate(tmp_path / "crate", form="folder")


def test_b34_folder_and_file_are_the_same_crate(tmp_path: Path, folder: Path) -> None:
    file = small_crate(tmp_path / "x.crate")
    crates = [open_crate(folder), open_crate(file), open_crate(file.read_bytes()), open_crate(str(file), io="read")]
    assert len({str(crate.identity) for crate in crates}) == 1
    assert len({crate.manifest_bytes for crate in crates}) == 1
    assert len({str(crate["table"].state) for crate in crates}) == 1
    assert len({bytes(crate["net"].weights) for crate in crates}) == 1


@pytest.mark.parametrize(
    "name",
    ["evil.py", ".hidden", "Thumbs.db", "manifest.json~", "state/.DS_Store", "state/extra.msgpack", ".git/config"],
)
def test_b31_i2_a_file_that_nobody_listed(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"")
    with pytest.raises(FormatError):
        open_crate(folder)
    assert not verify(folder).ok


def test_b31_i2_an_empty_folder(folder: Path) -> None:
    (folder / "extra").mkdir()
    with pytest.raises(FormatError, match="empty"):
        open_crate(folder)


def test_b21_a_file_that_is_missing(folder: Path) -> None:
    (folder / "state/table.msgpack").unlink()
    (folder / "state").rmdir()
    with pytest.raises(FormatError, match="missing"):
        open_crate(folder)


def test_b21_no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(FormatError, match="manifest"):
        open_crate(folder)


def _replace(folder: Path, kind: str) -> Path:
    victim = folder / "state/table.msgpack"
    content = victim.read_bytes()
    victim.unlink()
    if kind == "link":
        (folder.parent / "outside").write_bytes(content)
        victim.symlink_to(folder.parent / "outside")
    elif kind == "link-inside":
        (folder / "state/other.msgpack").write_bytes(content)
        victim.symlink_to("other.msgpack")
    elif kind == "dangling":
        victim.symlink_to("nowhere")
    elif kind == "loop":
        victim.symlink_to("table.msgpack")
    elif kind == "fifo":
        os.mkfifo(victim)
    elif kind == "socket":
        server = socket.socket(socket.AF_UNIX)
        here = Path.cwd()
        os.chdir(victim.parent)  # a socket's path is short
        try:
            server.bind(victim.name)
        finally:
            os.chdir(here)
            server.close()
    elif kind == "folder":
        victim.mkdir()
        (victim / "x.msgpack").write_bytes(b"")
    return victim


@pytest.mark.parametrize("kind", ["link", "link-inside", "dangling", "loop", "fifo", "socket"])
def test_b32_g4_a_member_that_is_no_regular_file(folder: Path, kind: str) -> None:
    _replace(folder, kind)
    with pytest.raises(PolicyError):
        open_source(folder)
    assert [problem.code for problem in verify(folder).problems] == ["POLICY"]


def test_b32_a_member_that_is_a_folder(folder: Path) -> None:
    _replace(folder, "folder")
    with pytest.raises(FormatError):
        open_crate(folder)


def test_g5_a_linked_folder_inside_is_not_entered(tmp_path: Path, folder: Path) -> None:
    (folder / "state").rename(tmp_path / "elsewhere")
    (folder / "state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PolicyError):
        open_source(folder)


def test_g9_a_link_that_the_caller_names_is_followed(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "link.crate").symlink_to(small_crate(tmp_path / "blob"))
    assert verify(tmp_path / "link").ok
    assert verify(tmp_path / "link.crate").ok


def test_g10_a_file_that_is_swapped_after_opening_changes_nothing(folder: Path) -> None:
    with open_crate(folder) as crate:
        victim = folder / "state/table.msgpack"
        victim.rename(folder.parent / "old")
        victim.write_bytes(b"\x81\xa1x\x01")
        assert crate["table"].state["mean"] == 1.5


def test_b33_names_are_compared_exactly(folder: Path) -> None:
    (folder / "state/table.msgpack").rename(folder / "state/Table.msgpack")
    with pytest.raises(FormatError):
        open_crate(folder)


def test_b35_a_sparse_file_of_a_terabyte(folder: Path) -> None:
    os.truncate(folder / "weights/net.safetensors", 1 << 40)
    with pytest.raises(IntegrityError, match="the manifest says"):
        open_crate(folder)


def test_b28_a_folder_of_very_many_files(folder: Path) -> None:
    for index in range(200):
        (folder / f"state/x{index}.msgpack").touch()
    with pytest.raises(LimitError):
        open_crate(folder)


def test_b28_a_folder_of_very_many_folders(folder: Path) -> None:
    for index in range(200):
        (folder / f"x{index}/y").mkdir(parents=True)
    with pytest.raises(ModelcrateError):
        open_crate(folder)


def test_g16_names_deeper_than_the_grammar(folder: Path) -> None:
    deep = folder / "/".join(["d" * 60] * 6)
    deep.mkdir(parents=True)
    (deep / "x").touch()
    with pytest.raises(FormatError):
        open_crate(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_g18_no_permission(folder: Path) -> None:
    (folder / "state/table.msgpack").chmod(0)
    with pytest.raises(StorageError, match="no permission"):
        open_crate(folder)


def test_no_descriptor_is_left_open(folder: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for kind in ("link", "folder"):
        with open_crate(folder) as crate:
            assert crate["table"].state
        _replace(folder, kind)
        with pytest.raises(ModelcrateError):
            open_crate(folder)
        if kind == "link":
            (folder / "state/table.msgpack").unlink()
            (folder.parent / "outside").rename(folder / "state/table.msgpack")
    after = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    assert after == before
