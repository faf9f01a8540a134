"""A save is whole or not there: errors, full disks and kill -9 leave the old crate or the new one."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crate_bytes import small_components, small_crate
from modelcrate.crate import ComponentData, write_crate
from modelcrate.errors import ModelcrateError, StorageError, UsageError
from modelcrate.format.tensors import TensorData
from modelcrate.storage import Payload, write_archive, write_folder
from modelcrate.verification import verify

FORMS = ("file", "folder")
SOURCE = str(Path(__file__).resolve().parent.parent / "src")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(it.relative_to(folder)): it.read_bytes() for it in sorted(folder.rglob("*")) if it.is_file()}


def large_components(byte: int, size: int = 1 << 20) -> list[ComponentData]:
    tensors = {"weight": TensorData("U8", (size,), bytes([byte]) * size)}
    return [ComponentData(name="net", role="network", type="test.net/1", tensors=tensors)]


@pytest.mark.parametrize("form", FORMS)
def test_g13_an_existing_output_is_kept(tmp_path: Path, form: str) -> None:
    target = small_crate(tmp_path / "x", form=form)
    before = tree(tmp_path)
    with pytest.raises(StorageError, match="exists already"):
        small_crate(target, form=form)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("form", FORMS)
def test_overwrite_replaces_it_and_leaves_nothing_else(tmp_path: Path, form: str) -> None:
    target = small_crate(tmp_path / "x", form=form)
    write_crate(target, components=large_components(1), form=form, overwrite=True)
    assert os.listdir(tmp_path) == ["x"]
    assert verify(target).ok
    assert verify(target).size > 1 << 20


@pytest.mark.parametrize("form", FORMS)
def test_an_error_while_writing_leaves_the_old_crate_and_nothing_else(tmp_path: Path, form: str) -> None:
    target = small_crate(tmp_path / "x", form=form)
    before = tree(tmp_path)

    def chunks() -> Iterator[bytes]:
        yield bytes(1 << 20)
        raise KeyboardInterrupt

    write = write_archive if form == "file" else write_folder
    for overwrite in (True, False):
        with pytest.raises((KeyboardInterrupt, StorageError)):
            write(
                str(target),
                {"state/a.msgpack": Payload(size=2 << 20, chunks=chunks)},
                lambda _: b"",
                overwrite=overwrite,
            )
    with pytest.raises(KeyboardInterrupt):
        write(str(tmp_path / "new"), {"state/a.msgpack": Payload(size=2 << 20, chunks=chunks)}, lambda _: b"")
    assert tree(tmp_path) == before
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("form", FORMS)
def test_a_member_that_is_shorter_or_longer_than_announced_is_not_written(tmp_path: Path, form: str) -> None:
    write = write_archive if form == "file" else write_folder
    for size in (2, 4, 3 << 20):
        with pytest.raises(UsageError, match="announced"):
            write(str(tmp_path / "x"), {"state/a.msgpack": Payload(size=size, chunks=lambda: [b"abc"])}, lambda _: b"")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize(
    ("code", "word"), [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota"), (errno.EIO, "rror")]
)
def test_g18_a_disk_that_refuses(
    tmp_path: Path, form: str, call: str, code: int, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(os, call)
    allowed = 0

    def refuse(*args: object) -> object:
        nonlocal allowed
        if allowed:
            allowed -= 1
            return real(*args)
        raise OSError(code, os.strerror(code))

    small_crate(tmp_path / "old", form=form)
    before = tree(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        for components, first in ((small_components(), 0), (large_components(1, 9 << 20), 3 * (call == "write"))):
            for name, overwrite in (("new", False), ("old", True)):
                allowed = first
                with pytest.raises(StorageError, match=word):
                    write_crate(tmp_path / name, components=components, form=form, overwrite=overwrite)
    assert tree(tmp_path) == before
    assert os.listdir(tmp_path) == ["old"]


LIMITED = """
import resource, sys
sys.path[:0] = [{source!r}, {tests!r}]
import test_atomic
from modelcrate.crate import write_crate
from modelcrate.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    write_crate({target!r}, components=test_atomic.large_components(1), form={form!r})
except StorageError as error:
    print(error)
"""


@pytest.mark.parametrize("form", FORMS)
def test_a_file_larger_than_the_system_allows(tmp_path: Path, form: str) -> None:
    code = LIMITED.format(source=SOURCE, tests=str(Path(__file__).parent), target=str(tmp_path / "x"), form=form)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "larger than the system allows" in done.stdout, done.stderr
    assert os.listdir(tmp_path) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of half a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(options, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a file system can't be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk(tiny_disk: Path, form: str) -> None:
    target = small_crate(tiny_disk / "old", form=form)
    before = tree(tiny_disk)
    with pytest.raises(StorageError, match="disk is full"):
        write_crate(tiny_disk / "new", components=large_components(1), form=form)
    with pytest.raises(StorageError, match="disk is full"):
        write_crate(target, components=large_components(1), form=form, overwrite=True)
    assert tree(tiny_disk) == before
    assert os.listdir(tiny_disk) == ["old"]


KILLED = """
import os, sys
sys.path[:0] = [{source!r}, {tests!r}]
import test_atomic
from modelcrate.crate import write_crate
made = [test_atomic.large_components(byte, 4 << 20) for byte in (1, 2)]
for line in sys.stdin:
    child = os.fork()
    while not child:
        for components in made:
            write_crate({target!r}, components=components, form={form!r}, overwrite=True)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""An interpreter that forks a process which saves for ever, once for each line, and tells how it ended."""


@pytest.mark.parametrize(("form", "rounds"), [("file", 30), ("folder", 20)])
def test_kill_9_while_saving_leaves_the_old_crate_or_the_new_one(tmp_path: Path, form: str, rounds: int) -> None:
    target = tmp_path / "x.crate"
    identities = set()
    for byte in (1, 2):
        write_crate(target, components=large_components(byte, 4 << 20), form=form, overwrite=True)
        identities.add(str(verify(target).identity))
    code = KILLED.format(source=SOURCE, tests=str(Path(__file__).parent), target=str(target), form=form)
    chance = random.Random(form)
    forker = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert forker.stdin is not None
    assert forker.stdout is not None
    for _ in range(rounds):
        forker.stdin.write(b"\n")
        child = int(forker.stdout.readline())
        time.sleep(chance.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
        assert int(forker.stdout.readline()) == -signal.SIGKILL
        if form == "folder" and not target.exists():
            # Between the two renames: both crates stand beside the name, whole.
            beside = [*tmp_path.glob("x.crate.*.old"), *tmp_path.glob(".modelcrate-*.tmp")]
            whole = [it for it in beside if verify(it).ok]
            assert len(whole) >= 2
            next(it for it in whole if it.suffix == ".old").rename(target)
        report = verify(target)
        assert report.ok
        assert str(report.identity) in identities
    forker.stdin.close()
    forker.stdout.close()
    assert forker.wait(timeout=120) == 0


KILLED_BETWEEN = """
import os, signal, sys
sys.path[:0] = [{source!r}, {tests!r}]
import test_atomic
from modelcrate.crate import write_crate
rename, renames = os.rename, []
def between(*names):
    if renames:
        os.kill(os.getpid(), signal.SIGKILL)
    renames.append(rename(*names))
os.rename = between
write_crate({target!r}, components=test_atomic.large_components(2), form="folder", overwrite=True)
"""


def test_killed_between_its_two_renames_a_replaced_folder_is_there_twice(tmp_path: Path) -> None:
    target = tmp_path / "x.crate"
    old = str(verify(small_crate(target, form="folder")).identity)
    code = KILLED_BETWEEN.format(source=SOURCE, tests=str(Path(__file__).parent), target=str(target))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert not target.exists()
    (aside,) = tmp_path.glob("x.crate.*.old")
    (new,) = tmp_path.glob(".modelcrate-*.tmp")
    assert str(verify(aside).identity) == old
    assert verify(new).ok


def test_g11_outputs_that_are_not_what_they_must_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(os.listdir(tmp_path))
    for name, form in [
        ("folder", "file"),
        ("link", "file"),
        ("dangling", "file"),
        ("pipe", "file"),
        ("file", "folder"),
    ]:
        for overwrite in (True, False):
            with pytest.raises(StorageError):
                small_crate(tmp_path / name, form=form, overwrite=overwrite)
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "file").read_bytes() == b"x"


def test_a_folder_that_is_no_crate_is_never_replaced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "precious.txt").write_text("x")
    with pytest.raises(StorageError, match="not a crate"):
        small_crate(home, form="folder", overwrite=True)
    assert tree(home) == {"precious.txt": b"x"}


@pytest.mark.parametrize("form", FORMS)
def test_g11_a_parent_that_is_a_link_is_fine(tmp_path: Path, form: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert verify(small_crate(tmp_path / "link" / "x", form=form)).ok


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "path", ["nowhere/x", "file/x", "x" * 300, "", "a\0b"], ids=["absent", "file", "long", "empty", "nul"]
)
def test_outputs_that_no_file_system_takes(
    tmp_path: Path, form: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ModelcrateError):
        write_crate(path, components=small_components(), form=form)  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == ["file"]


def test_g16_a_name_as_long_as_the_system_allows(tmp_path: Path) -> None:
    assert verify(small_crate(tmp_path / ("x" * 255))).ok
    assert verify(small_crate(tmp_path / ("y" * 255), form="folder")).ok
    assert verify(small_crate(tmp_path / ("y" * 255), form="folder", overwrite=True)).ok
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o007])
def test_g22_the_mode_follows_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        file = small_crate(tmp_path / "file")
        folder = small_crate(tmp_path / "folder", form="folder")
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((folder / "manifest.json").stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~mask


def test_j22_many_writers_of_one_name_one_wins(tmp_path: Path) -> None:
    outcomes: list[bool] = []

    def work() -> None:
        try:
            small_crate(tmp_path / "x.crate")
        except StorageError:
            outcomes.append(False)
        else:
            outcomes.append(True)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 7 + [True]
    assert os.listdir(tmp_path) == ["x.crate"]
    assert verify(tmp_path / "x.crate").ok


def test_without_hard_links_an_existing_output_is_still_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    small_crate(tmp_path / "x.crate")
    with pytest.raises(StorageError):
        small_crate(tmp_path / "x.crate")
    assert os.listdir(tmp_path) == ["x.crate"]


def test_a_replaced_file_stays_readable_for_whoever_has_it_open(tmp_path: Path) -> None:
    from modelcrate.crate import open as open_crate

    target = small_crate(tmp_path / "x.crate")
    with open_crate(target) as crate:
        write_crate(target, components=large_components(1), overwrite=True)
        assert crate["table"].state["mean"] == 1.5
