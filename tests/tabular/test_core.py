"""The generator of one model serves several threads without one's modes reaching into another's pass."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import modelcrate

CORPUS = Path(__file__).resolve().parent.parent / "corpus"


def test_passes_that_set_modes_do_not_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modelcrate.convert(next((CORPUS / "ctgan" / "0_12_1_mixed").glob("model.*")), tmp_path / "a.crate")
    core = modelcrate.load(tmp_path / "a.crate").core
    assert core.config.statistics == "batch"
    running: list[int] = []
    most: list[int] = []
    forward = type(core.generator).forward

    def watched(module: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
        running.append(threading.get_ident())
        most.append(len(running))
        time.sleep(0.02)
        running.pop()
        return forward(module, rows)

    monkeypatch.setattr(type(core.generator), "forward", watched)
    noise = torch.zeros(8, core.config.noise_dim)
    condition = torch.zeros(8, core.condition_width)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: core.raw(noise, condition), range(8)))
    assert most == [1] * 8
