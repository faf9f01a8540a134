"""A run that was interrupted ends with the same bits as one that was not."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from checkpoint.trainings import OPTIMIZERS, SCHEDULERS, Adversaries, Run
from modelcrate.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")
STEPS = 12


def scramble() -> None:
    """What another process would start with: generators in some other state."""
    random.seed(999)
    np.random.seed(999)
    torch.manual_seed(999)


def interrupted(make: Any, path: Path, stop: int, total: int = STEPS) -> Any:
    first = make().steps(stop)
    save_checkpoint(path, **first.parts(), step=stop, losses={"train": first.losses})
    scramble()
    second = make()
    second.steps(2)  # state that has to be overwritten, down to the optimizer's
    with load_checkpoint(path) as checkpoint:
        report = checkpoint.restore(**second.parts())
        assert report.complete
        second.losses = list(checkpoint.losses["train"])
        assert checkpoint.step == stop
    return second.steps(total - stop)


@pytest.mark.parametrize("stop", [1, 7])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_goes_on_bit_for_bit(optimizer: str, stop: int, tmp_path: Path) -> None:
    whole = Run(optimizer).steps(STEPS).trace()
    assert interrupted(lambda: Run(optimizer), tmp_path / "c.crate", stop).trace() == whole


@pytest.mark.parametrize("stop", [1, 6])
@pytest.mark.parametrize("scheduler", [name for name, make in SCHEDULERS.items() if make is not None])
def test_every_scheduler_goes_on_bit_for_bit(scheduler: str, stop: int, tmp_path: Path) -> None:
    whole = Run("sgd", scheduler).steps(STEPS).trace()
    assert interrupted(lambda: Run("sgd", scheduler), tmp_path / "c.crate", stop).trace() == whole


WITHOUT_MOMENTUM = {"adagrad", "adadelta", "asgd", "rprop", "adafactor"}
"""OneCycleLR refuses these: it wants a momentum or beta1 to cycle."""


@pytest.mark.parametrize(
    ("optimizer", "scheduler"),
    [
        (optimizer, scheduler)
        for optimizer in OPTIMIZERS
        for scheduler in ("OneCycleLR", "CyclicLR", "SequentialLR", "ReduceLROnPlateau", "LambdaLR_object")
        if optimizer not in ("sgd", "lbfgs") and not (scheduler == "OneCycleLR" and optimizer in WITHOUT_MOMENTUM)
    ],
)
def test_pairs_that_change_momentum_or_compose_go_on_bit_for_bit(
    optimizer: str, scheduler: str, tmp_path: Path
) -> None:
    whole = Run(optimizer, scheduler).steps(STEPS).trace()
    assert interrupted(lambda: Run(optimizer, scheduler), tmp_path / "c.crate", 5).trace() == whole


def test_no_scheduler_of_torch_is_missing_here() -> None:
    assert set(lr_scheduler.__all__) <= set(SCHEDULERS)


@pytest.mark.parametrize("stop", [1, 5, 9])
def test_two_networks_with_two_optimizers_and_an_average_go_on_bit_for_bit(stop: int, tmp_path: Path) -> None:
    whole = Adversaries().steps(STEPS).trace()
    assert interrupted(Adversaries, tmp_path / "c.crate", stop).trace() == whole
