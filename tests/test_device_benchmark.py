"""``benchmarks/device.py`` runs: each of its steps, at a size that tells nothing, with the CPU in the GPU's place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
SIZE = 1 << 20


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    monkeypatch.chdir(tmp_path)
    module = __import__("device")
    monkeypatch.setattr(module, "PINNED", SIZE // 3)  # so that the copy is in pieces
    yield module
    for name in ("device", "load_save", "rounds"):
        sys.modules.pop(name, None)


def test_every_step_runs_and_gives_its_seconds(device):
    for step in device.SAVES:
        assert device.run_step(step, f"{SIZE}@cpu") == {}
    for step in device.LOADS:
        (found,) = device.run_step(step, f"{SIZE}@cpu").items()
        assert found[0] == step
        assert found[1] > 0


def test_every_load_gives_all_bytes(device):
    for step in device.SAVES:
        device.run_step(step, f"{SIZE}@cpu")
    for step in device.LOADS:
        loaded = device.loader(step, SIZE, "cpu")()
        if step == "pinned copy":
            tensors = [loaded]
        else:
            tensors = list(loaded.values() if isinstance(loaded, dict) else loaded.parameters())
        assert sum(tensor.nbytes for tensor in tensors) == SIZE, step


def test_the_table_names_every_load_and_judges_the_crate(device, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(device.rounds, "spawn", lambda script, step, argument, folder: device.run_step(step, argument))
    result = device.measure(SIZE, 1, tmp_path, "cpu")
    device.report(result)
    table = capsys.readouterr().out
    assert all(step in table for step in device.LOADS)
    assert set(result["bars"]) == set(device.BARS)
    assert not [name for name in device.FILES.values() if (tmp_path / name).exists()]


def test_without_a_gpu_it_says_so_and_measures_nothing(device, monkeypatch, capsys):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["device.py"])
    assert device.main() == 0
    assert "no CUDA device" in capsys.readouterr().err
