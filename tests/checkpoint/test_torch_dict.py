"""Checkpoint dicts of torch.save, converted, restore like a checkpoint and keep every value under its own key."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import modelcrate
from modelcrate.checkpoint import CheckpointWarning
from modelcrate.errors import MismatchError, UnsupportedError, UsageError

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, amsgrad=True),
    "adamw": torch.optim.AdamW,
    "adafactor": torch.optim.Adafactor,
    "asgd": torch.optim.ASGD,
    "lbfgs": torch.optim.LBFGS,
}


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def train(model: nn.Module, optimizer: torch.optim.Optimizer, scheduler: Any = None, *, seed: int = 0) -> list[float]:
    generator = torch.Generator().manual_seed(seed)
    losses: list[float] = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss: torch.Tensor = model(batch).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    for _ in range(3):
        batch = torch.randn(5, 3, generator=generator)
        losses.append(float(optimizer.step(closure)))  # type: ignore[arg-type]
        if scheduler is not None:
            scheduler.step()
    return losses


def converted(folder: Path, value: object) -> Path:
    torch.save(value, folder / "old.pt")
    modelcrate.convert(folder / "old.pt", folder / "old.crate")
    return folder / "old.crate"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_as_if_torch_had_loaded_it(tmp_path: Path, name: str) -> None:
    model = net()
    optimizer = OPTIMIZERS[name](model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    train(model, optimizer, scheduler)
    path = converted(
        tmp_path,
        {
            "epoch": 7,
            "model_state_dict": model.state_dict(),
            "optimizer_state_dict": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "loss": torch.tensor(0.5),
            "best_accuracy": 0.9,
        },
    )
    wanted = train(model, optimizer, scheduler, seed=1)

    again = net()
    optimizer = OPTIMIZERS[name](again.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    with modelcrate.load_checkpoint(path) as checkpoint:
        assert checkpoint.networks == checkpoint.optimizers == checkpoint.schedulers == ("model",)
        assert (checkpoint.epoch, checkpoint.next_epoch) == (7, 8)
        assert checkpoint.losses == {"loss": 0.5}
        assert checkpoint.extras == {"best_accuracy": 0.9}
        report = checkpoint.restore(again, optimizer, scheduler)
    assert report.complete
    assert train(again, optimizer, scheduler, seed=1) == wanted
    for one, other in zip(model.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("networks", "optimizers"),
    [
        (
            {"generator": "generator_state_dict", "discriminator": "discriminator_state_dict"},
            {"generator": "generator_optimizer_state_dict", "discriminator": "discriminator_optimizer"},
        ),
        ({"g": "netG", "d": "netD"}, {"g": "optimizerG", "d": "optimizerD"}),
        ({"g": "G", "d": "D"}, {"g": "optim_G", "d": "d_opt"}),
    ],
    ids=["words", "tutorial", "letters"],
)
def test_a_gan_s_parts_are_called_after_their_keys(
    tmp_path: Path, networks: dict[str, str], optimizers: dict[str, str]
) -> None:
    live = {name: net() for name in networks}
    steppers = {name: torch.optim.Adam(module.parameters()) for name, module in live.items()}
    for name, module in live.items():
        train(module, steppers[name])
    value = {key: live[name].state_dict() for name, key in networks.items()}
    value |= {key: steppers[name].state_dict() for name, key in optimizers.items()}
    path = converted(tmp_path, {**value, "iteration": 12})

    fresh = {name: net() for name in networks}
    others = {name: torch.optim.Adam(module.parameters()) for name, module in fresh.items()}
    with modelcrate.load_checkpoint(path) as checkpoint:
        assert sorted(checkpoint.networks) == sorted(networks)
        assert sorted(checkpoint.optimizers) == sorted(optimizers)
        assert checkpoint.step == 12
        assert checkpoint.restore(fresh, others).complete
        by_key = {key: net() for key in networks.values()}
        with pytest.warns(CheckpointWarning, match="not asked for"):
            checkpoint.restore(by_key)
        first = next(iter(networks))
        assert set(checkpoint.tensors(first)) == set(live[first].state_dict())
    for name, module in live.items():
        assert train(module, steppers[name], seed=1) == train(fresh[name], others[name], seed=1)


def test_every_value_stays_under_its_own_key(tmp_path: Path) -> None:
    model = net()
    value = {"net": model.state_dict(), "classes": ["a", "b"], "args": {"lr": 0.1}, "mean": torch.ones(3), "loss": 1.5}
    with modelcrate.load_checkpoint(converted(tmp_path, value)) as checkpoint:
        found = checkpoint.values  # type: ignore[attr-defined]
        assert checkpoint.config == {"lr": 0.1}
        assert set(checkpoint.extras) == {"classes", "args", "mean"}
    assert list(found) == list(value)
    assert torch.equal(found["net"]["0.weight"], model[0].weight)  # type: ignore[index]
    assert torch.equal(found["mean"], torch.ones(3))


def test_a_lightning_checkpoint(tmp_path: Path) -> None:
    model = nn.ModuleDict({"encoder": net()})
    optimizer = torch.optim.AdamW(model.parameters())
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    train(model["encoder"], optimizer, scheduler)
    path = converted(
        tmp_path,
        {
            "epoch": 3,
            "global_step": 120,
            "pytorch-lightning_version": "2.4.0",
            "state_dict": model.state_dict(),
            "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4}}}},
            "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_path": "x"}},
            "optimizer_states": [optimizer.state_dict()],
            "lr_schedulers": [scheduler.state_dict()],
            "hyper_parameters": {"width": 4},
        },
    )
    again = nn.ModuleDict({"encoder": net()})
    other = torch.optim.AdamW(again.parameters())
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(other, 10)
    with modelcrate.load_checkpoint(path) as checkpoint:
        assert (checkpoint.epoch, checkpoint.step, checkpoint.config) == (3, 120, {"width": 4})
        assert checkpoint.restore(again, other, schedule).complete
    assert schedule.state_dict() == scheduler.state_dict()
    assert train(model["encoder"], optimizer, seed=1) == train(again["encoder"], other, seed=1)


def test_wrapped_networks_averaged_copies_and_scalers(tmp_path: Path) -> None:
    model, averaged = net(), net()
    scaler = torch.amp.GradScaler("cpu", init_scale=512.0)
    path = converted(
        tmp_path,
        {
            "model": nn.DataParallel(model).state_dict(),
            "model_ema": averaged.state_dict(),
            "scaler": scaler.state_dict(),
        },
    )
    again, copy_, other = net(), net(), torch.amp.GradScaler("cpu")
    with modelcrate.load_checkpoint(path) as checkpoint:
        assert (checkpoint.networks, checkpoint.ema) == (("model",), ("model",))
        assert checkpoint.restore(again, ema=copy_, scaler=other).complete
    assert torch.equal(again[0].weight, model[0].weight)  # type: ignore[index]
    assert torch.equal(copy_[0].weight, averaged[0].weight)  # type: ignore[index]
    assert other.get_scale() == 512.0


def test_a_network_that_was_saved_whole(tmp_path: Path) -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    train(model, optimizer)
    path = converted(tmp_path, {"model": model, "optimizer": optimizer.state_dict()})
    again = net()
    with modelcrate.load_checkpoint(path) as checkpoint:
        assert checkpoint.restore(again, torch.optim.SGD(again.parameters(), 0.1, momentum=0.9)).complete
        assert torch.equal(checkpoint.network("model")[0].weight, model[0].weight)  # type: ignore[index]
    assert torch.equal(again[0].weight, model[0].weight)  # type: ignore[index]


def test_what_does_not_fit_is_said_and_changes_nothing(tmp_path: Path) -> None:
    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    train(model, optimizer)
    path = converted(tmp_path, {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    other = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 2))
    before = copy.deepcopy(other.state_dict())
    with modelcrate.load_checkpoint(path) as checkpoint:
        with pytest.raises(MismatchError, match=r"0\.weight is float32 \[4, 3\], here float32 \[5, 3\]"):
            checkpoint.restore(other)
        same = net()
        with pytest.raises(MismatchError, match="parameters"):
            checkpoint.restore(same, torch.optim.Adam(same[0].parameters()))  # type: ignore[index]
        with pytest.raises(MismatchError, match="exp_avg"):
            checkpoint.restore(optimizers=torch.optim.Adam(other.parameters()))
        with pytest.raises(MismatchError, match="no such network"):
            checkpoint.restore({"generator": net()})
        with pytest.raises(UnsupportedError, match="only the state dict"):
            checkpoint.network("model")
    assert all(torch.equal(one, other.state_dict()[name]) for name, one in before.items())


def test_only_and_values_that_are_no_checkpoint(tmp_path: Path) -> None:
    value = {"netG": net().state_dict(), "netD": net().state_dict()}
    path = converted(tmp_path, value)
    with modelcrate.load_checkpoint(path, only="g") as checkpoint:
        assert checkpoint.networks == ("g",)
    with pytest.raises(UsageError, match="no part 'x'"):
        modelcrate.load_checkpoint(path, only="x")
    (tmp_path / "old.crate").unlink()
    with pytest.raises(UnsupportedError, match="no network"):
        modelcrate.load_checkpoint(converted(tmp_path, {"a": 1}))


def test_load_gives_one_network_of_a_converted_dict(tmp_path: Path) -> None:
    generator = net()
    path = converted(tmp_path, {"netG": generator.state_dict(), "netD": net(), "epoch": 1})
    state = modelcrate.load(path, only="g")
    assert list(state) == list(generator.state_dict())
    built = modelcrate.load(path, only="netG", architecture=net)
    assert not built.training
    assert torch.equal(built[0].weight, generator[0].weight)  # type: ignore[index]
    assert sorted(modelcrate.load(path, only=["g", "d"])) == ["d", "g"]
    with pytest.raises(UsageError, match="no network 'x'"):
        modelcrate.load(path, only="x")


class Foreign(nn.Module):
    """A class that is not registered."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = net()


def test_load_gives_one_network_of_a_checkpoint(tmp_path: Path) -> None:
    generator, foreign = net(), Foreign()
    path = tmp_path / "c.crate"
    modelcrate.save_checkpoint(path, networks={"generator": generator, "foreign": foreign})
    assert torch.equal(modelcrate.load(path, only="generator")[0].weight, generator[0].weight)  # type: ignore[index]
    with pytest.raises(UnsupportedError, match="architecture="):
        modelcrate.load(path, only="foreign")
    found = modelcrate.load(path, only="foreign", architecture=Foreign)
    assert torch.equal(found.inner[0].weight, foreign.inner[0].weight)  # type: ignore[index]
    with pytest.raises(UnsupportedError, match="only="):
        modelcrate.load(path)
