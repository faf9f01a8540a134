"""What is written through blocks is what was given, with its sums, on every kind of file system."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelcrate.format.digest import digest_of
from modelcrate.storage import output as module
from modelcrate.storage.output import BLOCK, BLOCKS, Output

SOURCE = str(Path(__file__).resolve().parents[2] / "src")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Output]:
    output = Output(os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT | os.O_EXCL))
    yield output
    output.close()


def pieces(seed: int) -> list[bytes]:
    chance = random.Random(seed)
    sizes = [0, 1, 7, 100, 4096, 65_535, 65_537, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5]
    return [chance.randbytes(size) for size in chance.sample(sizes, len(sizes))]


@pytest.mark.parametrize("algorithm", ["blake3", "sha256"])
@pytest.mark.parametrize("direct", [True, False], ids=["past the cache", "through the cache"])
@pytest.mark.parametrize("seed", range(3))
def test_bytes_and_sums_are_those_of_what_was_given(
    tmp_path: Path, opened: Output, seed: int, direct: bool, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SYNC_EVERY", 2 * BLOCK)
    if not direct:
        monkeypatch.setattr(module, "_DIRECT", 0)
    head, parts, tail = b"head" * 5, pieces(seed), b"tail"
    opened.write(head)
    with opened.summed(algorithm) as sums:
        for part in parts:
            opened.write(part)
    middle = b"".join(parts)
    opened.write(tail)
    assert opened.position == len(head + middle + tail)
    opened.finish()
    assert (tmp_path / "x").read_bytes() == head + middle + tail
    assert (sums.size, sums.crc) == (len(middle), zlib.crc32(middle))
    assert sums.digest == digest_of(middle, algorithm)


def test_memory_that_is_used_again_at_once_was_copied(tmp_path: Path, opened: Output) -> None:
    memory = bytearray(BLOCK // 2)
    with opened.summed("blake3") as sums:
        for byte in range(9):
            memory[:] = bytes([byte]) * len(memory)
            opened.write(memory)
    opened.finish()
    wanted = b"".join(bytes([byte]) * len(memory) for byte in range(9))
    assert (tmp_path / "x").read_bytes() == wanted
    assert sums.digest == digest_of(wanted)


@pytest.mark.parametrize("size", [10, BLOCK, 5 * BLOCK + 3])
def test_what_is_rewritten_replaces_what_was_there_wherever_it_is_by_now(
    tmp_path: Path, opened: Output, size: int
) -> None:
    for at in (0, BLOCK - 2):
        opened.write(b"?" * (at - opened.position) + b"old!")
    opened.write(bytes(size))
    for at in (0, BLOCK - 2):
        opened.rewrite(b"new.", at)
    opened.write(b"end")
    opened.finish()
    found = (tmp_path / "x").read_bytes()
    assert found == b"new." + b"?" * (BLOCK - 6) + b"new." + bytes(size) + b"end"


def test_a_file_system_that_takes_the_flag_and_refuses_the_write(
    tmp_path: Path, opened: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems do; others write a part of a block, after which nothing is aligned any more."""
    if not module._DIRECT:
        pytest.skip("this system has no way past the page cache")
    import fcntl

    real, refused = os.write, []

    def write(descriptor: int, data: memoryview) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            refused.append(len(data))
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(descriptor, data[:100_000])

    monkeypatch.setattr(os, "write", write)
    data = random.Random(1).randbytes(4 * BLOCK + 17)
    opened.write(data)
    opened.finish()
    assert (tmp_path / "x").read_bytes() == data
    assert len(refused) <= 1


def test_a_write_that_fails_behind_is_told(opened: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):  # noqa: PT012  (whichever call is the first to know)
        opened.write(bytes(20 * BLOCK))
        opened.finish()


def test_a_file_of_any_size_takes_a_few_blocks_of_memory(opened: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[memoryview] = []
    real = module._block
    monkeypatch.setattr(module, "_block", lambda: made.append(real()) or made[-1])
    for _ in range(40):
        opened.write(bytes(BLOCK))
    opened.finish()
    assert len(made) < BLOCKS


ENDING = """
import sys
sys.path.insert(0, {source!r})
import torch, modelcrate
manager = modelcrate.CheckpointManager({folder!r})
manager.save(networks=torch.nn.Linear(1500, 1500), block=False)
"""


def test_a_background_save_is_finished_when_the_program_ends_without_close(tmp_path: Path) -> None:
    import modelcrate

    code = ENDING.format(source=SOURCE, folder=str(tmp_path))
    subprocess.run([sys.executable, "-c", code], check=True)
    checkpoint = modelcrate.CheckpointManager(tmp_path).latest()
    assert checkpoint is not None
    assert checkpoint.networks == ("model",)
