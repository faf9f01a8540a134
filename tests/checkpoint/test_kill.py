"""SIGKILL at any moment: the newest checkpoint is whole, and training goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checkpoint.processes import ROOT, Forker
from modelcrate.checkpoint import CheckpointManager

KILLS = 200
NAME = re.compile(r"checkpoint-[0-9]{8}\.crate")


@pytest.fixture(scope="module")
def forker() -> Iterator[Forker]:
    forker = Forker()
    yield forker
    forker.close()


def logged(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").splitlines() if path.exists() else []


def check_whole(folder: Path) -> int:
    """The newest checkpoint opens, verifies, and is of one moment in all its parts; its step."""
    latest = CheckpointManager(folder).latest()
    if latest is None:
        return 0
    with latest:
        found = {float(latest.tensors("model")[name].min()) for name in ("weight", "bias")}
        found |= {float(latest.tensors("model")[name].max()) for name in ("weight", "bias")}
        buffers = latest.crate["optimizer_model"].tensors
        found |= {float(tensor.min()) for tensor in buffers.values()}
        assert found == {float(latest.step or 0)}
        return latest.step or 0


def test_a_saver_killed_two_hundred_times_never_loses_the_newest(forker: Forker, tmp_path: Path) -> None:
    folder, log = tmp_path / "checkpoints", tmp_path / "log"
    chance = random.Random(20_261_122)
    killed_writing = 0
    reached = 0
    for _ in range(KILLS):
        block = chance.random() < 0.5
        before = len(logged(log))
        pid = forker.start("save_for_ever", str(folder), str(log), block)
        deadline = time.monotonic() + 120
        while not any(folder.glob("*")) and time.monotonic() < deadline:
            time.sleep(0.001)
        if chance.random() < 0.5:  # else it may die before it has saved anything at all
            while block and len(logged(log)) == before and time.monotonic() < deadline:
                time.sleep(0.001)
        time.sleep(chance.random() * 0.04)
        os.kill(pid, signal.SIGKILL)
        assert forker.finish() == -signal.SIGKILL
        newest = check_whole(folder)
        saved = int((logged(log) or ["0"])[-1])
        assert newest >= max(saved, reached)
        if block:
            assert newest <= max(saved, reached) + 1
        reached = newest
        left = [name for name in os.listdir(folder) if NAME.fullmatch(name) is None]
        killed_writing += bool(left)
        assert len(left) <= 1, "leftovers of earlier kills are still there"
    # Each kill between a rename and the removal of old ones leaves one more; the first save that ends removes them all.
    before, pid = len(logged(log)), forker.start("save_for_ever", str(folder), str(log), True)
    deadline = time.monotonic() + 120
    while len(logged(log)) < before + 1 and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    assert forker.finish() == -signal.SIGKILL
    assert len(os.listdir(folder)) <= 2 + 1 + 1 + 1
    assert reached > 50
    assert killed_writing > 5, "hardly ever killed in the middle of a write: the test tests nothing"


def trace(path: Path) -> Any:
    return json.loads(path.read_text(encoding="ascii"))


@pytest.mark.parametrize(
    "kind", ["sgd+OneCycleLR", "adamw+SequentialLR", "nadam+CosineAnnealingWarmRestarts", "asgd+MultiStepLR", "gan"]
)
def test_training_that_was_killed_ends_with_the_same_bits(kind: str, forker: Forker, tmp_path: Path) -> None:
    total = 14
    chance = random.Random(kind)
    forker.start("train", str(tmp_path / "whole"), str(tmp_path / "expected"), os.devnull, kind, total, True)
    assert forker.finish() == 0
    progress, starts = tmp_path / "progress", 0
    while not (tmp_path / "result").exists():
        starts += 1
        seen = len(logged(progress))
        pid = forker.start(
            "train", str(tmp_path / "c"), str(tmp_path / "result"), str(progress), kind, total, starts % 2 == 0
        )
        if starts <= 3:
            wanted, deadline = seen + chance.randint(1, 4), time.monotonic() + 120
            while len(logged(progress)) < wanted and time.monotonic() < deadline:
                time.sleep(0.0005)
            time.sleep(chance.random() * 0.01)
            os.kill(pid, signal.SIGKILL)
            assert forker.finish() == -signal.SIGKILL
        else:
            assert forker.finish() == 0
    assert starts == 4
    assert trace(tmp_path / "result") == trace(tmp_path / "expected")


def test_the_example_goes_on_with_the_same_losses_in_interpreters_that_share_nothing() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    example = [sys.executable, str(ROOT / "benchmarks" / "resume_example.py")]
    done = subprocess.run(example, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same, bit for bit" in done.stdout
